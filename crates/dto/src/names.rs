//! The merged strings block: the base's bytes as they are, and behind them what the overlays add.
//!
//! Idea: the overlays' names are few and the base's many. So the overlays' distinct names are hashed, and the
//! base's strings are streamed past that table once, most of them turned away by a filter; nothing of the base is
//! inserted anywhere. Where a name was found is kept, so that the base's symbols need no hash: the place of a
//! symbol's name tells which it is.

use alloc::vec::Vec;

use kbt_fdt::{Properties, StringsBlock, StringsOffset, find_byte, is_string, same};

use crate::error::LONGEST_NAME;
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

/// A distinct label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LabelId(u32);

/// An entry of the merged tree's `/__symbols__`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol {
    /// The property as it is now.
    pub(crate) property: PropertyRef,
    /// Where the node keeps it.
    pub(crate) slot: Slot,
    /// The number among all sources, plus one, of the node that its path leads to; 0 as long as that was not looked for.
    pub(crate) node: u32,
}

/// A distinct name; where it is written is where it was first seen.
#[derive(Debug, Clone, Copy)]
struct Name {
    /// The number of its strings block, and the place in that.
    block: u32,
    at: u32,
    /// At first where it was last seen while the overlays' properties were walked, counted over all of them; later its
    /// place in the merged block, or [`UNKNOWN`] until it is found in the base or appended.
    place: u32,
    /// Its number among the labels plus one; 0 where it is none.
    label: u32,
}

const UNKNOWN: u32 = u32::MAX;

/// The overlays' names and the merged strings block.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    base: StringsBlock<'a>,
    /// What the merge itself knows, and the strings blocks of the overlays.
    blocks: Vec<&'a [u8]>,
    added: Vec<u8>,
    table: Table<Name>,
    seed: Seed,
    filter: Filter,
    label_count: u32,
    /// Of each label its entry of `/__symbols__`.
    labels: Vec<Option<Symbol>>,
    /// Where names first stand in the base's strings block, in order.
    in_base: Vec<(StringsOffset, NameId)>,
    /// Whether the base's strings block has one of the names twice.
    repeated: bool,
}

/// The lists of [`Names`] that are of no input.
#[derive(Debug, Default)]
pub(crate) struct NamesMemory {
    added: Vec<u8>,
    table: Table<Name>,
    labels: Vec<Option<Symbol>>,
    in_base: Vec<(StringsOffset, NameId)>,
}

impl<'a> Names<'a> {
    pub(crate) fn new(memory: NamesMemory, base: StringsBlock<'a>) -> Self {
        let NamesMemory { mut added, table, mut labels, mut in_base } = memory;
        added.clear();
        labels.clear();
        in_base.clear();
        let mut names = Self {
            base,
            blocks: Vec::from([&b"phandle\0bootargs\0linux,phandle\0"[..]]),
            added,
            table: table.emptied(),
            seed: Seed::default(),
            filter: Filter::default(),
            label_count: 0,
            labels,
            in_base,
            repeated: false,
        };
        // In the order of their ids.
        for at in [0, 8, 17] {
            names.intern(0, names.blocks[0], StringsOffset(at));
        }
        names
    }

    /// Its lists, for another merge.
    pub(crate) fn into_memory(self) -> NamesMemory {
        let Self { added, table, labels, in_base, .. } = self;
        NamesMemory { added, table, labels, in_base }
    }

    /// Makes room for the strings blocks of so many overlays.
    pub(crate) fn reserve_blocks(&mut self, count: usize) {
        self.blocks.reserve_exact(count);
    }

    /// Takes the strings block of the next overlay in, and makes room for its names; gives the block's number.
    pub(crate) fn add_block(&mut self, block: &'a [u8]) -> u32 {
        const BYTES_A_NAME: usize = 12;
        self.table.reserve(block.len() / BYTES_A_NAME);
        self.blocks.push(block);
        // There are less overlays than tokens in them.
        u32::try_from(self.blocks.len() - 1).unwrap_or(0)
    }

    /// The id of the string at `at` of a block, whose bytes are given, new or not; none where it is too long.
    #[inline(always)]
    pub(crate) fn intern(&mut self, block: u32, bytes: &[u8], at: StringsOffset) -> Option<NameId> {
        self.intern_with(block, bytes, at, 0)
    }

