//! Many small pieces of bytes in one piece of memory.

use std::collections::TryReserveError;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// Pieces one behind the other, so that a small one takes no more than its bytes and a number. What the pieces lay in goes
/// back in one stretch that larger ones fit into, where it would have been many gaps.
#[derive(Debug, Default)]
pub struct Packed {
    bytes: Vec<u8>,
    /// Where each of them ends.
    ends: Vec<usize>,
}

impl Packed {
    /// Packs words, and lets go of what they lay in.
    ///
    /// # Errors
    /// Where there is no memory for them.
    pub fn words(words: Vec<OsString>) -> Result<Self, TryReserveError> {
        let mut packed = Self::default();
        packed.bytes.try_reserve_exact(words.iter().map(|word| word.len()).sum())?;
        packed.ends.try_reserve_exact(words.len())?;
        words.into_iter().try_for_each(|word| packed.push(word.into_vec()))?;
        Ok(packed)
    }

    /// No pieces yet, and room to say where so many end.
    pub fn with_room(pieces: usize) -> Self {
        Self { bytes: Vec::new(), ends: Vec::with_capacity(pieces) }
    }

    /// Adds a piece.
    ///
    /// # Errors
    /// Where there is no memory for it.
    pub fn push(&mut self, piece: Vec<u8>) -> Result<(), TryReserveError> {
        if self.bytes.capacity() == 0 {
            self.bytes = piece;
        } else {
            self.bytes.try_reserve(piece.len())?;
            self.bytes.extend_from_slice(&piece);
        }
        self.ends.push(self.bytes.len());
        Ok(())
    }

    /// Adds a copy of a piece; where there is no memory for it, the run ends.
    pub fn add(&mut self, piece: &[u8]) {
        self.bytes.extend_from_slice(piece);
        self.ends.push(self.bytes.len());
    }

    /// A piece by its number.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let start = index.checked_sub(1).map_or(Some(&0), |earlier| self.ends.get(earlier))?;
        self.bytes.get(*start..*self.ends.get(index)?)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Words that are looked up by their numbers.
pub trait Words {
    /// A word, if there are as many.
    fn word(&self, index: usize) -> Option<&OsStr>;
}

impl Words for Packed {
    fn word(&self, index: usize) -> Option<&OsStr> {
        self.get(index).map(OsStr::from_bytes)
    }
}

impl Words for Vec<OsString> {
    fn word(&self, index: usize) -> Option<&OsStr> {
        self.get(index).map(OsString::as_os_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_as_they_came() {
        let pieces: [&[u8]; 5] = [b"", b"one", b"", b"\xff two", b"three"];
        let mut packed = Packed::default();
        pieces.iter().for_each(|piece| packed.push(piece.to_vec()).unwrap());
        assert_eq!(packed.iter().collect::<Vec<_>>(), pieces);
        assert_eq!(packed.get(3), Some(pieces[3]));
        assert_eq!(packed.get(5), None);
        assert_eq!(Packed::default().get(0), None);
    }

    #[test]
    fn words_have_their_numbers() {
        let words = vec![OsString::from("base.dtb"), OsString::from_vec(b"\xff.dtbo".to_vec())];
        let packed = Packed::words(words.clone()).unwrap();
        for index in 0..3 {
            assert_eq!(packed.word(index), words.word(index));
        }
    }
}
