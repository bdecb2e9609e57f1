//! Putting a fragment's content into its target.
//!
//! A node of the overlay that the target has already is merged into it, property by property and child by
//! child; one that it lacks is appended with its whole subtree in one step.

use alloc::vec::Vec;

use kbt_fdt::NodeIndex;

use crate::error::Error;
use crate::live::Live;
use crate::names::Symbol;
use crate::overlay::Overlay;
use crate::properties::Key;
use crate::source::{NodeId, PropertyRef};

/// A phandle of the overlay whose node has one in the tree already: references go over to that.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Superseded {
    pub(crate) old: u32,
    pub(crate) new: u32,
}

/// A node to merge into another, which is `depth` levels deep.
struct Pair {
    target: NodeId,
    content: NodeId,
    depth: u32,
}

/// Merges the node `content` of an overlay into `target`.
pub(crate) fn merge_node(
    live: &mut Live<'_>,
    target: NodeId,
    content: NodeId,
    superseded: &mut Vec<Superseded>,
) -> Result<(), Error> {
    let mut pending = Vec::from([Pair { target, content, depth: live.depth(target) }]);
    while let Some(Pair { target, content, depth }) = pending.pop() {
        join_phandles(live, target, content, superseded);
        merge_properties(live, target, content);
        let mut next = live.source(content.source).tree.first_child(content.node);
        let end = live.node(content).subtree_end;
        while let Some(node) = next.filter(|&node| node < end) {
            next = Some(live.source(content.source).tree.node(node).subtree_end);
            let child = NodeId { source: content.source, node };
            match live.find_child(target, live.name(child)) {
                Some(existing) => pending.push(Pair { target: existing, content: child, depth: depth + 1 }),
                None => append(live, Pair { target, content: child, depth }, &mut pending)?,
            }
        }
    }
    Ok(())
}

fn merge_properties(live: &mut Live<'_>, target: NodeId, content: NodeId) {
    let source = live.source(content.source);
    let copy = source.original;
    for property in copy.properties(source.tree.node(content.node)) {
        let text = live.source(content.source).property_name(&property);
        let reference = PropertyRef { source: content.source, at: property.at };
        // A property that stands twice in the node was taken out of the copy but for the last.
        let Some(offset) = live.placed_name(reference) else { continue };
        let slot = live.set_property(target, Key { text, offset: Some(offset) }, reference);
        if live.symbols == Some(target) {
            live.names.note_symbol_set(text, Symbol { property: reference, slot });
        }
    }
}

/// Where target and content both have a phandle, the target's stays, and the overlay's references follow.
fn join_phandles(live: &mut Live<'_>, target: NodeId, content: NodeId, superseded: &mut Vec<Superseded>) {
    let source = live.source(content.source);
    let Some(own) = source.tree.phandle(content.node) else { return };
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

/// Appends the subtree `content` to `target`. Siblings of one name in it are left to be merged.
fn append(live: &mut Live<'_>, pair: Pair, pending: &mut Vec<Pair>) -> Result<(), Error> {
    let Pair { target, content, depth } = pair;
    live.attach(target, content, depth)?;
    let end = live.node(content).subtree_end;
    let Live { sources, phandles, .. } = live;
    let source = &sources[content.source.0 as usize];
    for entry in source.tree.phandles_in(content.node, end) {
        let node = NodeId { source: content.source, node: entry.node };
        phandles.set(entry.value.wrapping_add(source.shift), node);
    }
    if content.node.0 + 1 == end.0 {
        return Ok(());
    }
    for node in (content.node.0..end.0).map(NodeIndex) {
        for (first, later) in live.duplicate_children(NodeId { source: content.source, node }) {
            live.remove(later);
            pending.push(Pair { target: first, content: later, depth: live.depth(first) });
        }
    }
    Ok(())
}

/// Points the overlay's references to superseded phandles at what superseded them.
pub(crate) fn follow_superseded(live: &mut Live<'_>, overlay: &Overlay, superseded: &mut [Superseded]) {
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
