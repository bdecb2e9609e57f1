//! The names that a pad has left in the room of the names: compressed already, and sorted.
//!
//! A pad knows every name that the link may bring, but neither order nor letters. It leaves the names as it will have them
//! in the table, sorted as bytes and each with the letter [`PLACEHOLDER`], in the array that waits for them. The patch
//! then parses and sorts nothing: it finds each symbol's name, takes its codes, puts the letter in front, and has the
//! order of names by their places.
//!
//! What is in an image is believed only as far as it was checked: a name counts where its codes expand to the very bytes
//! of the symbol's name, and the order where the names do ascend. Whoever finds anything else, or a symbol whose name does not
//! wait, does without.

use std::cmp::Ordering;
use std::hash::{BuildHasher as _, Hasher as _};
use std::hint::black_box;

use foldhash::fast::RandomState;

use crate::error::Error;
use crate::layout::Layout;
use crate::names::{Length, MARKER_STEP, Names, NamesReader};
use crate::order::lower_half;
use crate::symbol::SymbolEntry;
use crate::token::TokenTable;

/// The letter in front of names that wait.
pub(crate) const PLACEHOLDER: u8 = b'?';
/// Names of kernels are shorter, in bytes.
const LONGEST: usize = 512;
/// Bytes of a record beside name and codes.
const RECORD: usize = 8;
/// What records may take beyond twice what the symbols would, in bytes.
const SPARE: usize = 1 << 16;
/// Fewest slots of the table by names.
const FEWEST_SLOTS: usize = 1 << 10;
/// The part of a hash that a slot has.
const TAG: u64 = 0xffff_ffff << 32;
/// Names that are looked for together.
const BLOCK: usize = 64;

/// The different names that wait.
///
/// Each is a record of one buffer, so that all of it lies together: its place in the order (four bytes), its length and that
/// of its codes (two bytes each), the name, the codes without the letter's.
#[derive(Debug)]
pub(crate) struct WaitingNames {
    records: Vec<u8>,
    count: u32,
    /// Where the last record starts.
    last: Option<u32>,
    /// Where records start, by their names: the upper half of the name's hash and the start, from the place of the lower
    /// half on, or 0.
    slots: Vec<u64>,
    seed: RandomState,
    /// The code of each letter.
    letters: [Option<u8>; 256],
}

/// A record as it is read.
struct Record<'r> {
    place: u32,
    name: &'r [u8],
    codes: &'r [u8],
}

impl<'r> Record<'r> {
    /// The record that starts there.
    fn at(records: &'r [u8], start: u32) -> Option<Self> {
        let (head, rest) = records.get(start as usize..)?.split_first_chunk::<8>()?;
        let [p, l, a, c, n, n2, k, k2] = *head;
        let (name, rest) = rest.split_at_checked(u16::from_le_bytes([n, n2]).into())?;
        let codes = rest.get(..u16::from_le_bytes([k, k2]).into())?;
        Some(Self { place: u32::from_le_bytes([p, l, a, c]), name, codes })
    }
}

/// Names of symbols, encoded, and the symbols' places in the order of their names.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub names: Names,
    pub order: Vec<u32>,
}

impl WaitingNames {
    /// Reads the room of the names, for the table of these symbols; `None` where it is not what a pad leaves for about so
    /// many.
    pub(crate) fn read(
        bytes: &[u8],
        tokens: &TokenTable,
        layout: &Layout,
        symbols: &[SymbolEntry<'_>],
    ) -> Option<Self> {
        // A few bytes of codes can stand for many. That is no pad's, which knows little more than the link brings.
        let lengths: usize = symbols.iter().map(|symbol| RECORD + 2 * symbol.name.len()).sum();
        let most = 2 * lengths + SPARE;
        let mut records = Vec::with_capacity(lengths);
        // A start of 0 is none.
        records.push(0);
        let mut waiting = Self {
            records,
            count: 0,
            last: None,
            slots: vec![0; (symbols.len() + symbols.len() / 2).next_power_of_two().max(FEWEST_SLOTS)],
            seed: RandomState::default(),
            letters: letters(tokens),
        };
        let placeholder = waiting.letters[usize::from(PLACEHOLDER)];
        let expander = Expander::new(tokens);
        let mut reader = NamesReader::new(bytes, layout);
        let mut room = [0; LONGEST + 8];
        // Behind the last name is slack, which is zeros.
        while bytes.get(reader.offset()).is_some_and(|&length| length != 0) {
            let (&letter, codes) = reader.read().ok()?.split_first()?;
            if Some(letter) != placeholder {
                return None;
            }
            waiting.push(expander.expand(codes, &mut room)?, codes)?;
            if waiting.records.len() > most {
                return None;
            }
        }
        Some(waiting)
    }

    /// Adds a name behind the last one; `None` where it is not in order.
    fn push(&mut self, name: &[u8], codes: &[u8]) -> Option<()> {
        let last = self.last.and_then(|last| Record::at(&self.records, last));
        match last.map(|last| name.cmp(last.name)) {
            None | Some(Ordering::Greater) => {}
            // One that several symbols have.
            Some(Ordering::Equal) => return Some(()),
            Some(Ordering::Less) => return None,
        }
        if self.count as usize >= self.slots.len() / 8 * 7 {
            return None;
        }
        let start = u32::try_from(self.records.len()).ok()?;
        self.records.extend(self.count.to_le_bytes());
        for part in [name, codes] {
            self.records.extend(u16::try_from(part.len()).ok()?.to_le_bytes());
        }
        self.records.extend_from_slice(name);
        self.records.extend_from_slice(codes);
        (self.last, self.count) = (Some(start), self.count + 1);
        let hash = self.hash(name);
        let mut slot = self.first_slot(hash);
        while self.slots[slot] != 0 {
            slot = self.next_slot(slot);
        }
        self.slots[slot] = hash & TAG | u64::from(start);
        Some(())
    }

    fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.seed.build_hasher();
        hasher.write(name);
        hasher.finish()
    }

