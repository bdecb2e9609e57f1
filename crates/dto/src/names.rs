//! The merged strings block: the base's bytes as they are, and behind them what the overlays add.
//!
//! Idea: the overlays' names are few and the base's many. So the overlays' distinct names are hashed, and the
//! base's strings are streamed past that table once, most of them turned away by a filter; nothing of the base is
//! inserted anywhere. Where a name was found is kept, so that the base's symbols need no hash: the place of a
//! symbol's name tells which it is.

use alloc::vec::Vec;

use kbt_fdt::{Properties, StringsBlock, StringsOffset, find_byte, is_string, same};

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
    table: Table<Name<'a>>,
    seed: Seed,
    filter: Filter,
    /// Whether any of them is a label.
    pub(crate) has_labels: bool,
    /// Where names first stand in the base's strings block, in order.
    in_base: Vec<(StringsOffset, NameId)>,
    /// Whether the base's strings block has one of the names twice.
    repeated: bool,
}

impl<'a> Names<'a> {
    pub(crate) fn new(base: StringsBlock<'a>) -> Self {
        let mut names = Self {
            base,
            added: Vec::new(),
            table: Table::default(),
            seed: Seed::default(),
            filter: Filter::default(),
            has_labels: false,
            in_base: Vec::new(),
            repeated: false,
        };
        // What the merge itself knows, in the order of its ids.
        for name in [&b"phandle\0"[..], b"bootargs\0", b"linux,phandle\0"] {
            names.intern(name);
        }
        names
    }

    /// Makes room for the names of a strings block of so many bytes.
    pub(crate) fn reserve(&mut self, bytes: usize) {
        const BYTES_A_NAME: usize = 12;
        self.table.reserve(bytes / BYTES_A_NAME);
    }

    /// The id of the string at the start of `bytes`, new or not; none where no NUL ends it.
    #[inline(always)]
    pub(crate) fn intern(&mut self, bytes: &'a [u8]) -> Option<NameId> {
        let (length, hash) = self.seed.hash_string(bytes)?;
        let text = &bytes[..length];
        let name = Name { text, offset: None, symbol: None, seen: (u32::MAX, 0) };
        if let Some(id) = self.table.find_or_insert(hash, |name| same(name.text, text), name) {
            return Some(NameId(id));
        }
        self.filter.add(hash);
        // Each name takes a byte at least of an overlay's strings block, which has less than 2^32.
        u32::try_from(self.table.len() - 1).ok().map(NameId)
    }

    #[inline]
    fn find(&self, text: &[u8], hash: u32) -> Option<NameId> {
        self.table.find(hash, |name| same(name.text, text)).map(NameId)
    }

    /// Looks every string of the base up among the names.
    pub(crate) fn locate_in_base(&mut self) {
        let bytes = self.base.bytes();
        let mut start = 0;
        while let Some((rest, (length, hash))) =
            bytes.get(start..).and_then(|rest| Some((rest, self.seed.hash_string(rest)?)))
        {
            if self.filter.may_have(hash)
                && let Some(id) = self.find(&rest[..length], hash)
            {
                let place = StringsOffset(u32::try_from(start).unwrap_or(u32::MAX));
                match &mut self.table[id.0].offset {
                    Some(_) => self.repeated = true,
                    unknown => {
                        *unknown = Some(place);
                        self.in_base.push((place, id));
                    }
                }
            }
            start += length + 1;
        }
    }

    /// Notes the entries of the base's `/__symbols__` that are wanted; the first one of a name counts.
    pub(crate) fn note_symbols(&mut self, symbols: Properties<'_>) {
        // Compilers put the labels into the strings block in the order of the symbols, so that what comes between two of
        // the names there is none of them.
        let (mut next, mut from) = (0, StringsOffset(0));
        for entry in symbols {
            let expected = self.in_base.get(next);
            let id = match expected {
                Some(&(place, id)) if place == entry.name => {
                    (next, from) = (next + 1, place);
                    Some(id)
                }
                Some(&(place, _)) if from < entry.name && entry.name < place && self.tells(entry.name) => {
                    None
                }
                _ => self.find_in_base(entry.name, &mut next, &mut from),
            };
            if let Some(id) = id {
                let property = PropertyRef { source: SourceId::BASE, at: entry.at };
                let symbol = Symbol { property, slot: Slot::Source(entry.at) };
                self.table[id.0].symbol.get_or_insert(symbol);
            }
        }
    }

