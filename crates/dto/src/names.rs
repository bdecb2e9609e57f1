//! The merged strings block: the base's bytes as they are, and behind them what the overlays add.
//!
//! Idea: the overlays' names are few and the base's many. So the overlays' distinct names are hashed, and the
//! base's strings and symbols are streamed past that table once; nothing of the base is inserted anywhere. Two
//! filters, one for the names of properties and one for labels, turn most of them away.

use alloc::vec::Vec;

use kbt_fdt::{Properties, StringsBlock, StringsOffset, is_string};

use crate::properties::Slot;
use crate::source::{PropertyRef, SourceId};
use crate::table::{Seed, Table};

/// A distinct name among the overlays' property names and labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameId(pub(crate) u32);

impl NameId {
    pub(crate) const PHANDLE: Self = Self(0);
    pub(crate) const BOOTARGS: Self = Self(1);
    const LEGACY_PHANDLE: Self = Self(2);

    /// Whether this is one of the two names of a phandle.
    #[inline]
    pub(crate) fn is_phandle(self) -> bool {
        self == Self::PHANDLE || self == Self::LEGACY_PHANDLE
    }
}

/// What an overlay has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A property that goes into the output; the name needs a place there.
    Property,
    /// A label that it refers to.
    Label,
    /// A label of its own, which becomes a property of `/__symbols__`.
    Symbol,
}

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
    seed: Seed,
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
            seed: Seed::default(),
            properties: Filter::default(),
            labels: Filter::default(),
        };
        // What the merge itself knows, in the order of its ids.
        for name in [&b"phandle\0"[..], b"bootargs\0", b"linux,phandle\0"] {
            names.intern(name, Role::Property);
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

    /// The id of the string at the start of `bytes`, new or not; none where no NUL ends it.
    #[inline]
    pub(crate) fn intern(&mut self, bytes: &'a [u8], role: Role) -> Option<NameId> {
        let (length, hash) = self.seed.hash_string(bytes)?;
        let text = &bytes[..length];
        if role != Role::Label {
            self.properties.add(hash);
        }
        if role != Role::Property {
            self.labels.add(hash);
        }
        let names = &mut self.names;
        if let Some(id) = self.table.find_or_insert(hash, |id| names[id as usize].text == text) {
            return Some(NameId(id));
        }
        names.push(Name { text, offset: None, symbol: None, seen: (u32::MAX, 0) });
        // Each name takes a byte at least of an overlay's strings block, which has less than 2^32.
        u32::try_from(names.len() - 1).ok().map(NameId)
    }

    #[inline]
    fn find(&self, text: &[u8], hash: u32) -> Option<NameId> {
        self.table.find(hash, |id| self.names[id as usize].text == text).map(NameId)
    }

    /// Looks every string of the base up among the names of properties.
    pub(crate) fn locate_in_base(&mut self) {
        let bytes = self.base.bytes();
        let mut start = 0;
        while let Some((rest, (length, hash))) =
            bytes.get(start..).and_then(|rest| Some((rest, self.seed.hash_string(rest)?)))
        {
            if self.properties.may_have(hash)
                && let Some(id) = self.find(&rest[..length], hash)
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
            let bytes = self.base.from(entry.name);
            let Some((length, hash)) = self.seed.hash_string(bytes) else { continue };
            if self.labels.may_have(hash)
                && let Some(id) = self.find(&bytes[..length], hash)
            {
                let property = PropertyRef { source: SourceId::BASE, at: entry.at };
                let symbol = Symbol { property, slot: Slot::Source(entry.at) };
                self.names[id.0 as usize].symbol.get_or_insert(symbol);
            }
        }
    }

    /// Notes that an entry of `/__symbols__` was set.
    pub(crate) fn note_symbol_set(&mut self, name: &[u8], symbol: Symbol) {
        if let Some(id) = self.find(name, self.seed.hash(name)) {
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

/// A set of hashes that may have more than was put in: 4096 bits.
#[derive(Debug)]
struct Filter([u64; 64]);

impl Default for Filter {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Filter {
    fn add(&mut self, hash: u32) {
        let (word, bit) = Self::bit(hash);
        self.0[word] |= bit;
    }

    #[inline]
    fn may_have(&self, hash: u32) -> bool {
        let (word, bit) = Self::bit(hash);
        self.0[word] & bit != 0
    }

    /// Word and bit of a name, from the end of its hash that tables use last.
    #[inline]
    fn bit(hash: u32) -> (usize, u64) {
        ((hash >> 26) as usize, 1 << (hash >> 20 & 63))
    }
}
