//! Names that wait in their room for the patch.
//!
//! A pad knows all names that a link may bring, but neither order nor letters. It leaves the names as it will have them
//! in the table, sorted as bytes and each with the letter [`PLACEHOLDER`], in the array that waits for them, and a hash of
//! each in the room of the addresses. The patch then parses and sorts nothing: it finds each symbol's name by its hash,
//! takes its codes, puts the letter in front, and has the order of names by their places.
//!
//! Phases: one pass over the names fills a table by hashes ([`WaitingNames::read`]); the symbols of the linked kernel are
//! looked up there as the file has them, with their names close together ([`WaitingNames::find`]); when they are sorted
//! by address, what waits is copied, and places are counted into the order of names ([`WaitingNames::encode`]).
//!
//! What is in an image is believed only as far as it was checked: a name counts where its codes expand to the very bytes
//! of the symbol's name, and the order where the names ascend. Whoever finds anything else, or a symbol whose name does not
//! wait, does without. The hash is no secret, so names may be made that all have one: looking for them ends after so many
//! steps, and the patch does without, too.

use std::cmp::Ordering;
use std::hint::black_box;

use crate::error::Error;
use crate::layout::Layout;
use crate::names::{MARKER_STEP, Names, NamesReader};
use crate::order::lower_half;
use crate::symbol::SymbolEntry;
use crate::token::TokenTable;

/// The letter in front of names that wait.
pub(crate) const PLACEHOLDER: u8 = b'?';
/// Names of kernels are shorter, in bytes.
const LONGEST: usize = 512;
/// A pad has hardly more names than the link brings: so many a symbol, and so many beside, at most.
const MOST: (usize, usize) = (4, 1 << 16);
/// Fewest slots of the table by hashes.
const FEWEST_SLOTS: usize = 1 << 10;
/// Steps over slots that are taken, for each name of the table; a third of them are free, and most names take none.
const STEPS: usize = 16;
/// Names that are looked for together.
const BLOCK: usize = 64;

/// The hash of a name, in the same 32 bits on every machine: eight bytes at a time, the last ones again where less than eight
/// are left.
pub(crate) fn hash(name: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let step = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(FACTOR);
        hash ^ hash >> 32
    };
    let (words, rest) = name.as_chunks::<8>();
    let hash = words.iter().fold(name.len() as u64, |hash, word| step(hash, u64::from_le_bytes(*word)));
    let last = match name.last_chunk::<8>() {
        _ if rest.is_empty() => return lower_half(hash),
        Some(last) => u64::from_le_bytes(*last),
        None => rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)),
    };
    lower_half(step(hash, last))
}

/// The names that wait.
#[derive(Debug)]
pub(crate) struct WaitingNames<'b> {
    bytes: &'b [u8],
    layout: Layout,
    /// Where in `bytes` each different name is, in the order of the names.
    starts: Vec<u32>,
    /// By hashes, from the place of the lower bits on: the hash in the upper half, in the lower one the name's place in the
    /// order plus one; or 0.
    slots: Vec<u64>,
    /// The code of each letter.
    letters: [Option<u8>; 256],
    expander: Expander,
}

/// Names of symbols, encoded, and the symbols' places in the order of their names.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub names: Names,
    pub order: Vec<u32>,
}

/// What a search uses up, and room to work in.
struct Search {
    steps: usize,
    room: [u8; LONGEST + 8],
}

impl Search {
    /// For so many names.
    fn of(names: usize) -> Self {
        Self { steps: names.saturating_mul(STEPS), room: [0; LONGEST + 8] }
    }

    /// One step more; `None` where there were too many.
    fn step(&mut self) -> Option<()> {
        self.steps = self.steps.checked_sub(1)?;
        Some(())
    }
}

