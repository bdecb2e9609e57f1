//! What an overlay consists of: its fragments, and the nodes that tell how to fit them in.

use alloc::vec::Vec;

use kbt_fdt::{Node, NodeIndex, Property, StringsOffset, StructureOffset, Tag};

use crate::error::{Error, ErrorKind, Warning, WarningKind};
use crate::live::Live;
use crate::names::{LabelId, NameId};
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

/// An overlay's parts.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) source: SourceId,
    pub(crate) fragments: Vec<Fragment>,
    /// Where the last of them ends.
    pub(crate) end: StructureOffset,
    /// Whether each of the root's children up to the last fragment has a name that is longer, or ends in something
    /// greater, than that of the one before: then no two of them share one.
    names_ascend: bool,
    /// Whether any fragment brings so many nodes that there may be siblings.
    pub(crate) may_have_siblings: bool,
    /// Whether siblings in its fragments share a name.
    pub(crate) has_duplicates: bool,
    /// Cells of its copy that hold a phandle of the overlay itself.
    pub(crate) local_references: Vec<StructureOffset>,
    /// Whether it has `__symbols__`, and the properties of that.
    pub(crate) symbols: Option<NodeIndex>,
    pub(crate) own_symbols: Vec<Label>,
    /// Its `__fixups__`, and the properties of that.
    pub(crate) fixups: Option<NodeIndex>,
    pub(crate) wanted_labels: Vec<Label>,
    pub(crate) local_fixups: Option<NodeIndex>,
}

impl Overlay {
    /// Finds the parts below the root node; other children of it are not merged by any tool.
    pub(crate) fn new(id: SourceId, source: &Source<'_>) -> Self {
        let mut overlay = Self {
            source: id,
            // A fragment has two nodes at least; what is not needed is not touched.
            fragments: Vec::with_capacity(source.tree.nodes().len() / 2),
            end: StructureOffset(0),
            names_ascend: true,
            may_have_siblings: false,
            has_duplicates: false,
            local_references: Vec::new(),
            symbols: None,
            own_symbols: Vec::new(),
            fixups: None,
            wanted_labels: Vec::new(),
            local_fixups: None,
        };
        let (block, tree) = (source.original, &source.tree);
        let (mut ascending, mut last) = (true, (0, 0));
        for (node, record) in tree.child_nodes(NodeIndex::ROOT) {
            let name = block.name(record);
            let key = (name.len(), name.last_chunk().map_or(0, |end| u64::from_be_bytes(*end)));
            ascending &= last < key;
            last = key;
            if name.starts_with(b"__") {
                overlay.note_part(name, node);
            }
            let first = NodeIndex(node.0 + 1);
            let content = tree.find_child(node, first, |child| block.name_is(child, b"__overlay__"));
            if let Some(content) = content {
                let target_only = target_only(source, record, tree.node(first));
                overlay.fragments.push(Fragment {
                    node,
                    // A name is shorter than its input.
                    name_length: u32::try_from(name.len()).unwrap_or(0),
                    overlay: content,
                    target_only: target_only.unwrap_or(Fragment::NO_TARGET),
                    labelled: 0,
                    target: 0,
                });
                overlay.end = record.end.plus(Tag::SIZE);
                overlay.may_have_siblings |= tree.may_have_siblings_below(content);
                overlay.names_ascend &= ascending;
            }
        }
        overlay
    }

