//! What an overlay consists of: its fragments, and the nodes that tell how to fit them in.

use alloc::vec::Vec;

use kbt_fdt::{Node, NodeIndex, Property, StringsOffset, StructureOffset, Tag};

use crate::error::{Error, ErrorKind, Warning, WarningKind};
use crate::live::Live;
use crate::names::{NameId, Role};
use crate::source::{NodeId, Source, SourceId};

/// A child of the overlay's root that has an `__overlay__`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment {
    pub(crate) node: NodeIndex,
    /// Its `__overlay__`.
    pub(crate) overlay: NodeIndex,
    /// Its property `target`, where that is one cell and all that it has: mostly so.
    pub(crate) target_only: Option<StructureOffset>,
    /// Where it is merged into; known once it was.
    pub(crate) target: Option<NodeId>,
}

/// A cell that holds a phandle of the overlay itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalReference {
    pub(crate) property: Property,
    /// Its place in the value, in bytes.
    pub(crate) at: u32,
}

/// An overlay's parts.
#[derive(Debug)]
pub(crate) struct Overlay {
    pub(crate) source: SourceId,
    pub(crate) fragments: Vec<Fragment>,
    /// Whether each of the root's children up to the last fragment has a name behind the one's before: then
    /// no two of them share one.
    names_ascend: bool,
    pub(crate) local_references: Vec<LocalReference>,
    pub(crate) symbols: Option<NodeIndex>,
    pub(crate) fixups: Option<NodeIndex>,
    pub(crate) local_fixups: Option<NodeIndex>,
}

impl Overlay {
    /// Finds the parts below the root node; other children of it are not merged by any tool.
    pub(crate) fn new(id: SourceId, source: &Source<'_>) -> Self {
        let mut overlay = Self {
            source: id,
            fragments: Vec::new(),
            names_ascend: true,
            local_references: Vec::new(),
            symbols: None,
            fixups: None,
            local_fixups: None,
        };
        let (block, tree) = (source.original, &source.tree);
        let (mut ascending, mut last): (_, &[u8]) = (true, b"");
        for (node, record) in tree.child_nodes(NodeIndex::ROOT) {
            let name = block.name(record);
            ascending &= (last.len(), last) < (name.len(), name);
            last = name;
            match name {
                b"__symbols__" => _ = overlay.symbols.get_or_insert(node),
                b"__fixups__" => _ = overlay.fixups.get_or_insert(node),
                b"__local_fixups__" => _ = overlay.local_fixups.get_or_insert(node),
                _ => {}
            }
            let first = NodeIndex(node.0 + 1);
            let content = tree.find_child(node, first, |child| block.name_is(child, b"__overlay__"));
            if let Some(content) = content {
                let target_only = target_only(source, record);
                overlay.fragments.push(Fragment { node, overlay: content, target_only, target: None });
                overlay.names_ascend &= ascending;
            }
        }
        overlay
    }

    /// The fragment of that number, if no other child of the root can have its name.
    #[inline]
    pub(crate) fn distinct_fragment(&self, number: usize) -> Option<&Fragment> {
        self.fragments.get(number).filter(|_| self.names_ascend)
    }

    /// The fragment that this node is.
    pub(crate) fn fragment(&self, node: NodeIndex) -> Option<&Fragment> {
        let found = self.fragments.binary_search_by_key(&node, |fragment| fragment.node);
        self.fragments.get(found.ok()?)
    }
}

fn target_only(source: &Source<'_>, fragment: &Node) -> Option<StructureOffset> {
    let mut properties = source.original.properties(fragment);
    let target = properties.next().filter(|target| target.length == 4)?;
    let named = source.strings.from(target.name).starts_with(b"target\0");
    (named && properties.next().is_none()).then_some(target.at)
}

