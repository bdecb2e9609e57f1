//! A hash of symbols' names that reads eight bytes at a time: each name is hashed once as a symbol and once as a version,
//! a million in all in a distribution's tree.

use core::hash::BuildHasher as _;

use foldhash::fast::RandomState;

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
    /// The hash of a name.
    pub fn hash(&self, name: &[u8]) -> u64 {
        let (words, rest) = name.as_chunks::<8>();
        let mut hash = self.seed ^ name.len() as u64;
        for word in words {
            hash = self.fold(hash ^ u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        if let Some(front) = last.get_mut(..rest.len()) {
            front.copy_from_slice(rest);
        }
        self.fold(hash ^ u64::from_le_bytes(last))
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
            names.iter().map(|name| hasher.hash(name.as_bytes())).collect();
        assert_eq!(hashes.len(), names.len());
        assert_ne!(hasher.hash(b"a"), hasher.hash(b"a\0"));
        assert_ne!(hasher.hash(b""), hasher.hash(b"\0"));
    }
}
