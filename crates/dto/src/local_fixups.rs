//! References from the overlay to itself: `__local_fixups__` mirrors the overlay's nodes, and each of its
//! properties lists the places, in bytes, of the phandles in the property of that name.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property};

use crate::error::{Error, ErrorKind, text};
use crate::live::Live;
use crate::overlay::Overlay;
use crate::source::{NodeId, Source};
use crate::wide::PropertyTables;

/// Shifts every reference that `__local_fixups__` lists, as the phandles themselves were shifted.
pub(crate) fn update_local_references(live: &mut Live<'_>, overlay: &mut Overlay<'_>) -> Result<(), Error> {
    let Some(top) = overlay.local_fixups else { return Ok(()) };
    let end = live.source(overlay.source).tree.node(top).subtree_end;
    let mut tables = PropertyTables::default();
    // The mirroring nodes that are open: where the subtree of each ends, and the node that it stands for.
    let mut open: Vec<(NodeIndex, NodeIndex)> = Vec::new();
    for mirror in (top.0..end.0).map(NodeIndex) {
        while open.last().is_some_and(|(end, _)| *end <= mirror) {
            open.pop();
        }
        let node = match open.last() {
            Some(&(_, parent)) => find_mirrored(live, overlay, mirror, parent)?,
            None => NodeIndex::ROOT,
        };
        open.push((live.source(overlay.source).tree.node(mirror).subtree_end, node));
        update_properties(live, overlay, mirror, node, &mut tables)?;
    }
    Ok(())
}

fn find_mirrored(
    live: &mut Live<'_>,
    overlay: &Overlay<'_>,
    mirror: NodeIndex,
    parent: NodeIndex,
) -> Result<NodeIndex, Error> {
    let id = overlay.source;
    let name = live.source(id).name(mirror);
    let parent = NodeId { source: id, node: parent };
    let found = live.find_exact_child(parent, name);
    found.map(|found| found.node).ok_or_else(|| {
        let mut path = Vec::new();
        live.push_path(parent, &mut path);
        path.push(b'/');
        path.extend_from_slice(name);
        let source = live.source(id);
        let kind = ErrorKind::FixupNodeMissing { path: text(&path) };
        source.error(kind, id, source.tree.node(mirror).begin)
    })
}

fn update_properties<'a>(
    live: &mut Live<'a>,
    overlay: &mut Overlay<'_>,
    mirror: NodeIndex,
    node: NodeIndex,
    tables: &mut PropertyTables,
) -> Result<(), Error> {
    let id = overlay.source;
    let source = live.source_mut(id);
    for list in source.properties(mirror) {
        let name = source.property_name(&list);
        let fail = |source: &Source<'_>, kind| {
            let error = source.error(kind, id, list.at).property(name);
            Err(error.fragment(source.name(top_of(source, node))))
        };
        let (offsets, rest) = source.original.value(&list).as_chunks::<4>();
        if !rest.is_empty() {
            return fail(source, ErrorKind::BadLocalFixup);
        }
        let Some(property) = tables.find(source, node, name) else {
            let path = text(source.name(node));
            return fail(source, ErrorKind::FixupPropertyMissing { path });
        };
        // A property that another one replaces is not in the copy.
        let in_copy = source.copy().property(property.at).is_some();
        for at in offsets.iter().map(|cell| u32::from_be_bytes(*cell)) {
            if at > property.length.saturating_sub(4) || property.length < 4 {
                return fail(source, ErrorKind::FixupOutOfBounds { at, length: property.length });
            }
            let shift = source.shift;
            let mut fits = true;
            source.change_cell(&property, at, |phandle| {
                let shifted = phandle.checked_add(shift).filter(|&phandle| phandle <= crate::phandles::MAX);
                fits = shifted.is_some();
                shifted.unwrap_or(phandle)
            });
            if !fits {
                return fail(source, ErrorKind::PhandlesUsedUp);
            }
            if in_copy {
                overlay.local_references.push(property.at.plus(Property::HEADER_SIZE).plus(at));
            }
        }
    }
    Ok(())
}

/// The child of the root node that a node is below of; the root node for itself.
fn top_of(source: &Source<'_>, node: NodeIndex) -> NodeIndex {
    let mut top = node;
    while source.tree.node(top).parent != NodeIndex::ROOT {
        top = source.tree.node(top).parent;
    }
    top
}
