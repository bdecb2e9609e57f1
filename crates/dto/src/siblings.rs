//! Siblings of one name in what an overlay brings along.
//!
//! No compiler writes them, and libfdt, which adds node by node, merges them. So an overlay that has some is merged
//! node by node, too (`merge.rs`); all others are appended a subtree at a time.

use alloc::vec::Vec;

use kbt_fdt::NodeIndex;

use crate::live::Live;
use crate::lookup::{Slots, WIDE};
use crate::overlay::Fragment;
use crate::source::{NodeId, Source, SourceId};
use crate::table::Seed;

/// Whether the overlay's fragments have siblings of one name; each but the first is told of.
///
/// It is asked before anything is copied: a table of the names of a wide node takes as much as its nodes.
pub(crate) fn any(live: &mut Live<'_>, id: SourceId, fragments: &[Fragment]) -> bool {
    let mut later: Vec<NodeIndex> = Vec::new();
    let source = live.source(id);
    for fragment in fragments {
        if !source.tree.may_have_siblings_below(fragment.overlay) {
            continue;
        }
        let end = source.tree.node(fragment.overlay).subtree_end;
        for node in (fragment.overlay.0..end.0).map(NodeIndex) {
            if source.tree.may_have_siblings_below(node) && may_share_names(source, node) {
                share_names(source, &live.seed, node, &mut later);
            }
        }
    }
    for &node in &later {
        live.warn_duplicate(NodeId { source: id, node });
    }
    !later.is_empty()
}

/// Whether two of the children may have one name; few of them are compared by the ends of their names.
fn may_share_names(source: &Source<'_>, parent: NodeIndex) -> bool {
    let mut few = [0; WIDE];
    for (count, (_, record)) in source.tree.child_nodes(parent).enumerate() {
        let tail = source.original.name_tail(record);
        let Some(slot) = few.get_mut(count) else { return true };
        *slot = tail;
        if few[..count].contains(&tail) {
            return true;
        }
    }
    false
}

#[cold]
fn share_names(source: &Source<'_>, seed: &Seed, parent: NodeIndex, later: &mut Vec<NodeIndex>) {
    let mut names = Slots::default();
    let hash_of = |node| seed.hash(source.name(NodeIndex(node)));
    names.reserve(source.tree.children(parent).count(), hash_of);
    for child in source.tree.children(parent) {
        let is = |other| source.name(NodeIndex(other)) == source.name(child);
        if names.insert(hash_of(child.0), child.0, is, hash_of, false).is_some() {
            later.push(child);
        }
    }
}
