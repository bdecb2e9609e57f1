//! What an overlay consists of: its fragments, and the nodes that tell how to fit them in.

use alloc::vec::Vec;
use core::mem;
use core::ops::Range;

use kbt_fdt::{Node, NodeIndex, Property, StringsOffset, StructureOffset, Tag};

use crate::error::{Error, ErrorKind, Warning, WarningKind};
use crate::live::Live;
use crate::memory::Memory;
use crate::names::{LabelId, NameId};
use crate::siblings;
use crate::source::{Source, SourceId};

/// A child of the overlay's root that has an `__overlay__`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment {
    pub(crate) node: NodeIndex,
    /// Bytes of its name.
    pub(crate) name_length: u32,
    /// Its `__overlay__`.
    pub(crate) overlay: NodeIndex,
    /// Its property `target`, or [`NO_TARGET`](Self::NO_TARGET).
    target_only: StructureOffset,
    /// The phandle of the node that its `target`'s label leads to, or 0.
    pub(crate) labelled: u32,
    /// The number of that node among all sources plus one, or 0; of that which it is merged into, once it was.
    target: u32,
}

impl Fragment {
    /// Where the root node begins, and no property stands.
    const NO_TARGET: StructureOffset = StructureOffset(0);

    /// Its property `target`, where that is one cell and all that it has: mostly so.
    #[inline]
    pub(crate) fn target_only(&self) -> Option<StructureOffset> {
        (self.target_only != Self::NO_TARGET).then_some(self.target_only)
    }

    /// The number, among all sources, of the node that its label leads to; of that which it is merged into, once it was.
    #[inline]
    pub(crate) fn target(&self) -> Option<u32> {
        self.target.checked_sub(1)
    }

    #[inline]
    pub(crate) fn set_target(&mut self, node: u32) {
        // Nodes take 12 bytes of less than 2^32.
        self.target = node + 1;
    }
}

/// A property that is named like a label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label {
    /// Where the property stands.
    pub(crate) at: StructureOffset,
    pub(crate) name: NameId,
    pub(crate) id: LabelId,
}

/// What all overlays consist of, one behind the other: many small ones take no allocations of their own.
#[derive(Debug, Default)]
pub(crate) struct Overlays {
    pub(crate) parts: Vec<Parts>,
    pub(crate) fragments: Vec<Fragment>,
    labels: Vec<Label>,
    /// Where the properties below the fragments stand, and their names.
    names: Vec<(StructureOffset, NameId)>,
    /// Properties that a later one of the same node replaces.
    duplicates: Vec<Duplicate>,
    /// Whether the lists are kept for another merge.
    pub(crate) kept: bool,
}

#[derive(Debug, Clone, Copy)]
struct Duplicate {
    source: SourceId,
    earlier: StructureOffset,
    later: StructureOffset,
}

/// An overlay's parts.
#[derive(Debug)]
pub(crate) struct Parts {
    source: SourceId,
    /// Where the last of the fragments ends.
    end: StructureOffset,
    /// Where, in [`Overlays`], its fragments end, its own symbols, its wanted labels, its names: they begin where those of
    /// the overlay before it end.
    fragments: u32,
    own_symbols: u32,
    wanted_labels: u32,
    names: u32,
    /// Whether each of the root's children up to the last fragment has a name that is longer, or ends in something
    /// greater, than that of the one before: then no two of them share one.
    names_ascend: bool,
    /// Whether any fragment brings so many nodes that there may be siblings.
    may_have_siblings: bool,
    /// Whether siblings in its fragments share a name.
    has_duplicates: bool,
    /// Its nodes of these names; the root node for none.
    symbols: NodeIndex,
    fixups: NodeIndex,
    local_fixups: NodeIndex,
}

/// The overlay that is merged.
#[derive(Debug)]
pub(crate) struct Overlay<'o> {
    pub(crate) source: SourceId,
    pub(crate) fragments: &'o mut [Fragment],
    names_ascend: bool,
    /// Whether siblings in its fragments share a name.
    pub(crate) has_duplicates: bool,
    /// Cells of its copy that hold a phandle of the overlay itself.
    pub(crate) local_references: Vec<StructureOffset>,
    /// The properties of `__symbols__`.
    pub(crate) own_symbols: &'o [Label],
    /// The properties of `__fixups__`.
    pub(crate) wanted_labels: &'o [Label],
    pub(crate) local_fixups: Option<NodeIndex>,
}

