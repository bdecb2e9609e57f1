//! What an overlay consists of: its fragments, and the nodes that tell how to fit them in.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property, StructureOffset, Tag};

use crate::error::{Warning, WarningKind};
use crate::live::Live;
use crate::names::NameId;
use crate::source::{NodeId, Source, SourceId};

/// A child of the overlay's root that has an `__overlay__`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fragment {
    pub(crate) node: NodeIndex,
    /// Its `__overlay__`.
    pub(crate) overlay: NodeIndex,
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
            local_references: Vec::new(),
            symbols: None,
            fixups: None,
            local_fixups: None,
        };
        let block = source.original;
        for node in source.tree.children(NodeIndex::ROOT) {
            match source.name(node) {
                b"__symbols__" => _ = overlay.symbols.get_or_insert(node),
                b"__fixups__" => _ = overlay.fixups.get_or_insert(node),
                b"__local_fixups__" => _ = overlay.local_fixups.get_or_insert(node),
                _ => {}
            }
            let mut children = source.tree.children(node);
            let found = children.find(|&child| block.name_is(source.tree.node(child), b"__overlay__"));
            if let Some(content) = found {
                overlay.fragments.push(Fragment { node, overlay: content, target: None });
            }
        }
        overlay
    }

    /// The fragment that this node is.
    pub(crate) fn fragment(&self, node: NodeIndex) -> Option<&Fragment> {
        let found = self.fragments.binary_search_by_key(&node, |fragment| fragment.node);
        self.fragments.get(found.ok()?)
    }
}

/// Interns the names of an overlay that the merge needs: those of properties that go into the output, and
/// labels. In the copy, each such property's name offset becomes the name's id.
pub(crate) fn intern_names(live: &mut Live<'_>, overlay: &Overlay, nodes_seen: &mut u32) {
    let mut interner = Interner::new(live, overlay.source);
    live.names.reserve(interner.ids.len());
    for fragment in &overlay.fragments {
        interner.intern(live, fragment.overlay, true, nodes_seen);
    }
    for node in [overlay.symbols, overlay.fixups].into_iter().flatten() {
        interner.intern(live, node, false, nodes_seen);
    }
    if overlay.fragments.is_empty() {
        live.warn(WarningKind::NoFragments, overlay.source, None);
    }
}

struct Interner {
    source: SourceId,
    /// Of each offset in the overlay's strings block the id of its name plus one.
    ids: Vec<u32>,
}

impl Interner {
    fn new(live: &Live<'_>, source: SourceId) -> Self {
        Self { source, ids: alloc::vec![0; live.source(source).strings.bytes().len()] }
    }

    /// Interns the property names below `top`. With `unique`, a property that a node has twice keeps only its
    /// last value, as it would if the properties were set one after the other.
    fn intern(&mut self, live: &mut Live<'_>, top: NodeIndex, unique: bool, nodes_seen: &mut u32) {
        let mut duplicates: Vec<(Property, Property)> = Vec::new();
        let Live { sources, names, .. } = live;
        let source = &mut sources[self.source.0 as usize];
        for (property, first) in source.original.properties_below(source.tree.node(top)) {
            *nodes_seen = nodes_seen.wrapping_add(u32::from(first));
            let slot = &mut self.ids[property.name.0 as usize];
            if *slot == 0 {
                *slot = names.intern(source.strings.get(property.name).unwrap_or_default()).0 + 1;
            }
            let id = NameId(*slot - 1);
            write_name(source, &property, id.0);
            let earlier = names.see(id, *nodes_seen, property.at.0).filter(|_| unique);
            if let Some(earlier) = earlier.and_then(|at| source.original.property(StructureOffset(at))) {
                duplicates.push((earlier, property));
            }
        }
        *nodes_seen = nodes_seen.wrapping_add(1);
        for (earlier, later) in duplicates {
            let source = &mut live.sources[self.source.0 as usize];
            let range = earlier.at.index()..earlier.end().index();
            let (words, _) = source.bytes.to_mut()[range].as_chunks_mut::<4>();
            words.fill(Tag::NOP.to_be_bytes());
            let name = crate::error::text(source.property_name(&later));
            let place = source.error(crate::ErrorKind::NoTarget, self.source, later.at).place;
            let place = crate::Place { property: Some(name), ..*place };
            live.keep(Warning { kind: WarningKind::DuplicateProperty, place });
        }
    }
}

/// Points the names of the properties below the fragments into the merged strings block.
pub(crate) fn place_names(live: &mut Live<'_>, overlay: &Overlay) {
    let Live { sources, names, .. } = live;
    let source = &mut sources[overlay.source.0 as usize];
    for fragment in &overlay.fragments {
        for (property, _) in source.original.properties_below(source.tree.node(fragment.overlay)) {
            if let Some(id) = name_id(source, &property) {
                let offset = names.offset(id);
                write_name(source, &property, offset.0);
            }
        }
    }
}

/// The interned name of a property that was neither placed nor taken out.
pub(crate) fn name_id(source: &Source<'_>, property: &Property) -> Option<NameId> {
    let copy = kbt_fdt::StructureBlock::new(&source.bytes);
    copy.property(property.at).map(|property| NameId(property.name.0))
}

fn write_name(source: &mut Source<'_>, property: &Property, name: u32) {
    const NAME: usize = 8;
    let field = source.bytes.to_mut().get_mut(property.at.index() + NAME..);
    if let Some(field) = field.and_then(<[u8]>::first_chunk_mut::<4>) {
        *field = name.to_be_bytes();
    }
}
