//! The trees that are merged: the base, what the merge itself makes, and the overlays.
//!
//! The base stays borrowed. Of an overlay the fragments are copied once, so that phandles can be shifted and names
//! pointed at the merged strings block in place: from then on a range of their bytes can be put into the output as
//! it is.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use kbt_fdt::{
    Blob, NodeIndex, Properties, Property, StringsBlock, StringsOffset, StructureBlock, StructureOffset, Tag,
    Tree, TreeMemory, find_byte, is_string,
};

use crate::error::{Error, ErrorKind, Input, Place};
use crate::memory::Room;

/// The number of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SourceId(pub(crate) u32);

impl SourceId {
    pub(crate) const BASE: Self = Self(0);
    /// What the merge makes itself: `/__symbols__`, phandles, joined boot arguments.
    pub(crate) const MADE: Self = Self(1);

    pub(crate) fn of_overlay(index: usize) -> Self {
        // The count of overlays is checked to fit when they are read.
        Self(u32::try_from(index + 2).unwrap_or(u32::MAX))
    }

    pub(crate) fn input(self) -> Input {
        match self.0.checked_sub(2) {
            Some(index) => Input::Overlay(index as usize),
            None => Input::Base,
        }
    }
}

/// A node of some source. In the merged tree it is the node that this one was first seen as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId {
    pub(crate) source: SourceId,
    pub(crate) node: NodeIndex,
}

impl NodeId {
    pub(crate) const ROOT: Self = Self { source: SourceId::BASE, node: NodeIndex::ROOT };
}

/// A property of some source: where its `FDT_PROP` stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct PropertyRef {
    pub(crate) source: SourceId,
    pub(crate) at: StructureOffset,
}

/// One tree.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    /// The structure block as it was read: names of nodes and places of properties are looked up here.
    pub(crate) original: StructureBlock<'a>,
    /// The bytes of the strings block as it was read.
    pub(crate) strings: &'a [u8],
    /// The structure block as it goes into the output; of an overlay a copy that ends behind the last fragment.
    pub(crate) bytes: Cow<'a, [u8]>,
    /// The nodes of either.
    pub(crate) tree: Tree,
    /// The number that its root node has among the nodes of all sources.
    pub(crate) first_node: u32,
    /// The number that its first byte has among those of all structure blocks that were read.
    pub(crate) first_byte: u32,
    /// What was added to the phandles of this source.
    pub(crate) shift: u32,
    /// Byte offset of the structure block in the input.
    pub(crate) offset: u32,
}

impl<'a> Source<'a> {
    /// The base: its bytes stay borrowed.
    pub(crate) fn base(blob: &Blob<'a>, tree: Tree) -> Self {
        Self::new(blob, Cow::Borrowed(blob.structure().bytes()), tree)
    }

    /// An overlay, of which nothing is copied yet.
    pub(crate) fn overlay(blob: &Blob<'a>, input: Input, memory: TreeMemory) -> Result<Self, Error> {
        let tree = blob.tree_in(memory, true).map_err(|error| malformed(error, input))?;
        Ok(Self::new(blob, Cow::Borrowed(&[]), tree))
    }

    /// Copies the structure block up to `end`, to be changed in place: what stands behind the last fragment does not
    /// go into the output.
    pub(crate) fn copy_up_to(&mut self, end: StructureOffset, mut memory: Vec<u8>) {
        let bytes = self.original.bytes().get(..end.index()).unwrap_or_default();
        memory.clear();
        memory.reserve_exact(bytes.len());
        memory.extend_from_slice(bytes);
        self.bytes = Cow::Owned(memory);
    }

    /// What the merge makes: a node `__symbols__` and, behind its tree, properties.
    pub(crate) fn made(memory: TreeMemory) -> Result<Self, Error> {
        let original = StructureBlock::new(MADE);
        let strings = StringsBlock::default();
        let tree =
            Tree::scan_in(memory, original, strings, false).map_err(|error| malformed(error, Input::Base))?;
        Ok(Self {
            original,
            strings: strings.bytes(),
            bytes: Cow::Borrowed(MADE),
            tree,
            first_node: 0,
            first_byte: 0,
            shift: 0,
            offset: 0,
        })
    }

    fn new(blob: &Blob<'a>, bytes: Cow<'a, [u8]>, tree: Tree) -> Self {
        let offset = blob.header().off_dt_struct;
        Self {
            original: blob.structure(),
            strings: blob.strings().bytes(),
            bytes,
            tree,
            first_node: 0,
            first_byte: 0,
            shift: 0,
            offset,
        }
    }

    /// What its tree and its copy take.
    pub(crate) fn room(&self) -> Room {
        // The smallest node, of 12 bytes, takes 20 in the tree and may take 4 more; a phandle of 16 takes 12; the copy is
        // as large as the block. A tree has room for some nodes at least.
        const OF_A_BYTE: usize = 4;
        const FEW: usize = 1024;
        let copy = if let Cow::Owned(copy) = &self.bytes { copy.capacity() } else { 0 };
        Room { held: self.tree.bytes() + copy, needed: OF_A_BYTE * self.original.bytes().len() + FEW }
    }

    /// Bytes of the structure block that was read, up to the next place where a token may stand.
    pub(crate) fn counted_bytes(&self) -> usize {
        self.original.bytes().len().next_multiple_of(4)
    }

