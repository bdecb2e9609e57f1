//! Putting a fragment's content into its target.
//!
//! A node of the overlay that the target has already is merged into it, property by property and child by
//! child; one that it lacks is appended with its whole subtree in one step. Only where siblings of the overlay may
//! be merged into each other is each node appended by itself.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use kbt_fdt::NodeIndex;

use crate::error::Error;
use crate::live::Live;
use crate::names::Symbol;
use crate::overlay::Overlay;
use crate::source::{NodeId, PropertyRef, Source, SourceId};

/// A phandle of the overlay whose node has one in the tree already: references go over to that.
#[derive(Debug, Clone, Copy)]
struct Superseded {
    old: u32,
    new: u32,
}

/// A node to merge into another.
struct Pair {
    target: NodeId,
    content: NodeId,
}

/// The merge of an overlay's fragments.
pub(crate) struct Merging {
    /// First in, first out: where siblings of one name follow each other, the last one's values stay.
    pending: VecDeque<Pair>,
    superseded: Vec<Superseded>,
    /// Whether each node is appended by itself.
    piecewise: bool,
}

impl Merging {
    /// `piecewise`: siblings in the overlay may have one name, or what is one name to libfdt.
    pub(crate) fn new(piecewise: bool) -> Self {
        Self { pending: VecDeque::new(), superseded: Vec::new(), piecewise }
    }

    /// Merges the node `content` of an overlay into `target`.
    pub(crate) fn merge_node(
        &mut self,
        live: &mut Live<'_>,
        target: NodeId,
        content: NodeId,
    ) -> Result<(), Error> {
        let mut pair = Pair { target, content };
        loop {
            let Pair { target, content } = pair;
            if target != content {
                join_phandles(live, target, content, &mut self.superseded);
                merge_properties(live, target, content);
            }
            if live.source(content.source).tree.first_child(content.node).is_some() {
                self.merge_children(live, target, content)?;
            }
            match self.pending.pop_front() {
                Some(next) => pair = next,
                None => return Ok(()),
            }
        }
    }

    fn merge_children(&mut self, live: &mut Live<'_>, target: NodeId, content: NodeId) -> Result<(), Error> {
        let depth = live.depth(target);
        live.patch_mut(content).merged_into = Some(target);
        let mut node = NodeIndex(content.node.0 + 1);
        let end = live.node(content).subtree_end;
        // Nothing to look for in a target without children.
        if !self.piecewise && !live.has_children(target) {
            live.attach_children(target, content, depth)?;
            note_phandles(live, content.source, node, end);
            return Ok(());
        }
        while node < end {
            let child = NodeId { source: content.source, node };
            let next = live.node(child).subtree_end;
            match live.find_child(target, live.name(child)) {
                Some(target) => self.pending.push_back(Pair { target, content: child }),
                None if self.piecewise => {
                    live.attach_alone(target, child, depth)?;
                    note_phandles(live, content.source, node, NodeIndex(node.0 + 1));
                    self.pending.push_back(Pair { target: child, content: child });
                }
                None => {
                    live.attach(target, child, depth)?;
                    note_phandles(live, content.source, node, next);
                }
            }
            node = next;
        }
        Ok(())
    }

    /// Points the overlay's references to superseded phandles at what superseded them.
    pub(crate) fn follow_superseded(mut self, live: &mut Live<'_>, overlay: &Overlay<'_>) {
        let superseded = &mut self.superseded;
        if superseded.is_empty() {
            return;
        }
        superseded.sort_unstable_by_key(|entry| entry.old);
        let source = live.source_mut(overlay.source);
        for reference in &overlay.local_references {
            source.change_cell(&reference.property, reference.at, |phandle| {
                let found = superseded.binary_search_by_key(&phandle, |entry| entry.old);
                found.map_or(phandle, |index| superseded[index].new)
            });
        }
    }
}

/// Notes the phandles of nodes that were appended, from node `from` to before `end`.
fn note_phandles(live: &mut Live<'_>, source: SourceId, from: NodeIndex, end: NodeIndex) {
    let Live { sources, phandles, .. } = live;
    let Source { tree, shift, .. } = &sources[source.0 as usize];
    for entry in tree.phandles_in(from, end) {
        phandles.set(entry.value.wrapping_add(*shift), NodeId { source, node: entry.node });
    }
}

fn merge_properties(live: &mut Live<'_>, target: NodeId, content: NodeId) {
    let mut behind = live.node(content).body;
    // In the copy, from which a property that stands twice in the node was taken out but for the last.
    while let Some(property) = live.source(content.source).copy().next_property(behind) {
        behind = property.end();
        let reference = PropertyRef { source: content.source, at: property.at };
        let slot = live.set_property(target, property.name, reference);
        if live.symbols == Some(target) {
            let text = live.names.get(property.name).to_vec();
            live.names.note_symbol_set(&text, Symbol { property: reference, slot });
        }
    }
}

/// Where target and content both have a phandle, the target's stays, and the overlay's references follow.
fn join_phandles(live: &mut Live<'_>, target: NodeId, content: NodeId, superseded: &mut Vec<Superseded>) {
    let source = live.source(content.source);
    let own = source.tree.node(content.node).phandle;
    if own == 0 {
        return;
    }
    let own = own.wrapping_add(source.shift);
    let kept = live.phandle(target).filter(|&kept| kept != own);
    live.phandles.set(own, target);
    let Some(kept) = kept else { return };
    superseded.push(Superseded { old: own, new: kept });
    let overlay = live.source_mut(content.source);
    let end = NodeIndex(content.node.0 + 1);
    for index in 0..overlay.tree.phandles_in(content.node, end).len() {
        let entry = overlay.tree.phandles_in(content.node, end)[index];
        if let Some(property) = overlay.original.property(entry.at) {
            overlay.change_cell(&property, 0, |_| kept);
        }
    }
}