impl Overlays {
    /// Finds the parts of all overlays.
    pub(crate) fn of(memory: &mut Memory, live: &mut Live<'_>) -> Self {
        let added = live.sources.get(2..).unwrap_or_default();
        let nodes: usize = added.iter().map(|source| source.tree.nodes().len()).sum();
        let mut overlays = mem::take(&mut memory.overlays).emptied();
        overlays.kept = memory.kept;
        overlays.parts.reserve_exact(added.len());
        // A fragment has two nodes at least; what is not needed is not touched.
        overlays.fragments.reserve_exact(nodes / 2);
        for (index, source) in added.iter().enumerate() {
            let parts = Parts::find(SourceId::of_overlay(index), source, &mut overlays.fragments);
            overlays.parts.push(parts);
        }
        if !live.loose_names {
            let mut start = 0;
            for parts in &mut overlays.parts {
                let fragments = &overlays.fragments[start..parts.fragments as usize];
                start = parts.fragments as usize;
                parts.has_duplicates =
                    parts.may_have_siblings && siblings::any(live, parts.source, fragments);
            }
        }
        overlays
    }

    /// No parts, in the same memory.
    fn emptied(mut self) -> Self {
        self.parts.clear();
        self.fragments.clear();
        self.labels.clear();
        self.names.clear();
        self.duplicates.clear();
        self
    }

    /// Interns the names that the merge needs, places them in the merged strings block, and copies the fragments
    /// with their names pointed there.
    pub(crate) fn place_names(&mut self, live: &mut Live<'_>) -> Result<(), Error> {
        // Where the overlay begins among all of them.
        let mut start = 0;
        let mut fragments = 0;
        live.names.reserve_blocks(self.parts.len());
        for number in 0..self.parts.len() {
            let range = fragments..self.parts[number].fragments as usize;
            fragments = range.end;
            self.intern_names(live, number, range, start)?;
            let source = live.source(self.parts[number].source);
            start += u32::try_from(source.original.bytes().len()).unwrap_or(0);
        }
        live.names.locate_in_base();
        // A fragment mostly changes properties, or appends one run of nodes; what is not needed is not touched.
        live.links.reserve(self.names.len() + self.fragments.len() + SPARE_LINKS);
        let mut placed = 0;
        let mut duplicates = mem::take(&mut self.duplicates).into_iter().peekable();
        for parts in &self.parts {
            let memory = live.spare.copies.pop().unwrap_or_default();
            live.source_mut(parts.source).copy_up_to(parts.end, memory);
            while let Some(duplicate) = duplicates.next_if(|duplicate| duplicate.source == parts.source) {
                duplicate.drop(live);
            }
            let Live { sources, names: merged, .. } = &mut *live;
            let copy = sources[parts.source.0 as usize].bytes.to_mut();
            for &(at, id) in &self.names[placed..parts.names as usize] {
                write_name(copy, at, merged.offset(id).0);
            }
            placed = parts.names as usize;
        }
        if !self.kept {
            self.names = Vec::new();
        }
        if let Some(ids) = live.names.forget_others() {
            self.labels.iter_mut().for_each(|label| label.name = ids[label.name.0 as usize]);
        }
        Ok(())
    }

    /// Gives the overlays one after the other to `merge`.
    pub(crate) fn merge_each(
        &mut self,
        mut merge: impl FnMut(Overlay<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let (mut fragments, mut labels) = (0, 0);
        for parts in &self.parts {
            let node = |node: NodeIndex| (node != NodeIndex::ROOT).then_some(node);
            let [next_fragments, own_symbols, next_labels] =
                [parts.fragments, parts.own_symbols, parts.wanted_labels].map(|end| end as usize);
            merge(Overlay {
                source: parts.source,
                fragments: &mut self.fragments[fragments..next_fragments],
                names_ascend: parts.names_ascend,
                has_duplicates: parts.has_duplicates,
                local_references: Vec::new(),
                own_symbols: &self.labels[labels..own_symbols],
                wanted_labels: &self.labels[own_symbols..next_labels],
                local_fixups: node(parts.local_fixups),
            })?;
            (fragments, labels) = (next_fragments, next_labels);
        }
        Ok(())
    }
}

impl Parts {
    /// Finds them below the root node; other children of it are not merged by any tool.
    fn find(id: SourceId, source: &Source<'_>, fragments: &mut Vec<Fragment>) -> Self {
        let mut parts = Self {
            source: id,
            end: StructureOffset(0),
            fragments: 0,
            own_symbols: 0,
            wanted_labels: 0,
            names: 0,
            names_ascend: true,
            may_have_siblings: false,
            has_duplicates: false,
            symbols: NodeIndex::ROOT,
            fixups: NodeIndex::ROOT,
            local_fixups: NodeIndex::ROOT,
        };
        let (block, tree) = (source.original, &source.tree);
        let (mut ascending, mut last) = (true, (0, 0));
        for (node, record) in tree.child_nodes(NodeIndex::ROOT) {
            let name = block.name(record);
            let key = (name.len(), name.last_chunk().map_or(0, |end| u64::from_be_bytes(*end)));
            ascending &= last < key;
            last = key;
            if name.starts_with(b"__") {
                parts.note(name, node);
            }
            let first = NodeIndex(node.0 + 1);
            let content = tree.find_child(node, first, |child| block.name_is(child, b"__overlay__"));
            if let Some(content) = content {
                let target_only = target_only(source, record, tree.node(first));
                fragments.push(Fragment {
                    node,
                    // A name is shorter than its input.
                    name_length: u32::try_from(name.len()).unwrap_or(0),
                    overlay: content,
                    target_only: target_only.unwrap_or(Fragment::NO_TARGET),
                    labelled: 0,
                    target: 0,
                });
                parts.end = record.end.plus(Tag::SIZE);
                parts.may_have_siblings |= tree.may_have_siblings_below(content);
                parts.names_ascend &= ascending;
            }
        }
        parts.fragments = count(fragments.len());
        parts
    }

