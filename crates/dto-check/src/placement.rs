//! Where the nodes of an overlay are in a tree that it was merged into.

use alloc::string::String;
use alloc::vec::Vec;

use kbt_dts::fragments::{self, FragmentTarget};
use kbt_dts::{Dts, IndexedTree};
use kbt_fdt::NodeIndex;

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
    /// Looks each fragment's target up in `tree`, and from there each node by its name. `label` gives the node of a label
    /// of the base.
    pub fn new<'l>(
        overlay: &Dts<'l>,
        tree: &IndexedTree<'_>,
        label: impl Fn(&'l [u8]) -> Option<NodeIndex>,
    ) -> Self {
        let own = overlay.tree();
        let mut placement = Self { fragments: Vec::new(), of: alloc::vec![None; own.tree().nodes().len()] };
        for node in own.children(NodeIndex::ROOT) {
            let Some(content) = own.child(node, b"__overlay__") else { continue };
            let target = placement.find_target(overlay, tree, node, &label);
            if let Ok(target) = target {
                placement.place(own, tree, content, target);
            }
            placement.fragments.push(Fragment { node, overlay: content, target });
        }
        placement
    }

    fn find_target<'l>(
        &self,
        overlay: &Dts<'l>,
        tree: &IndexedTree<'_>,
        fragment: NodeIndex,
        label: &impl Fn(&'l [u8]) -> Option<NodeIndex>,
    ) -> Result<NodeIndex, TargetFault> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match fragments::target(overlay, fragment).ok_or(TargetFault::None)? {
            FragmentTarget::Label(name) => label(name).ok_or_else(|| TargetFault::Label(text(name))),
            FragmentTarget::Path(path) => find_path(tree, path).ok_or_else(|| TargetFault::Path(text(path))),
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
        tree: &IndexedTree<'_>,
        content: NodeIndex,
        target: NodeIndex,
    ) {
        self.of[content.index()] = Some(target);
        for index in content.0 + 1..own.node(content).subtree_end.0 {
            let node = NodeIndex(index);
            let above = self.of[own.node(node).parent.index()];
            self.of[node.index()] = above.and_then(|above| tree.child(above, own.name(node)));
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

/// The node at an absolute path or at one that starts with an alias.
pub(crate) fn find_path(tree: &IndexedTree<'_>, path: &[u8]) -> Option<NodeIndex> {
    if path.first() == Some(&b'/') {
        return tree.find(path);
    }
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    let (alias, rest) = path.split_at(end);
    let aliases = tree.child(NodeIndex::ROOT, b"aliases")?;
    let top = tree.find(tree.property_value(aliases, alias)?.strip_suffix(b"\0")?)?;
    kbt_dts::path_components(rest).try_fold(top, |node, name| tree.child(node, name))
}

/// The node of a label, as `__symbols__` says.
pub(crate) fn find_label(tree: &IndexedTree<'_>, label: &[u8]) -> Option<NodeIndex> {
    let symbols = tree.child(NodeIndex::ROOT, b"__symbols__")?;
    tree.find(tree.property_value(symbols, label)?.strip_suffix(b"\0")?)
}
