//! Which node has a phandle, and how an overlay's phandles are moved out of the way.

use alloc::vec::Vec;
use core::mem;

use kbt_fdt::NodeIndex;

use crate::error::{Error, ErrorKind};
use crate::live::Live;
use crate::lookup::Slots;
use crate::memory::zeros;
use crate::source::{NodeId, Source, SourceId};
use crate::table::Seed;

/// The largest value that a phandle can have (Devicetree Specification v0.4: 0 and 0xffffffff are reserved).
pub(crate) const MAX: u32 = 0xffff_fffe;

/// From phandle to node.
///
/// A fragment's target is mostly a label, which leads to its node without this: so the base's phandles are put into a
/// table only when one of them is asked for. All others are above the largest of those.
#[derive(Debug, Default)]
pub(crate) struct Phandles {
    base: Numbers,
    /// Whether they are in it.
    knows_base: bool,
    base_max: u32,
    /// Under what a phandle is above `base_max`.
    added: Numbers,
    /// The largest phandle so far, of the tree or of the overlay at hand.
    pub(crate) max: u32,
    /// The largest phandle of the tree.
    in_tree: u32,
}

impl Phandles {
    /// Starts a merge. `max`: the largest of the base; `more`: how many the overlays have.
    pub(crate) fn start(&mut self, max: u32, more: usize) {
        self.added.start(more + NEW);
        (self.knows_base, self.base_max, self.max, self.in_tree) = (false, max, max, max);
    }

    /// Notes that a node of the tree, which is given by its number among all sources, has a phandle.
    pub(crate) fn set(&mut self, phandle: u32, node: u32) {
        self.in_tree = self.in_tree.max(phandle);
        self.max = self.max.max(phandle);
        self.lead(phandle, node);
    }

    /// Lets a phandle of the overlay at hand lead to a node that keeps another one.
    pub(crate) fn lead(&mut self, phandle: u32, node: u32) {
        if let Some(above) = phandle.checked_sub(self.base_max) {
            self.added.set(above, node + 1);
        }
    }

    /// Forgets a phandle that gave way to another one; the overlay that had it is merged.
    pub(crate) fn forget(&mut self, phandle: u32) {
        if let Some(above) = phandle.checked_sub(self.base_max) {
            self.added.set(above, 0);
        }
    }

    /// Ends an overlay: the next one is numbered from the largest phandle of the tree on, as if it were applied to what
    /// was written so far.
    pub(crate) fn end_overlay(&mut self) {
        self.max = self.in_tree;
    }
}

impl Live<'_> {
    /// The node with a phandle; of several of the base the first, as for libfdt.
    pub(crate) fn node_with_phandle(&mut self, phandle: u32) -> Option<NodeId> {
        let Self { sources, phandles, .. } = self;
        let found = match phandle.checked_sub(phandles.base_max) {
            None | Some(0) => {
                if !phandles.knows_base {
                    phandles.knows_base = true;
                    phandles.base.note_all(&sources[0]);
                }
                phandles.base.get(phandle)
            }
            Some(above) => phandles.added.get(above),
        };
        found.checked_sub(1).map(|node| self.numbered(node))
    }
}

/// So many phandles may be new without being an overlay's.
const NEW: usize = 64;

/// From number to a node's number among all sources. Real trees number from 1 up, so a vector serves; what lies beyond it
/// goes to a list with a table.
#[derive(Debug, Default)]
struct Numbers {
    /// A node's number plus one; 0 for none.
    dense: Vec<u32>,
    /// The others, and their places in this list by number.
    sparse: Vec<(u32, u32)>,
    slots: Slots,
    seed: Seed,
}

impl Numbers {
    /// Forgets all and makes room for numbers below `dense`.
    fn start(&mut self, dense: usize) {
        self.dense = zeros(mem::take(&mut self.dense), dense);
        self.sparse.clear();
        self.slots = mem::take(&mut self.slots).emptied();
    }

    /// Notes the phandles of the base.
    fn note_all(&mut self, base: &Source<'_>) {
        // Some numbers of a real tree are not in use.
        let bound = base.tree.nodes().len() * 2 + NEW;
        self.start(bound.min(base.tree.largest_phandle() as usize + 1));
        let nodes = (0..).zip(base.tree.nodes()).map(|(node, _)| (base.phandle(NodeIndex(node)), node));
        for (phandle, node) in nodes.filter(|(phandle, _)| *phandle != 0) {
            if self.get(phandle) == 0 {
                self.set(phandle, node + 1);
            }
        }
    }

    /// The node's number plus one; 0 for none.
    fn get(&self, number: u32) -> u32 {
        match self.dense.get(number as usize) {
            Some(node) => *node,
            None => self.find_sparse(number).map_or(0, |entry| self.sparse[entry as usize].1),
        }
    }

    fn find_sparse(&self, number: u32) -> Option<u32> {
        self.slots.find(self.seed.hash_number(number), |entry| self.sparse[entry as usize].0 == number)
    }

    fn set(&mut self, number: u32, node: u32) {
        if let Some(slot) = self.dense.get_mut(number as usize) {
            *slot = node;
            return;
        }
        if let Some(entry) = self.find_sparse(number) {
            self.sparse[entry as usize].1 = node;
            return;
        }
        let Self { dense, sparse, slots, seed } = self;
        if sparse.is_empty() {
            // As many as were thought to be dense.
            sparse.reserve(dense.len());
            slots.reserve(dense.len(), |_| 0);
        }
        // A phandle takes 16 bytes of an input, and all of them have less than 2^32.
        let entry = u32::try_from(sparse.len()).unwrap_or(u32::MAX);
        sparse.push((number, node));
        let hash_of = |entry: u32| seed.hash_number(sparse[entry as usize].0);
        slots.insert(seed.hash_number(number), entry, |_| false, hash_of, false);
    }
}

/// Adds the largest phandle so far to every phandle of the overlay, in `phandle` and in `linux,phandle`.
pub(crate) fn shift_phandles(live: &mut Live<'_>, source: SourceId) -> Result<(), Error> {
    let shift = live.phandles.max;
    let mut max = shift;
    let overlay = live.source_mut(source);
    overlay.shift = shift;
    for index in 0..overlay.tree.phandles().len() {
        let entry = overlay.tree.phandles()[index];
        let value = entry.value;
        if value == 0 || value > MAX {
            return Err(overlay.error(ErrorKind::BadPhandle { phandle: value }, source, entry.at));
        }
        let Some(shifted) = value.checked_add(shift).filter(|&shifted| shifted <= MAX) else {
            return Err(overlay.error(ErrorKind::PhandlesUsedUp, source, entry.at));
        };
        if let Some(property) = overlay.original.property(entry.at) {
            overlay.change_cell(&property, 0, |_| shifted);
        }
        max = max.max(shifted);
    }
    // A phandle that a node of the tree is given from now on must be none of these.
    live.phandles.max = max;
    Ok(())
}
