//! The memory of merges: what one leaves for the next.
//!
//! A merge makes a dozen lists, of nodes, names, fragments and changes, as long as its trees are large. Who merges many
//! trees has them made once: each merge empties them for the next one.
//!
//! Limits: a list that every merge has once stays as long as it ever was. Of those that it has once an input or once a
//! node (trees, copies, tables) an input may take the place of a far larger one, so they are counted: together they never
//! hold more than the largest merge may need.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use kbt_fdt::TreeMemory;

use crate::links::Links;
use crate::live::Live;
use crate::lookup::Lookup;
use crate::names::NamesMemory;
use crate::overlay::Overlays;
use crate::phandles::Phandles;
use crate::source::{Source, SourceId};

/// Lists of merges that are done.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Whether there will be another merge.
    pub(crate) kept: bool,
    /// Of the sources' trees, in the order in which a merge reads them from the end.
    trees: Vec<TreeMemory>,
    pub(crate) overlays: Overlays,
    pub(crate) names: NamesMemory,
    pub(crate) changes_of: Vec<u32>,
    pub(crate) links: Links,
    pub(crate) phandles: Phandles,
    pub(crate) spare: Spare,
    /// The most bytes of trees and of what is spare that a merge so far may have needed.
    most_needed: usize,
}

/// Lists of which a merge needs more or less of a kind.
#[derive(Debug, Default)]
pub(crate) struct Spare {
    pub(crate) lookups: Vec<Lookup>,
    /// Of copies of overlays.
    pub(crate) copies: Vec<Vec<u8>>,
}

impl Memory {
    /// That of several merges.
    pub(crate) fn kept() -> Self {
        Self { kept: true, ..Self::default() }
    }

    /// The memory of a tree.
    pub(crate) fn tree(&mut self) -> TreeMemory {
        self.trees.pop().unwrap_or_default()
    }

    /// Keeps the lists of a merge.
    pub(crate) fn keep(&mut self, live: Live<'_>, overlays: Overlays) {
        let Live { sources, names, phandles, links, changes_of, lookups, spare, .. } = live;
        (self.overlays, self.changes_of, self.phandles) = (overlays, changes_of, phandles);
        (self.names, self.links, self.spare) = (names.into_memory(), links, spare);
        // First of what this merge had no use for.
        let mut both = Room { held: self.spare_bytes(), needed: 0 };
        lookups.iter().map(Lookup::room).for_each(|room| both.add(room));
        sources.iter().map(Source::room).for_each(|room| both.add(room));
        self.most_needed = self.most_needed.max(both.needed);
        let too_much = both.held > self.most_needed;
        if too_much {
            self.trees.clear();
            (self.spare.copies, self.spare.lookups) = (Vec::new(), Vec::new());
        }
        let stays = |room: Room| !too_much || room.held <= room.needed;
        self.spare.lookups.extend(lookups.into_iter().filter(|lookup| stays(lookup.room())));
        for (id, source) in sources.into_iter().enumerate().rev() {
            if !stays(source.room()) {
                // The others keep their places.
                self.trees.push(TreeMemory::default());
                continue;
            }
            self.trees.push(source.tree.into_memory());
            // The other copies are made anew.
            if let Cow::Owned(copy) = source.bytes
                && id > SourceId::MADE.0 as usize
            {
                self.spare.copies.push(copy);
            }
        }
    }

    /// Bytes of trees, and of what else is spare.
    fn spare_bytes(&self) -> usize {
        let trees: usize = self.trees.iter().map(TreeMemory::bytes).sum();
        let copies: usize = self.spare.copies.iter().map(Vec::capacity).sum();
        let lookups: usize = self.spare.lookups.iter().map(|lookup| lookup.room().held).sum();
        trees + copies + lookups
    }
}

/// What a list or some of them take, in bytes, and what they may take for what is in them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) held: usize,
    pub(crate) needed: usize,
}

impl Room {
    fn add(&mut self, other: Self) {
        self.held += other.held;
        self.needed += other.needed;
    }
}

/// As many zeros, in the memory of another list if it is long enough.
pub(crate) fn zeros(mut memory: Vec<u32>, count: usize) -> Vec<u32> {
    if memory.capacity() < count {
        // Not resized: what is not needed is not touched.
        return alloc::vec![0; count];
    }
    memory.clear();
    memory.resize(count, 0);
    memory
}
