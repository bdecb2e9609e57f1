//! The merged strings block: the base's bytes as they are, and behind them what the overlays add.
//!
//! Idea: the overlays' names are few and the base's many. So the overlays' distinct names are hashed, and the
//! base's strings and symbols are streamed past that table once; nothing of the base is inserted anywhere. Two
//! filters, one for the names of properties and one for labels, turn most of them away without a hash.

use alloc::vec::Vec;

use foldhash::fast::RandomState;
use kbt_fdt::{Properties, StringsBlock, StringsOffset, find_byte, is_string};

use crate::properties::Slot;
use crate::source::{PropertyRef, SourceId};
use crate::table::{self, Table};

/// A distinct name among the overlays' property names and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameId(pub(crate) u32);

/// The ids of `phandle`, `linux,phandle` and `bootargs`, which the merge itself may set.
pub(crate) const PHANDLE: NameId = NameId(0);
const LEGACY_PHANDLE: NameId = NameId(1);
pub(crate) const BOOTARGS: NameId = NameId(2);

/// An entry of the merged tree's `/__symbols__`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol {
    /// The property as it is now.
    pub(crate) property: PropertyRef,
    /// Where the node keeps it.
    pub(crate) slot: Slot,
}

#[derive(Debug)]
struct Name<'a> {
    text: &'a [u8],
    /// Its place in the merged block; unknown until it is found in the base or appended.
    offset: Option<StringsOffset>,
    /// The entry of `/__symbols__` with this name.
    symbol: Option<Symbol>,
    /// Where it was last seen while an overlay's properties were walked: (node, place).
    seen: (u32, u32),
}

/// The overlays' names and the merged strings block.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    base: StringsBlock<'a>,
    added: Vec<u8>,
    names: Vec<Name<'a>>,
    table: Table,
    seed: RandomState,
    /// Those of properties, which need a place in the merged block.
    properties: Filter,
    /// Those of symbols.
    labels: Filter,
}

impl<'a> Names<'a> {
    pub(crate) fn new(base: StringsBlock<'a>) -> Self {
        let mut names = Self {
            base,
            added: Vec::new(),
            names: Vec::new(),
            table: Table::default(),
            seed: RandomState::default(),
            properties: Filter::default(),
            labels: Filter::default(),
        };
        for name in [&b"phandle"[..], b"linux,phandle", b"bootargs"] {
            names.intern_property(name);
        }
        names
    }