    #[inline(always)]
    fn intern_with(&mut self, block: u32, bytes: &[u8], at: StringsOffset, place: u32) -> Option<NameId> {
        let Self { blocks, table, seed, filter, .. } = self;
        let bytes = bytes.get(at.0 as usize..)?;
        let (length, hash) = seed.hash_string(bytes).filter(|(length, _)| *length <= LONGEST_NAME)?;
        let text = &bytes[..length];
        let name = Name { block, at: at.0, place, label: 0 };
        if let Some(id) = table.find_or_insert(hash, |name| name.is(blocks, text), name) {
            return Some(NameId(id));
        }
        filter.add(hash);
        // Each name takes a byte at least of an overlay's strings block, which has less than 2^32.
        u32::try_from(table.len() - 1).ok().map(NameId)
    }

    /// The same for a label, with its number among the labels.
    #[inline]
    pub(crate) fn intern_label(
        &mut self,
        block: u32,
        bytes: &[u8],
        at: StringsOffset,
    ) -> Option<(NameId, LabelId)> {
        let id = self.intern(block, bytes, at)?;
        let label = &mut self.table[id.0].label;
        if *label == 0 {
            self.label_count += 1;
            *label = self.label_count;
        }
        Some((id, LabelId(*label - 1)))
    }

    /// Whether any of the names is a label.
    pub(crate) fn has_labels(&self) -> bool {
        self.label_count > 0
    }

    /// Forgets all names but the labels, if they are few; gives the ids that those have from now on.
    pub(crate) fn forget_others(&mut self) -> Option<Vec<NameId>> {
        const KNOWN: usize = 3;
        if (self.labels.len() + KNOWN) * 2 >= self.table.len() {
            return None;
        }
        let mut kept = Table::default();
        kept.reserve(self.labels.len() + KNOWN);
        let mut ids = Vec::with_capacity(self.table.len());
        for (hash, name) in self.table.entries() {
            // Others have no id that anybody asks for.
            ids.push(NameId(u32::try_from(kept.len()).unwrap_or(0)));
            if ids.len() <= KNOWN || name.label != 0 {
                kept.find_or_insert(hash, |_| false, *name);
            }
        }
        let Self { in_base, table, .. } = self;
        in_base.retain(|(_, id)| table[id.0].label != 0);
        in_base.iter_mut().for_each(|(_, id)| *id = ids[id.0 as usize]);
        *table = kept;
        Some(ids)
    }

    #[inline]
    fn find(&self, text: &[u8], hash: u32) -> Option<NameId> {
        self.table.find(hash, |name| name.is(&self.blocks, text)).map(NameId)
    }

