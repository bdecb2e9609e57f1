//! The merged tree as it stands between two overlays: the sources, and what happens to their nodes.
//!
//! Idea: nothing is rebuilt. A node that an overlay changes gets a [`Patch`]: properties to replace or to
//! append, subtrees to append. A subtree that an overlay adds stays in the overlay's own source and is one
//! entry in its parent's patch; a later fragment or overlay may patch its nodes in turn. Looking up, the live
//! tree is the source's own children and properties, then what the patch adds. [`splice`](crate::splice)
//! finally writes untouched ranges as they are.
//!
//! Limits: a node with many children or properties is looked up in a table after some look-ups, so that no input
//! makes the merge quadratic (`lookup.rs`).

use alloc::vec::Vec;

use kbt_fdt::{Node, NodeIndex, StructureOffset};

use crate::chain::{Chain, Chains, Rest};
use crate::error::{Place, Warning, WarningKind};
use crate::lookup::Lookup;
use crate::names::Names;
use crate::phandles::{self, Phandles};
use crate::source::{NodeId, PropertyRef, Source, SourceId};
use crate::table::Seed;

/// More warnings than this are not kept.
const MAX_WARNINGS: usize = 100;

/// From here on an entry of [`Source::patch_of`] stands for a node that was merged into another.
pub(crate) const MERGED: u32 = 1 << 31;

/// What happens to a node.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    /// Subtrees to append.
    pub(crate) children: Chain,
    /// Properties to append.
    pub(crate) additions: Chain,
    /// Overrides of own properties.
    pub(crate) overridden: Chain,
    /// The number of its tables plus one, once it has any.
    pub(crate) lookup: u32,
    /// How often its children or properties, which are many, were walked through.
    pub(crate) walks: u8,
    /// Its own children are not where they were read: each was appended to it or merged by itself.
    pub(crate) piecewise: bool,
    pub(crate) children_indexed: bool,
    pub(crate) properties_indexed: bool,
}

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

/// What happens to a property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Override {
    /// Where it stands in its source.
    pub(crate) at: StructureOffset,
    /// What is written for it.
    pub(crate) replacement: PropertyRef,
}

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) names: Names<'a>,
    pub(crate) phandles: Phandles,
    pub(crate) patches: Vec<Patch>,
    pub(crate) children: Chains<Run>,
    pub(crate) additions: Chains<PropertyRef>,
    pub(crate) overrides: Chains<Override>,
    pub(crate) warnings: Vec<Warning>,
    /// `/__symbols__`, once it was looked for.
    pub(crate) symbols: Option<NodeId>,
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) seed: Seed,
    pub(crate) loose_names: bool,
    /// Bytes of all structure blocks that were read.
    pub(crate) input_bytes: usize,
}

impl<'a> Live<'a> {
    pub(crate) fn new(mut sources: Vec<Source<'a>>, names: Names<'a>, loose_names: bool) -> Self {
        let mut first_node = 0_u32;
        for source in &mut sources {
            source.first_node = first_node;
            // All inputs have less than 2^32 bytes, and a node takes 12.
            first_node += u32::try_from(source.tree.nodes().len()).unwrap_or(0);
        }
        let more = sources.iter().skip(1).map(|source| source.tree.phandles().len()).sum();
        let phandles = Phandles::new(sources[0].tree.largest_phandle(), more);
        let added: usize = sources.iter().skip(1).map(|source| source.tree.nodes().len()).sum();
        let input_bytes = sources.iter().map(|source| source.original.bytes().len()).sum();
        Self {
            sources,
            names,
            phandles,
            input_bytes,
            patches: Vec::with_capacity(added),
            children: Chains::default(),
            additions: Chains::default(),
            overrides: Chains::default(),
            warnings: Vec::new(),
            symbols: None,
            lookups: Vec::new(),
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

    /// The number of the node's patch, if anything happens to it.
    pub(crate) fn patch_number(&self, id: NodeId) -> Option<u32> {
        let slot = self.source(id.source).patch_of.get(id.node.index())?;
        slot.checked_sub(1).filter(|&number| number < MERGED)
    }

    /// The node's patch, if anything happens to it.
    pub(crate) fn patch(&self, id: NodeId) -> Option<&Patch> {
        self.patches.get(self.patch_number(id)? as usize)
    }

    /// The number of the node's patch, made if there is none.
    #[inline]
    pub(crate) fn touch(&mut self, id: NodeId) -> u32 {
        let Self { sources, patches, .. } = self;
        let slot = sources[id.source.0 as usize].patch_slot(id.node);
        if *slot == 0 {
            patches.push(Patch::default());
            // A patch stands for a node, and all nodes together are counted in 32 bits.
            *slot = u32::try_from(patches.len()).unwrap_or(u32::MAX);
        }
        *slot - 1
    }

    pub(crate) fn patch_mut(&mut self, id: NodeId) -> &mut Patch {
        let number = self.touch(id);
        &mut self.patches[number as usize]
    }

    /// Keeps a warning, once.
    pub(crate) fn warn(&mut self, kind: WarningKind, source: SourceId, at: Option<StructureOffset>) {
        let offset = at.map(|at| self.source(source).offset + at.index());
        let place = Place { input: source.input(), offset, fragment: None, property: None };
        self.keep(Warning { kind, place });
    }

    pub(crate) fn keep(&mut self, warning: Warning) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// The parent in the merged tree; none for the root node.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        if id.node == NodeIndex::ROOT {
            return None;
        }
        let above = NodeId { source: id.source, node: self.node(id).parent };
        let slot = self.source(above.source).patch_of.get(above.node.index());
        let merged_into = slot.and_then(|slot| slot.checked_sub(MERGED));
        Some(merged_into.map_or(above, |number| self.numbered(number)))
    }

    /// Notes that `content`, which has children, was merged into another node: that is their parent now.
    pub(crate) fn merge_into(&mut self, content: NodeId, target: NodeId) {
        let number = self.number(target);
        *self.sources[content.source.0 as usize].patch_slot(content.node) = MERGED + number;
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

    /// The subtrees that were appended to a node.
    pub(crate) fn appended(&self, patch: &Patch) -> Appended {
        let none = Run { source: SourceId::BASE, from: NodeIndex::ROOT, to: NodeIndex::ROOT };
        Appended { run: none, rest: self.children.all(patch.children) }
    }

    /// The next of them.
    #[inline]
    pub(crate) fn next_appended(&self, left: &mut Appended) -> Option<NodeId> {
        if left.run.from >= left.run.to {
            (left.run, left.rest) = self.children.pop_front(left.rest)?;
        }
        let child = NodeId { source: left.run.source, node: left.run.from };
        left.run.from = self.node(child).subtree_end;
        Some(child)
    }

    /// The children that were appended to a node.
    pub(crate) fn appended_children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        let mut left = self.patch(node).map(|patch| self.appended(patch));
        core::iter::from_fn(move || self.next_appended(left.as_mut()?))
    }

    /// The number of the tables of the node that this patch is of.
    pub(crate) fn lookup(&mut self, patch: u32) -> usize {
        let patch = &mut self.patches[patch as usize];
        if patch.lookup == 0 {
            self.lookups.push(Lookup::default());
            // A node with tables has many children or properties, and all of them are counted in 32 bits.
            patch.lookup = u32::try_from(self.lookups.len()).unwrap_or(u32::MAX);
        }
        patch.lookup as usize - 1
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
        if self.patch(node).is_none_or(|patch| patch.additions.is_empty() && patch.overridden.is_empty()) {
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
