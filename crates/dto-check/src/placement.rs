//! Where the nodes of an overlay are in a tree that it was merged into.

use alloc::string::String;
use alloc::vec::Vec;

use kbt_dts::fragments::{self, FragmentTarget};
use kbt_dts::{Dts, IndexedTree};
use kbt_fdt::{NodeIndex, Property};

/// Why a fragment's target is not in the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetFault {
    /// The fragment states none that can be read.
    None,
    /// The label leads to no node.
    Label(String),
    /// The path, or the alias that it starts with, leads to no node.
    Path(String),
    /// No node has the phandle.
    Phandle(u32),
    /// A node of the overlay that is not in the tree.
    Own(String),
}

/// A child of the overlay's root that has an `__overlay__`.
#[derive(Debug, Clone)]
pub struct Fragment {
    /// The child.
    pub node: NodeIndex,
    /// Its `__overlay__`.
    pub overlay: NodeIndex,
    /// Where it is merged into, in the tree.
    pub target: Result<NodeIndex, TargetFault>,
}

/// The nodes of an overlay's fragments and those of a tree that they were merged into.
#[derive(Debug, Clone)]
pub struct Placement {
    fragments: Vec<Fragment>,
    of: Vec<Option<NodeIndex>>,
}

impl Placement {
    /// Looks each fragment's target up in `tree`, and from there each node by its name: exactly, or where `loose` says so as
    /// libfdt does. `label` gives the node of a label of the base.
    pub fn new<'l>(
        overlay: &Dts<'l>,
        tree: &IndexedTree<'_>,
        loose: bool,
        label: impl Fn(&'l [u8]) -> Option<NodeIndex>,
    ) -> Self {
        let own = overlay.tree();
        let mut placement = Self { fragments: Vec::new(), of: alloc::vec![None; own.tree().nodes().len()] };
        for node in own.children(NodeIndex::ROOT) {
            let Some(content) = own.child(node, b"__overlay__") else { continue };
            let target = placement.find_target(overlay, (tree, loose), node, &label);
            if let Ok(target) = target {
                placement.place(own, (tree, loose), content, target);
            }
            placement.fragments.push(Fragment { node, overlay: content, target });
        }
        placement
    }

    fn find_target<'l>(
        &self,
        overlay: &Dts<'l>,
        (tree, loose): (&IndexedTree<'_>, bool),
        fragment: NodeIndex,
        label: &impl Fn(&'l [u8]) -> Option<NodeIndex>,
    ) -> Result<NodeIndex, TargetFault> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match fragments::target(overlay, fragment).ok_or(TargetFault::None)? {
            FragmentTarget::Label(name) => label(name).ok_or_else(|| TargetFault::Label(text(name))),
            FragmentTarget::Path(path) => {
                find_path(tree, path, loose).ok_or_else(|| TargetFault::Path(text(path)))
            }
            FragmentTarget::Number(number) => {
                tree.node_with_phandle(number).ok_or(TargetFault::Phandle(number))
            }
            FragmentTarget::Own(node) => {
                self.of(node).ok_or_else(|| TargetFault::Own(overlay.tree().path(node)))
            }
        }
    }

    /// Notes where the nodes below `content` are if that is `target`.
    fn place(
        &mut self,
        own: &IndexedTree<'_>,
        (tree, loose): (&IndexedTree<'_>, bool),
        content: NodeIndex,
        target: NodeIndex,
    ) {
        self.of[content.index()] = Some(target);
        for index in content.0 + 1..own.node(content).subtree_end.0 {
            let node = NodeIndex(index);
            let above = self.of[own.node(node).parent.index()];
            self.of[node.index()] = above.and_then(|above| match loose {
                true => find_alike(own, node, tree, above),
                false => tree.child(above, own.name(node)),
            });
        }
    }

    /// The fragments, in order.
    pub fn fragments(&self) -> &[Fragment] {
        &self.fragments
    }

    /// Where a node of the overlay is; none where it is in no fragment, or not in the tree.
    pub fn of(&self, node: NodeIndex) -> Option<NodeIndex> {
        self.of.get(node.index()).copied().flatten()
    }
}

/// So many nodes are looked at where a name matches loosely.
const MOST_ALIKE: usize = 64;

/// Where libfdt would have merged a node. It takes the newest child that the name matches, and which one that was at the time
/// cannot be seen later: of several it is the one with most of what the node brings.
fn find_alike(
    own: &IndexedTree<'_>,
    node: NodeIndex,
    tree: &IndexedTree<'_>,
    above: NodeIndex,
) -> Option<NodeIndex> {
    let mut alike: Vec<NodeIndex> = children_alike(tree, above, own.name(node)).take(MOST_ALIKE).collect();
    alike.sort();
    let brought = |place: &NodeIndex| {
        let is_same = |property: &Property| {
            let there = tree.property(*place, own.property_name(property));
            there.is_some_and(|there| tree.value(&there) == own.value(property))
        };
        let is_there = |child: &NodeIndex| children_alike(tree, *place, own.name(*child)).next().is_some();
        let properties = own.properties(node).filter(is_same).count();
        (properties + own.children(node).filter(is_there).count(), core::cmp::Reverse(place.0))
    };
    match &alike[..] {
        [] | [_] => alike.first().copied(),
        _ => alike.into_iter().max_by_key(brought),
    }
}

/// The children that a name matches as libfdt has it: exactly, or but for their unit addresses.
fn children_alike<'t>(
    tree: &'t IndexedTree<'_>,
    above: NodeIndex,
    name: &'t [u8],
) -> impl Iterator<Item = NodeIndex> + 't {
    let with_address = (!name.contains(&b'@')).then(|| tree.children_with_unit_address(above, name));
    tree.child(above, name).into_iter().chain(with_address.into_iter().flatten())
}

/// The node at an absolute path or at one that starts with an alias.
fn find_path(tree: &IndexedTree<'_>, path: &[u8], loose: bool) -> Option<NodeIndex> {
    let walk = |top, path| {
        kbt_dts::path_components(path).try_fold(top, |node, name| match loose {
            true => children_alike(tree, node, name).next(),
            false => tree.child(node, name),
        })
    };
    if path.first() == Some(&b'/') {
        return walk(NodeIndex::ROOT, path);
    }
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    let (alias, rest) = path.split_at(end);
    let aliases = tree.child(NodeIndex::ROOT, b"aliases")?;
    let top = tree.find(tree.property_value(aliases, alias)?.strip_suffix(b"\0")?)?;
    walk(top, rest)
}

/// The node of a label, as `__symbols__` says. libfdt's merge leaves paths there that lead to their nodes only loosely.
pub(crate) fn find_label(tree: &IndexedTree<'_>, label: &[u8], loose: bool) -> Option<NodeIndex> {
    let symbols = tree.child(NodeIndex::ROOT, b"__symbols__")?;
    find_path(tree, tree.property_value(symbols, label)?.strip_suffix(b"\0")?, loose)
}
