//! Labels, as `__symbols__` has them.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property};

use crate::index::IndexedTree;
use crate::text::is_label;

/// The labels of a tree's nodes.
#[derive(Debug, Clone, Default)]
pub struct Labels<'a> {
    /// Sorted by node, then in the order of `__symbols__`.
    of_nodes: Vec<(NodeIndex, &'a [u8])>,
    /// Sorted by label.
    by_label: Vec<(&'a [u8], NodeIndex)>,
    /// Entries that no label in a source would give.
    rest: Vec<Property>,
}

impl<'a> Labels<'a> {
    /// Reads `/__symbols__`. What `is_taken` says of a label keeps it from being one: dtc would take it for another
    /// node's.
    pub fn read(tree: &IndexedTree<'a>, is_taken: impl Fn(&[u8]) -> bool) -> Self {
        let mut labels = Self::default();
        let Some(symbols) = tree.child(NodeIndex::ROOT, b"__symbols__") else { return labels };
        for property in tree.properties(symbols) {
            let (name, value) = (tree.property_name(&property), tree.value(&property));
            let node = value.strip_suffix(b"\0").filter(|path| !path.contains(&0)).and_then(|path| {
                // dtc writes the one path that leads to a node.
                let node = tree.find(path)?;
                (tree.path_length(node) == path.len()).then_some(node)
            });
            // A label of the root has its place in front of `&{/}`, which an overlay's source cannot have.
            let fits = |node: &NodeIndex| *node != NodeIndex::ROOT && is_label(name) && !is_taken(name);
            match node.filter(fits) {
                Some(node) => {
                    labels.of_nodes.push((node, name));
                    labels.by_label.push((name, node));
                }
                None => labels.rest.push(property),
            }
        }
        labels.of_nodes.sort_by_key(|&(node, _)| node);
        labels.by_label.sort_by_key(|&(label, _)| label);
        labels
    }

    /// The labels of a node.
    pub fn of(&self, node: NodeIndex) -> impl Iterator<Item = &'a [u8]> + '_ {
        let from = self.of_nodes.partition_point(|&(other, _)| other < node);
        self.of_nodes[from..].iter().take_while(move |(other, _)| *other == node).map(|&(_, label)| label)
    }

    /// The node of a label.
    pub fn node(&self, label: &[u8]) -> Option<NodeIndex> {
        let at = self.by_label.partition_point(|&(other, _)| other < label);
        self.by_label.get(at).filter(|&&(other, _)| other == label).map(|&(_, node)| node)
    }

    /// Entries of `__symbols__` that lead to no node or to the root, or whose names are no labels.
    pub fn rest(&self) -> &[Property] {
        &self.rest
    }

    /// How many labels there are.
    pub fn count(&self) -> usize {
        self.of_nodes.len()
    }
}
