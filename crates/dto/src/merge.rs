//! Putting a fragment's content into its target.
//!
//! A node of the overlay that the target has already is merged into it, property by property and child by
//! child; one that it lacks is appended with its whole subtree in one step. Only where siblings of the overlay may
//! be merged into each other is each node appended by itself.

use alloc::vec::Vec;

use kbt_fdt::NodeIndex;

use crate::error::Error;
use crate::live::{Live, Run};
use crate::names::Symbol;
use crate::overlay::Overlay;
use crate::source::{NodeId, PropertyRef, Source, SourceId};

/// A phandle of the overlay whose node has one in the tree already: references go over to that.
#[derive(Debug, Clone, Copy)]
struct Superseded {
    old: u32,
    new: u32,
}

/// A node whose children are being merged, and those that are left.
struct Open {
    /// What they are merged into, and how deep that is.
    target: NodeId,
    depth: u32,
    next: NodeIndex,
    end: NodeIndex,
    /// How many runs were put off when it was opened.
    put_off: usize,
}

/// The merge of an overlay's fragments.
pub(crate) struct Merging {
    /// The innermost last; no more of them than there are levels.
    open: Vec<Open>,
    /// Children that the targets of those lack. They are appended when all of a node's children were looked up, since
    /// none of them is what a sibling is merged into.
    put_off: Vec<Run>,
    superseded: Vec<Superseded>,
    /// Whether each node is appended by itself: siblings in the overlay may have one name, or what is one name to
    /// libfdt.
    piecewise: bool,
}

impl Merging {
    pub(crate) fn new(piecewise: bool) -> Self {
        Self { open: Vec::new(), put_off: Vec::new(), superseded: Vec::new(), piecewise }
    }

    /// Merges the node `content` of an overlay into `target`.
    pub(crate) fn merge_node(
        &mut self,
        live: &mut Live<'_>,
        target: NodeId,
        content: NodeId,
    ) -> Result<(), Error> {
        self.enter(live, target, content)?;
        while let Some(open) = self.open.last_mut() {
            let child = NodeId { source: content.source, node: open.next };
            if open.next >= open.end {
                let (target, from) = (open.target, open.put_off);
                live.attach_runs(target, self.put_off.drain(from..));
                self.open.pop();
                continue;
            }
            let (target, depth, next) = (open.target, open.depth, live.node(child).subtree_end);
            open.next = next;
            match live.find_child(target, live.name(child)) {
                Some(target) => self.enter(live, target, child)?,
                None if self.piecewise => {
                    live.attach_alone(target, child, depth)?;
                    note_phandles(live, child.source, child.node, NodeIndex(child.node.0 + 1));
                    self.enter(live, child, child)?;
                }
                None => {
                    live.check_depth(child, child.node, depth)?;
                    self.put_off(Run { source: child.source, from: child.node, to: next });
                    note_phandles(live, child.source, child.node, next);
                }
            }
        }
        Ok(())
    }

    fn put_off(&mut self, run: Run) {
        let from = self.open.last().map_or(0, |open| open.put_off);
        match self.put_off[from..].last_mut() {
            Some(last) if last.to == run.from => last.to = run.to,
            _ => self.put_off.push(run),
        }
    }

    /// Merges the properties of `content` into `target`, and opens it where it has children to be merged one by one.
    fn enter(&mut self, live: &mut Live<'_>, target: NodeId, content: NodeId) -> Result<(), Error> {
        if target != content {
            join_phandles(live, target, content, &mut self.superseded);
            merge_properties(live, target, content);
        }
        let Some(next) = live.source(content.source).tree.first_child(content.node) else { return Ok(()) };
        if target != content {
            live.merge_into(content, target);
        }
        let (depth, end) = (live.depth(target), live.node(content).subtree_end);
        // Nothing to look for in a target without children.
        if self.piecewise || live.has_children(target) {
            self.open.push(Open { target, depth, next, end, put_off: self.put_off.len() });
        } else {
            live.attach_children(target, content, depth)?;
            note_phandles(live, content.source, next, end);
        }
        Ok(())
    }

    /// Points the overlay's references to superseded phandles at what superseded them.
    pub(crate) fn follow_superseded(mut self, live: &mut Live<'_>, overlay: &Overlay<'_>) {
        live.phandles.end_overlay();
        let superseded = &mut self.superseded;
        if superseded.is_empty() {
            return;
        }
        superseded.iter().for_each(|entry| live.phandles.forget(entry.old));
        superseded.sort_unstable_by_key(|entry| entry.old);
        let source = live.source_mut(overlay.source);
        for &reference in &overlay.local_references {
            source.change_cell_at(reference, |phandle| {
                let found = superseded.binary_search_by_key(&phandle, |entry| entry.old);
                found.map_or(phandle, |index| superseded[index].new)
            });
        }
    }
}

/// Notes the phandles of nodes that were appended, from node `from` to before `end`.
fn note_phandles(live: &mut Live<'_>, source: SourceId, from: NodeIndex, end: NodeIndex) {
    let Live { sources, phandles, .. } = live;
    let Source { tree, shift, first_node, .. } = &sources[source.0 as usize];
    for entry in tree.phandles_in(from, end) {
        phandles.set(entry.value.wrapping_add(*shift), first_node + entry.node.0);
    }
}

fn merge_properties(live: &mut Live<'_>, target: NodeId, content: NodeId) {
    let source = live.source(content.source);
    let (mut behind, end) = (source.tree.node(content.node).body, source.properties_end(content.node));
    // In the copy, from which a property that stands twice in the node was taken out but for the last.
    while behind != end
        && let Some(property) = live.source(content.source).copy().next_property(behind)
    {
        behind = property.end();
        let reference = PropertyRef { source: content.source, at: property.at };
        let slot = live.set_property(target, property.name, reference);
        if live.symbols == Some(target) {
            let text = live.names.get(property.name).to_vec();
            live.names.note_symbol_set(&text, Symbol { property: reference, slot, node: 0 });
        }
    }
}

/// Where target and content both have a phandle, the target's stays, and the overlay's references follow.
fn join_phandles(live: &mut Live<'_>, target: NodeId, content: NodeId, superseded: &mut Vec<Superseded>) {
    let source = live.source(content.source);
    let own = source.tree.phandle(content.node);
    if own == 0 {
        return;
    }
    let own = own.wrapping_add(source.shift);
    let kept = live.phandle(target).filter(|&kept| kept != own);
    let number = live.number(target);
    let Some(kept) = kept else { return live.phandles.set(own, number) };
    live.phandles.lead(own, number);
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
