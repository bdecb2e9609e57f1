//! Writing the merged structure block: ranges that nothing happened to are copied as they are, and what the
//! changes say is put between them.
//!
//! Idea: the records of a source are in the order of its bytes. Walking over them finds the next changed node;
//! everything up to its properties is one copy. What is to be appended to a node comes in front of its
//! `FDT_END_NODE`. Mostly that are subtrees in which nothing else is changed, each one copy; for the others the
//! rest of the outer range waits on a stack while the inner one is written.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property, StructureOffset, Tag};

use crate::links::{Change, List, PropertyPlace};
use crate::live::{Appended, Live};
use crate::source::{NodeId, Source, SourceId};

/// What is still to be written.
enum Pending {
    /// Bytes of a source, and the nodes in them.
    Range(Range),
    /// Subtrees to append.
    Children(Appended),
}

#[derive(Clone, Copy)]
struct Range {
    source: SourceId,
    /// The next byte to write, and the byte to stop in front of.
    from: StructureOffset,
    to: StructureOffset,
    /// The next node whose changes are to be looked at, and the node to stop in front of.
    node: NodeIndex,
    end: NodeIndex,
}

/// Gives the merged structure block to `out`, piece by piece.
pub(crate) fn write_structure(live: &Live<'_>, out: impl FnMut(&[u8])) {
    let base = &live.sources[0].tree;
    let mut writer = Writer { live, out };
    let whole = Range {
        source: SourceId::BASE,
        // Nothing stands in front of the root node: libfdt and dtc look for it at the start.
        from: base.node(NodeIndex::ROOT).begin,
        to: StructureOffset(base.size()),
        node: NodeIndex::ROOT,
        end: base.node(NodeIndex::ROOT).subtree_end,
    };
    let mut stack = Vec::from([Pending::Range(whole)]);
    while let Some(pending) = stack.pop() {
        match pending {
            Pending::Range(range) => writer.range(range, &mut stack),
            Pending::Children(children) => {
                if let Some((child, rest)) = writer.unchanged_children(children) {
                    stack.push(Pending::Children(rest));
                    stack.push(Pending::Range(subtree(live, child)));
                }
            }
        }
    }
}

fn subtree(live: &Live<'_>, top: NodeId) -> Range {
    let node = live.node(top);
    let to = node.end.plus(Tag::SIZE);
    Range { source: top.source, from: node.begin, to, node: top.node, end: node.subtree_end }
}

/// What a node's list of changes has.
#[derive(Clone, Copy, Default)]
struct Kinds {
    runs: bool,
    added: bool,
    overridden: bool,
    /// Where the last of these stands, and whether any stands in front of the one before it.
    last_overridden: u32,
    disordered: bool,
    piecewise: bool,
}

struct Writer<'w, 'a, W> {
    live: &'w Live<'a>,
    out: W,
}

impl<W: FnMut(&[u8])> Writer<'_, '_, W> {
    /// Writes a range up to the first node for which another range has to be written before; the rest of it goes
    /// on the stack.
    fn range(&mut self, mut range: Range, stack: &mut Vec<Pending>) {
        let source = self.live.source(range.source);
        let changes_of = self.live.changes_in(source);
        while let Some((number, list)) = next_changed(changes_of, range.node, range.end) {
            let node = source.tree.node(number);
            range.node = NodeIndex(number.0 + 1);
            let first_child = source.tree.first_child(number);
            let content = first_child.map_or(node.end, |child| source.tree.node(child).begin);
            // Mostly it is just one.
            match self.live.links.only(list) {
                Some(Change::Overridden { at, replacement }) => {
                    self.overridden_property(source, &mut range, at, replacement);
                    continue;
                }
                Some(Change::Added(place)) => {
                    self.added_property(source, &mut range, content, place);
                    continue;
                }
                _ => {}
            }
            let kinds = self.kinds(list);
            self.properties(source, &mut range, list, kinds, content);
            if !kinds.runs && !kinds.piecewise {
                continue;
            }
            let outer = Range { from: node.end, node: node.subtree_end, ..range };
            if first_child.is_some() && !kinds.piecewise {
                stack.push(Pending::Range(outer));
                stack.push(Pending::Children(self.live.appended(list)));
                range = Range { to: node.end, end: node.subtree_end, ..range };
                continue;
            }
            // None of its own children stands here.
            self.copy(range.source, range.from, content);
            range = outer;
            if let Some((child, rest)) = self.unchanged_children(self.live.appended(list)) {
                stack.push(Pending::Range(outer));
                stack.push(Pending::Children(rest));
                stack.push(Pending::Range(subtree(self.live, child)));
                return;
            }
        }
        self.copy(range.source, range.from, range.to);
    }

    /// Writes the subtrees of `children` up to the first in which a node is changed; gives that, and those behind
    /// it. Subtrees that stand side by side in their source are one copy.
    fn unchanged_children(&mut self, mut children: Appended) -> Option<(NodeId, Appended)> {
        loop {
            let run = &mut children.run;
            let source = self.live.source(run.source);
            let changes_of = self.live.changes_in(source);
            let (mut from, mut to) = (StructureOffset(0), StructureOffset(0));
            let mut changed = None;
            while run.from < run.to && changed.is_none() {
                let node = source.tree.node(run.from);
                let changes = changes_of.get(run.from.index()..node.subtree_end.index());
                if changes.unwrap_or_default().iter().any(|&number| number != 0) {
                    changed = Some(NodeId { source: run.source, node: run.from });
                } else {
                    if node.begin != to {
                        self.copy(run.source, from, to);
                        from = node.begin;
                    }
                    to = node.end.plus(Tag::SIZE);
                }
                run.from = node.subtree_end;
            }
            self.copy(run.source, from, to);
            if let Some(changed) = changed {
                return Some((changed, children));
            }
            if !self.live.next_run(&mut children) {
                return None;
            }
        }
    }