    /// Makes room for the names of a strings block of so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        const BYTES_A_NAME: usize = 16;
        let more = bytes / BYTES_A_NAME;
        self.names.reserve(more);
        self.table.reserve(more);
    }

    /// The id of a property's name, new or not.
    pub(crate) fn intern_property(&mut self, text: &'a [u8]) -> NameId {
        self.properties.add(text);
        self.intern(text)
    }

    /// Whether this is one of the two names of a phandle; they are the first to be interned.
    #[inline]
    pub(crate) fn is_phandle(&self, id: NameId) -> bool {
        id == PHANDLE || id == LEGACY_PHANDLE
    }

    /// The id of a label, new or not.
    pub(crate) fn intern_label(&mut self, text: &'a [u8]) -> NameId {
        self.labels.add(text);
        self.intern(text)
    }

    /// The id of an entry of an overlay's `__symbols__`, which is both.
    pub(crate) fn intern_symbol(&mut self, text: &'a [u8]) -> NameId {
        self.labels.add(text);
        self.intern_property(text)
    }

    #[inline]
    fn intern(&mut self, text: &'a [u8]) -> NameId {
        let names = &mut self.names;
        let hash = table::hash(&self.seed, text);
        if let Some(id) = self.table.find_or_insert(hash, |id| names[id as usize].text == text) {
            return NameId(id);
        }
        names.push(Name { text, offset: None, symbol: None, seen: (u32::MAX, 0) });
        // Each name takes a byte at least of an overlay's strings block, which has less than 2^32.
        NameId(u32::try_from(names.len() - 1).unwrap_or(u32::MAX))
    }

    #[inline]
    fn find(&self, text: &[u8]) -> Option<NameId> {
        let hash = table::hash(&self.seed, text);
        self.table.find(hash, |id| self.names[id as usize].text == text).map(NameId)
    }

    /// Looks every string of the base up among the names of properties.
    pub(crate) fn locate_in_base(&mut self) {
        let bytes = self.base.bytes();
        let mut start = 0;
        while let Some(rest) = bytes.get(start..) {
            let Some(length) = find_byte(rest, 0) else { break };
            let text = &rest[..length];
            if self.properties.may_have(text)
                && let Some(id) = self.find(text)
            {
                let place = StringsOffset(u32::try_from(start).unwrap_or(u32::MAX));
                self.names[id.0 as usize].offset.get_or_insert(place);
            }
            start += length + 1;
        }
    }

    /// Whether any overlay has a label.
    pub(crate) fn has_labels(&self) -> bool {
        self.labels.0.iter().any(|word| *word != 0)
    }

    /// Notes the entries of the base's `/__symbols__` that are wanted; the first one of a name counts.
    pub(crate) fn note_symbols(&mut self, symbols: Properties<'_>) {
        for entry in symbols {
            let Some(text) = self.base.get(entry.name) else { continue };
            if self.labels.may_have(text)
                && let Some(id) = self.find(text)
            {
                let property = PropertyRef { source: SourceId::BASE, at: entry.at };
                let symbol = Symbol { property, slot: Slot::Source(entry.at) };
                self.names[id.0 as usize].symbol.get_or_insert(symbol);
            }
        }
    }

    /// Notes that an entry of `/__symbols__` was set.
    pub(crate) fn note_symbol_set(&mut self, name: &[u8], symbol: Symbol) {
        if self.labels.may_have(name)
            && let Some(id) = self.find(name)
        {
            self.set_symbol(id, symbol);
        }
    }

    pub(crate) fn text(&self, id: NameId) -> &'a [u8] {
        self.names[id.0 as usize].text
    }

    pub(crate) fn symbol(&self, id: NameId) -> Option<Symbol> {
        self.names[id.0 as usize].symbol
    }

    pub(crate) fn set_symbol(&mut self, id: NameId, symbol: Symbol) {
        self.names[id.0 as usize].symbol = Some(symbol);
    }

    /// Notes that the name stands at `at` in node number `node`; gives the earlier place in the same node.
    pub(crate) fn see(&mut self, id: NameId, node: u32, at: u32) -> Option<u32> {
        let seen = core::mem::replace(&mut self.names[id.0 as usize].seen, (node, at));
        (seen.0 == node).then_some(seen.1)
    }

    /// The name's place in the merged block, where it is appended if it is not there yet.
    pub(crate) fn offset(&mut self, id: NameId) -> StringsOffset {
        let name = &mut self.names[id.0 as usize];
        *name.offset.get_or_insert_with(|| {
            // The total is checked when the tree is written.
            let place = self.base.bytes().len() + self.added.len();
            self.added.extend_from_slice(name.text);
            self.added.push(0);
            StringsOffset(u32::try_from(place).unwrap_or(u32::MAX))
        })
    }

    /// Whether the string at `offset` of the merged block is `text`.
    #[inline]
    pub(crate) fn is(&self, offset: StringsOffset, text: &[u8]) -> bool {
        let (start, base) = (offset.0 as usize, self.base.bytes());
        let rest = match base.get(start..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => self.added.get(start.wrapping_sub(base.len())..).unwrap_or_default(),
        };
        is_string(rest, text)
    }

    /// The string at `offset` of the merged block.
    pub(crate) fn get(&self, offset: StringsOffset) -> &[u8] {
        if let Some(text) = self.base.get(offset) {
            return text;
        }
        let start = (offset.0 as usize).saturating_sub(self.base.bytes().len());
        let rest = self.added.get(start..).unwrap_or_default();
        &rest[..rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len())]
    }

    /// The merged block, in two parts.
    pub(crate) fn blocks(&self) -> [&[u8]; 2] {
        [self.base.bytes(), &self.added]
    }
}

/// A set of names that may have more than was put in: 4096 bits.
#[derive(Debug)]
struct Filter([u64; 64]);

impl Default for Filter {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Filter {
    fn add(&mut self, text: &[u8]) {
        let (word, bit) = Self::bit(text);
        self.0[word] |= bit;
    }

    #[inline]
    fn may_have(&self, text: &[u8]) -> bool {
        let (word, bit) = Self::bit(text);
        self.0[word] & bit != 0
    }

    /// Word and bit of a name: from its length and its last four bytes, where labels differ most.
    #[inline]
    fn bit(text: &[u8]) -> (usize, u64) {
        let tail = match text.last_chunk::<4>() {
            Some(tail) => u32::from_le_bytes(*tail),
            None => text.iter().fold(0, |tail, &byte| tail << 8 | u32::from(byte)),
        };
        let mixed = (u64::from(tail) << 8 | (text.len() as u64 & 0xff)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        ((mixed >> 58) as usize, 1 << (mixed >> 52 & 63))
    }
}
