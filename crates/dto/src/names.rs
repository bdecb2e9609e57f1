//! The merged strings block: the base's bytes as they are, and behind them what the overlays add.
//!
//! Idea: the overlays' names are few and the base's many. So the overlays' distinct names are hashed, and the
//! base's strings and symbols are streamed past that table once; nothing of the base is inserted anywhere. A
//! filter of 4096 bits turns most of them away without a hash of the whole string.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use kbt_fdt::{StringsBlock, StringsOffset, StructureOffset};

use crate::live::Slot;
use crate::source::{PropertyRef, SourceId};

/// A distinct name among the overlays' property names and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameId(pub(crate) u32);

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
    table: HashTable<u32>,
    hasher: RandomState,
    filter: [u64; 64],
}

impl<'a> Names<'a> {
    pub(crate) fn new(base: StringsBlock<'a>) -> Self {
        Self {
            base,
            added: Vec::new(),
            names: Vec::new(),
            table: HashTable::new(),
            hasher: RandomState::default(),
            filter: [0; 64],
        }
    }

    /// Makes room for the names of a strings block of so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        const BYTES_A_NAME: usize = 8;
        let more = bytes / BYTES_A_NAME;
        self.names.reserve(more);
        self.table.reserve(more, |&id| hash(&self.hasher, self.names[id as usize].text));
    }

    /// The id of `text`, new or not.
    pub(crate) fn intern(&mut self, text: &'a [u8]) -> NameId {
        let hash = hash(&self.hasher, text);
        let names = &mut self.names;
        let entry = self.table.entry(
            hash,
            |&id| names[id as usize].text == text,
            |&id| self::hash(&self.hasher, names[id as usize].text),
        );
        match entry {
            hashbrown::hash_table::Entry::Occupied(entry) => NameId(*entry.get()),
            hashbrown::hash_table::Entry::Vacant(entry) => {
                // Each name takes a byte at least of an overlay's strings block, which has less than 2^32.
                let id = u32::try_from(names.len()).unwrap_or(u32::MAX);
                entry.insert(id);
                names.push(Name { text, offset: None, symbol: None, seen: (u32::MAX, 0) });
                let (word, bit) = filter_bit(text);
                self.filter[word] |= bit;
                NameId(id)
            }
        }
    }

    fn find(&self, text: &[u8]) -> Option<NameId> {
        let (word, bit) = filter_bit(text);
        if self.filter[word] & bit == 0 {
            return None;
        }
        let hash = hash(&self.hasher, text);
        self.table.find(hash, |&id| self.names[id as usize].text == text).map(|&id| NameId(id))
    }

    /// Looks every string of the base up among the names.
    pub(crate) fn locate_in_base(&mut self) {
        let bytes = self.base.bytes();
        let mut start = 0;
        while let Some(rest) = bytes.get(start..).filter(|rest| !rest.is_empty()) {
            let Some(length) = memchr::memchr(0, rest) else { break };
            if let Some(id) = self.find(&rest[..length]) {
                let place = StringsOffset(u32::try_from(start).unwrap_or(u32::MAX));
                self.names[id.0 as usize].offset.get_or_insert(place);
            }
            start += length + 1;
        }
    }

    /// Notes the entry of the base's `/__symbols__` whose name is the base's string at `name`; the first
    /// entry of a name counts.
    pub(crate) fn note_symbol(&mut self, name: StringsOffset, at: StructureOffset) {
        if let Some(id) = self.base.get(name).and_then(|text| self.find(text)) {
            let property = PropertyRef { source: SourceId::BASE, at };
            self.names[id.0 as usize].symbol.get_or_insert(Symbol { property, slot: Slot::Source(at) });
        }
    }

    /// Notes that an entry of `/__symbols__` was set.
    pub(crate) fn note_symbol_set(&mut self, name: &[u8], symbol: Symbol) {
        if let Some(id) = self.find(name) {
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
        if self.base.contains(offset) {
            return self.base.is(offset, text);
        }
        let added = (offset.0 as usize).checked_sub(self.base.bytes().len());
        added.is_some_and(|start| {
            let rest = self.added.get(start..).unwrap_or_default();
            rest.len() > text.len() && rest[text.len()] == 0 && rest[..text.len()] == *text
        })
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

pub(crate) fn hash(hasher: &RandomState, text: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(text);
    hasher.finish()
}

/// Word and bit of the filter for a string: from its length and its last four bytes, where labels differ most.
#[inline]
fn filter_bit(text: &[u8]) -> (usize, u64) {
    let tail = match text.last_chunk::<4>() {
        Some(tail) => u32::from_le_bytes(*tail),
        None => text.iter().fold(0, |tail, &byte| tail << 8 | u32::from(byte)),
    };
    let mixed = (u64::from(tail) << 8 | (text.len() as u64 & 0xff)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed >> 58) as usize, 1 << (mixed >> 52 & 63))
}