/// Interns the names of an overlay that the merge needs: those of properties that go into the output, and
/// labels, of which the id takes the place of the name's offset in the copy. Gives where the former stand.
pub(crate) fn intern_names(
    live: &mut Live<'_>,
    overlay: &Overlay,
    nodes_seen: &mut u32,
) -> Result<Placement, Error> {
    let source = live.source(overlay.source);
    let properties = source.original.bytes().len() / BYTES_A_PROPERTY;
    live.names.reserve(source.strings.bytes().len());
    let mut interner = Interner {
        source: overlay.source,
        recent: [(StringsOffset(u32::MAX), NameId(0)); RECENT],
        names: Vec::with_capacity(properties),
        duplicates: Vec::new(),
        bad_phandle: None,
    };
    for fragment in &overlay.fragments {
        interner.intern_properties(live, fragment.overlay, nodes_seen);
    }
    if let Some(bad) = interner.bad_phandle {
        let source = live.source(overlay.source);
        let error = source.error(ErrorKind::BadPhandleLength { length: bad.length }, overlay.source, bad.at);
        return Err(error.property(source.property_name(&bad)));
    }
    intern_labels(live, overlay, overlay.symbols, Role::Symbol);
    intern_labels(live, overlay, overlay.fixups, Role::Label);
    interner.drop_duplicates(live);
    if overlay.fragments.is_empty() {
        live.warn(WarningKind::NoFragments, overlay.source, None);
    }
    Ok(Placement { source: overlay.source, names: interner.names })
}

fn intern_labels(live: &mut Live<'_>, overlay: &Overlay, node: Option<NodeIndex>, role: Role) {
    let Some(node) = node else { return };
    let Live { sources, names, .. } = live;
    let source = &mut sources[overlay.source.0 as usize];
    for property in source.properties(node) {
        if let Some(id) = names.intern(source.strings.from(property.name), role) {
            write_name(source.bytes.to_mut(), property.at, id.0);
        }
    }
}

/// How many names an [`Interner`] remembers.
const RECENT: usize = 32;
/// What a property of a fragment takes at least in practice: itself, its node, the fragment.
const BYTES_A_PROPERTY: usize = 64;

struct Interner {
    source: SourceId,
    /// Names met lately: an overlay mostly uses a few over and over.
    recent: [(StringsOffset, NameId); RECENT],
    names: Vec<(StructureOffset, NameId)>,
    /// Places of properties that a later one of the same node replaces, (earlier, later).
    duplicates: Vec<(StructureOffset, StructureOffset)>,
    /// The first phandle that is not one cell.
    bad_phandle: Option<Property>,
}

impl Interner {
    /// Interns the property names below `top`. A property that a node has twice keeps only its last value, as it
    /// would if the properties were set one after the other.
    fn intern_properties(&mut self, live: &mut Live<'_>, top: NodeIndex, nodes_seen: &mut u32) {
        let Live { sources, names, .. } = live;
        let source = &sources[self.source.0 as usize];
        for (property, first) in source.original.properties_below(source.tree.node(top)) {
            *nodes_seen = nodes_seen.wrapping_add(u32::from(first));
            let recent = &mut self.recent[property.name.0 as usize % RECENT];
            if recent.0 != property.name {
                let name = source.strings.from(property.name);
                let Some(id) = names.intern(name, Role::Property) else { continue };
                *recent = (property.name, id);
            }
            let id = recent.1;
            self.names.push((property.at, id));
            if property.length != 4 && id.is_phandle() {
                self.bad_phandle.get_or_insert(property);
            }
            if let Some(earlier) = names.see(id, *nodes_seen, property.at.0) {
                self.duplicates.push((StructureOffset(earlier), property.at));
            }
        }
        *nodes_seen = nodes_seen.wrapping_add(1);
    }

    /// Takes properties that a later one replaces out of the copy.
    fn drop_duplicates(&mut self, live: &mut Live<'_>) {
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

/// Where the names of the properties below an overlay's fragments stand.
pub(crate) struct Placement {
    source: SourceId,
    names: Vec<(StructureOffset, NameId)>,
}

impl Placement {
    /// Points them into the merged strings block.
    pub(crate) fn write(&self, live: &mut Live<'_>) {
        let Live { sources, names, .. } = live;
        let copy = sources[self.source.0 as usize].bytes.to_mut();
        for &(at, id) in &self.names {
            write_name(copy, at, names.offset(id).0);
        }
    }
}

/// The interned name of a property that was neither placed nor taken out.
pub(crate) fn name_id(source: &Source<'_>, property: &Property) -> Option<NameId> {
    let copy = kbt_fdt::StructureBlock::new(&source.bytes);
    copy.property(property.at).map(|property| NameId(property.name.0))
}

/// Rewrites the name of the property at `at`, unless the property was taken out.
#[inline]
fn write_name(copy: &mut [u8], at: StructureOffset, name: u32) {
    if let Some(header) = copy.get_mut(at.index()..).and_then(<[u8]>::first_chunk_mut::<12>)
        && let [tag, _, field] = header.as_chunks_mut::<4>().0
        && *tag == Tag::PROP.to_be_bytes()
    {
        *field = name.to_be_bytes();
    }
}
