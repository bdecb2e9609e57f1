//! The merged tree as it stands between two overlays: the sources, and what happens to their nodes.
//!
//! Idea: nothing is rebuilt. A node that an overlay changes gets a list of changes ([`links`](crate::links)): properties to
//! replace or to append, subtrees to append. A subtree that an overlay adds stays in the overlay's own source and is one
//! change of its parent; a later fragment or overlay may change its nodes in turn. Looking up, the live
//! tree is the source's own children and properties, then what the changes add. [`splice`](crate::splice)
//! finally writes untouched ranges as they are.
//!
//! Limits: a node with many children or properties is looked up in a table after some look-ups, so that no input
//! makes the merge quadratic (`lookup.rs`).

use alloc::vec::Vec;
use core::mem;

use kbt_fdt::{Node, NodeIndex, StringsBlock, StructureOffset};

use crate::error::{Place, Warning, WarningKind};
use crate::links::{Change, Links, List, PropertyPlace, Rest, State};
use crate::lookup::Lookup;
use crate::memory::{Memory, Spare, zeros};
use crate::names::Names;
use crate::phandles::{self, Phandles};
use crate::source::{NodeId, PropertyRef, Source, SourceId};
use crate::table::Seed;

/// More warnings of a kind than this are not kept.
const MAX_WARNINGS: usize = 100;

/// From here on an entry of [`Live::changes_of`] stands for a node that was merged into another.
pub(crate) const MERGED: u32 = 1 << 31;

/// Nodes of a source whose subtrees stand one behind the other, and are appended so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) source: SourceId,
    pub(crate) from: NodeIndex,
    /// The node to stop in front of.
    pub(crate) to: NodeIndex,
}

/// What is left of the subtrees to append.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    pub(crate) run: Run,
    pub(crate) rest: Rest,
}

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) names: Names<'a>,
    pub(crate) phandles: Phandles,
    pub(crate) links: Links,
    /// Of each node of each source the number of the last link of its list of changes plus one; 0 for a node that nothing
    /// happens to. Above [`MERGED`] it is the number of the node that this one was merged into.
    pub(crate) changes_of: Vec<u32>,
    pub(crate) warnings: Vec<Warning>,
    /// `/__symbols__`, once it was looked for.
    pub(crate) symbols: Option<NodeId>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) spare: Spare,
    pub(crate) seed: Seed,
    pub(crate) loose_names: bool,
    /// Bytes of all structure blocks that were read; what the merge makes stands behind them.
    pub(crate) input_bytes: u32,
    /// Whether places in all that was read and made cannot be counted in 32 bits any more.
    pub(crate) too_large: bool,
}

impl<'a> Live<'a> {
    /// `input_bytes`: of all structure blocks, as [`Source::counted_bytes`] tells.
    pub(crate) fn new(
        memory: &mut Memory,
        mut sources: Vec<Source<'a>>,
        strings: StringsBlock<'a>,
        loose_names: bool,
        input_bytes: u32,
    ) -> Self {
        let (mut first_node, mut first_byte) = (0_u32, 0_u32);
        for (id, source) in (0..).map(SourceId).zip(&mut sources) {
            (source.first_node, source.first_byte) = (first_node, first_byte);
            // All inputs have less than 2^32 bytes, and a node takes 12.
            first_node += u32::try_from(source.tree.nodes().len()).unwrap_or(0);
            if id != SourceId::MADE {
                first_byte += u32::try_from(source.counted_bytes()).unwrap_or(0);
            }
        }
        let more = sources.iter().skip(1).map(|source| source.tree.phandles().len()).sum();
        let mut phandles = mem::take(&mut memory.phandles);
        phandles.start(sources[0].tree.largest_phandle(), more);
        let mut links = mem::take(&mut memory.links);
        links.clear();
        Self {
            sources,
            names: Names::new(mem::take(&mut memory.names), strings),
            phandles,
            input_bytes,
            too_large: false,
            links,
            changes_of: zeros(mem::take(&mut memory.changes_of), first_node as usize),
            warnings: Vec::new(),
            symbols: None,
            lookups: Vec::new(),
            spare: mem::take(&mut memory.spare),
            seed: Seed::default(),
            loose_names,
        }
    }