    /// The phandle that a node was read with; 0 where it has none.
    #[inline]
    pub(crate) fn phandle(&self, node: NodeIndex) -> u32 {
        self.tree.phandle(node)
    }

    /// A node's name; it lives as long as the input.
    #[inline]
    pub(crate) fn name(&self, node: NodeIndex) -> &'a [u8] {
        self.original.name(self.tree.node(node))
    }

    /// The same where its length is known.
    #[inline(always)]
    pub(crate) fn name_of_length(&self, node: NodeIndex, length: u32) -> Option<&'a [u8]> {
        let start = self.tree.node(node).begin.plus(Tag::SIZE).index();
        self.original.bytes().get(start..start + length as usize)
    }

    /// A property's name as it was read.
    #[inline]
    pub(crate) fn property_name(&self, property: &Property) -> &'a [u8] {
        let rest = self.string_from(property.name);
        find_byte(rest, 0).and_then(|end| rest.get(..end)).unwrap_or_default()
    }

    /// Where the properties of a node end.
    #[inline]
    pub(crate) fn properties_end(&self, node: NodeIndex) -> StructureOffset {
        let child = self.tree.first_child(node);
        child.map_or(self.tree.node(node).end, |child| self.tree.node(child).begin)
    }

    /// The bytes of the strings block from a place on.
    #[inline]
    pub(crate) fn string_from(&self, at: StringsOffset) -> &'a [u8] {
        self.strings.get(at.0 as usize..).unwrap_or_default()
    }

    /// Whether the string at a place is `name`.
    #[inline]
    pub(crate) fn is_string(&self, at: StringsOffset, name: &[u8]) -> bool {
        is_string(self.string_from(at), name)
    }

    /// The properties of a node as they were read.
    #[inline]
    pub(crate) fn properties(&self, node: NodeIndex) -> Properties<'a> {
        self.original.properties(self.tree.node(node))
    }

    /// The property `name` of a node as it was read; the one that stays where there are several.
    #[inline]
    pub(crate) fn property(&self, node: NodeIndex, name: &[u8]) -> Option<Property> {
        self.properties(node).find(|property| self.is_string(property.name, name) && self.is_kept(property))
    }

    /// The structure block as it goes into the output.
    #[inline]
    pub(crate) fn copy(&self) -> StructureBlock<'_> {
        StructureBlock::new(&self.bytes)
    }

    /// A value as it is now.
    #[inline]
    pub(crate) fn value(&self, property: &Property) -> &[u8] {
        self.bytes.get(property.value()).unwrap_or_default()
    }

    /// The first cell of the property at `at`, in the copy.
    pub(crate) fn cell_mut(&mut self, at: StructureOffset) -> Option<&mut [u8; 4]> {
        let start = at.plus(Property::HEADER_SIZE).index();
        self.bytes.to_mut().get_mut(start..)?.first_chunk_mut()
    }

    /// Rewrites one cell of a property, `at` bytes into its value. A property that is not in the copy, or was taken
    /// out of it, is left alone.
    pub(crate) fn change_cell(&mut self, property: &Property, at: u32, change: impl FnOnce(u32) -> u32) {
        if self.copy().property(property.at).is_none() {
            return;
        }
        self.change_cell_at(property.at.plus(Property::HEADER_SIZE).plus(at), change);
    }

    /// Rewrites the cell at a place of the copy.
    pub(crate) fn change_cell_at(&mut self, at: StructureOffset, change: impl FnOnce(u32) -> u32) {
        if let Some(cell) = self.bytes.to_mut().get_mut(at.index()..).and_then(<[u8]>::first_chunk_mut::<4>) {
            *cell = change(u32::from_be_bytes(*cell)).to_be_bytes();
        }
    }

    /// The byte offset in the input of a place in the structure block.
    pub(crate) fn input_offset(&self, at: StructureOffset) -> usize {
        self.offset as usize + at.index()
    }

    /// A place in this source's structure block.
    pub(crate) fn place(&self, source: SourceId, at: StructureOffset) -> Place {
        let offset = Some(self.input_offset(at));
        Place { input: source.input(), offset, fragment: None, property: None }
    }

    /// Whether the property was not taken out of the copy because a later one of its node replaces it.
    pub(crate) fn is_kept(&self, property: &Property) -> bool {
        self.copy().word(property.at) != Some(Tag::NOP)
    }

    /// An error at a place of this source's structure block.
    pub(crate) fn error(&self, kind: ErrorKind, source: SourceId, at: StructureOffset) -> Error {
        Error::new(kind, source.input()).at(self.input_offset(at))
    }
}

/// A root node with a node `__symbols__` in it.
const MADE: &[u8] = b"\0\0\0\x01\0\0\0\0\0\0\0\x01__symbols__\0\0\0\0\x02\0\0\0\x02\0\0\0\x09";
/// That node.
pub(crate) const MADE_SYMBOLS: NodeId = NodeId { source: SourceId::MADE, node: NodeIndex(1) };

/// An input that is no sound device tree.
pub(crate) fn malformed(error: kbt_fdt::Error, input: Input) -> Error {
    Error::new(ErrorKind::Malformed(error.kind), input).at(error.offset)
}