    fn first_slot(&self, hash: u64) -> usize {
        // The length is a power of two.
        lower_half(hash) as usize & (self.slots.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// The first slot from `slot` on that may have a name of this hash, and the record there.
    fn candidate(&self, hash: u64, mut slot: usize) -> Option<(usize, u32)> {
        // One slot in eight is empty.
        loop {
            let found = self.slots[slot];
            if found == 0 {
                return None;
            }
            if (found ^ hash) & TAG == 0 {
                return Some((slot, lower_half(found)));
            }
            slot = self.next_slot(slot);
        }
    }

    /// The record of a name, of which `found` is the first candidate.
    fn record(&self, name: &[u8], hash: u64, mut found: Option<(usize, u32)>) -> Option<Record<'_>> {
        while let Some((slot, start)) = found {
            let record = Record::at(&self.records, start)?;
            if record.name == name {
                return Some(record);
            }
            found = self.candidate(hash, self.next_slot(slot));
        }
        None
    }

    /// Encodes the names of symbols in the table's order; `None` where one of them does not wait.
    ///
    /// # Errors
    ///
    /// More names than 32 bits of offsets reach.
    pub(crate) fn encode(
        &self,
        symbols: &[SymbolEntry<'_>],
        size: usize,
        layout: &Layout,
    ) -> Result<Option<Encoded>, Error> {
        let names = Names::with_capacity(symbols.len(), size);
        let mut encoded = Encoded { names, order: Vec::with_capacity(symbols.len()) };
        for block in symbols.chunks(BLOCK) {
            if !self.encode_block(block, layout, &mut encoded)? {
                return Ok(None);
            }
        }
        encoded.order = order(&encoded.order, self.count as usize);
        Ok(Some(encoded))
    }

    /// Encodes some names; the order gets their places. Names, slots and records lie anywhere in memory: each is asked for
    /// a block at a time, so that many are on their way at once.
    fn encode_block(
        &self,
        symbols: &[SymbolEntry<'_>],
        layout: &Layout,
        encoded: &mut Encoded,
    ) -> Result<bool, Error> {
        let first = |bytes: &[u8], at: usize| bytes.get(at).copied().unwrap_or(0);
        let mut touched = symbols.iter().fold(0, |sum, symbol| sum ^ first(symbol.name, 0));
        let (mut hashes, mut found) = ([0; BLOCK], [None; BLOCK]);
        for ((symbol, hash), found) in symbols.iter().zip(&mut hashes).zip(&mut found) {
            *hash = self.hash(symbol.name);
            *found = self.candidate(*hash, self.first_slot(*hash));
        }
        for (_, start) in found.iter().flatten() {
            touched ^= first(&self.records, *start as usize);
        }
        black_box(touched);
        for ((symbol, hash), found) in symbols.iter().zip(hashes).zip(found) {
            if encoded.order.len().is_multiple_of(MARKER_STEP) {
                encoded.names.mark()?;
            }
            let record = self.record(symbol.name, hash, found);
            let Some((record, letter)) = record.zip(self.letters[usize::from(symbol.kind)]) else {
                return Ok(false);
            };
            let bytes = &mut encoded.names.bytes;
            bytes.extend_from_slice(Length::new(record.codes.len() + 1, layout)?.bytes());
            bytes.push(letter);
            bytes.extend_from_slice(record.codes);
            encoded.order.push(record.place);
        }
        Ok(true)
    }
}

/// The symbols by the places of their names, then as they come.
fn order(places: &[u32], count: usize) -> Vec<u32> {
    let mut next = vec![0_u32; count + 1];
    places.iter().for_each(|&place| next[place as usize + 1] += 1);
    let mut sum = 0;
    for start in &mut next {
        sum += *start;
        *start = sum;
    }
    let mut order = vec![0; places.len()];
    for (seq, &place) in (0..).zip(places) {
        let slot = &mut next[place as usize];
        order[*slot as usize] = seq;
        *slot += 1;
    }
    order
}

/// The code of each byte that is a token by itself; the lower one of two.
fn letters(tokens: &TokenTable) -> [Option<u8>; 256] {
    let mut letters = [None; 256];
    for code in (0..=u8::MAX).rev() {
        if let &[byte] = tokens.string(code) {
            letters[usize::from(byte)] = Some(code);
        }
    }
    letters
}

/// Tokens of up to eight bytes as words, which are copied whole.
struct Expander<'t> {
    tokens: &'t TokenTable,
    short: [([u8; 8], u8); 256],
}

impl<'t> Expander<'t> {
    fn new(tokens: &'t TokenTable) -> Self {
        let mut short = [([0; 8], u8::MAX); 256];
        for (code, (word, len)) in (0..=u8::MAX).zip(&mut short) {
            let string = tokens.string(code);
            if let Some(start) = word.get_mut(..string.len()) {
                start.copy_from_slice(string);
                *len = u8::try_from(string.len()).unwrap_or(u8::MAX);
            }
        }
        Self { tokens, short }
    }

    /// Writes a name to the start of `room`; `None` where it is longer than any.
    fn expand<'r>(&self, codes: &[u8], room: &'r mut [u8; LONGEST + 8]) -> Option<&'r [u8]> {
        let mut end = 0;
        for &code in codes {
            let (word, len) = self.short[usize::from(code)];
            if len != u8::MAX {
                room.get_mut(end..end + 8)?.copy_from_slice(&word);
                end += usize::from(len);
            } else {
                let string = self.tokens.string(code);
                room.get_mut(end..end + string.len())?.copy_from_slice(string);
                end += string.len();
            }
        }
        room.get(..end).filter(|name| name.len() < LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Kernel;
    use crate::layout::{AddressTable, Class, Endianness};
    use crate::optimal::Optimal;

    const NAMES: [&[u8]; 5] = [b"a_long_name_of_a_function", b"a_long_name_of_b", b"b", b"b", b"c_init"];

    fn layout() -> Layout {
        Kernel::V6_12.layout(Class::Elf64, Endianness::Little, AddressTable::BaseRelative)
    }

    /// Tokens, one of which is longer than a word; the names as a pad leaves them.
    fn waiting(names: &[&[u8]]) -> (TokenTable, Vec<u8>) {
        let mut strings: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        strings[0] = b"_long_name_of_".to_vec();
        strings[1] = b"unction".to_vec();
        let tokens = TokenTable::from_strings(strings.iter().map(Vec::as_slice));
        let symbols: Vec<_> = names.iter().map(|name| SymbolEntry::new(0, PLACEHOLDER, name)).collect();
        let compressed = Optimal::new(&tokens).unwrap().compress_apart(&symbols).unwrap();
        (tokens, Names::encode(&compressed, &layout()).unwrap().bytes)
    }

    #[test]
    fn what_waits_is_what_parsing_gives() {
        let (tokens, mut bytes) = waiting(&NAMES);
        bytes.extend([0; 9]);
        let found = WaitingNames::read(&bytes, &tokens, &layout(), &[]).unwrap();
        let symbols =
            [(b'T', NAMES[2]), (b'd', NAMES[4]), (b'T', NAMES[0]), (b'W', NAMES[2]), (b't', NAMES[1])];
        let symbols = symbols.map(|(kind, name)| SymbolEntry::new(1, kind, name));
        let encoded = found.encode(&symbols, 0, &layout()).unwrap().unwrap();
        let parsed = Optimal::new(&tokens).unwrap().compress_apart(&symbols).unwrap();
        assert_eq!(encoded.names, Names::encode(&parsed, &layout()).unwrap());
        assert_eq!(encoded.order, crate::seqs::order_by_name(&symbols, false).unwrap());
        let other = [SymbolEntry::new(1, b'T', b"other")];
        assert!(found.encode(&other, 0, &layout()).unwrap().is_none());
    }

    #[test]
    fn what_no_pad_leaves_is_not_believed() {
        let read = |names: &[&[u8]], change: fn(&mut Vec<u8>)| {
            let (tokens, mut bytes) = waiting(names);
            change(&mut bytes);
            WaitingNames::read(&bytes, &tokens, &layout(), &[]).map(|names| names.count)
        };
        assert_eq!(read(&NAMES, |_| {}), Some(4));
        assert_eq!(read(&[NAMES[1], NAMES[0]], |_| {}), None);
        assert_eq!(read(&NAMES, |bytes| bytes.truncate(bytes.len() - 1)), None);
        assert_eq!(read(&NAMES, |bytes| bytes[1] = b'T'), None);
        // More than a name has: 40 times 14 bytes.
        assert_eq!(read(&[b"z"], |bytes| *bytes = [&[41, b'?'][..], &[0; 40]].concat()), None);
        assert_eq!(read(&[], |_| {}), Some(0));
        // Many long names, of which the image has no symbols.
        let names: Vec<String> = (0..400).map(|number| format!("{number:0400}")).collect();
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        assert_eq!(read(&names[..20], |_| {}), Some(20));
        assert_eq!(read(&names, |_| {}), None);
    }
}
