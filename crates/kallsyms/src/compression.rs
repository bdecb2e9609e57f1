//! Learning the token table: which pairs of codes are worth a code of their own.
//!
//! The idea is scripts/kallsyms.c's, and so is every choice, since the tables must be the same: the free codes, from
//! 255 down, go to the pair that occurs most often (the lowest `first + 256 * second` among equals), which is then
//! replaced in all names, from left to right, before the next is chosen. The cost is not: nothing is searched or
//! counted twice.
//!
//! # Phases
//!
//! 1. All names, each with its type letter in front, are laid out in one text with separators between them.
//! 2. One pass counts every pair of neighbours; a counting sort gives the places of each pair of bytes.
//! 3. For each free code: the best pair is found in the counts. Its places are those of phase 2, or, where one half is
//!    itself a learned code, the places of that code, which were noted when it was put in. At each place the pair
//!    becomes the code, and only the counts of the pairs that it touches change.
//! 4. What the text holds in the end are the compressed names.
//!
//! # The text
//!
//! A code keeps the room of all bytes that it stands for: its first and its last cell hold the code, the cells between
//! hold [`INSIDE`]. With the widths of the codes that gives both neighbours of any code in one step, places never
//! move, and a place that was noted is valid exactly if its cell still holds what was noted there.
//!
//! # Limits
//!
//! Counts and places are 31 bits. Memory: 2 bytes a byte of text, 4 a place in phase 2, 4 a replaced pair in phase 3.

use crate::error::{Error, ErrorKind};
use crate::symbol::SymbolEntry;
use crate::token::{Code, CompressedNames, TokenTable};

/// Between names.
const SEPARATOR: u16 = 0x100;
/// Neither the first nor the last cell of a code.
const INSIDE: u16 = 0x101;

/// How many pairs there are.
const PAIRS: usize = 1 << 16;

/// A token table and the names that it was learned from, compressed.
#[derive(Debug, Clone)]
pub struct Learned {
    /// The table.
    pub tokens: TokenTable,
    /// The names, in the order of the symbols.
    pub names: CompressedNames,
}