impl<'b> WaitingNames<'b> {
    /// Reads the rooms of the names and of their hashes, for a table of so many symbols; `None` where they are not what a
    /// pad leaves for about so many.
    pub(crate) fn read(
        bytes: &'b [u8],
        hashes: &[u8],
        tokens: &TokenTable,
        layout: &Layout,
        symbols: usize,
    ) -> Option<Self> {
        let hashes = hashes.as_chunks::<4>().0;
        if hashes.len() > symbols.saturating_mul(MOST.0).saturating_add(MOST.1) {
            return None;
        }
        let size = (hashes.len() + hashes.len() / 2).next_power_of_two().max(FEWEST_SLOTS);
        let mut waiting = Self {
            bytes,
            layout: *layout,
            starts: Vec::with_capacity(hashes.len()),
            slots: vec![0; size],
            letters: letters(tokens),
            expander: Expander::new(tokens),
        };
        waiting.fill(hashes).map(|()| waiting)
    }

    /// Puts every name into the table, one that several symbols have once.
    fn fill(&mut self, hashes: &[[u8; 4]]) -> Option<()> {
        let placeholder = self.letters[usize::from(PLACEHOLDER)];
        let mut reader = NamesReader::new(self.bytes, &self.layout);
        let (mut last, mut search) = (&[][..], Search::of(hashes.len()));
        let mut hashes = hashes.iter();
        // Behind the last name is slack, which is zeros.
        while self.bytes.get(reader.offset()).is_some_and(|&length| length != 0) {
            let start = u32::try_from(reader.offset()).ok()?;
            let (&letter, codes) = reader.read().ok()?.split_first()?;
            let hash = self.layout.read_u32(*hashes.next()?);
            if Some(letter) != placeholder {
                return None;
            }
            match self.expander.compare(last, codes) {
                Ordering::Less => {}
                Ordering::Equal => continue,
                Ordering::Greater => return None,
            }
            last = codes;
            self.starts.push(start);
            let mut slot = self.first_slot(hash);
            while self.slots[slot] != 0 {
                slot = self.next_slot(slot);
                search.step()?;
            }
            self.slots[slot] = u64::from(hash) << 32 | self.starts.len() as u64;
        }
        Some(())
    }

    fn first_slot(&self, hash: u32) -> usize {
        // The length is a power of two.
        hash as usize & (self.slots.len() - 1)
    }

    fn next_slot(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }

    /// The first slot from `slot` on that has this hash or nothing.
    fn candidate(&self, hash: u32, mut slot: usize, search: &mut Search) -> Option<usize> {
        loop {
            let found = self.slots[slot];
            if found == 0 || found >> 32 == u64::from(hash) {
                return Some(slot);
            }
            slot = self.next_slot(slot);
            search.step()?;
        }
    }

    /// Where the name of a place, counted from 1, starts.
    fn start(&self, place: u32) -> Option<usize> {
        let start = self.starts.get(usize::try_from(place).ok()?.checked_sub(1)?)?;
        usize::try_from(*start).ok()
    }

    /// The place of a name, counted from 1, of which `slot` is the first candidate.
    fn place(&self, name: &[u8], mut slot: usize, search: &mut Search) -> Option<u32> {
        loop {
            let found = self.slots[slot];
            let (hash, place) = (lower_half(found >> 32), lower_half(found));
            let mut reader = NamesReader::from_place(self.bytes, self.start(place)?, &self.layout);
            let (_, codes) = reader.read().ok()?.split_first()?;
            if self.expander.is(codes, name, &mut search.room) {
                return Some(place);
            }
            search.step()?;
            slot = self.candidate(hash, self.next_slot(slot), search)?;
        }
    }

