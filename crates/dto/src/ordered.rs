//! Resolving the base's symbols in their order.
//!
//! Idea: `dtc` lists labels in the order of the tree, and siblings mostly stand in the order of their unit addresses, as
//! the kernel's coding style for device trees wants it. Where they do, no two of them share a name, so the one that a
//! symbol's path ends in is found by going on from the one before, and no table of the siblings is needed.
//!
//! Limits: what is not found so is left to [`Siblings`](crate::paths::Siblings), which needs no order. All walks together
//! are a few times as long as the tree, whatever the order of the symbols.

use kbt_fdt::{NodeIndex, Property, find_byte, same, unit_address};

use crate::links::Change;
use crate::live::Live;
use crate::paths::{LONGEST_PATH, resolve_absolute};
use crate::source::{NodeId, Source, SourceId};

/// Finds the nodes that the wanted symbols of the base lead to, as far as they are in order.
pub(crate) fn resolve_symbols(live: &mut Live<'_>) {
    if live.loose_names {
        return;
    }
    let left = 4 * live.source(SourceId::BASE).tree.nodes().len();
    let mut walk = Walk { above: b"", opened: false, siblings: None, left };
    let mut index = 0;
    while let Some(symbol) = live.names.label_in_base(index) {
        index += 1;
        let Some((label, property)) = symbol else { continue };
        let block = live.source(SourceId::BASE).original;
        let value = block.value_at(property.at).unwrap_or_default();
        let Some((0, path)) = value.split_last() else { continue };
        if let Some(found) = walk.resolve(live, path, property.at.plus(Property::HEADER_SIZE).index()) {
            live.names.set_symbol_node(label, found.0);
        }
    }
    walk.leave(live);
}

/// Where the last path led.
struct Walk<'p> {
    /// The last path up to its last slash; nothing where that is not absolute.
    above: &'p [u8],
    /// Whether the node there was looked at.
    opened: bool,
    /// Its children.
    siblings: Option<Siblings>,
    /// So many nodes may still be passed before no more siblings are looked at.
    left: usize,
}

/// Many children of a node of the base to which nothing was done, up to now in the order of their unit addresses.
#[derive(Clone, Copy)]
struct Siblings {
    /// The last one that was passed, and its unit address.
    last: NodeIndex,
    address: u64,
    next: NodeIndex,
    end: NodeIndex,
    parent: NodeIndex,
}

impl<'p> Walk<'p> {
    /// The node of the base at a path, which stands at `at` of its block, if it is in order.
    #[inline(never)]
    fn resolve(&mut self, live: &mut Live<'_>, path: &'p [u8], at: usize) -> Option<NodeIndex> {
        let (start, name) = path.split_at_checked(self.above.len()).unwrap_or_default();
        let goes_on = !start.is_empty() && same(start, self.above);
        if !goes_on || name.is_empty() || path.len() > LONGEST_PATH || find_byte(name, b'/').is_some() {
            self.leave(live);
            // What starts with an alias is never gone on from, nor what has a NUL.
            let end = path.iter().rposition(|&byte| byte == b'/');
            let end = end.filter(|_| path.starts_with(b"/") && find_byte(path, 0).is_none());
            (self.above, self.opened) = (end.map_or(&[][..], |end| &path[..=end]), false);
            return None;
        }
        // A second path to a child of the same node: there will be more.
        if !self.opened && self.left > 0 {
            self.opened = true;
            let parent = resolve_absolute(live, &self.above[..self.above.len() - 1])?;
            self.siblings = Siblings::of(live, parent);
        }
        let siblings = self.siblings.as_mut()?;
        let source = live.source(SourceId::BASE);
        let wanted = unit_address(source.original.bytes(), at + start.len(), at + path.len());
        match siblings.find(source, wanted, &mut self.left) {
            Ok(found) => found.filter(|&found| source.original.name_is(source.tree.node(found), name)),
            Err(Disorder) => {
                self.leave(live);
                None
            }
        }
    }

    /// Turns away from the siblings at hand. If any of them is out of order, they are put into a table, for a warning
    /// where a name stands there twice.
    fn leave(&mut self, live: &mut Live<'_>) {
        let Some(mut siblings) = self.siblings.take() else { return };
        if siblings.find(live.source(SourceId::BASE), u64::MAX, &mut self.left).is_err() {
            let parent = NodeId { source: SourceId::BASE, node: siblings.parent };
            live.expect_look_ups(parent);
            live.find_child(parent, b"");
        }
    }
}

/// A sibling whose unit address is not greater than that of the one before.
struct Disorder;

impl Siblings {
    fn of(live: &Live<'_>, parent: NodeId) -> Option<Self> {
        let list = live.list(parent);
        let unchanged = |(_, change)| matches!(change, Change::State(state) if !state.piecewise);
        if parent.source != SourceId::BASE || !live.is_wide(parent) || !live.links.iter(list).all(unchanged) {
            return None;
        }
        let tree = &live.source(SourceId::BASE).tree;
        let next = tree.first_child(parent.node)?;
        let end = tree.node(parent.node).subtree_end;
        Some(Self { last: parent.node, address: 0, next, end, parent: parent.node })
    }

    /// The one of that unit address, if it is the last one or stands behind it; what is passed is taken from `left`.
    fn find(
        &mut self,
        source: &Source<'_>,
        wanted: u64,
        left: &mut usize,
    ) -> Result<Option<NodeIndex>, Disorder> {
        let nodes = source.tree.nodes().get(..self.end.index()).unwrap_or_default();
        let block = source.original;
        // Locals, which can have registers.
        let Self { mut last, mut address, mut next, .. } = *self;
        let mut ordered = true;
        while address < wanted
            && let Some(node) = nodes.get(next.index())
        {
            let its = block.unit_address(node);
            ordered = its > address;
            if !ordered || its > wanted {
                break;
            }
            (last, address, next) = (next, its, node.subtree_end);
        }
        *left = left.saturating_sub((next.0 - self.next.0) as usize);
        (self.last, self.address, self.next) = (last, address, next);
        if !ordered {
            return Err(Disorder);
        }
        Ok((self.address == wanted && wanted != 0).then_some(self.last))
    }
}
