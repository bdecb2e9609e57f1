//! A hash table of numbers: what they stand for, and the keys, are the caller's.
//!
//! Open addressing with linear probing, at most half full, nothing is ever taken out. A slot holds half of the
//! hash beside the number, so a look-up mostly touches one slot and compares one key, and growing needs no key.
//!
//! Limits: hashes have to be seeded ([`hash`]), so that no input can be made whose keys share a slot.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;

/// Half of the hash, and the number plus one; 0 for a free slot.
type Slot = (u32, u32);

#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Their count is a power of two, or zero.
    slots: Vec<Slot>,
    used: usize,
}

impl Table {
    /// The number under `hash` that `is` accepts.
    #[inline]
    pub(crate) fn find(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        loop {
            let &(half, number) = self.slots.get(at)?;
            if number == 0 {
                return None;
            }
            if half == hash && is(number - 1) {
                return Some(number - 1);
            }
            at = (at + 1) & mask;
        }
    }

    /// The number under `hash` that `is` accepts; where there is none, `new` is put there.
    #[inline]
    pub(crate) fn find_or_insert(
        &mut self,
        hash: u32,
        new: u32,
        mut is: impl FnMut(u32) -> bool,
    ) -> Option<u32> {
        if self.used * 2 >= self.slots.len() {
            self.reserve(1);
        }
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(slot) = self.slots.get_mut(at) {
            if slot.1 == 0 {
                *slot = (hash, new + 1);
                self.used += 1;
                break;
            }
            let number = slot.1 - 1;
            if slot.0 == hash && is(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Makes room for `count` more numbers at once.
    #[inline(never)]
    pub(crate) fn reserve(&mut self, count: usize) {
        const FEWEST: usize = 32;
        let wanted = ((self.used + count) * 2).next_power_of_two().max(FEWEST);
        if wanted <= self.slots.len() {
            return;
        }
        let old = core::mem::replace(&mut self.slots, alloc::vec![(0, 0); wanted]);
        for slot in old.into_iter().filter(|slot| slot.1 != 0) {
            let mut at = slot.0 as usize & (wanted - 1);
            while self.slots[at].1 != 0 {
                at = (at + 1) & (wanted - 1);
            }
            self.slots[at] = slot;
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