    fn note_part(&mut self, name: &[u8], node: NodeIndex) {
        match name {
            b"__symbols__" => _ = self.symbols.get_or_insert(node),
            b"__fixups__" => _ = self.fixups.get_or_insert(node),
            b"__local_fixups__" => _ = self.local_fixups.get_or_insert(node),
            _ => {}
        }
    }

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

/// The property of `fragment` in front of its first child, if it is a `target` of one cell and there is no other.
fn target_only(source: &Source<'_>, fragment: &Node, child: &Node) -> Option<StructureOffset> {
    let target = source.original.property(fragment.body)?;
    let only = target.length == 4 && target.end() == child.begin;
    (only && source.strings.from(target.name).starts_with(b"target\0")).then_some(target.at)
}

/// Interns the names of an overlay that the merge needs: labels, and those of properties that go into the output;
/// gives where the latter stand. `start` is where the overlay begins among all of them.
pub(crate) fn intern_names(
    live: &mut Live<'_>,
    overlay: &mut Overlay,
    start: u32,
) -> Result<Placement, Error> {
    let source = &live.sources[overlay.source.0 as usize];
    let properties = source.original.bytes().len() / BYTES_A_PROPERTY;
    let mut interner = Interner {
        source: overlay.source,
        block: live.names.add_block(source.strings.bytes()),
        start,
        recent: [(StringsOffset(u32::MAX), NameId(0)); RECENT],
        names: Vec::with_capacity(properties),
        duplicates: Vec::new(),
        refused: None,
    };
    for fragment in &overlay.fragments {
        interner.intern_properties(live, fragment.overlay);
        if interner.refused.is_some() {
            break;
        }
    }
    overlay.own_symbols = interner.intern_labels(live, overlay.symbols);
    overlay.wanted_labels = interner.intern_labels(live, overlay.fixups);
    if let Some((property, kind)) = interner.refused {
        let source = live.source(overlay.source);
        let error = source.error(kind, overlay.source, property.at);
        let name = source.property_name(&property);
        return Err(error.property(&name[..name.len().min(NAME_IN_ERROR)]));
    }
    if overlay.fragments.is_empty() {
        live.warn(WarningKind::NoFragments, overlay.source, None);
    }
    let Interner { source, names, duplicates, .. } = interner;
    Ok(Placement { source, end: overlay.end, names, duplicates })
}

/// So much of a name is shown in an error.
const NAME_IN_ERROR: usize = 64;
/// What a label takes at least in practice: a property of three words, and a path.
const BYTES_A_LABEL: usize = 24;
/// How many names an [`Interner`] remembers.
const RECENT: usize = 32;
/// What a property of a fragment takes at least in practice: itself, its node, the fragment.
const BYTES_A_PROPERTY: usize = 64;

struct Interner {
    source: SourceId,
    /// The number of its strings block.
    block: u32,
    /// Where its structure block begins among those of all overlays.
    start: u32,
    /// Names met lately: an overlay mostly uses a few over and over.
    recent: [(StringsOffset, NameId); RECENT],
    names: Vec<(StructureOffset, NameId)>,
    /// Places of properties that a later one of the same node replaces, (earlier, later).
    duplicates: Vec<(StructureOffset, StructureOffset)>,
    /// The first property that cannot be.
    refused: Option<(Property, ErrorKind)>,
}

impl Interner {
    /// Interns the property names below `top`. A property that a node has twice keeps only its last value, as it
    /// would if the properties were set one after the other.
    fn intern_properties(&mut self, live: &mut Live<'_>, top: NodeIndex) {
        let Live { sources, names, .. } = live;
        let source = &sources[self.source.0 as usize];
        let strings = source.strings.bytes();
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
                self.duplicates.push((StructureOffset(earlier - self.start), property.at));
            }
        }
    }

    #[cold]
    fn refuse(&mut self, property: Property, kind: ErrorKind) {
        self.refused.get_or_insert((property, kind));
    }

    /// Interns the names of a node's properties, which are labels.
    fn intern_labels(&mut self, live: &mut Live<'_>, node: Option<NodeIndex>) -> Vec<Label> {
        let Live { sources, names, .. } = live;
        let source = &sources[self.source.0 as usize];
        let Some(node) = node else { return Vec::new() };
        let strings = source.strings.bytes();
        let record = source.tree.node(node);
        let mut labels = Vec::with_capacity((record.end.index() - record.body.index()) / BYTES_A_LABEL);
        for property in source.properties(node) {
            match names.intern_label(self.block, strings, property.name) {
                Some((name, id)) => labels.push(Label { at: property.at, name, id }),
                None => {
                    self.refuse(property, ErrorKind::NameTooLong);
                    break;
                }
            }
        }
        labels
    }
}

/// Where the names of the properties below an overlay's fragments stand.
pub(crate) struct Placement {
    source: SourceId,
    /// Where the last fragment ends.
    end: StructureOffset,
    names: Vec<(StructureOffset, NameId)>,
    /// Places of properties that a later one of the same node replaces, (earlier, later).
    duplicates: Vec<(StructureOffset, StructureOffset)>,
}

impl Placement {
    /// How many properties there are.
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Copies the overlay, takes out what is replaced, and points the names into the merged strings block.
    pub(crate) fn write(&self, live: &mut Live<'_>) {
        live.source_mut(self.source).copy_up_to(self.end);
        self.drop_duplicates(live);
        let Live { sources, names, .. } = live;
        let copy = sources[self.source.0 as usize].bytes.to_mut();
        for &(at, id) in &self.names {
            write_name(copy, at, names.offset(id).0);
        }
    }

    /// Takes properties that a later one replaces out of the copy.
    fn drop_duplicates(&self, live: &mut Live<'_>) {
        for &(earlier, later) in &self.duplicates {
            let source = &mut live.sources[self.source.0 as usize];
            let block = source.original;
            let (Some(earlier), Some(later)) = (block.property(earlier), block.property(later)) else {
                continue;
            };
            let range = earlier.at.index()..earlier.end().index();
            let (words, _) = source.bytes.to_mut()[range].as_chunks_mut::<4>();
            words.fill(Tag::NOP.to_be_bytes());
            let name = crate::error::text(source.property_name(&later));
            let place = crate::Place { property: Some(name), ..source.place(self.source, later.at) };
            live.keep(Warning { kind: WarningKind::DuplicateProperty, place });
        }
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
