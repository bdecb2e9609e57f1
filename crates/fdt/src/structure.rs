//! The structure block (Devicetree Specification v0.4, section 5.4): tokens, node names, property values.

use core::ops::Range;

use crate::search::{find_byte, nul_bits_of_word, unit_address};
use crate::strings::{StringsOffset, is_string};
use crate::tree::Node;
use crate::words::{words_of_name, words_of_value};

/// A place in the structure block, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StructureOffset(pub u32);

impl StructureOffset {
    /// The place `bytes` behind this one; it stays at the largest where there is none.
    #[must_use]
    pub fn plus(self, bytes: u32) -> Self {
        Self(self.0.saturating_add(bytes))
    }

    /// As an index into the block's bytes.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The words that start a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag;

impl Tag {
    /// `FDT_BEGIN_NODE`: the node's name follows, NUL-ended and padded to four bytes.
    pub const BEGIN_NODE: u32 = 1;
    /// `FDT_END_NODE`.
    pub const END_NODE: u32 = 2;
    /// `FDT_PROP`: the value's length, the name's offset and the value follow, padded to four bytes.
    pub const PROP: u32 = 3;
    /// `FDT_NOP`: nothing.
    pub const NOP: u32 = 4;
    /// `FDT_END`: the end of the block.
    pub const END: u32 = 9;
    /// Bytes of a tag.
    pub const SIZE: u32 = 4;
}

/// `length` rounded up to a multiple of four, or down where there is none in 32 bits.
#[inline]
pub const fn padded(length: u32) -> u32 {
    length.saturating_add(3) & !3
}

/// A property's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Property {
    /// Where its `FDT_PROP` stands.
    pub at: StructureOffset,
    /// Where its name stands.
    pub name: StringsOffset,
    /// The value's length in bytes.
    pub length: u32,
}

impl Property {
    /// Bytes in front of the value: tag, length, name offset.
    pub const HEADER_SIZE: u32 = 12;

    /// Where the value lies in the structure block.
    pub fn value(&self) -> Range<usize> {
        let start = self.at.index() + Self::HEADER_SIZE as usize;
        // On a 32-bit machine an unchecked length may reach out of the address space.
        start..start.saturating_add(self.length as usize)
    }

    /// Where the next token stands.
    pub fn end(&self) -> StructureOffset {
        self.at.plus(Self::HEADER_SIZE).plus(padded(self.length))
    }
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// A node starts; its name.
    BeginNode(&'a [u8]),
    /// The innermost node ends.
    EndNode,
    /// A property and its value.
    Prop(Property, &'a [u8]),
    /// Nothing.
    Nop,
    /// The block ends.
    End,
}

/// A borrowed structure block.
#[derive(Debug, Clone, Copy, Default)]
pub struct StructureBlock<'a>(&'a [u8]);

impl<'a> StructureBlock<'a> {
    /// Wraps a block.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The block's bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The big-endian word at `at`.
    #[inline]
    pub fn word(self, at: StructureOffset) -> Option<u32> {
        let word = self.0.get(at.index()..)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*word))
    }

    /// A node's name with its unit address.
    #[inline]
    pub fn name(self, node: &Node) -> &'a [u8] {
        self.name_within(node).unwrap_or_default()
    }

    #[inline(always)]
    fn name_within(self, node: &Node) -> Option<&'a [u8]> {
        let (_, name) =
            self.0.get(..node.body.index())?.split_at_checked(node.begin.index() + Tag::SIZE as usize)?;
        // The first NUL is in the last word, which is more than padding.
        let last = u32::from_le_bytes(*name.last_chunk::<4>()?);
        let before = nul_bits_of_word(last).trailing_zeros() >> 3;
        name.get(..(name.len() - 4) + before as usize)
    }

    /// Whether a node's name is `name`.
    #[inline]
    pub fn name_is(self, node: &Node, name: &[u8]) -> bool {
        is_string(self.padded_name(node), name)
    }

    /// The end of a node's name, with its padding: nodes that differ in it have different names.
    #[inline]
    pub fn name_tail(self, node: &Node) -> u64 {
        // In front of the shortest name, of four bytes, stands the tag, which is the same for all.
        let tail = self.0.get(..node.body.index()).and_then(<[u8]>::last_chunk::<8>);
        tail.map_or(0, |tail| u64::from_ne_bytes(*tail))
    }

    /// The unit address in a node's name, as [`unit_address`] gives it.
    #[inline(always)]
    pub fn unit_address(self, node: &Node) -> u64 {
        let Some(last) = self.0.get(..node.body.index()).and_then(<[u8]>::last_chunk::<4>) else { return 0 };
        // The first NUL is in the last word, which is more than padding.
        let padding = 4 - (nul_bits_of_word(u32::from_le_bytes(*last)).trailing_zeros() >> 3);
        // The tag stands in front of the name.
        let start = node.begin.index() + Tag::SIZE as usize;
        unit_address(self.0, start, node.body.index().saturating_sub(padding as usize))
    }

    /// A node's name with its NUL and padding.
    #[inline]
    fn padded_name(self, node: &Node) -> &'a [u8] {
        self.0.get(node.begin.index() + Tag::SIZE as usize..node.body.index()).unwrap_or_default()
    }

    /// The property whose `FDT_PROP` stands at `at`.
    #[inline]
    pub fn property(self, at: StructureOffset) -> Option<Property> {
        let header = self.0.get(at.index()..)?.first_chunk::<{ Property::HEADER_SIZE as usize }>()?;
        let word = |n: usize| u32::from_be_bytes([header[n], header[n + 1], header[n + 2], header[n + 3]]);
        (word(0) == Tag::PROP).then(|| Property { at, name: StringsOffset(word(8)), length: word(4) })
    }

    /// A property's value.
    #[inline]
    pub fn value(self, property: &Property) -> &'a [u8] {
        self.0.get(property.value()).unwrap_or_default()
    }

    /// The value of the property whose `FDT_PROP` stands at `at`.
    #[inline]
    pub fn value_at(self, at: StructureOffset) -> Option<&'a [u8]> {
        let (header, behind) = self.0.get(at.index()..)?.split_first_chunk::<12>()?;
        let [_, _, _, _, length @ .., _, _, _, _] = header;
        behind.get(..u32::from_be_bytes(*length) as usize)
    }

    /// The properties of a node of the checked block, those in front of its first child.
    #[inline]
    pub fn properties(self, node: &Node) -> Properties<'a> {
        Properties { words: self.0.as_chunks().0, at: node.body.index() / 4 }
    }

    /// The first property at or behind `at`, where a token stands, that has none but `FDT_NOP` in front of it.
    #[inline]
    pub fn next_property(self, at: StructureOffset) -> Option<Property> {
        Properties { words: self.0.as_chunks().0, at: at.index() / 4 }.next()
    }

    /// The properties of `top` and of all nodes below it, in the checked block.
    pub fn properties_below(self, top: &Node) -> PropertiesBelow<'a> {
        let properties = Properties { words: self.0.as_chunks().0, at: top.body.index() / 4 };
        PropertiesBelow { properties, end: top.end.index() / 4 }
    }

    /// All tokens up to `FDT_END` or the first malformed one.
    pub fn tokens(self) -> Tokens<'a> {
        Tokens { block: self, at: Some(StructureOffset(0)) }
    }
}

