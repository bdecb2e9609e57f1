//! The flat tree: one record a node, in the order of the structure block.
//!
//! Idea: one pass checks every token and remembers of each node only where it begins and ends and who its
//! parent is. The subtree of a node is a range of records, so the first child is the next record and the next
//! sibling is the record behind the subtree; no list is built and nothing is copied.
//!
//! Limits: [`MAX_DEPTH`] levels. The pass does not recurse, and takes 20 bytes a node, 4 more where nodes have phandles.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::error::Error;
use crate::strings::StringsBlock;
use crate::structure::{StructureBlock, StructureOffset};

/// How deep nodes may be nested. Linux reads 64 levels (`FDT_MAX_DEPTH` in drivers/of/fdt.c).
pub const MAX_DEPTH: u32 = 512;

/// A node's place in the flat tree; the root node is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    /// The root node.
    pub const ROOT: Self = Self(0);

    /// As an index into [`Tree::nodes`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node's record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Where its `FDT_BEGIN_NODE` stands.
    pub begin: StructureOffset,
    /// Where the token behind its name stands.
    pub body: StructureOffset,
    /// Where its `FDT_END_NODE` stands.
    pub end: StructureOffset,
    /// Its parent; the root node is its own.
    pub parent: NodeIndex,
    /// The record behind its subtree.
    pub subtree_end: NodeIndex,
}

/// A property `phandle`, or the older `linux,phandle`, of four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PhandleProperty {
    /// The value.
    pub value: u32,
    /// The node that has it.
    pub node: NodeIndex,
    /// Where its `FDT_PROP` stands.
    pub at: StructureOffset,
}

/// A checked structure block as a flat list of nodes.
#[derive(Debug, Clone)]
pub struct Tree {
    pub(crate) nodes: Vec<Node>,
    /// None where there is no phandle: many a small overlay has none.
    pub(crate) phandles: Option<Box<Phandles>>,
    pub(crate) largest_phandle: u32,
    pub(crate) depth: u32,
    pub(crate) size: u32,
}

/// The phandles of a tree.
#[derive(Debug, Clone)]
pub(crate) struct Phandles {
    pub(crate) of: Vec<u32>,
    pub(crate) properties: Vec<PhandleProperty>,
}

/// The memory of a tree that is not wanted any more, for another one: who reads trees one after the other need not ask
/// for it again and again.
#[derive(Debug, Default)]
pub struct TreeMemory {
    pub(crate) nodes: Vec<Node>,
    pub(crate) phandle_of: Vec<u32>,
    pub(crate) phandles: Vec<PhandleProperty>,
}

impl TreeMemory {
    /// How much memory that is, in bytes.
    pub fn bytes(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>()
            + self.phandle_of.capacity() * size_of::<u32>()
            + self.phandles.capacity() * size_of::<PhandleProperty>()
    }
}

impl Tree {
    /// Checks every token of `structure` and lists the nodes.
    ///
    /// # Errors
    /// The first token that is malformed or misplaced; the offset is in the structure block.
    pub fn scan(structure: StructureBlock<'_>, strings: StringsBlock<'_>) -> Result<Self, Error> {
        Self::scan_in(TreeMemory::default(), structure, strings, true)
    }