    fn note(&mut self, name: &[u8], node: NodeIndex) {
        let found = match name {
            b"__symbols__" => &mut self.symbols,
            b"__fixups__" => &mut self.fixups,
            b"__local_fixups__" => &mut self.local_fixups,
            _ => return,
        };
        if *found == NodeIndex::ROOT {
            *found = node;
        }
    }
}

impl Overlay<'_> {
    /// The fragment of that number, if no other child of the root can have its name.
    #[inline]
    pub(crate) fn distinct_fragment(&mut self, number: usize) -> Option<&mut Fragment> {
        self.fragments.get_mut(number).filter(|_| self.names_ascend)
    }

    /// The same, to be changed.
    pub(crate) fn fragment_mut(&mut self, node: NodeIndex) -> Option<&mut Fragment> {
        let found = self.fragments.binary_search_by_key(&node, |fragment| fragment.node);
        self.fragments.get_mut(found.ok()?)
    }

    /// The fragment that this node is.
    pub(crate) fn fragment(&self, node: NodeIndex) -> Option<&Fragment> {
        let found = self.fragments.binary_search_by_key(&node, |fragment| fragment.node);
        self.fragments.get(found.ok()?)
    }
}

/// Each of what is counted is a token of an input, and all of them have less than 2^32 bytes.
fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The property of `fragment` in front of its first child, if it is a `target` of one cell and there is no other.
fn target_only(source: &Source<'_>, fragment: &Node, child: &Node) -> Option<StructureOffset> {
    let target = source.original.property(fragment.body)?;
    let only = target.length == 4 && target.end() == child.begin;
    (only && source.string_from(target.name).starts_with(b"target\0")).then_some(target.at)
}

impl Overlays {
    /// Interns the names of an overlay that the merge needs: labels, and those of properties that go into the output.
    /// `start` is where the overlay begins among all of them.
    fn intern_names(
        &mut self,
        live: &mut Live<'_>,
        number: usize,
        fragments: Range<usize>,
        start: u32,
    ) -> Result<(), Error> {
        let Self { parts, fragments: all_fragments, labels, names, duplicates, .. } = self;
        let parts = &mut parts[number];
        let source = live.source(parts.source);
        names.reserve(source.original.bytes().len() / BYTES_A_PROPERTY);
        let block = source.strings;
        let mut interner = Interner {
            source: parts.source,
            block: live.names.add_block(block),
            start,
            recent: [(StringsOffset(u32::MAX), NameId(0)); RECENT],
            names,
            duplicates,
            refused: None,
        };
        for fragment in &all_fragments[fragments.clone()] {
            interner.intern_properties(live, fragment.overlay);
            if interner.refused.is_some() {
                break;
            }
        }
        interner.intern_labels(live, parts.symbols, labels);
        parts.own_symbols = count(labels.len());
        interner.intern_labels(live, parts.fixups, labels);
        parts.wanted_labels = count(labels.len());
        if let Some((property, kind)) = interner.refused {
            let source = live.source(parts.source);
            let error = source.error(kind, parts.source, property.at);
            let name = source.property_name(&property);
            return Err(error.property(&name[..name.len().min(NAME_IN_ERROR)]));
        }
        parts.names = count(names.len());
        if fragments.is_empty() {
            live.warn(WarningKind::NoFragments, parts.source, None);
        }
        Ok(())
    }
}

