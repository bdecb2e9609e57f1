//! The flat tree: one record a node, in the order of the structure block.
//!
//! Idea: one pass checks every token and remembers of each node only where it begins and ends and who its
//! parent is. The subtree of a node is a range of records, so the first child is the next record and the next
//! sibling is the record behind the subtree; no list is built and nothing is copied.
//!
//! Limits: [`MAX_DEPTH`] levels. The pass does not recurse, and takes 16 bytes a node.

use alloc::vec::Vec;

use crate::error::{Block, Error, ErrorKind};
use crate::strings::{StringsBlock, StringsOffset};
use crate::structure::{StructureBlock, StructureOffset, Tag};

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
    /// Whether it is the older `linux,phandle`.
    pub legacy: bool,
}

/// A checked structure block as a flat list of nodes.
#[derive(Debug, Clone)]
pub struct Tree {
    nodes: Vec<Node>,
    phandles: Vec<PhandleProperty>,
    depth: u32,
    size: u32,
}

/// The fewest bytes of a node with a name are 16 in practice: tag, name, tag, and some content.
const BYTES_A_NODE: usize = 16;
/// A node with a phandle has at least its name, its tags and the property; a symbol points to it, too.
const BYTES_A_PHANDLE: usize = 48;

impl Tree {
    /// Checks every token of `structure` and lists the nodes.
    ///
    /// # Errors
    /// The first token that is malformed or misplaced; the offset is in the structure block.
    pub fn scan(structure: StructureBlock<'_>, strings: StringsBlock<'_>) -> Result<Self, Error> {
        let (words, _) = structure.bytes().as_chunks::<4>();
        let size = structure.bytes().len();
        if u32::try_from(size).is_err() {
            return Err(Error::new(ErrorKind::BlockOutOfBounds(Block::Structure), 0));
        }
        // Room for what a tree of this size can hold in practice: pages that stay untouched cost nothing, and
        // the count of allocations does not grow with the tree.
        let mut scan = Scan {
            words,
            strings,
            nodes: Vec::with_capacity(size / BYTES_A_NODE + 1),
            phandles: Vec::with_capacity(size / BYTES_A_PHANDLE + 1),
            open: NONE,
            depth: 0,
            deepest: 0,
        };
        let end = scan.run()?;
        if scan.nodes.is_empty() {
            return Err(Error::new(ErrorKind::MissingRoot, 0));
        }
        Ok(Self { nodes: scan.nodes, phandles: scan.phandles, depth: scan.deepest, size: end })
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

    /// All phandle properties, in the order of their nodes.
    pub fn phandles(&self) -> &[PhandleProperty] {
        &self.phandles
    }

    /// The phandle of a node: its `phandle`, else its `linux,phandle`.
    pub fn phandle(&self, node: NodeIndex) -> Option<u32> {
        let own = self.phandles_in(node, NodeIndex(node.0 + 1));
        own.iter().find(|entry| !entry.legacy).or(own.first()).map(|entry| entry.value)
    }

    /// The phandle properties of the nodes from `first` to before `end`.
    pub fn phandles_in(&self, first: NodeIndex, end: NodeIndex) -> &[PhandleProperty] {
        let from = self.phandles.partition_point(|entry| entry.node < first);
        let rest = &self.phandles[from..];
        &rest[..rest.partition_point(|entry| entry.node < end)]
    }

    /// The children of a node, in order.
    #[inline]
    pub fn children(&self, parent: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        let end = self.node(parent).subtree_end;
        let mut next = NodeIndex(parent.0 + 1);
        core::iter::from_fn(move || {
            let child = next;
            (child < end).then(|| {
                next = self.node(child).subtree_end;
                child
            })
        })
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

const NONE: u32 = u32::MAX;

struct Scan<'a> {
    words: &'a [[u8; 4]],
    strings: StringsBlock<'a>,
    nodes: Vec<Node>,
    phandles: Vec<PhandleProperty>,
    /// The innermost open node, [`NONE`] outside the root node.
    open: u32,
    depth: u32,
    deepest: u32,
}

impl Scan<'_> {
    /// Reads up to `FDT_END`; gives the byte offset behind it.
    fn run(&mut self) -> Result<u32, Error> {
        let mut at = 0;
        loop {
            let Some(word) = self.words.get(at) else { return fail(ErrorKind::MissingEnd, at) };
            at = match u32::from_be_bytes(*word) {
                Tag::PROP => self.property(at)?,
                Tag::BEGIN_NODE => self.begin(at)?,
                Tag::END_NODE => self.end(at)?,
                Tag::NOP => at + 1,
                Tag::END if self.open == NONE => return Ok(offset(at + 1).0),
                Tag::END => return fail(ErrorKind::UnclosedNode, at),
                other => return fail(ErrorKind::BadToken(other), at),
            }
        }
    }

    #[inline]
    fn begin(&mut self, at: usize) -> Result<usize, Error> {
        if self.open == NONE && !self.nodes.is_empty() {
            return fail(ErrorKind::SecondRoot, at);
        }
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        if self.depth > MAX_DEPTH {
            return fail(ErrorKind::TooDeep, at);
        }
        let mut next = at + 1;
        loop {
            let Some(word) = self.words.get(next) else { return fail(ErrorKind::UnterminatedName, at) };
            next += 1;
            if has_nul(*word) {
                break;
            }
        }
        let index = self.count();
        let parent = NodeIndex(if self.open == NONE { 0 } else { self.open });
        let begin = offset(at);
        self.nodes.push(Node { begin, end: begin, parent, subtree_end: NodeIndex(index) });
        self.open = index;
        Ok(next)
    }

    #[inline]
    fn end(&mut self, at: usize) -> Result<usize, Error> {
        let count = self.count();
        let Some(node) = self.nodes.get_mut(self.open as usize) else {
            return fail(ErrorKind::UnopenedEnd, at);
        };
        node.end = offset(at);
        node.subtree_end = NodeIndex(count);
        self.depth -= 1;
        self.open = if self.depth == 0 { NONE } else { node.parent.0 };
        Ok(at + 1)
    }

    /// How many nodes there are so far.
    #[expect(clippy::cast_possible_truncation, reason = "a node takes 12 of less than 2^32 bytes")]
    fn count(&self) -> u32 {
        self.nodes.len() as u32
    }

    #[inline]
    fn property(&mut self, at: usize) -> Result<usize, Error> {
        if self.open == NONE {
            return fail(ErrorKind::PropertyOutsideNode, at);
        }
        let Some([length, name, ..]) = self.words.get(at + 1..) else {
            return fail(ErrorKind::PropertyOutOfBounds { length: 0 }, at);
        };
        let (length, name) = (u32::from_be_bytes(*length), StringsOffset(u32::from_be_bytes(*name)));
        // Both terms are below 2^30, so the sum fits a 32-bit usize.
        let next = at + 3 + length.div_ceil(4) as usize;
        if next > self.words.len() {
            return fail(ErrorKind::PropertyOutOfBounds { length }, at);
        }
        if !self.strings.contains(name) {
            return fail(ErrorKind::BadNameOffset(name.0), at);
        }
        if length == 4 {
            self.phandle(at, name);
        }
        Ok(next)
    }

    /// Remembers the property at `at`, of four bytes, if it is a phandle.
    #[inline]
    fn phandle(&mut self, at: usize, name: StringsOffset) {
        let name = self.strings.from(name);
        let legacy = name.starts_with(b"linux,phandle\0");
        if !legacy && !name.starts_with(b"phandle\0") {
            return;
        }
        // A property behind a child is invisible to libfdt and Linux, and so is a phandle there.
        if self.nodes.len() != self.open as usize + 1 {
            return;
        }
        let value = self.words.get(at + 3).map_or(0, |word| u32::from_be_bytes(*word));
        self.phandles.push(PhandleProperty { value, node: NodeIndex(self.open), at: offset(at), legacy });
    }
}

#[inline]
fn has_nul(word: [u8; 4]) -> bool {
    let word = u32::from_ne_bytes(word);
    word.wrapping_sub(0x0101_0101) & !word & 0x8080_8080 != 0
}

/// Words to bytes. A blob states its size in 32 bits, so a place in it fits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a block is part of a blob of less than 2^32 bytes")]
fn offset(words: usize) -> StructureOffset {
    StructureOffset((words * 4) as u32)
}

#[cold]
fn fail<T>(kind: ErrorKind, word: usize) -> Result<T, Error> {
    Err(Error::new(kind, word * 4))
}