    /// Looks every string of the base up among the names.
    pub(crate) fn locate_in_base(&mut self) {
        self.table.entries_mut().for_each(|name| name.place = UNKNOWN);
        self.labels.resize(self.label_count as usize, None);
        self.in_base.reserve(self.table.len());
        let bytes = self.base.bytes();
        let mut start = 0;
        while let Some((rest, (length, hash))) =
            bytes.get(start..).and_then(|rest| Some((rest, self.seed.hash_string(rest)?)))
        {
            if self.filter.may_have(hash)
                && let Some(id) = self.find(&rest[..length], hash)
            {
                let place = u32::try_from(start).unwrap_or(UNKNOWN);
                match &mut self.table[id.0].place {
                    unknown if *unknown == UNKNOWN => {
                        *unknown = place;
                        self.in_base.push((StringsOffset(place), id));
                    }
                    _ => self.repeated = true,
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
                let symbol = Symbol { property, slot: Slot::Source(entry.at), node: 0 };
                if let Some(label) = self.label_mut(id) {
                    label.get_or_insert(symbol);
                }
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
            let text = self.get(offset);
            return self.find(text, self.seed.hash(text));
        }
        let found = self.in_base.binary_search_by_key(&offset, |(place, _)| *place);
        *next = found.map_or_else(|next| next, |found| found + 1);
        *from = offset;
        found.ok().map(|found| self.in_base[found].1)
    }

    /// Notes that an entry of `/__symbols__` was set.
    pub(crate) fn note_symbol_set(&mut self, name: &[u8], symbol: Symbol) {
        if let Some(id) = self.find(name, self.seed.hash(name))
            && let Some(label) = self.label_mut(id)
        {
            *label = Some(symbol);
        }
    }

    pub(crate) fn text(&self, id: NameId) -> &'a [u8] {
        let name = self.table[id.0];
        let rest = self.blocks[name.block as usize].get(name.at as usize..).unwrap_or_default();
        &rest[..find_byte(rest, 0).unwrap_or(0)]
    }

    #[inline]
    pub(crate) fn symbol(&self, label: LabelId) -> Option<Symbol> {
        self.labels.get(label.0 as usize).copied().flatten()
    }

    /// The label that is the base's string of this number among those that are of the overlays' names, and its property, if
    /// it is a symbol; none behind the last one.
    #[inline]
    #[expect(clippy::option_option, reason = "not every name is a label")]
    pub(crate) fn label_in_base(&self, index: usize) -> Option<Option<(LabelId, PropertyRef)>> {
        let (_, id) = self.in_base.get(index)?;
        let label = self.table[id.0].label.checked_sub(1).map(LabelId);
        Some(label.and_then(|label| Some((label, self.symbol(label)?.property))))
    }

    /// Notes the number of the node that a label's symbol leads to.
    pub(crate) fn set_symbol_node(&mut self, label: LabelId, node: u32) {
        if let Some(Some(symbol)) = self.labels.get_mut(label.0 as usize) {
            // Nodes take 12 bytes of less than 2^32.
            symbol.node = node + 1;
        }
    }

    pub(crate) fn set_symbol(&mut self, label: LabelId, symbol: Symbol) {
        if let Some(label) = self.labels.get_mut(label.0 as usize) {
            *label = Some(symbol);
        }
    }

    fn label_mut(&mut self, id: NameId) -> Option<&mut Option<Symbol>> {
        let label = self.table[id.0].label.checked_sub(1)?;
        self.labels.get_mut(label as usize)
    }

    /// Notes that the name stands at `place`, counted over all overlays; gives where it stood before if that is in the
    /// same node, whose properties begin at `node`.
    pub(crate) fn see(&mut self, id: NameId, node: u32, place: u32) -> Option<u32> {
        let seen = core::mem::replace(&mut self.table[id.0].place, place);
        (seen >= node).then_some(seen)
    }

    /// The name's place in the merged block, where it is appended if it is not there yet.
    #[inline]
    pub(crate) fn offset(&mut self, id: NameId) -> StringsOffset {
        match self.table[id.0].place {
            UNKNOWN => self.append(id),
            place => StringsOffset(place),
        }
    }

    #[cold]
    fn append(&mut self, id: NameId) -> StringsOffset {
        let Name { block, at, .. } = self.table[id.0];
        let text = self.text(id);
        let before = self.blocks[block as usize].get(..at as usize).unwrap_or_default();
        // Of names that end in one string only that string is written, so that they take no more than in the overlay.
        let before = &before[before.len().saturating_sub(LONGEST_NAME - text.len())..];
        let shared = before.iter().rev().take_while(|byte| **byte != 0).count();
        let shared = u32::try_from(shared).unwrap_or(0);
        let bytes = self.blocks[block as usize];
        let whole = (shared > 0).then(|| self.intern_with(block, bytes, StringsOffset(at - shared), UNKNOWN));
        let whole = whole.flatten();
        let offset = match whole.map(|whole| (whole, self.table[whole.0].place)) {
            None => self.append_text(id),
            Some((whole, UNKNOWN)) => StringsOffset(self.append_text(whole).0 + shared),
            Some((_, place)) => StringsOffset(place + shared),
        };
        self.table[id.0].place = offset.0;
        offset
    }

    fn append_text(&mut self, id: NameId) -> StringsOffset {
        // The total is checked when the tree is written.
        let place = self.base.bytes().len() + self.added.len();
        let offset = StringsOffset(u32::try_from(place).unwrap_or(u32::MAX));
        self.table[id.0].place = offset.0;
        self.added.extend_from_slice(self.text(id));
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

    /// Whether the string at `offset` of the merged block may be one of the names though that is elsewhere: it is the end
    /// of a longer one, or a name stands twice in the base.
    #[inline]
    pub(crate) fn may_be_elsewhere(&self, offset: StringsOffset) -> bool {
        !self.tells(offset)
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

    /// The string at `offset` of the merged block, cut off where it is longer than any of the names.
    pub(crate) fn get(&self, offset: StringsOffset) -> &[u8] {
        let rest = self.from(offset);
        let rest = &rest[..rest.len().min(LONGEST_NAME + 1)];
        &rest[..find_byte(rest, 0).unwrap_or(rest.len())]
    }

    /// The merged block, in two parts.
    pub(crate) fn blocks(&self) -> [&[u8]; 2] {
        [self.base.bytes(), &self.added]
    }
}

impl Name {
    #[inline(always)]
    fn is(&self, blocks: &[&[u8]], text: &[u8]) -> bool {
        let (bytes, start) = (blocks[self.block as usize], self.at as usize);
        let end = start + text.len();
        bytes.get(end) == Some(&0) && bytes.get(start..end).is_some_and(|own| same(own, text))
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