/// Learns a table from these symbols: that of scripts/kallsyms, to the byte.
///
/// A type letter of 0 is none: names are learned from without letters where a link has yet to decide them.
///
/// The bytes of `reserved` keep codes of their own even where no name has them: type letters that a symbol may come to
/// have.
///
/// # Errors
///
/// More text than 32-bit places reach.
pub fn learn(symbols: &[SymbolEntry<'_>], reserved: &[u8]) -> Result<Learned, Error> {
    let mut text = Text::new(symbols)?;
    let mut codes = [Code::Unused; 256];
    for &byte in reserved {
        codes[usize::from(byte)] = Code::Byte;
    }
    for (code, used) in codes.iter_mut().zip(text.used) {
        if used {
            *code = Code::Byte;
        }
    }
    let mut order = Vec::new();
    for code in (0..=u8::MAX).rev() {
        if codes[usize::from(code)] != Code::Unused {
            continue;
        }
        let Some((first, second)) = text.find_best_pair() else { break };
        codes[usize::from(code)] = Code::Pair(first, second);
        order.push(code);
        text.replace(first, second, code);
    }
    let names = text.names(symbols.len())?;
    Ok(Learned { tokens: TokenTable::from_codes(&codes, &order), names })
}

/// A pair's number, which is its rank among equals.
fn pair(first: u8, second: u8) -> usize {
    usize::from(first) | usize::from(second) << 8
}

struct Text {
    cells: Vec<u16>,
    /// Bytes that occur.
    used: [bool; 256],
    /// How often each pair of neighbours occurs; signed, since every machine compares such vectors.
    counts: Vec<i32>,
    /// No count of a row, which is the pairs of one second half, is larger than this. Most rows are not looked at for a
    /// code: only what a code brings makes counts larger.
    bounds: [i32; 256],
    /// Places of pairs of bytes, ascending for each pair.
    places: Vec<u32>,
    /// Where the places of each pair start in `places`; one more entry ends the last.
    starts: Vec<u32>,
    /// Cells that each code takes.
    widths: [u32; 256],
    /// Places of each learned code, ascending; some may be gone.
    learned: Vec<Vec<u32>>,
}

impl Text {
    fn new(symbols: &[SymbolEntry<'_>]) -> Result<Self, Error> {
        let len = symbols.iter().map(|symbol| symbol.name.len() + 2).sum::<usize>() + 1;
        // Counts are signed.
        if i32::try_from(len).is_err() {
            return Err(ErrorKind::TooMuchText { len }.into());
        }
        let mut cells = Vec::with_capacity(len);
        cells.push(SEPARATOR);
        for symbol in symbols {
            if symbol.kind != 0 {
                cells.push(u16::from(symbol.kind));
            }
            cells.extend(symbol.name.iter().map(|&byte| u16::from(byte)));
            cells.push(SEPARATOR);
        }
        let (mut used, mut counts) = ([false; 256], vec![0; PAIRS]);
        let mut previous = None;
        for &cell in &cells {
            let byte = u8::try_from(cell).ok();
            if let Some(byte) = byte {
                used[usize::from(byte)] = true;
                if let Some(previous) = previous {
                    counts[pair(previous, byte)] += 1;
                }
            }
            previous = byte;
        }
        let (places, starts) = sort_places(&cells, &counts);
        let mut bounds = [0; 256];
        bounds.iter_mut().zip(counts.as_chunks().0).for_each(|(bound, row)| *bound = largest(row));
        Ok(Self {
            cells,
            used,
            counts,
            bounds,
            places,
            starts,
            widths: [1; 256],
            learned: vec![Vec::new(); 256],
        })
    }

    /// The pair that occurs most often, the first of them; `None` where none occurs.
    fn find_best_pair(&mut self) -> Option<(u8, u8)> {
        loop {
            let most = self.bounds.iter().fold(0, |most, &bound| bound.max(most));
            let second = self.bounds.iter().position(|&bound| bound == most).filter(|_| most > 0)?;
            let row = self.counts.get(256 * second..)?.first_chunk::<256>()?;
            // Rows before this one have less, those behind it not more.
            if let Some(first) = row.iter().position(|&count| count == most) {
                return Some((u8::try_from(first).ok()?, u8::try_from(second).ok()?));
            }
            self.bounds[second] = largest(row);
        }
    }

    /// Raises the bounds to what a replacement by `code` may have raised: the pairs of that code.
    fn note_pairs_of(&mut self, code: u8) {
        let (rows, _) = self.counts.as_chunks::<256>();
        for (bound, row) in self.bounds.iter_mut().zip(rows) {
            *bound = row[usize::from(code)].max(*bound);
        }
        if let Some(row) = rows.get(usize::from(code)) {
            self.bounds[usize::from(code)] = largest(row);
        }
    }

    /// Replaces every `first`, `second` by `code`, from left to right.
    fn replace(&mut self, first: u8, second: u8, code: u8) {
        self.widths[usize::from(code)] = self.width(first) + self.width(second);
        let mut new = Vec::with_capacity(usize::try_from(self.counts[pair(first, second)]).unwrap_or(0));
        let [of_first, of_second] = [first, second].map(|half| &self.learned[usize::from(half)]);
        // A byte has no list, and every learned code a list that is not empty.
        let by_second = !of_second.is_empty() && (of_first.is_empty() || of_second.len() < of_first.len());
        if of_first.is_empty() && of_second.is_empty() {
            let (start, end) = (self.starts[pair(first, second)], self.starts[pair(first, second) + 1]);
            for index in start..end {
                self.replace_at(self.places[index as usize], first, second, code, &mut new);
            }
        } else if by_second {
            let mut list = std::mem::take(&mut self.learned[usize::from(second)]);
            let width = self.width(first);
            list.retain(|&place| {
                let left = place.wrapping_sub(width);
                let is_left = self.cells.get(place as usize - 1) == Some(&u16::from(first));
                !(is_left && self.replace_at(left, first, second, code, &mut new))
            });
            self.learned[usize::from(second)] = list;
        } else {
            let mut list = std::mem::take(&mut self.learned[usize::from(first)]);
            list.retain(|&place| !self.replace_at(place, first, second, code, &mut new));
            self.learned[usize::from(first)] = list;
        }
        self.learned[usize::from(code)] = new;
        self.note_pairs_of(code);
    }

    /// Puts `code` for the pair at `place`, if it is still there; notes the place.
    #[inline]
    fn replace_at(&mut self, place: u32, first: u8, second: u8, code: u8, new: &mut Vec<u32>) -> bool {
        let (start, end) = (place as usize, (place + self.widths[usize::from(code)]) as usize);
        let middle = (place + self.width(first)) as usize;
        let cells = &mut self.cells;
        if cells[start] != u16::from(first) || cells.get(middle) != Some(&u16::from(second)) {
            return false;
        }
        // The cell before and the cell behind, and the four at the ends of the halves, some of which are one.
        let (left, right) = (cells[start - 1], cells[end]);
        cells[middle - 1] = INSIDE;
        cells[middle] = INSIDE;
        cells[start] = u16::from(code);
        cells[end - 1] = u16::from(code);
        self.counts[pair(first, second)] -= 1;
        if let Ok(left) = u8::try_from(left) {
            self.counts[pair(left, first)] -= 1;
            self.counts[pair(left, code)] += 1;
        }
        if let Ok(right) = u8::try_from(right) {
            self.counts[pair(second, right)] -= 1;
            self.counts[pair(code, right)] += 1;
        }
        new.push(place);
        true
    }

    fn width(&self, code: u8) -> u32 {
        self.widths[usize::from(code)]
    }

    /// What is left of each name.
    fn names(&self, count: usize) -> Result<CompressedNames, Error> {
        let mut names = CompressedNames::with_capacity(count, self.cells.len() / 2);
        let mut place = 1;
        while let Some(&cell) = self.cells.get(place) {
            match u8::try_from(cell) {
                Ok(code) => {
                    names.codes_mut().push(code);
                    place += self.width(code) as usize;
                }
                Err(_) => {
                    names.end_name()?;
                    place += 1;
                }
            }
        }
        Ok(names)
    }
}

/// The largest count of a row, found without a branch an entry.
fn largest(row: &[i32; 256]) -> i32 {
    row.iter().fold(0, |most, &count| count.max(most))
}

/// The places of every pair of bytes, and where those of each pair start.
fn sort_places(cells: &[u16], counts: &[i32]) -> (Vec<u32>, Vec<u32>) {
    let mut starts = Vec::with_capacity(PAIRS + 1);
    let mut sum = 0_u32;
    for &count in counts {
        starts.push(sum);
        sum += count.cast_unsigned();
    }
    starts.push(sum);
    let mut next = starts.clone();
    let mut places = vec![0; sum as usize];
    for (place, neighbours) in (0..).zip(cells.windows(2)) {
        if let [Ok(first), Ok(second)] = [neighbours[0], neighbours[1]].map(u8::try_from) {
            let slot = &mut next[pair(first, second)];
            places[*slot as usize] = place;
            *slot += 1;
        }
    }
    (places, starts)
}