    /// The same without the list of phandle properties; the nodes have their phandles all the same.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub fn scan_nodes(structure: StructureBlock<'_>, strings: StringsBlock<'_>) -> Result<Self, Error> {
        Self::scan_in(TreeMemory::default(), structure, strings, false)
    }

    /// The tree in the memory of another one.
    #[must_use]
    pub fn copied_to(&self, memory: TreeMemory) -> Self {
        let TreeMemory { mut nodes, phandle_of, phandles } = memory;
        nodes.clone_from(&self.nodes);
        let phandles = self.phandles.as_ref().map(|own| {
            let mut copy = Phandles { of: phandle_of, properties: phandles };
            copy.of.clone_from(&own.of);
            copy.properties.clone_from(&own.properties);
            Box::new(copy)
        });
        let &Self { largest_phandle, depth, size, .. } = self;
        Self { nodes, phandles, largest_phandle, depth, size }
    }

    /// How much memory it takes, in bytes.
    pub fn bytes(&self) -> usize {
        let phandles = self.phandles.as_ref().map_or(0, |phandles| {
            phandles.of.capacity() * size_of::<u32>()
                + phandles.properties.capacity() * size_of::<PhandleProperty>()
        });
        self.nodes.capacity() * size_of::<Node>() + phandles
    }

    /// Its memory, for another tree.
    #[must_use]
    pub fn into_memory(self) -> TreeMemory {
        let (phandle_of, phandles) =
            self.phandles.map(|phandles| (phandles.of, phandles.properties)).unwrap_or_default();
        TreeMemory { nodes: self.nodes, phandle_of, phandles }
    }

    /// All nodes, parents in front of their children.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The node at `index`.
    ///
    /// # Panics
    /// Where the tree has no such node.
    #[inline]
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.index()]
    }

    /// The node's `phandle`, else its `linux,phandle`; 0 where it has neither.
    #[inline]
    pub fn phandle(&self, node: NodeIndex) -> u32 {
        let phandles = self.phandles.as_ref();
        phandles.and_then(|phandles| phandles.of.get(node.index())).copied().unwrap_or(0)
    }

    /// The largest value of a phandle property; 0 where there is none.
    pub fn largest_phandle(&self) -> u32 {
        self.largest_phandle
    }

    /// All phandle properties, in the order of their nodes, if [`Tree::scan`] listed them.
    pub fn phandles(&self) -> &[PhandleProperty] {
        self.phandles.as_ref().map_or(&[], |phandles| &phandles.properties)
    }

    /// The phandle properties of the nodes from `first` to before `end`.
    pub fn phandles_in(&self, first: NodeIndex, end: NodeIndex) -> &[PhandleProperty] {
        let phandles = self.phandles();
        let rest = &phandles[phandles.partition_point(|entry| entry.node < first)..];
        &rest[..rest.partition_point(|entry| entry.node < end)]
    }

    /// The children of a node, in order.
    #[inline]
    pub fn children(&self, parent: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.child_nodes(parent).map(|(child, _)| child)
    }

    /// The children of a node, in order, with their records.
    #[inline]
    pub fn child_nodes(&self, parent: NodeIndex) -> impl Iterator<Item = (NodeIndex, &Node)> + '_ {
        let nodes = &self.nodes[..self.node(parent).subtree_end.index()];
        let mut next = NodeIndex(parent.0 + 1);
        core::iter::from_fn(move || {
            let child = next;
            let node = nodes.get(child.index())?;
            next = node.subtree_end;
            Some((child, node))
        })
    }

    /// The first child from `from` on, in the order of `parent`'s children, that `is` accepts.
    #[inline(always)]
    pub fn find_child(
        &self,
        parent: NodeIndex,
        from: NodeIndex,
        mut is: impl FnMut(&Node) -> bool,
    ) -> Option<NodeIndex> {
        let nodes = &self.nodes[..self.node(parent).subtree_end.index()];
        let mut next = from.index();
        while let Some(node) = nodes.get(next) {
            if is(node) {
                return Some(index(next));
            }
            next = node.subtree_end.index();
        }
        None
    }

    /// Whether a node has two descendants at least, as it must to have two children.
    #[inline]
    pub fn may_have_siblings_below(&self, parent: NodeIndex) -> bool {
        self.node(parent).subtree_end.0 - parent.0 > 2
    }

    /// The first child of a node.
    #[inline]
    pub fn first_child(&self, parent: NodeIndex) -> Option<NodeIndex> {
        (parent.0 + 1 < self.node(parent).subtree_end.0).then_some(NodeIndex(parent.0 + 1))
    }

    /// The levels of nodes; 1 where there is only a root node.
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Bytes of the structure block up to and with `FDT_END`.
    pub fn size(&self) -> u32 {
        self.size
    }
}

/// A node's number. A node takes 12 bytes at least, so it fits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a node takes 12 of less than 2^32 bytes")]
pub(crate) fn index(number: usize) -> NodeIndex {
    NodeIndex(number as u32)
}
