//! A hash table whose entries are numbered in the order in which they came, and looked up by a hash that the caller
//! makes and a comparison.
//!
//! Open addressing with linear probing, at most half full, nothing is ever taken out. The hashes are kept, so
//! mostly one entry is compared, and growing needs no key.
//!
//! Limits: hashes have to be seeded ([`Seed`]), so that no input can be made whose keys share a slot.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::mem;
use core::ops::{Index, IndexMut};

use foldhash::fast::RandomState;

use crate::memory::zeros;

#[derive(Debug)]
pub(crate) struct Table<T> {
    /// An entry's number plus one, or 0 for a free slot. The count of slots is a power of two, or zero.
    slots: Vec<u32>,
    /// The entries with their hashes.
    entries: Vec<(u32, T)>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), entries: Vec::new() }
    }
}

impl<T> Table<T> {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// No entry, in the same memory.
    pub(crate) fn emptied(mut self) -> Self {
        self.slots.clear();
        self.entries.clear();
        self
    }

    /// All entries with their hashes.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, &T)> {
        self.entries.iter().map(|(hash, entry)| (*hash, entry))
    }

    /// All entries.
    pub(crate) fn entries_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().map(|(_, entry)| entry)
    }

    /// The number of the entry under `hash` that `is` accepts.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, is: impl FnMut(&T) -> bool) -> Option<u32> {
        self.probe(hash, is).err()
    }

    /// The number of the entry under `hash` that `is` accepts; where there is none, `entry` is put there.
    #[inline(always)]
    pub(crate) fn find_or_insert(&mut self, hash: u32, is: impl FnMut(&T) -> bool, entry: T) -> Option<u32> {
        // At most half full.
        if self.entries.len() * 2 >= self.slots.len() {
            self.reserve(1);
        }
        match self.probe(hash, is) {
            Err(number) => Some(number),
            Ok(free) => {
                self.entries.push((hash, entry));
                // Each entry stands for a token of the inputs, which are counted in 32 bits.
                self.slots[free] = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                None
            }
        }
    }

    /// The free slot for an entry under `hash`, or the number of that which `is` accepts.
    #[inline(always)]
    fn probe(&self, hash: u32, mut is: impl FnMut(&T) -> bool) -> Result<usize, u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        while let Some(number) = self.slots.get(at).and_then(|slot| slot.checked_sub(1)) {
            let (other, entry) = &self.entries[number as usize];
            if *other == hash && is(entry) {
                return Err(number);
            }
            at = (at + 1) & mask;
        }
        Ok(at)
    }

    /// Makes room for `count` more entries at once.
    #[inline(never)]
    pub(crate) fn reserve(&mut self, count: usize) {
        const FEWEST: usize = 64;
        let wanted = ((self.entries.len() + count) * 2).next_power_of_two().max(FEWEST);
        if wanted <= self.slots.len() {
            return;
        }
        self.entries.reserve_exact(wanted / 2 - self.entries.len());
        self.slots = zeros(mem::take(&mut self.slots), wanted);
        for (number, (hash, _)) in (1..).zip(&self.entries) {
            let mut at = *hash as usize & (wanted - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (wanted - 1);
            }
            self.slots[at] = number;
        }
    }
}

impl<T> Index<u32> for Table<T> {
    type Output = T;

    #[inline]
    fn index(&self, number: u32) -> &T {
        &self.entries[number as usize].1
    }
}

impl<T> IndexMut<u32> for Table<T> {
    #[inline]
    fn index_mut(&mut self, number: u32) -> &mut T {
        &mut self.entries[number as usize].1
    }
}

/// How names are hashed: names come from inputs that nobody vouches for, so it is another way in every table.
#[derive(Debug, Default)]
pub(crate) struct Seed(RandomState);

impl Seed {
    /// The hash of a name.
    #[inline]
    pub(crate) fn hash(&self, name: &[u8]) -> u32 {
        let mut hasher = self.0.build_hasher();
        hasher.write(name);
        half(hasher.finish())
    }

    /// The length and the hash of the string at the start of `bytes`; none where no NUL ends it.
    #[inline(always)]
    pub(crate) fn hash_string(&self, bytes: &[u8]) -> Option<(usize, u32)> {
        let length = kbt_fdt::find_byte(bytes, 0)?;
        Some((length, self.hash(&bytes[..length])))
    }

    /// The hash of a number.
    #[inline]
    pub(crate) fn hash_number(&self, number: u32) -> u32 {
        let mut hasher = self.0.build_hasher();
        hasher.write_u32(number);
        half(hasher.finish())
    }
}

/// The upper half: the lower one of foldhash is worse spread for names that differ in a digit.
fn half(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_put_in_while_it_grows() {
        let (mut table, seed) = (Table::default(), Seed::default());
        for key in 0..5000_u32 {
            let hash = seed.hash_number(key);
            assert_eq!(table.find_or_insert(hash, |other| *other == key, key), None);
            assert_eq!(table.find_or_insert(hash, |other| *other == key, key), Some(key));
        }
        assert_eq!(table.find(seed.hash_number(49), |other| *other == 49), Some(49));
        assert_eq!(table.find(seed.hash_number(5000), |other| *other == 5000), None);
    }

    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut table = Table::default();
        for number in 0..200 {
            assert_eq!(table.find_or_insert(1, |other| *other == number, number), None);
        }
        assert_eq!(table.find(1, |other| *other == 150), Some(150));
        assert_eq!(table.find(1, |_| false), None);
        assert_eq!(table.find(2, |_| true), None);
    }
}
