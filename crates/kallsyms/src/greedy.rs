//! Compressing names with a table that was learned before, in the way in which it was learned.
//!
//! Learning replaced one pair after the other in all names. For one name that comes to this: of the pairs in it, the one
//! that was learned first is replaced wherever it stands, from left to right, until no pair of the table is left; what
//! a replacement brings can only be part of pairs that were learned later.

use crate::error::{Error, ErrorKind};
use crate::symbol::SymbolEntry;
use crate::token::{CompressedNames, TokenTable};

/// No pair of the table.
const NONE: u16 = u16::MAX;

/// A learned table, ready to compress names.
#[derive(Debug, Clone)]
pub struct Greedy {
    /// When each pair was learned, by `first | second << 8`.
    ranks: Vec<u16>,
    /// The code of each rank.
    codes: Vec<u8>,
    /// Whether the code is the byte itself.
    bytes: [bool; 256],
}

impl Greedy {
    /// Prepares a table that was learned; with one that was read (it has no [`TokenTable::merges`]) each byte stays
    /// as it is.
    pub fn new(tokens: &TokenTable) -> Self {
        let mut ranks = vec![NONE; 1 << 16];
        let mut codes = Vec::new();
        for (rank, &(code, [first, second])) in (0..).zip(tokens.merges()) {
            ranks[usize::from(first) | usize::from(second) << 8] = rank;
            codes.push(code);
        }
        let mut bytes = [false; 256];
        for byte in 0..=u8::MAX {
            bytes[usize::from(byte)] = tokens.string(byte) == [byte];
        }
        Self { ranks, codes, bytes }
    }

    /// Compresses the names of all symbols, type letters included.
    ///
    /// # Errors
    ///
    /// A byte without a code.
    pub fn compress(&self, symbols: &[SymbolEntry<'_>]) -> Result<CompressedNames, Error> {
        let text: usize = symbols.iter().map(|symbol| symbol.name.len() + 1).sum();
        let mut names = CompressedNames::with_capacity(symbols.len(), text / 2);
        let (mut name, mut pairs) = (Vec::new(), Vec::new());
        for symbol in symbols {
            self.compress_name(symbol.kind, symbol.name, &mut name, &mut pairs)?;
            names.push(&name)?;
        }
        Ok(names)
    }

    /// How many codes a name takes, at most, whatever letter of `kinds` is in front of it.
    ///
    /// # Errors
    ///
    /// A byte without a code.
    pub fn bound(&self, name: &[u8], kinds: &[u8]) -> Result<usize, Error> {
        let (mut codes, mut pairs) = (Vec::new(), Vec::new());
        let mut most = 0;
        for &kind in kinds {
            self.compress_name(kind, name, &mut codes, &mut pairs)?;
            most = most.max(codes.len());
        }
        Ok(most)
    }

    /// Makes `codes` the compressed name; `ranks` is room to work in.
    fn compress_name(
        &self,
        kind: u8,
        name: &[u8],
        codes: &mut Vec<u8>,
        ranks: &mut Vec<u16>,
    ) -> Result<(), Error> {
        codes.clear();
        codes.push(kind);
        codes.extend_from_slice(name);
        if let Some(&byte) = codes.iter().find(|&&byte| !self.bytes[usize::from(byte)]) {
            return Err(ErrorKind::NoCode { byte }.into());
        }
        ranks.clear();
        ranks.extend(codes.windows(2).map(|pair| self.rank(pair[0], pair[1])));
        while let Some(first) = ranks.iter().copied().min().filter(|&rank| rank != NONE) {
            self.replace(first, codes, ranks);
        }
        Ok(())
    }

    fn rank(&self, first: u8, second: u8) -> u16 {
        self.ranks[usize::from(first) | usize::from(second) << 8]
    }

    /// Replaces the pair of this rank in one pass from left to right.
    fn replace(&self, rank: u16, codes: &mut Vec<u8>, ranks: &mut Vec<u16>) {
        let code = self.codes[usize::from(rank)];
        let (mut read, mut written) = (0, 0);
        while read < codes.len() {
            let is_pair = ranks.get(read) == Some(&rank);
            codes[written] = if is_pair { code } else { codes[read] };
            // A rank behind the last code that was written is not known until the next one is.
            if written > 0 {
                let (left, right) = (codes[written - 1], codes[written]);
                if is_pair || left == code {
                    ranks[written - 1] = self.rank(left, right);
                } else {
                    ranks[written - 1] = ranks[read - 1];
                }
            }
            read += if is_pair { 2 } else { 1 };
            written += 1;
        }
        codes.truncate(written);
        ranks.truncate(written.saturating_sub(1));
    }
}
