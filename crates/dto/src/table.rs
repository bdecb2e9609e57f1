//! A hash table of numbers from 0 up: what they stand for, and the keys, are the caller's.
//!
//! Open addressing with linear probing, at most half full, nothing is ever taken out. The hashes are kept, so
//! mostly one key is compared, and growing needs no key.
//!
//! Limits: hashes have to be seeded ([`hash`]), so that no input can be made whose keys share a slot.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// A number plus one, or 0 for a free slot. The count of slots is a power of two, or zero.
    slots: Vec<u32>,
    /// Of each number the hash.
    hashes: Vec<u32>,
}

impl Table {
    /// The number under `hash` that `is` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.probe(hash, is).err()
    }

    /// The number under `hash` that `is` accepts; where there is none, the next number is put there.
    #[inline]
    pub(crate) fn find_or_insert(&mut self, hash: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.hashes.len() * 2 >= self.slots.len() {
            self.reserve(1);
        }
        match self.probe(hash, is) {
            Err(number) => Some(number),
            Ok(free) => {
                self.hashes.push(hash);
                // Each number stands for a token of the inputs, which are counted in 32 bits.
                self.slots[free] = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
                None
            }
        }
    }

    /// The free slot for a number under `hash`, or the number that `is` accepts.
    #[inline(always)]
    fn probe(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Result<usize, u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(number) = self.slots.get(at).and_then(|slot| slot.checked_sub(1)) {
            if self.hashes[number as usize] == hash && is(number) {
                return Err(number);
            }
            at = (at + 1) & mask;
        }
        Ok(at)
    }

    /// Makes room for `count` more numbers at once.
    #[inline(never)]
    pub(crate) fn reserve(&mut self, count: usize) {
        const FEWEST: usize = 64;
        let wanted = ((self.hashes.len() + count) * 2).next_power_of_two().max(FEWEST);
        if wanted <= self.slots.len() {
            return;
        }
        self.hashes.reserve(wanted / 2 - self.hashes.len());
        self.slots = alloc::vec![0; wanted];
        for (number, hash) in (1..).zip(&self.hashes) {
            let mut at = *hash as usize & (wanted - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (wanted - 1);
            }
            self.slots[at] = number;
        }
    }
}

/// The hash of a name. Names come from inputs that nobody vouches for, so `seed` is another in every run.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "half of the hash is enough")]
pub(crate) fn hash(seed: &RandomState, name: &[u8]) -> u32 {
    let mut hasher = seed.build_hasher();
    hasher.write(name);
    hasher.finish() as u32
}