    /// What a list of changes has.
    fn kinds(&self, list: List) -> Kinds {
        let mut kinds = Kinds::default();
        for (_, change) in self.live.links.iter(list) {
            match change {
                Change::Run { .. } => kinds.runs = true,
                Change::Added(_) => kinds.added = true,
                Change::Overridden { at, .. } => {
                    kinds.disordered |= at.0 < kinds.last_overridden;
                    (kinds.overridden, kinds.last_overridden) = (true, at.0);
                }
                Change::State(state) => kinds.piecewise = state.piecewise,
            }
        }
        kinds
    }

    /// Writes up to `content`, the end of the node's properties, with those of the list.
    fn properties(
        &mut self,
        source: &Source<'_>,
        range: &mut Range,
        list: List,
        kinds: Kinds,
        content: StructureOffset,
    ) {
        if kinds.overridden {
            self.overridden(source, range, list, kinds.disordered);
        }
        if kinds.added {
            for (_, change) in self.live.links.iter(list) {
                if let Change::Added(place) = change {
                    self.added_property(source, range, content, place);
                }
            }
        }
    }

    /// Writes up to `content`, the end of the node's properties, and then a property.
    #[inline(always)]
    fn added_property(
        &mut self,
        source: &Source<'_>,
        range: &mut Range,
        content: StructureOffset,
        place: PropertyPlace,
    ) {
        self.copy_of(source, range.from, content);
        range.from = content;
        self.property(place);
    }

    /// Writes up to the end of the last of the properties that are replaced.
    fn overridden(&mut self, source: &Source<'_>, range: &mut Range, list: List, disordered: bool) {
        let overridden = |(_, change)| match change {
            Change::Overridden { at, replacement } => Some((at, replacement)),
            _ => None,
        };
        let entries = self.live.links.iter(list).filter_map(overridden);
        if disordered {
            let mut entries: Vec<_> = entries.collect();
            entries.sort_unstable_by_key(|(at, _)| *at);
            entries
                .into_iter()
                .for_each(|(at, replacement)| self.overridden_property(source, range, at, replacement));
        } else {
            entries.for_each(|(at, replacement)| self.overridden_property(source, range, at, replacement));
        }
    }

    #[inline(always)]
    fn overridden_property(
        &mut self,
        source: &Source<'_>,
        range: &mut Range,
        at: StructureOffset,
        replacement: PropertyPlace,
    ) {
        self.copy_of(source, range.from, at);
        self.property(replacement);
        range.from = end_of(&source.bytes, at);
    }

    /// Writes a property, unless it was taken away.
    #[inline(always)]
    fn property(&mut self, place: PropertyPlace) {
        let Some((source, at)) = self.live.source_of(place) else { return };
        let range = at.index()..end_of(&source.bytes, at).index();
        (self.out)(source.bytes.get(range).unwrap_or_default());
    }

    #[inline]
    fn copy(&mut self, source: SourceId, from: StructureOffset, to: StructureOffset) {
        self.copy_of(self.live.source(source), from, to);
    }

    #[inline(always)]
    fn copy_of(&mut self, source: &Source<'_>, from: StructureOffset, to: StructureOffset) {
        (self.out)(source.bytes.get(from.index()..to.index()).unwrap_or_default());
    }
}

/// The first node from `from` to before `end` that is changed, and its list of changes.
fn next_changed(changes_of: &[u32], from: NodeIndex, end: NodeIndex) -> Option<(NodeIndex, List)> {
    let rest = changes_of.get(from.index()..end.index())?;
    // Mostly the next one is near, or far away, so that eight are passed over at a time.
    let (near, far) = rest.split_at_checked(8).unwrap_or((rest, &[]));
    let found = near.iter().position(|&number| number != 0).or_else(|| {
        let (eights, _) = far.as_chunks::<8>();
        let none = |eight: &&[u32; 8]| eight.iter().fold(0, |all, number| all | number) == 0;
        let passed = eights.iter().take_while(none).count() * 8;
        let found = far[passed..].iter().position(|&number| number != 0)?;
        Some(near.len() + passed + found)
    })?;
    Some((NodeIndex(from.0 + u32::try_from(found).ok()?), List::ending_in(rest[found] - 1)))
}

/// Where the next token behind the property at `at` stands.
#[inline]
fn end_of(bytes: &[u8], at: StructureOffset) -> StructureOffset {
    let header = bytes.get(at.index()..).and_then(<[u8]>::first_chunk::<8>);
    let length = header.map_or(0, |[_, _, _, _, length @ ..]| u32::from_be_bytes(*length));
    // The property was checked, so its end is a place, too.
    StructureOffset(at.0.wrapping_add(Property::HEADER_SIZE).wrapping_add(length.wrapping_add(3) & !3))
}
