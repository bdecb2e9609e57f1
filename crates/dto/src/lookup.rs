//! A hash table over the children, or over the properties, of nodes that have many.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as Slot;

use crate::names;

/// Up to so many children or properties are compared one by one.
pub(crate) const WIDE: usize = 16;
/// So many times a wide node is walked through before it is worth a table.
pub(crate) const WALKS: u8 = 8;

#[derive(Debug)]
struct Entry<T> {
    hash: u64,
    /// The patch of the node whose child or property it is.
    owner: u32,
    item: T,
}

/// From (owner, name) to an item; the names are the caller's.
#[derive(Debug)]
pub(crate) struct Lookup<T> {
    table: HashTable<Entry<T>>,
    hasher: RandomState,
}

impl<T> Default for Lookup<T> {
    fn default() -> Self {
        Self { table: HashTable::new(), hasher: RandomState::default() }
    }
}

impl<T: Copy> Lookup<T> {
    fn hash(&self, owner: u32, name: &[u8]) -> u64 {
        names::hash(&self.hasher, name).wrapping_add(u64::from(owner).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Makes room for `count` more items at once.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.table.reserve(count, |entry| entry.hash);
    }

    /// The item of `owner` that is called `name`; `is` compares an item's own name.
    pub(crate) fn find(&self, owner: u32, name: &[u8], is: impl Fn(T) -> bool) -> Option<T> {
        let hash = self.hash(owner, name);
        self.table.find(hash, |entry| entry.owner == owner && is(entry.item)).map(|entry| entry.item)
    }

    /// Adds an item. Where one of the name is there already, it gives way only if `replace` says so; it is
    /// given back either way.
    pub(crate) fn insert(
        &mut self,
        owner: u32,
        name: &[u8],
        item: T,
        is: impl Fn(T) -> bool,
        replace: bool,
    ) -> Option<T> {
        let hash = self.hash(owner, name);
        let same = |entry: &Entry<T>| entry.owner == owner && is(entry.item);
        match self.table.entry(hash, same, |entry| entry.hash) {
            Slot::Occupied(mut entry) => {
                let old = entry.get().item;
                if replace {
                    entry.get_mut().item = item;
                }
                Some(old)
            }
            Slot::Vacant(slot) => {
                slot.insert(Entry { hash, owner, item });
                None
            }
        }
    }
}