#[inline]
fn until_nul(bytes: &[u8]) -> &[u8] {
    &bytes[..find_byte(bytes, 0).unwrap_or(bytes.len())]
}

/// Iterator over a node's properties.
#[derive(Debug, Clone)]
pub struct Properties<'a> {
    words: &'a [[u8; 4]],
    at: usize,
}

impl Properties<'_> {
    /// The word that is looked at next, counted from the start of the block.
    pub fn position(&self) -> usize {
        self.at
    }

    /// The property at hand, if it is one.
    #[inline(always)]
    fn property(&mut self) -> Option<Property> {
        let [tag, length, name] = *self.words.get(self.at..)?.first_chunk()?;
        if tag != Tag::PROP.to_be_bytes() {
            return None;
        }
        let (at, length) = (offset(self.at), u32::from_be_bytes(length));
        self.at += 3 + words_of_value(length);
        Some(Property { at, name: StringsOffset(u32::from_be_bytes(name)), length })
    }
}

impl Iterator for Properties<'_> {
    type Item = Property;

    #[inline]
    fn next(&mut self) -> Option<Property> {
        loop {
            if let Some(property) = self.property() {
                return Some(property);
            }
            if *self.words.get(self.at)? != Tag::NOP.to_be_bytes() {
                return None;
            }
            self.at += 1;
        }
    }
}

/// Iterator over the properties of a subtree.
#[derive(Debug, Clone)]
pub struct PropertiesBelow<'a> {
    properties: Properties<'a>,
    /// The word to stop in front of.
    end: usize,
}

impl Iterator for PropertiesBelow<'_> {
    /// The property, and whether it is the first behind another token: then it is another node's than the one
    /// before.
    type Item = (Property, bool);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let mut first = false;
        while self.properties.at < self.end {
            if let Some(property) = self.properties.property() {
                return Some((property, first));
            }
            let Properties { words, at } = &mut self.properties;
            let tag = *words.get(*at)?;
            if tag == Tag::BEGIN_NODE.to_be_bytes() {
                *at += words_of_name(words.get(*at..)?);
            }
            *at += 1;
            // Properties on both sides of FDT_NOP are one node's.
            first |= tag != Tag::NOP.to_be_bytes();
        }
        None
    }
}

/// Iterator over tokens, with their places.
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    block: StructureBlock<'a>,
    at: Option<StructureOffset>,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (StructureOffset, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at.take()?;
        let behind = at.plus(Tag::SIZE);
        let (token, next) = match self.block.word(at)? {
            Tag::BEGIN_NODE => {
                let name = until_nul(self.block.0.get(behind.index()..)?);
                let length = u32::try_from(name.len()).ok()?;
                (Token::BeginNode(name), Some(behind.plus(padded(length + 1))))
            }
            Tag::END_NODE => (Token::EndNode, Some(behind)),
            Tag::PROP => {
                let property = self.block.property(at)?;
                (Token::Prop(property, self.block.0.get(property.value())?), Some(property.end()))
            }
            Tag::NOP => (Token::Nop, Some(behind)),
            Tag::END => (Token::End, None),
            _ => return None,
        };
        self.at = next;
        Some((at, token))
    }
}

/// Words to bytes. A blob states its size in 32 bits, so a place in it fits.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a block is part of a blob of less than 2^32 bytes")]
pub(crate) fn offset(words: usize) -> StructureOffset {
    StructureOffset((words * 4) as u32)
}