/// Links that are not a fragment's: of labelled nodes that get a phandle, of nodes with many children.
const SPARE_LINKS: usize = 64;
/// So much of a name is shown in an error.
const NAME_IN_ERROR: usize = 64;
/// What a label takes at least in practice: a property of three words, and a path.
const BYTES_A_LABEL: usize = 24;
/// How many names an [`Interner`] remembers.
const RECENT: usize = 32;
/// What a property of a fragment takes at least in practice: itself, its node, the fragment.
const BYTES_A_PROPERTY: usize = 64;

struct Interner<'n> {
    source: SourceId,
    /// The number of its strings block.
    block: u32,
    /// Where its structure block begins among those of all overlays.
    start: u32,
    /// Names met lately: an overlay mostly uses a few over and over.
    recent: [(StringsOffset, NameId); RECENT],
    names: &'n mut Vec<(StructureOffset, NameId)>,
    duplicates: &'n mut Vec<Duplicate>,
    /// The first property that cannot be.
    refused: Option<(Property, ErrorKind)>,
}

impl Interner<'_> {
    /// Interns the property names below `top`. A property that a node has twice keeps only its last value, as it
    /// would if the properties were set one after the other.
    fn intern_properties(&mut self, live: &mut Live<'_>, top: NodeIndex) {
        let Live { sources, names, .. } = live;
        let source = &sources[self.source.0 as usize];
        let strings = source.strings;
        // Where the properties of the node at hand begin.
        let mut node = 0;
        for (property, first) in source.original.properties_below(source.tree.node(top)) {
            let place = self.start.wrapping_add(property.at.0);
            if first || node == 0 {
                node = place;
            }
            let recent = &mut self.recent[property.name.0 as usize % RECENT];
            if recent.0 != property.name {
                let Some(id) = names.intern(self.block, strings, property.name) else {
                    // No second one is looked through.
                    return self.refuse(property, ErrorKind::NameTooLong);
                };
                *recent = (property.name, id);
            }
            let id = recent.1;
            self.names.push((property.at, id));
            if property.length != 4 && id.is_phandle() {
                self.refuse(property, ErrorKind::BadPhandleLength { length: property.length });
            }
            if let Some(earlier) = names.see(id, node, place) {
                if id.is_phandle() {
                    self.refuse(property, ErrorKind::PhandleTwice);
                }
                let (source, earlier) = (self.source, StructureOffset(earlier - self.start));
                self.duplicates.push(Duplicate { source, earlier, later: property.at });
            }
        }
    }

    #[cold]
    fn refuse(&mut self, property: Property, kind: ErrorKind) {
        self.refused.get_or_insert((property, kind));
    }

    /// Interns the names of a node's properties, which are labels; there is none for the root node.
    fn intern_labels(&mut self, live: &mut Live<'_>, node: NodeIndex, labels: &mut Vec<Label>) {
        let Live { sources, names, .. } = live;
        let source = &sources[self.source.0 as usize];
        if node == NodeIndex::ROOT {
            return;
        }
        let strings = source.strings;
        let record = source.tree.node(node);
        labels.reserve((record.end.index() - record.body.index()) / BYTES_A_LABEL);
        for property in source.properties(node) {
            match names.intern_label(self.block, strings, property.name) {
                Some((name, id)) => labels.push(Label { at: property.at, name, id }),
                None => {
                    self.refuse(property, ErrorKind::NameTooLong);
                    break;
                }
            }
        }
    }
}

impl Duplicate {
    /// Takes the earlier one out of the copy.
    fn drop(self, live: &mut Live<'_>) {
        let source = live.source_mut(self.source);
        let block = source.original;
        let (Some(earlier), Some(later)) = (block.property(self.earlier), block.property(self.later)) else {
            return;
        };
        let range = earlier.at.index()..earlier.end().index();
        let (words, _) = source.bytes.to_mut()[range].as_chunks_mut::<4>();
        words.fill(Tag::NOP.to_be_bytes());
        let name = crate::error::text(source.property_name(&later));
        let place = crate::Place { property: Some(name), ..source.place(self.source, later.at) };
        live.keep(Warning { kind: WarningKind::DuplicateProperty, place });
    }
}

/// Rewrites the name of the property at `at`, unless the property was taken out.
#[inline(always)]
fn write_name(copy: &mut [u8], at: StructureOffset, name: u32) {
    if let Some(header) = copy.get_mut(at.index()..).and_then(<[u8]>::first_chunk_mut::<12>)
        && header.first_chunk() == Some(&Tag::PROP.to_be_bytes())
        && let Some(field) = header.last_chunk_mut()
    {
        *field = name.to_be_bytes();
    }
}
