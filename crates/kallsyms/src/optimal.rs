//! The shortest way to say a name with given tokens.
//!
//! Learning replaces one pair after the other, which is seldom the fewest codes. The kernel only expands codes, so any
//! cut of a name into tokens is a valid name. From the end of the name to its front, the fewest codes for the rest at
//! each place are one more than the fewest behind the best token that starts there: a walk in a trie of all tokens.
//! Among equals the longest token is taken, so that the same table and name give the same codes.
//!
//! As the type letter is part of a name, a name whose letter changes takes at most one code more than the name without
//! its letter: [`Optimal::bound`].

use crate::error::{Error, ErrorKind};
use crate::symbol::SymbolEntry;
use crate::token::{CompressedNames, TokenTable};

/// No node, no code.
const NONE: u16 = u16::MAX;

/// A token table as a trie.
#[derive(Debug, Clone)]
pub struct Optimal {
    /// Numbers for the bytes that tokens have; 0 for all others.
    classes: [u8; 256],
    /// How many numbers there are.
    width: usize,
    /// The next node by node and class.
    next: Vec<u16>,
    /// The code of the token that ends at a node.
    codes: Vec<u16>,
}

/// Room to work in.
#[derive(Debug, Clone, Default)]
struct Room {
    text: Vec<u8>,
    /// Fewest codes for what follows a place, and the first of them with its length.
    steps: Vec<(u32, u8, u16)>,
}

impl Room {
    /// Appends the codes that were found.
    fn push_codes(&self, codes: &mut Vec<u8>) {
        let mut place = 0;
        while let Some(&(_, code, len)) = self.steps.get(place).filter(|&&(_, _, len)| len > 0) {
            codes.push(code);
            place += usize::from(len);
        }
    }
}

impl Optimal {
    /// Prepares a table, learned or read.
    ///
    /// # Errors
    ///
    /// Strings so long that their trie has more than 65534 nodes.
    pub fn new(tokens: &TokenTable) -> Result<Self, Error> {
        let len = tokens.bytes().len();
        if len >= usize::from(NONE) {
            return Err(ErrorKind::LongTokens { len }.into());
        }
        let mut classes = [0; 256];
        let mut width = 1;
        for &byte in tokens.bytes().iter().filter(|&&byte| byte != 0) {
            let class = &mut classes[usize::from(byte)];
            if *class == 0 {
                // NUL has none, so that at most 255 are given.
                *class = u8::try_from(width).unwrap_or(0);
                width += 1;
            }
        }
        let mut trie = Self { classes, width, next: vec![NONE; width], codes: vec![NONE] };
        for code in 0..=u8::MAX {
            trie.insert(tokens.string(code), code);
        }
        Ok(trie)
    }

    fn insert(&mut self, string: &[u8], code: u8) {
        if string.is_empty() {
            return;
        }
        let mut node = 0;
        for &byte in string {
            let slot = node * self.width + usize::from(self.classes[usize::from(byte)]);
            if self.next[slot] == NONE {
                // The constructor has bounded the number of nodes.
                self.next[slot] = u16::try_from(self.codes.len()).unwrap_or(0);
                self.next.resize(self.next.len() + self.width, NONE);
                self.codes.push(NONE);
            }
            node = usize::from(self.next[slot]);
        }
        if self.codes[node] == NONE {
            self.codes[node] = code.into();
        }
    }

    /// Compresses the names of all symbols, type letters included.
    ///
    /// # Errors
    ///
    /// A byte without a code.
    pub fn compress(&self, symbols: &[SymbolEntry<'_>]) -> Result<CompressedNames, Error> {
        let text: usize = symbols.iter().map(|symbol| symbol.name.len() + 1).sum();
        let mut names = CompressedNames::with_capacity(symbols.len(), text / 2);
        let mut room = Room::default();
        for symbol in symbols {
            room.text.clear();
            room.text.push(symbol.kind);
            room.text.extend_from_slice(symbol.name);
            self.parse(&mut room)?;
            room.push_codes(names.codes_mut());
            names.end_name()?;
        }
        Ok(names)
    }

    /// As [`Self::compress`], with each type letter as a code of its own: a name takes [`Self::bound`] codes whatever its
    /// letter.
    ///
    /// # Errors
    ///
    /// A byte without a code.
    pub fn compress_apart(&self, symbols: &[SymbolEntry<'_>]) -> Result<CompressedNames, Error> {
        let text: usize = symbols.iter().map(|symbol| symbol.name.len() + 1).sum();
        let mut names = CompressedNames::with_capacity(symbols.len(), text / 2);
        let mut room = Room::default();
        for symbol in symbols {
            for part in [&[symbol.kind][..], symbol.name] {
                room.text.clear();
                room.text.extend_from_slice(part);
                self.parse(&mut room)?;
                room.push_codes(names.codes_mut());
            }
            names.end_name()?;
        }
        Ok(names)
    }

    /// How many codes a name takes, at most, with any type letter that has a code.
    ///
    /// # Errors
    ///
    /// A byte of the name without a code.
    pub fn bound(&self, name: &[u8]) -> Result<usize, Error> {
        let mut room = Room { text: name.to_owned(), steps: Vec::new() };
        self.parse(&mut room)?;
        Ok(room.steps.first().map_or(0, |step| step.0 as usize) + 1)
    }

    /// Finds the steps of `room.text`; the last, behind its end, has length 0.
    fn parse(&self, room: &mut Room) -> Result<(), Error> {
        let Room { text, steps } = room;
        steps.clear();
        steps.resize(text.len() + 1, (0, 0, 0));
        for start in (0..text.len()).rev() {
            let mut best = (u32::MAX, 0, 0);
            let mut node = 0;
            for (len, &byte) in (1..=u16::MAX).zip(&text[start..]) {
                let next = self.next[node * self.width + usize::from(self.classes[usize::from(byte)])];
                if next == NONE {
                    break;
                }
                node = usize::from(next);
                if let Ok(code) = u8::try_from(self.codes[node]) {
                    let count = steps[start + usize::from(len)].0 + 1;
                    if count <= best.0 {
                        best = (count, code, len);
                    }
                }
            }
            if best.2 == 0 {
                return Err(ErrorKind::NoCode { byte: text[start] }.into());
            }
            steps[start] = best;
        }
        Ok(())
    }
}
