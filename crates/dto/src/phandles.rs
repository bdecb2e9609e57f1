//! Which node has a phandle, and how an overlay's phandles are moved out of the way.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, PhandleProperty};

use crate::error::{Error, ErrorKind};
use crate::live::Live;
use crate::source::{NodeId, SourceId};
use crate::table::Map;

/// The largest value that a phandle can have (Devicetree Specification v0.4: 0 and 0xffffffff are reserved).
pub(crate) const MAX: u32 = 0xffff_fffe;

/// From phandle to node. Real trees number from 1 up, so a vector serves; what lies beyond it goes to a map.
#[derive(Debug)]
pub(crate) struct Phandles {
    /// Node and source packed, plus one; 0 for none.
    dense: Vec<u64>,
    sparse: Map<NodeId>,
    /// The largest phandle so far.
    pub(crate) max: u32,
}

impl Phandles {
    /// `base`: those of the base; `more`: how many the overlays have.
    pub(crate) fn new(base: &[PhandleProperty], more: usize) -> Self {
        // Some numbers of a real tree are not in use, and new ones may be needed.
        let bound = base.len() * 2 + more + 64;
        let largest = base.iter().map(|entry| entry.value as usize).filter(|&value| value < bound).max();
        let dense = alloc::vec![0; bound.min(largest.unwrap_or(0) + more + 64)];
        Self { dense, sparse: Map::default(), max: 0 }
    }

    #[inline]
    pub(crate) fn get(&self, phandle: u32) -> Option<NodeId> {
        match self.dense.get(phandle as usize) {
            Some(0) => None,
            Some(packed) => Some(unpack(*packed)),
            None => self.sparse.get(u64::from(phandle)).copied(),
        }
    }

    /// The same for a phandle that may be there already: the first node with it counts, as for libfdt.
    #[inline]
    fn set_first(&mut self, phandle: u32, node: NodeId) {
        match self.dense.get_mut(phandle as usize) {
            Some(slot) => {
                if *slot == 0 {
                    *slot = pack(node);
                    self.max = self.max.max(phandle);
                }
            }
            None => {
                if self.get(phandle).is_none() {
                    self.set(phandle, node);
                }
            }
        }
    }

    pub(crate) fn set(&mut self, phandle: u32, node: NodeId) {
        self.max = self.max.max(phandle);
        match self.dense.get_mut(phandle as usize) {
            Some(slot) => *slot = pack(node),
            None => {
                self.sparse.insert(u64::from(phandle), node);
            }
        }
    }
}

fn pack(node: NodeId) -> u64 {
    (u64::from(node.source.0) << 32 | u64::from(node.node.0)) + 1
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves of a packed pair")]
fn unpack(packed: u64) -> NodeId {
    let pair = packed - 1;
    NodeId { source: SourceId((pair >> 32) as u32), node: NodeIndex(pair as u32) }
}

/// Notes the phandles of the base.
pub(crate) fn note_base(live: &mut Live<'_>) {
    let Live { sources, phandles, .. } = live;
    for entry in sources[0].tree.phandles() {
        let node = NodeId { source: SourceId::BASE, node: entry.node };
        phandles.set_first(entry.value, node);
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
