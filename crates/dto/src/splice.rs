//! Writing the merged structure block: ranges that nothing happened to are copied as they are, and what the
//! patches say is put between them.
//!
//! Idea: the records of a source are in the order of its bytes. Walking over them finds the next patched node;
//! everything up to its properties is one copy. What is to be appended to a node comes in front of its
//! `FDT_END_NODE`. Mostly that are subtrees in which nothing else is patched, each one copy; for the others the
//! rest of the outer range waits on a stack while the inner one is written.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property, StructureOffset, Tag};

use crate::chain::Chain;
use crate::live::{Appended, Live, Override, Patch};
use crate::source::{NodeId, PropertyRef, SourceId};

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
    /// The next node whose patch is to be looked at, and the node to stop in front of.
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
                if let Some((child, rest)) = writer.unpatched_children(children) {
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

struct Writer<'w, 'a, W> {
    live: &'w Live<'a>,
    out: W,
}

impl<W: FnMut(&[u8])> Writer<'_, '_, W> {
    /// Writes a range up to the first node for which another range has to be written before; the rest of it goes
    /// on the stack.
    fn range(&mut self, mut range: Range, stack: &mut Vec<Pending>) {
        let source = self.live.source(range.source);
        while let Some((number, patch)) = next_patched(&source.patch_of, range.node, range.end) {
            let node = source.tree.node(number);
            let patch = &self.live.patches[patch as usize];
            range.node = NodeIndex(number.0 + 1);
            let first_child = source.tree.first_child(number);
            let content = first_child.map_or(node.end, |child| source.tree.node(child).begin);
            self.properties(&mut range, patch, content);
            if patch.children.is_empty() && !patch.piecewise {
                continue;
            }
            let outer = Range { from: node.end, node: node.subtree_end, ..range };
            if first_child.is_some() && !patch.piecewise {
                stack.push(Pending::Range(outer));
                stack.push(Pending::Children(self.live.appended(patch)));
                range = Range { to: node.end, end: node.subtree_end, ..range };
                continue;
            }
            // None of its own children stands here.
            self.copy(range.source, range.from, content);
            range = outer;
            if let Some((child, rest)) = self.unpatched_children(self.live.appended(patch)) {
                stack.push(Pending::Range(outer));
                stack.push(Pending::Children(rest));
                stack.push(Pending::Range(subtree(self.live, child)));
                return;
            }
        }
        self.copy(range.source, range.from, range.to);
    }

    /// Writes the subtrees of `children` up to the first in which a node is patched; gives that, and those behind
    /// it. Subtrees that stand side by side in their source are one copy.
    fn unpatched_children(&mut self, children: Appended) -> Option<(NodeId, Appended)> {
        let mut rest = children;
        let (mut source, mut from, mut to) = (SourceId::BASE, StructureOffset(0), StructureOffset(0));
        let mut patched = None;
        while let Some(child) = self.live.next_appended(&mut rest) {
            let of = self.live.source(child.source);
            let node = of.tree.node(child.node);
            let patches = of.patch_of.get(child.node.index()..node.subtree_end.index()).unwrap_or_default();
            if patches.iter().any(|&number| number != 0) {
                patched = Some((child, rest));
                break;
            }
            if child.source != source || node.begin != to {
                self.copy(source, from, to);
                (source, from) = (child.source, node.begin);
            }
            to = node.end.plus(Tag::SIZE);
        }
        self.copy(source, from, to);
        patched
    }

    /// Writes up to `content`, the end of the node's properties, with those of the patch.
    fn properties(&mut self, range: &mut Range, patch: &Patch, content: StructureOffset) {
        if !patch.overridden.is_empty() {
            self.overridden(range, patch.overridden);
        }
        if !patch.additions.is_empty() {
            self.copy(range.source, range.from, content);
            range.from = content;
            for (_, addition) in self.live.additions.iter(patch.additions) {
                if let Some(addition) = addition.kept() {
                    self.property(addition);
                }
            }
        }
    }

    /// Writes up to the end of the last of the properties that are replaced.
    fn overridden(&mut self, range: &mut Range, overridden: Chain) {
        let live = self.live;
        // Mostly it is one, or they come in order.
        if let Some(only) = live.overrides.only(overridden) {
            return self.overridden_property(range, only);
        }
        let overrides = live.overrides.iter(overridden).map(|(_, entry)| entry);
        if overrides.clone().is_sorted_by_key(|entry| entry.at) {
            overrides.for_each(|entry| self.overridden_property(range, entry));
        } else {
            let mut overrides: Vec<Override> = overrides.collect();
            overrides.sort_unstable_by_key(|entry| entry.at);
            overrides.into_iter().for_each(|entry| self.overridden_property(range, entry));
        }
    }

    fn overridden_property(&mut self, range: &mut Range, entry: Override) {
        self.copy(range.source, range.from, entry.at);
        if let Some(replacement) = entry.replacement.kept() {
            self.property(replacement);
        }
        range.from = end_of(&self.live.source(range.source).bytes, entry.at);
    }

    fn property(&mut self, property: PropertyRef) {
        let bytes = &self.live.source(property.source).bytes;
        let range = property.at.index()..end_of(bytes, property.at).index();
        (self.out)(bytes.get(range).unwrap_or_default());
    }

    #[inline]
    fn copy(&mut self, source: SourceId, from: StructureOffset, to: StructureOffset) {
        let bytes = &self.live.source(source).bytes;
        (self.out)(bytes.get(from.index()..to.index()).unwrap_or_default());
    }
}

/// The first node from `from` to before `end` that has a patch, and the patch's number.
fn next_patched(patch_of: &[u32], from: NodeIndex, end: NodeIndex) -> Option<(NodeIndex, u32)> {
    let rest = patch_of.get(from.index()..end.index())?;
    // Mostly the next one is near, or far away, so that eight are passed over at a time.
    let (near, far) = rest.split_at_checked(8).unwrap_or((rest, &[]));
    let found = near.iter().position(|&number| number != 0).or_else(|| {
        let (eights, _) = far.as_chunks::<8>();
        let none = |eight: &&[u32; 8]| eight.iter().fold(0, |all, number| all | number) == 0;
        let passed = eights.iter().take_while(none).count() * 8;
        let found = far[passed..].iter().position(|&number| number != 0)?;
        Some(near.len() + passed + found)
    })?;
    Some((NodeIndex(from.0 + u32::try_from(found).ok()?), rest[found] - 1))
}

/// Where the next token behind the property at `at` stands.
#[inline]
fn end_of(bytes: &[u8], at: StructureOffset) -> StructureOffset {
    let header = bytes.get(at.index()..).and_then(<[u8]>::first_chunk::<8>);
    let length = header.map_or(0, |[_, _, _, _, length @ ..]| u32::from_be_bytes(*length));
    // The property was checked, so its end is a place, too.
    StructureOffset(at.0.wrapping_add(Property::HEADER_SIZE).wrapping_add(length.wrapping_add(3) & !3))
}