    pub(crate) fn source(&self, id: SourceId) -> &Source<'a> {
        &self.sources[id.0 as usize]
    }

    pub(crate) fn source_mut(&mut self, id: SourceId) -> &mut Source<'a> {
        &mut self.sources[id.0 as usize]
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.source(id.source).tree.node(id.node)
    }

    pub(crate) fn name(&self, id: NodeId) -> &'a [u8] {
        self.source(id.source).name(id.node)
    }

    /// What happens to the node.
    #[inline]
    pub(crate) fn list(&self, id: NodeId) -> List {
        let slot = self.changes_of.get(self.number(id) as usize);
        let last = slot.and_then(|slot| slot.checked_sub(1)).filter(|&last| last < MERGED);
        last.map_or(List::EMPTY, List::ending_in)
    }

    /// The entries of [`Live::changes_of`] that are of a source's nodes.
    pub(crate) fn changes_in(&self, source: &Source<'a>) -> &[u32] {
        self.changes_of.get(source.first_node as usize..).unwrap_or_default()
    }

    /// What is known of the node if it has many children or properties.
    #[inline]
    pub(crate) fn state(&self, id: NodeId) -> State {
        self.links.state(self.list(id))
    }

    pub(crate) fn change_state(&mut self, id: NodeId, change: impl FnOnce(&mut State)) {
        let list = self.list(id);
        let mut state = self.links.state(list);
        change(&mut state);
        let list = self.links.set_state(list, state);
        self.set_list(id, list);
    }

    /// Notes that something happens to the node; gives the number of the link.
    #[inline(always)]
    pub(crate) fn push_change(&mut self, id: NodeId, list: List, change: Change) -> u32 {
        let link = self.links.push(list, change);
        self.set_list(id, List::ending_in(link));
        link
    }

    #[inline]
    fn set_list(&mut self, id: NodeId, list: List) {
        let number = self.number(id);
        self.changes_of[number as usize] = list.number_plus_one();
    }

    /// The number of a property's place among those of all structure blocks; what the merge makes is behind the others.
    #[inline]
    pub(crate) fn place_of(&self, property: PropertyRef) -> PropertyPlace {
        if property.source == SourceId::MADE {
            return PropertyPlace(self.input_bytes.wrapping_add(property.at.0));
        }
        PropertyPlace(self.source(property.source).first_byte + property.at.0)
    }

    /// The property at a place; none where it was taken away.
    #[inline]
    pub(crate) fn property_ref(&self, place: PropertyPlace) -> Option<PropertyRef> {
        let (source, at) = self.locate(place)?;
        // There are less sources than tokens.
        Some(PropertyRef { source: SourceId(u32::try_from(source).unwrap_or(0)), at })
    }

    /// The same with the source itself.
    #[inline(always)]
    pub(crate) fn source_of(&self, place: PropertyPlace) -> Option<(&Source<'a>, StructureOffset)> {
        // Mostly there is one overlay, the last of the sources.
        match self.sources.last() {
            Some(last) if (last.first_byte..self.input_bytes).contains(&place.0) => {
                Some((last, StructureOffset(place.0 - last.first_byte)))
            }
            _ => {
                let (source, at) = self.locate(place)?;
                Some((self.sources.get(source)?, at))
            }
        }
    }

    /// The number of a place's source, and where it is in that.
    fn locate(&self, place: PropertyPlace) -> Option<(usize, StructureOffset)> {
        if let Some(at) = place.0.checked_sub(self.input_bytes) {
            let made = (SourceId::MADE.0 as usize, StructureOffset(at));
            return (place != PropertyPlace::REMOVED).then_some(made);
        }
        let source = self.sources.partition_point(|source| source.first_byte <= place.0).checked_sub(1)?;
        Some((source, StructureOffset(place.0 - self.sources[source].first_byte)))
    }

    /// Keeps a warning, once.
    pub(crate) fn warn(&mut self, kind: WarningKind, source: SourceId, at: Option<StructureOffset>) {
        let offset = at.map(|at| self.source(source).input_offset(at));
        let place = Place { input: source.input(), offset, fragment: None, property: None };
        self.keep(Warning { kind, place });
    }

    pub(crate) fn keep(&mut self, warning: Warning) {
        let kind = core::mem::discriminant(&warning.kind);
        let like_it = self.warnings.iter().filter(|other| core::mem::discriminant(&other.kind) == kind);
        if like_it.count() < MAX_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The parent in the merged tree; none for the root node.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        if id.node == NodeIndex::ROOT {
            return None;
        }
        let above = NodeId { source: id.source, node: self.node(id).parent };
        let slot = self.changes_of.get(self.number(above) as usize);
        let merged_into = slot.and_then(|slot| slot.checked_sub(MERGED));
        Some(merged_into.map_or(above, |number| self.numbered(number)))
    }

    /// Notes that `content`, which has children, was merged into another node: that is their parent now.
    pub(crate) fn merge_into(&mut self, content: NodeId, target: NodeId) {
        let number = self.number(target);
        let content = self.number(content);
        self.changes_of[content as usize] = MERGED + number;
    }

    /// A node's number among all sources.
    #[inline]
    pub(crate) fn number(&self, id: NodeId) -> u32 {
        self.source(id.source).first_node + id.node.0
    }

    /// The node of that number.
    #[inline]
    pub(crate) fn numbered(&self, number: u32) -> NodeId {
        // Mostly it is one of the base's.
        if number < self.sources[SourceId::MADE.0 as usize].first_node {
            return NodeId { source: SourceId::BASE, node: NodeIndex(number) };
        }
        let source = self.sources.partition_point(|source| source.first_node <= number) - 1;
        let node = NodeIndex(number - self.sources[source].first_node);
        // There are less sources than nodes.
        NodeId { source: SourceId(u32::try_from(source).unwrap_or(0)), node }
    }

    /// The subtrees that a list of changes appends.
    pub(crate) fn appended(&self, list: List) -> Appended {
        let none = Run { source: SourceId::BASE, from: NodeIndex::ROOT, to: NodeIndex::ROOT };
        Appended { run: none, rest: self.links.all(list) }
    }

    /// The next of them.
    #[inline]
    pub(crate) fn next_appended(&self, left: &mut Appended) -> Option<NodeId> {
        if left.run.from >= left.run.to && !self.next_run(left) {
            return None;
        }
        let child = NodeId { source: left.run.source, node: left.run.from };
        left.run.from = self.node(child).subtree_end;
        Some(child)
    }

    /// Goes on to the next subtrees that stand one behind the other; says whether there are any.
    pub(crate) fn next_run(&self, left: &mut Appended) -> bool {
        while let Some((_, change)) = self.links.pop_front(&mut left.rest) {
            if let Change::Run { from, to } = change {
                let NodeId { source, node } = self.numbered(from);
                left.run = Run { source, from: node, to: NodeIndex(node.0 + (to - from)) };
                return true;
            }
        }
        false
    }

    /// The children that were appended to a node.
    pub(crate) fn appended_children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut left = self.appended(self.list(node));
        core::iter::from_fn(move || self.next_appended(&mut left))
    }

    /// The number of the node's tables, made if it has none.
    pub(crate) fn lookup(&mut self, node: NodeId) -> usize {
        let state = self.state(node);
        if state.lookup != 0 {
            return state.lookup as usize - 1;
        }
        self.lookups.push(self.spare.lookups.pop().unwrap_or_default().emptied());
        // A node with tables has many children or properties, and all of them are counted in 32 bits.
        let number = u32::try_from(self.lookups.len()).unwrap_or(u32::MAX);
        self.change_state(node, |state| state.lookup = number);
        self.lookups.len() - 1
    }

    /// How deep a node is; the root node is 1 level deep.
    pub(crate) fn depth(&self, id: NodeId) -> u32 {
        let mut depth = 1;
        let mut next = id;
        while let Some(parent) = self.parent(next) {
            depth += 1;
            next = parent;
        }
        depth
    }

    /// Appends the absolute path of a node to `out`; the root node's is empty.
    pub(crate) fn push_path(&self, id: NodeId, out: &mut Vec<u8>) {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut next = id;
        while let Some(parent) = self.parent(next) {
            names.push(self.name(next));
            next = parent;
        }
        for name in names.iter().rev() {
            out.push(b'/');
            out.extend_from_slice(name);
        }
    }

    /// The phandle of a node as it is now: its `phandle`, else its `linux,phandle`.
    ///
    /// A value that cannot be one is none, as for libfdt.
    #[inline]
    pub(crate) fn phandle(&mut self, node: NodeId) -> Option<u32> {
        // A node keeps the phandle that it was read with, whatever is merged into it.
        let source = self.source(node.source);
        let phandle = source.phandle(node.node);
        if phandle != 0 {
            return Some(phandle.wrapping_add(source.shift)).filter(is_phandle);
        }
        self.later_phandle(node)
    }

    /// The phandle that a node was given after it was read.
    #[inline(never)]
    fn later_phandle(&mut self, node: NodeId) -> Option<u32> {
        if self.list(node).is_empty() {
            return None;
        }
        for name in [&b"phandle"[..], b"linux,phandle"] {
            if let Some(value) = self.value(node, name)
                && let Some(cell) = cell(value).filter(is_phandle)
            {
                return Some(cell);
            }
        }
        None
    }
}

fn is_phandle(value: &u32) -> bool {
    (1..=phandles::MAX).contains(value)
}

/// The value of a property that is one cell.
pub(crate) fn cell(value: &[u8]) -> Option<u32> {
    value.as_array::<4>().map(|cell| u32::from_be_bytes(*cell))
}
