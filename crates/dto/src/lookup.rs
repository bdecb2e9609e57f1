//! A hash table over the children, or over the properties, of nodes that have many.

use crate::table::{Seed, Table};

/// Up to so many children or properties are compared one by one.
pub(crate) const WIDE: usize = 16;
/// So many times a wide node is walked through before it is worth a table.
pub(crate) const WALKS: u8 = 2;

#[derive(Debug)]
struct Entry<T> {
    /// The patch of the node whose child or property it is.
    owner: u32,
    item: T,
}

/// From (owner, name) to an item; the names are the caller's.
#[derive(Debug)]
pub(crate) struct Lookup<T> {
    table: Table<Entry<T>>,
    seed: Seed,
}

impl<T> Default for Lookup<T> {
    fn default() -> Self {
        Self { table: Table::default(), seed: Seed::default() }
    }
}

impl<T: Copy> Lookup<T> {
    #[inline(always)]
    fn hash(&self, owner: u32, name: &[u8]) -> u32 {
        self.seed.hash(name) ^ owner.wrapping_mul(0x9e37_79b9)
    }

    /// Makes room for `count` more items at once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.table.reserve(count);
    }

    /// The item of `owner` that is called `name`; `is` compares an item's own name.
    #[inline(always)]
    pub(crate) fn find(&self, owner: u32, name: &[u8], is: impl Fn(T) -> bool) -> Option<T> {
        let is = |entry: &Entry<T>| entry.owner == owner && is(entry.item);
        let number = self.table.find(self.hash(owner, name), is)?;
        Some(self.table[number].item)
    }

    /// Adds an item. Where one of the name is there already, it gives way only if `replace` says so; it is
    /// given back either way.
    #[inline(always)]
    pub(crate) fn insert(
        &mut self,
        owner: u32,
        name: &[u8],
        item: T,
        is: impl Fn(T) -> bool,
        replace: bool,
    ) -> Option<T> {
        let hash = self.hash(owner, name);
        let is = |entry: &Entry<T>| entry.owner == owner && is(entry.item);
        let found = self.table.find_or_insert(hash, is, Entry { owner, item })?;
        let entry = &mut self.table[found];
        let old = entry.item;
        if replace {
            entry.item = item;
        }
        Some(old)
    }
}
