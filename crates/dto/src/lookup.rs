//! Hash tables over the children, or over the properties, of a node that has many.
//!
//! A table holds one number an item, and nothing of its key: that is read from the tree again to compare it, and when the
//! table grows. So an item takes 6 or 8 bytes, less than the smallest node.

use alloc::vec::Vec;
use core::mem;

use crate::memory::{Room, zeros};

/// Up to so many children or properties are compared one by one.
pub(crate) const WIDE: usize = 16;
/// So many bytes of properties are walked over one by one; between few of them may be much `FDT_NOP`.
pub(crate) const LONG_WALK: u32 = 1 << 14;
/// So many times a wide node is walked through before it is worth a table.
pub(crate) const WALKS: u8 = 2;

/// The tables of one node.
#[derive(Debug, Default)]
pub(crate) struct Lookup {
    /// Its children by name.
    pub(crate) children: Slots,
    /// The same as libfdt finds them, by name and by the name without the unit address.
    pub(crate) loose_children: Slots,
    pub(crate) properties: Slots,
}

impl Lookup {
    /// No tables, in the same memory.
    pub(crate) fn emptied(self) -> Self {
        let Self { children, loose_children, properties } = self;
        Self {
            children: children.emptied(),
            loose_children: loose_children.emptied(),
            properties: properties.emptied(),
        }
    }

    pub(crate) fn room(&self) -> Room {
        let Self { children, loose_children, properties } = self;
        let all = [children, loose_children, properties];
        let sum = |slots: fn(&Slots) -> usize| all.into_iter().map(slots).sum::<usize>() * size_of::<u32>();
        Room { held: sum(|table| table.slots.capacity()), needed: sum(|table| table.slots.len()) }
    }
}

/// Open addressing with linear probing, at most half full, and two thirds where there are many; items can be replaced
/// and are never taken out.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    /// An item's complement, or 0 for a free slot.
    slots: Vec<u32>,
    count: usize,
}

impl Slots {
    /// No item, in the same memory.
    pub(crate) fn emptied(mut self) -> Self {
        self.slots.clear();
        Self { count: 0, ..self }
    }

    /// How many items there are.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The item under `hash` that `is` accepts.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u32, is: impl FnMut(u32) -> bool) -> Option<u32> {
        self.probe(hash, is).1
    }

    /// Makes room for `count` more items at once; `hash_of` gives the hash of an item's key.
    pub(crate) fn reserve(&mut self, count: usize, hash_of: impl Fn(u32) -> u32) {
        let wanted = slots_for(self.count + count);
        if wanted <= self.slots.len() {
            return;
        }
        if self.count == 0 {
            self.slots = zeros(mem::take(&mut self.slots), wanted);
            return;
        }
        let old = mem::replace(&mut self.slots, alloc::vec![0; wanted]);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let (free, _) = self.probe(hash_of(!slot), |_| false);
            self.slots[free] = slot;
        }
    }

    /// Adds an item. Where one of its key, which `is` accepts, is there already, it gives way only if `replace` says so;
    /// it is given back either way.
    #[inline(always)]
    pub(crate) fn insert(
        &mut self,
        hash: u32,
        item: u32,
        is: impl FnMut(u32) -> bool,
        hash_of: impl Fn(u32) -> u32,
        replace: bool,
    ) -> Option<u32> {
        if slots_for(self.count + 1) > self.slots.len() {
            self.reserve(self.count / 2 + 16, hash_of);
        }
        self.insert_reserved(hash, item, is, replace)
    }

    /// The same where there is room.
    #[inline(always)]
    pub(crate) fn insert_reserved(
        &mut self,
        hash: u32,
        item: u32,
        is: impl FnMut(u32) -> bool,
        replace: bool,
    ) -> Option<u32> {
        let (at, found) = self.probe(hash, is);
        if found.is_none() || replace {
            self.slots[at] = !item;
        }
        self.count += usize::from(found.is_none());
        found
    }

    /// The slot of the item under `hash` that `is` accepts, or a free one for it.
    #[inline(always)]
    fn probe(&self, hash: u32, mut is: impl FnMut(u32) -> bool) -> (usize, Option<u32>) {
        // The tables are of all sizes: the hash is scaled.
        let count = self.slots.len();
        let mut at = usize::try_from((u64::from(hash) * count as u64) >> 32).unwrap_or(0);
        while let Some(slot) = self.slots.get(at).copied().filter(|slot| *slot != 0) {
            if is(!slot) {
                return (at, Some(!slot));
            }
            at = if at + 1 == count { 0 } else { at + 1 };
        }
        (at, None)
    }
}

/// How many slots there are to be for so many items. Of large tables memory matters more than the last comparison.
#[inline]
fn slots_for(items: usize) -> usize {
    const MANY: usize = 1 << 14;
    if items < MANY { items * 2 } else { items + items.div_ceil(2) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_put_in_while_it_grows() {
        // All keys of a thousand share one hash.
        let hash_of = |item: u32| (item / 1000).wrapping_mul(0x9e37_79b9);
        let mut slots = Slots::default();
        assert_eq!(slots.find(7, |_| true), None);
        for item in (0..5000).rev() {
            assert_eq!(slots.insert(hash_of(item), item, |other| other == item, hash_of, false), None);
        }
        for item in 0..5000 {
            assert_eq!(slots.find(hash_of(item), |other| other == item), Some(item));
        }
        assert_eq!(slots.insert(hash_of(3), 6, |other| other == 3, hash_of, true), Some(3));
        assert_eq!(slots.find(hash_of(3), |other| other == 3), None);
    }
}