    /// Notes which symbols' names wait, and where. Slots and names lie anywhere in memory: they are asked for a block at a
    /// time, so that many are on their way at once.
    pub(crate) fn find(&self, symbols: &mut [SymbolEntry<'_>]) {
        let mut search = Search::of(symbols.len());
        let mut touched = 0;
        for block in symbols.chunks_mut(BLOCK) {
            let mut slots = [0; BLOCK];
            for (symbol, slot) in block.iter().zip(&mut slots) {
                let hash = hash(symbol.name);
                let Some(found) = self.candidate(hash, self.first_slot(hash), &mut search) else { return };
                *slot = found;
                touched ^= self.touch(lower_half(self.slots[found]));
            }
            for (symbol, slot) in block.iter_mut().zip(slots) {
                symbol.waiting = self.place(symbol.name, slot, &mut search).unwrap_or(0);
            }
        }
        black_box(touched);
    }

    fn touch(&self, place: u32) -> u8 {
        self.start(place).and_then(|start| self.bytes.get(start)).copied().unwrap_or(0)
    }

    /// Encodes the names of symbols in the table's order, into about `size` bytes; `None` where one of them does not wait, as
    /// [`Self::find`] has noted it.
    ///
    /// # Errors
    ///
    /// More names than 32 bits of offsets reach.
    pub(crate) fn encode(&self, symbols: &[SymbolEntry<'_>], size: usize) -> Result<Option<Encoded>, Error> {
        let mut names = Names::with_capacity(symbols.len(), size);
        let mut touched = 0;
        for block in symbols.chunks(MARKER_STEP) {
            names.mark()?;
            touched = block.iter().fold(touched, |sum, symbol| sum ^ self.touch(symbol.waiting));
            for symbol in block {
                if self.push(symbol, &mut names).is_none() {
                    return Ok(None);
                }
            }
        }
        black_box(touched);
        Ok(Some(Encoded { names, order: order(symbols, self.starts.len()) }))
    }

    /// Appends a symbol's name: the letter in the place of the placeholder's code.
    fn push(&self, symbol: &SymbolEntry<'_>, names: &mut Names) -> Option<()> {
        let start = self.start(symbol.waiting)?;
        let mut reader = NamesReader::from_place(self.bytes, start, &self.layout);
        let codes = reader.read().ok()?.len();
        let whole = self.bytes.get(start..reader.offset())?;
        let at = names.bytes.len() + whole.len() - codes;
        names.bytes.extend_from_slice(whole);
        *names.bytes.get_mut(at)? = self.letters[usize::from(symbol.kind)]?;
        Some(())
    }
}

/// The symbols by the places of their names, then as they come.
fn order(symbols: &[SymbolEntry<'_>], count: usize) -> Vec<u32> {
    let mut next = vec![0_u32; count + 2];
    symbols.iter().for_each(|symbol| next[symbol.waiting as usize + 1] += 1);
    let mut sum = 0;
    for start in &mut next {
        sum += *start;
        *start = sum;
    }
    let mut order = vec![0; symbols.len()];
    for (seq, symbol) in (0..).zip(symbols) {
        let slot = &mut next[symbol.waiting as usize];
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

/// How many bytes are the same at the start of both.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let mut same = 0;
    for (one, other) in one.as_chunks::<8>().0.iter().zip(other.as_chunks::<8>().0) {
        let differ = u64::from_le_bytes(*one) ^ u64::from_le_bytes(*other);
        if differ != 0 {
            return same + differ.trailing_zeros() as usize / 8;
        }
        same += 8;
    }
    same + one[same..].iter().zip(&other[same..]).take_while(|(one, other)| one == other).count()
}

/// Tokens, to be compared eight bytes at a time.
#[derive(Debug)]
struct Expander {
    tokens: TokenTable,
    words: [Word; 256],
}

/// A token of up to eight bytes.
#[derive(Debug, Clone, Copy)]
struct Word {
    /// The bytes in the upper end, the first one lowest.
    bytes: u64,
    /// How far a word of a name is to be shifted, so that as many of its bytes are left.
    shift: u32,
    /// How many bytes there are.
    len: u32,
}

impl Word {
    /// What no word of a name is: stands for tokens of more bytes, or of none.
    const NONE: Self = Self { bytes: 1, shift: 1, len: 0 };

    fn new(string: &[u8]) -> Self {
        let mut bytes = [0; 8];
        match u32::try_from(string.len()) {
            Ok(len @ 1..=8) => {
                bytes[8 - string.len()..].copy_from_slice(string);
                Self { bytes: u64::from_le_bytes(bytes), shift: 8 * (8 - len), len }
            }
            _ => Self::NONE,
        }
    }

    /// How two tokens compare in the bytes that both have; `None` where those are the same or were not looked at.
    fn compare(self, other: Self) -> Option<Ordering> {
        // Of both the first byte highest.
        let bytes = |word: Self| (word.bytes >> word.shift).swap_bytes();
        let (one, two, common) = (bytes(self), bytes(other), self.len.min(other.len));
        let is_same = (one ^ two).leading_zeros() >= 8 * common;
        (!is_same).then(|| one.cmp(&two))
    }
}

impl Expander {
    fn new(tokens: &TokenTable) -> Self {
        let mut words = [Word::NONE; 256];
        (0..=u8::MAX).zip(&mut words).for_each(|(code, word)| *word = Word::new(tokens.string(code)));
        Self { tokens: tokens.clone(), words }
    }

    /// How the names compare that these codes expand to. What is the same in front is not expanded; of what follows the
    /// first tokens most often say it.
    fn compare(&self, one: &[u8], other: &[u8]) -> Ordering {
        let same = common_prefix(one, other);
        let (one, other) = (&one[same..], &other[same..]);
        let first = |codes: &[u8]| codes.first().map(|&code| self.words[usize::from(code)]);
        let decided = first(one).zip(first(other)).and_then(|(one, other)| one.compare(other));
        decided.unwrap_or_else(|| self.compare_all(one, other))
    }

    fn compare_all(&self, one: &[u8], other: &[u8]) -> Ordering {
        let (one, other) = (one.iter(), other.iter());
        let bytes = |code: &u8| self.tokens.string(*code);
        one.flat_map(bytes).take(LONGEST).cmp(other.flat_map(bytes).take(LONGEST))
    }

    /// Whether the codes expand to this name, which `room` gets. Alone, so that the loop has all registers.
    #[inline(never)]
    fn is(&self, codes: &[u8], name: &[u8], room: &mut [u8; LONGEST + 8]) -> bool {
        match room.get_mut(..name.len()).filter(|_| name.len() < LONGEST) {
            Some(start) => start.copy_from_slice(name),
            None => return false,
        }
        // Behind the name is what one before has left: who gets there has gone too far.
        let mut at = 0;
        for &code in codes {
            let Some(rest) = room.get(at..).and_then(<[u8]>::first_chunk) else { return false };
            let word = self.words[usize::from(code)];
            if u64::from_le_bytes(*rest) << word.shift == word.bytes {
                at += word.len as usize;
                continue;
            }
            let string = self.tokens.string(code);
            if word.len > 0 || !room[at..].starts_with(string) {
                return false;
            }
            at += string.len();
        }
        at == name.len()
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

    /// Tokens, one of which is longer than a word; the names as a pad leaves them, and their hashes.
    fn waiting(names: &[&[u8]]) -> (TokenTable, Vec<u8>, Vec<u8>) {
        let mut strings: Vec<Vec<u8>> = (0..=u8::MAX).map(|byte| vec![byte]).collect();
        strings[0] = b"_long_name_of_".to_vec();
        strings[1] = b"unction".to_vec();
        let tokens = TokenTable::from_strings(strings.iter().map(Vec::as_slice));
        let symbols: Vec<_> = names.iter().map(|name| SymbolEntry::new(0, PLACEHOLDER, name)).collect();
        let compressed = Optimal::new(&tokens).unwrap().compress_apart(&symbols).unwrap();
        let hashes = names.iter().flat_map(|name| layout().u32(hash(name))).collect();
        (tokens, Names::encode(&compressed, &layout()).unwrap().bytes, hashes)
    }

    #[test]
    fn what_waits_is_what_parsing_gives() {
        let (tokens, mut bytes, mut hashes) = waiting(&NAMES);
        bytes.extend([0; 9]);
        hashes.extend([0; 9]);
        let layout = layout();
        let symbols =
            [(b'T', NAMES[2]), (b'd', NAMES[4]), (b'T', NAMES[0]), (b'W', NAMES[2]), (b't', NAMES[1])];
        let symbols = symbols.map(|(kind, name)| SymbolEntry::new(1, kind, name));
        let found = WaitingNames::read(&bytes, &hashes, &tokens, &layout, symbols.len()).unwrap();
        assert_eq!(found.starts.len(), 4);
        let mut symbols = symbols;
        found.find(&mut symbols);
        let encoded = found.encode(&symbols, 0).unwrap().unwrap();
        let parsed = Optimal::new(&tokens).unwrap().compress_apart(&symbols).unwrap();
        assert_eq!(encoded.names, Names::encode(&parsed, &layout).unwrap());
        assert_eq!(encoded.order, crate::seqs::order_by_name(&symbols, false).unwrap());
        let mut other = [SymbolEntry::new(1, b'T', b"other")];
        found.find(&mut other);
        assert!(found.encode(&other, 0).unwrap().is_none());
    }

    /// The order of some names, where they wait as `change` leaves them: `None` where nothing waits, or not all of them.
    fn found(names: &[&[u8]], change: impl Fn(&mut Vec<u8>, &mut Vec<u8>)) -> Option<(usize, Vec<u32>)> {
        let (tokens, mut bytes, mut hashes) = waiting(names);
        change(&mut bytes, &mut hashes);
        let (layout, mut symbols) = (layout(), NAMES.map(|name| SymbolEntry::new(1, b'T', name)));
        let waiting = WaitingNames::read(&bytes, &hashes, &tokens, &layout, symbols.len())?;
        waiting.find(&mut symbols);
        let encoded = waiting.encode(&symbols, 0).unwrap()?;
        Some((encoded.names.bytes.len(), encoded.order))
    }

    #[test]
    fn what_no_pad_leaves_is_not_believed() {
        let size = waiting(&NAMES).1.len();
        let right = Some((size, vec![0, 1, 2, 3, 4]));
        assert_eq!(found(&NAMES, |_, _| {}), right);
        assert_eq!(found(&NAMES, |bytes, _| bytes.truncate(size - 1)), None);
        assert_eq!(found(&NAMES, |bytes, _| bytes[1] = b'T'), None);
        assert_eq!(found(&NAMES, |_, hashes| hashes.truncate(16)), None);
        assert_eq!(found(&NAMES, |_, hashes| hashes.fill(0)), None);
        // One name's hash for another's.
        assert_eq!(found(&NAMES, |_, hashes| hashes.swap(0, 4)), None);
        // The names are there, but not in order.
        assert_eq!(found(&[NAMES[1], NAMES[0], NAMES[2], NAMES[4]], |_, _| {}), None);
        // What expands to more than a name has: 40 times 14 bytes.
        let long = |bytes: &mut Vec<u8>, hashes: &mut Vec<u8>| {
            bytes.extend([&[41, b'?'][..], &[0; 40]].concat());
            hashes.extend(hash(NAMES[0]).to_le_bytes());
        };
        assert_eq!(found(&NAMES[1..], long), None);
        assert_eq!(found(&[], |_, _| {}), None);
        // Room for far more names than there are symbols.
        assert_eq!(found(&NAMES, |_, hashes| hashes.resize(4 << 17, 0)), None);
    }

    #[test]
    fn codes_compare_as_what_they_expand_to() {
        let (tokens, ..) = waiting(&[]);
        let expander = Expander::new(&tokens);
        let names: [&[u8]; 12] =
            [b"", b"\0", b"\0\0", b"\0\x01", b"\x01", b"\x01x", b"_", b"_long", b"a\0", b"u", b"un", b"ux"];
        for one in names {
            for other in names {
                let expanded = |codes| {
                    let mut text = Vec::new();
                    tokens.expand(codes, &mut text);
                    text
                };
                let expected = expanded(one).cmp(&expanded(other));
                assert_eq!(expander.compare(one, other), expected, "{one:?} {other:?}");
            }
        }
    }

    #[test]
    fn names_of_one_hash_are_not_looked_for_without_end() {
        let names: Vec<String> = (0..20_000).map(|number| format!("{number:05}")).collect();
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        let (tokens, bytes, _) = waiting(&names);
        let hashes = hash(names[0]).to_le_bytes().repeat(names.len());
        assert!(WaitingNames::read(&bytes, &hashes, &tokens, &layout(), names.len()).is_none());
    }

    #[test]
    fn hashes_are_the_same_everywhere() {
        let names: [&[u8]; 5] = [b"", b"a", b"eight678", b"sixteen_sixteen_", b"a_long_name_of_a_function"];
        assert_eq!(names.map(hash), [0, 4_012_057_199, 744_127_460, 2_398_660_683, 1_320_099_715]);
    }
}
