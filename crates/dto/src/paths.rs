//! Absolute paths of nodes in the merged tree.

use kbt_fdt::{find_byte, same};

use crate::live::Live;
use crate::source::NodeId;

/// Longer paths, in bytes, lead nowhere: one label or alias of a byte may stand for a path again and again.
pub(crate) const LONGEST_PATH: usize = 1 << 16;

/// The node at an absolute path; `/` is the root node.
pub(crate) fn resolve_absolute(live: &mut Live<'_>, path: &[u8]) -> Option<NodeId> {
    if path.len() > LONGEST_PATH {
        return None;
    }
    components(path).try_fold(NodeId::ROOT, |node, component| live.find_child(node, component))
}

/// The names in a path.
#[inline]
pub(crate) fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = path;
    core::iter::from_fn(move || {
        while let Some((b'/', behind)) = rest.split_first() {
            rest = behind;
        }
        let end = find_byte(rest, b'/').unwrap_or(rest.len());
        let (component, behind) = rest.split_at(end);
        rest = behind;
        (!component.is_empty()).then_some(component)
    })
}

/// Finds the nodes at paths of which many lead to siblings, as those of labels do: where the last path led, up to its
/// last name, is remembered.
///
/// No node may be added between two look-ups.
#[derive(Debug, Default)]
pub(crate) struct Siblings<'p> {
    last: Option<Above<'p>>,
}

#[derive(Debug)]
struct Above<'p> {
    /// The last path up to its last slash.
    path: &'p [u8],
    /// The node that this leads to.
    parent: NodeId,
    /// Whether another path led to a child of that as well.
    again: bool,
    /// The number of its table of children, once it has one.
    table: Option<usize>,
}

impl<'p> Siblings<'p> {
    /// The node at an absolute path.
    pub(crate) fn resolve(&mut self, live: &mut Live<'_>, path: &'p [u8]) -> Option<NodeId> {
        if path.len() > LONGEST_PATH {
            return None;
        }
        if let Some(above) = &mut self.last
            && let Some((start, name)) = path.split_at_checked(above.path.len())
            && same(start, above.path)
            && !name.is_empty()
            && find_byte(name, b'/').is_none()
        {
            if let Some(table) = above.table {
                return live.find_in_table(table, name);
            }
            if !above.again {
                above.again = true;
                live.expect_look_ups(above.parent);
            }
            let found = live.find_child(above.parent, name);
            above.table = live.children_table(above.parent);
            return found;
        }
        let end = path.iter().rposition(|&byte| byte == b'/')?;
        let parent = resolve_absolute(live, &path[..end])?;
        self.last = Some(Above { path: &path[..=end], parent, again: false, table: None });
        match &path[end + 1..] {
            [] => Some(parent),
            name => live.find_child(parent, name),
        }
    }
}

/// The path in the value of a symbol or an alias: what stands before the first NUL, as for libfdt.
pub(crate) fn path_in(value: &[u8]) -> Option<&[u8]> {
    let end = find_byte(value, 0)?;
    (end > 0).then(|| &value[..end])
}
