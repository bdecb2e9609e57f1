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

use kbt_fdt::{Node, NodeIndex, StringsOffset, StructureOffset};

use crate::chain::{Chain, Chains};
use crate::children::IndexedChild;
use crate::error::{Place, Warning, WarningKind};
use crate::lookup::Lookup;
use crate::names::Names;
use crate::phandles::{self, Phandles};
use crate::properties::Slot;
use crate::source::{NodeId, PropertyRef, Source, SourceId};

/// More warnings than this are not kept.
const MAX_WARNINGS: usize = 100;

/// What happens to a node.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    /// The node that this one of an overlay was merged into, where it has children: theirs is that one, too.
    pub(crate) merged_into: Option<NodeId>,
    /// Its own children are not where they were read: each was appended to it or merged by itself.
    pub(crate) piecewise: bool,
    /// Subtrees to append.
    pub(crate) children: Chain,
    /// Properties to append.
    pub(crate) additions: Chain,
    /// Overrides of own properties.
    pub(crate) overridden: Chain,
    /// How often its children or properties, which are many, were walked through.
    pub(crate) walks: u8,
    pub(crate) children_indexed: bool,
    pub(crate) properties_indexed: bool,
}

/// What happens to a property.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Override {
    /// Where it stands in its source.
    pub(crate) at: StructureOffset,
    /// What is written for it; nothing where it is removed.
    pub(crate) replacement: Option<PropertyRef>,
}

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) names: Names<'a>,
    pub(crate) phandles: Phandles,
    pub(crate) patches: Vec<Patch>,
    pub(crate) children: Chains<NodeId>,
    pub(crate) additions: Chains<Option<PropertyRef>>,
    pub(crate) overrides: Chains<Override>,
    pub(crate) warnings: Vec<Warning>,
    /// `/__symbols__`, once it was looked for.
    pub(crate) symbols: Option<NodeId>,
    pub(crate) indexed_children: Lookup<IndexedChild>,
    pub(crate) loose_children: Lookup<IndexedChild>,
    pub(crate) indexed_properties: Lookup<(Slot, StringsOffset)>,
    pub(crate) loose_names: bool,
}

impl<'a> Live<'a> {
    pub(crate) fn new(sources: Vec<Source<'a>>, names: Names<'a>, loose_names: bool) -> Self {
        let more = sources.iter().skip(1).map(|source| source.tree.phandles().len()).sum();
        let phandles = Phandles::new(sources[0].tree.largest_phandle(), more);
        let added: usize = sources.iter().skip(1).map(|source| source.tree.nodes().len()).sum();
        Self {
            sources,
            names,
            phandles,
            patches: Vec::with_capacity(added),
            children: Chains::default(),
            additions: Chains::default(),
            overrides: Chains::default(),
            warnings: Vec::new(),
            symbols: None,
            indexed_children: Lookup::default(),
            loose_children: Lookup::default(),
            indexed_properties: Lookup::default(),
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
        self.source(id.source).patch_of[id.node.index()].checked_sub(1)
    }

    /// The node's patch, if anything happens to it.
    pub(crate) fn patch(&self, id: NodeId) -> Option<&Patch> {
        self.patches.get(self.patch_number(id)? as usize)
    }

    /// The number of the node's patch, made if there is none.
    pub(crate) fn touch(&mut self, id: NodeId) -> u32 {
        let slot = &mut self.sources[id.source.0 as usize].patch_of[id.node.index()];
        if *slot == 0 {
            self.patches.push(Patch::default());
            // A patch stands for a node, and all nodes together are counted in 32 bits.
            *slot = u32::try_from(self.patches.len()).unwrap_or(u32::MAX);
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
        let merged_into = self.patch(above).and_then(|patch| patch.merged_into);
        Some(merged_into.unwrap_or(above))
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
        let phandle = source.tree.node(node.node).phandle;
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
