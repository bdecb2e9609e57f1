//! Which node has a phandle, and how an overlay's phandles are moved out of the way.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Tree};

use crate::error::{Error, ErrorKind};
use crate::live::Live;
use crate::source::{NodeId, SourceId};
use crate::table::Map;

/// The largest value that a phandle can have (Devicetree Specification v0.4: 0 and 0xffffffff are reserved).
pub(crate) const MAX: u32 = 0xffff_fffe;

/// From phandle to node.
///
/// A fragment's target is mostly a label, which leads to its node without this: so the base's phandles are put into a
/// table only when one of them is asked for. All others are above the largest of those.
#[derive(Debug)]
pub(crate) struct Phandles {
    base: Option<Numbers>,
    base_max: u32,
    /// Under what a phandle is above `base_max`.
    added: Numbers,
    /// The largest phandle so far.
    pub(crate) max: u32,
}

impl Phandles {
    /// `max`: the largest of the base; `more`: how many the overlays have.
    pub(crate) fn new(max: u32, more: usize) -> Self {
        Self { base: None, base_max: max, added: Numbers::new(more + NEW), max }
    }

    pub(crate) fn set(&mut self, phandle: u32, node: NodeId) {
        self.max = self.max.max(phandle);
        if let Some(above) = phandle.checked_sub(self.base_max) {
            self.added.set(above, node);
        }
    }
}

impl Live<'_> {
    /// The node with a phandle; of several of the base the first, as for libfdt.
    pub(crate) fn node_with_phandle(&mut self, phandle: u32) -> Option<NodeId> {
        let Self { sources, phandles, .. } = self;
        match phandle.checked_sub(phandles.base_max) {
            None | Some(0) => {
                phandles.base.get_or_insert_with(|| base_numbers(&sources[0].tree)).get(phandle)
            }
            Some(above) => phandles.added.get(above),
        }
    }
}

fn base_numbers(base: &Tree) -> Numbers {
    let nodes = || base.nodes().iter().map(|node| node.phandle).zip(0..).filter(|(phandle, _)| *phandle != 0);
    // Some numbers of a real tree are not in use.
    let bound = nodes().count() * 2 + NEW;
    let mut numbers = Numbers::new(bound.min(base.largest_phandle() as usize + 1));
    for (phandle, node) in nodes() {
        if numbers.get(phandle).is_none() {
            numbers.set(phandle, NodeId { source: SourceId::BASE, node: NodeIndex(node) });
        }
    }
    numbers
}

/// So many phandles may be new without being an overlay's.
const NEW: usize = 64;

/// From number to node. Real trees number from 1 up, so a vector serves; what lies beyond it goes to a map.
#[derive(Debug)]
struct Numbers {
    /// Node and source packed, plus one; 0 for none.
    dense: Vec<u64>,
    sparse: Map<NodeId>,
}

impl Numbers {
    fn new(dense: usize) -> Self {
        Self { dense: alloc::vec![0; dense], sparse: Map::default() }
    }

    fn get(&self, number: u32) -> Option<NodeId> {
        match self.dense.get(number as usize) {
            Some(0) => None,
            Some(packed) => Some(unpack(*packed)),
            None => self.sparse.get(u64::from(number)).copied(),
        }
    }

    fn set(&mut self, number: u32, node: NodeId) {
        match self.dense.get_mut(number as usize) {
            Some(slot) => *slot = pack(node),
            None => _ = self.sparse.insert(u64::from(number), node),
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