    /// Whether the place of a string of the base tells which of the names it is.
    #[inline]
    fn tells(&self, offset: StringsOffset) -> bool {
        !self.repeated && self.base.starts_at(offset)
    }

    /// The name that stands at `offset` of the base's strings block, if it is one of those here; `next` becomes the
    /// number in `in_base` of the next one behind it, `from` a place that none is between and the next one.
    #[inline(never)]
    fn find_in_base(
        &self,
        offset: StringsOffset,
        next: &mut usize,
        from: &mut StringsOffset,
    ) -> Option<NameId> {
        if !self.tells(offset) {
            let bytes = self.base.from(offset);
            let (length, hash) = self.seed.hash_string(bytes)?;
            return self.find(&bytes[..length], hash);
        }
        let found = self.in_base.binary_search_by_key(&offset, |(place, _)| *place);
        *next = found.map_or_else(|next| next, |found| found + 1);
        *from = offset;
        found.ok().map(|found| self.in_base[found].1)
    }

    /// Notes that an entry of `/__symbols__` was set.
    pub(crate) fn note_symbol_set(&mut self, name: &[u8], symbol: Symbol) {
        if let Some(id) = self.find(name, self.seed.hash(name)) {
            self.set_symbol(id, symbol);
        }
    }

    pub(crate) fn text(&self, id: NameId) -> &'a [u8] {
        self.table[id.0].text
    }

    pub(crate) fn symbol(&self, id: NameId) -> Option<Symbol> {
        self.table[id.0].symbol
    }

    pub(crate) fn set_symbol(&mut self, id: NameId, symbol: Symbol) {
        self.table[id.0].symbol = Some(symbol);
    }

    /// Notes that the name stands at `at` in node number `node`; gives the earlier place in the same node.
    pub(crate) fn see(&mut self, id: NameId, node: u32, at: u32) -> Option<u32> {
        let seen = core::mem::replace(&mut self.table[id.0].seen, (node, at));
        (seen.0 == node).then_some(seen.1)
    }

    /// The name's place in the merged block, where it is appended if it is not there yet.
    #[inline]
    pub(crate) fn offset(&mut self, id: NameId) -> StringsOffset {
        match self.table[id.0].offset {
            Some(offset) => offset,
            None => self.append(id),
        }
    }

    #[cold]
    fn append(&mut self, id: NameId) -> StringsOffset {
        // The total is checked when the tree is written.
        let place = self.base.bytes().len() + self.added.len();
        let offset = StringsOffset(u32::try_from(place).unwrap_or(u32::MAX));
        let name = &mut self.table[id.0];
        name.offset = Some(offset);
        self.added.extend_from_slice(name.text);
        self.added.push(0);
        offset
    }

    /// Whether the string at `offset` of the merged block is `text`.
    #[inline]
    pub(crate) fn is(&self, offset: StringsOffset, text: &[u8]) -> bool {
        is_string(self.from(offset), text)
    }

    /// Whether the strings at two places of the merged block are the same.
    #[inline(never)]
    pub(crate) fn are_same(&self, one: StringsOffset, other: StringsOffset) -> bool {
        is_string(self.from(one), self.get(other))
    }

    /// The first byte of the string at `offset` of the merged block.
    #[inline]
    pub(crate) fn first_byte(&self, offset: StringsOffset) -> Option<u8> {
        self.base.bytes().get(offset.0 as usize).or_else(|| self.from(offset).first()).copied()
    }

    /// The bytes from `offset` of the merged block to the end of the part that they are in.
    #[inline]
    fn from(&self, offset: StringsOffset) -> &[u8] {
        let (start, base) = (offset.0 as usize, self.base.bytes());
        match base.get(start..) {
            Some(rest) if !rest.is_empty() => rest,
            _ => self.added.get(start.wrapping_sub(base.len())..).unwrap_or_default(),
        }
    }

    /// The string at `offset` of the merged block.
    pub(crate) fn get(&self, offset: StringsOffset) -> &[u8] {
        let rest = self.from(offset);
        &rest[..find_byte(rest, 0).unwrap_or(rest.len())]
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
