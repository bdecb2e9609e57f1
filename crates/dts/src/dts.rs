//! A tree with its labels and references restored.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property};

use crate::bindings;
use crate::error::Error;
use crate::fixups::Fixups;
use crate::index::IndexedTree;
use crate::labels::Labels;
use crate::references::{Reference, Referent};
use crate::text::is_path;

/// A tree as its source would have shown it.
#[derive(Debug, Clone)]
pub struct Dts<'a> {
    tree: IndexedTree<'a>,
    labels: Labels<'a>,
    fixups: Fixups<'a>,
    is_overlay: bool,
    /// Whether all phandles belong into its source, since some would not come back by themselves.
    keep_phandles: bool,
}

impl<'a> Dts<'a> {
    /// Checks a blob and restores what it tells.
    ///
    /// # Errors
    /// What [`IndexedTree::parse`] refuses.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let tree = IndexedTree::parse(bytes)?;
        let fixups = Fixups::read(&tree);
        // A label of the overlay itself would catch the references to the base's.
        let labels = Labels::read(&tree, |label| Fixups::wants(&tree, label));
        let root = NodeIndex::ROOT;
        let is_overlay = tree.child(root, b"__fixups__").is_some()
            || tree.child(root, b"__local_fixups__").is_some()
            || tree.children(root).any(|child| tree.child(child, b"__overlay__").is_some());
        let is_ambiguous = tree.phandles().windows(2).any(|pair| pair[0].0 == pair[1].0);
        let keep_phandles = !is_overlay || !fixups.local_rest().is_empty() || is_ambiguous;
        Ok(Self { tree, labels, fixups, is_overlay, keep_phandles })
    }

    /// Whether all phandles belong into its source.
    pub(crate) fn keeps_phandles(&self) -> bool {
        self.keep_phandles
    }

    /// The tree.
    pub fn tree(&self) -> &IndexedTree<'a> {
        &self.tree
    }

    /// The labels of its nodes.
    pub fn labels(&self) -> &Labels<'a> {
        &self.labels
    }

    /// What `__fixups__` and `__local_fixups__` say.
    pub fn fixups(&self) -> &Fixups<'a> {
        &self.fixups
    }

    /// Whether it is an overlay: the places of its phandles are then stated, not guessed from bindings.
    pub fn is_overlay(&self) -> bool {
        self.is_overlay
    }

    /// The phandles in a property, in order: those that the tree states, else, in a tree that is no overlay, those that
    /// its name tells of.
    pub fn references(&self, node: NodeIndex, property: &Property) -> Vec<Reference<'a>> {
        if self.is_overlay {
            return self.fixups.of(property.at).to_vec();
        }
        bindings::references(&self.tree, node, property).unwrap_or_default()
    }

    /// A reference as source writes it: `&label`, else `&{/path}`; none where source cannot, or where the path has more
    /// bytes than `room`, from which it is taken.
    pub(crate) fn reference_text(&self, to: Referent<'a>, room: &mut usize) -> Option<Vec<u8>> {
        let mut text = alloc::vec![b'&'];
        let node = match to {
            Referent::Label(label) => {
                text.extend_from_slice(label);
                return Some(text);
            }
            Referent::Node(node) => node,
        };
        if let Some(label) = self.labels.of(node).next() {
            text.extend_from_slice(label);
            return Some(text);
        }
        *room = room.checked_sub(self.tree.path_length(node))?;
        text.push(b'{');
        self.tree.push_path(node, &mut text);
        if !is_path(text.get(2..)?) {
            return None;
        }
        text.push(b'}');
        Some(text)
    }
}
