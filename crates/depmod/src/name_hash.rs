//! A hash of symbols' names that reads eight bytes at a time and finds their end on the way: each name is hashed as a
//! symbol, as a version, and where its owner is looked up, more than half a million times in a distribution's tree.

use core::hash::BuildHasher as _;

use foldhash::fast::RandomState;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Hashes names with a seed of its own, so that nobody can make names that collide.
#[derive(Debug)]
pub struct NameHasher {
    seed: u64,
    factor: u64,
}

impl Default for NameHasher {
    fn default() -> Self {
        let random = RandomState::default();
        Self { seed: random.hash_one(0), factor: random.hash_one(1) | 1 }
    }
}

impl NameHasher {
    /// One that gives the same hashes in each run, for what nobody looks up by them.
    pub fn fixed() -> Self {
        // The first digits of the fractions of pi and of e.
        Self { seed: 0x243F_6A88_85A3_08D3, factor: 0xB7E1_5162_8AED_2A6B }
    }

    /// The name that `bytes` begin with, which a NUL ends or they do, and its hash.
    #[inline]
    pub fn take<'b>(&self, bytes: &'b [u8]) -> (&'b [u8], u64) {
        let (words, rest) = bytes.as_chunks::<8>();
        let mut hash = self.seed;
        let mut length = 0;
        for word in words {
            let word = u64::from_le_bytes(*word);
            // The lowest bit that is set marks the first zero byte.
            let zeros = word.wrapping_sub(ONES) & !word & HIGHS;
            if zeros != 0 {
                // The bits below the zero byte: none to fifty-six.
                let bits = zeros.trailing_zeros() - 7;
                length += bits as usize / 8;
                let last = word & ((1 << bits) - 1);
                return (bytes.get(..length).unwrap_or_default(), self.last(hash, last, length));
            }
            hash = self.fold(hash ^ word);
            length += 8;
        }
        let mut last = [0; 8];
        for (place, byte) in last.iter_mut().zip(rest.iter().take_while(|byte| **byte != 0)) {
            *place = *byte;
            length += 1;
        }
        (bytes.get(..length).unwrap_or_default(), self.last(hash, u64::from_le_bytes(last), length))
    }

    /// The hash of a whole name, another one than [`take`](Self::take) gives.
    #[inline]
    pub fn hash(&self, name: &[u8]) -> u64 {
        let mut hash = self.seed;
        let last = match name.last_chunk() {
            // They may overlap with the words before.
            Some(last) => {
                for word in name.as_chunks().0 {
                    hash = self.fold(hash ^ u64::from_le_bytes(*word));
                }
                u64::from_le_bytes(*last)
            }
            None => {
                let mut last = [0; 8];
                last.iter_mut().zip(name).for_each(|(place, byte)| *place = *byte);
                u64::from_le_bytes(last)
            }
        };
        self.last(hash, last, name.len())
    }

    /// The last bytes, of which there may be none, and the length, which tells them from zeros.
    fn last(&self, hash: u64, word: u64, length: usize) -> u64 {
        self.fold(hash ^ word ^ (length as u64).rotate_right(8))
    }

    /// Both halves of the product, so that every bit of the word reaches every bit of the hash.
    fn fold(&self, word: u64) -> u64 {
        let product = u128::from(word) * u128::from(self.factor);
        #[allow(clippy::cast_possible_truncation, reason = "the two halves, one after the other")]
        let folded = product as u64 ^ (product >> 64) as u64;
        folded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_have_other_hashes() {
        let hasher = NameHasher::default();
        let names: Vec<String> = (0..10_000).map(|number| format!("symbol_{number}_of_a_module")).collect();
        let hashes: std::collections::HashSet<_> =
            names.iter().map(|name| hasher.take(name.as_bytes()).1).collect();
        assert_eq!(hashes.len(), names.len());
        assert_ne!(hasher.take(b"a"), hasher.take(b""));
    }

    #[test]
    fn whole_names_that_differ_have_other_hashes() {
        let hasher = NameHasher::default();
        let mut hashes: Vec<u64> = (0..40).map(|length| hasher.hash(&[b'a'; 40][..length])).collect();
        hashes.extend((1..40).map(|at| hasher.hash(&[&[b'a'; 40][..at], b"b", &[b'a'; 40][at..]].concat())));
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
    }

    #[test]
    fn a_name_ends_at_the_first_nul_or_with_the_bytes() {
        let hasher = NameHasher::default();
        let name = b"a_name_of_thirty-two_characters_";
        for length in 0..=name.len() {
            let name = &name[..length];
            let alone = hasher.take(name);
            assert_eq!(alone.0, name);
            for behind in [&b"\0"[..], b"\0\x01", b"\0\0\0\0\0\0\0\0\0", b"\0\x80\x01\x80behind\0"] {
                assert_eq!(hasher.take(&[name, behind].concat()), alone, "{length} {behind:?}");
            }
        }
        // A borrow from the byte below must not pass for a zero.
        assert_eq!(hasher.take(b"\x01\x80\x01\x01\x01\x01\x01\x01\0").0.len(), 8);
    }
}
