//! References from the overlay to labels of the tree so far: each property of `__fixups__` is named like a
//! label, and lists the places that want its phandle, as strings `path:property:offset`.

use kbt_fdt::{NodeIndex, Property, find_byte, same};

use crate::error::{Error, ErrorKind, text};
use crate::live::Live;
use crate::names::{LabelId, NameId, Symbol};
use crate::overlay::{Label, Overlay};
use crate::paths::{Siblings, components, path_in};
use crate::source::{NodeId, SourceId};
use crate::suggest;
use crate::target;
use crate::wide::PropertyTables;

/// Writes the phandle of every label that `__fixups__` names to where it is wanted. A node that has no phandle
/// is given one.
pub(crate) fn resolve_fixups(live: &mut Live<'_>, overlay: &mut Overlay<'_>) -> Result<(), Error> {
    let (mut siblings, mut places) = (Siblings::default(), Places::default());
    for index in 0..overlay.wanted_labels.len() {
        let label = overlay.wanted_labels[index];
        let Some(property) = live.source(overlay.source).original.property(label.at) else { continue };
        let Some(wanted) = find_labelled(live, label.id, &mut siblings) else {
            let kind = why_not_found(live, label);
            return Err(place(live, overlay, &property, kind));
        };
        write_phandle(live, overlay, &property, wanted, &mut places)?;
    }
    Ok(())
}

/// The node that a label stands for, and its phandle.
fn find_labelled<'a>(
    live: &mut Live<'a>,
    label: LabelId,
    siblings: &mut Siblings<'a>,
) -> Option<(u32, NodeId)> {
    let Symbol { property, node, .. } = live.names.symbol(label)?;
    let node = if let Some(number) = node.checked_sub(1) {
        live.numbered(number)
    } else if property.source == SourceId::MADE {
        // What was made moves when it grows; the inputs outlive the merge.
        let made = live.value_of(property).to_vec();
        Siblings::default().resolve(live, path_in(&made)?)?
    } else {
        match path_in(live.source(property.source).original.value_at(property.at)?)? {
            path @ [b'/', ..] => siblings.resolve(live, path)?,
            path => resolve_alias(live, path)?,
        }
    };
    Some((phandle_of(live, node)?, node))
}

/// Why there is no node, or none that can have a phandle.
#[cold]
fn why_not_found(live: &mut Live<'_>, label: Label) -> ErrorKind {
    let symbol = live.names.symbol(label.id);
    let label = text(live.names.text(label.name));
    let Some(Symbol { property, .. }) = symbol else {
        return match live.symbols {
            None => ErrorKind::NoSymbols { label },
            Some(symbols) => ErrorKind::UnresolvedLabel { near: suggest::near(live, symbols, &label), label },
        };
    };
    let value = live.value_of(property).to_vec();
    match path_in(&value) {
        Some(path) if target::resolve(live, path).is_some() => ErrorKind::PhandlesUsedUp,
        Some(path) => ErrorKind::SymbolPathMissing { label, path: text(path) },
        None => ErrorKind::BadSymbol { label },
    }
}

/// The node at a path that starts with an alias: fdtoverlay writes such symbols.
#[cold]
fn resolve_alias(live: &mut Live<'_>, path: &[u8]) -> Option<NodeId> {
    target::resolve(live, path)
}

/// The node's phandle; a new one where it has none, if any is left.
#[inline]
fn phandle_of(live: &mut Live<'_>, node: NodeId) -> Option<u32> {
    live.phandle(node).or_else(|| give_phandle(live, node))
}

#[inline(never)]
fn give_phandle(live: &mut Live<'_>, node: NodeId) -> Option<u32> {
    let phandle = live.phandles.max.checked_add(1).filter(|&phandle| phandle <= crate::phandles::MAX)?;
    let name = live.names.offset(NameId::PHANDLE);
    let property = live.make_property(name, &[&phandle.to_be_bytes()]);
    live.set_property(node, name, property);
    let number = live.number(node);
    live.phandles.set(phandle, number);
    Some(phandle)
}

/// Where the next place is likely to be, and what was learnt of the last ones.
#[derive(Default)]
struct Places {
    /// The number of a fragment.
    guess: usize,
    tables: PropertyTables,
}

/// Writes the wanted node's phandle to every place in the list.
fn write_phandle<'a>(
    live: &mut Live<'a>,
    overlay: &mut Overlay<'_>,
    list: &Property,
    wanted: (u32, NodeId),
    places: &mut Places,
) -> Result<(), Error> {
    let id = overlay.source;
    let block = live.source(id).original;
    let mut rest = block.value(list);
    let mut last: (&[u8], NodeIndex) = (b"", NodeIndex::ROOT);
    while !rest.is_empty() {
        if let Some(behind) = write_target(live, overlay, rest, wanted, &mut places.guess) {
            rest = behind;
            continue;
        }
        let end = find_byte(rest, 0).unwrap_or(rest.len());
        let (entry, behind) = rest.split_at(end);
        let fixup = Fixup::parse(entry).filter(|_| !behind.is_empty());
        let Some(fixup) = fixup else { return Err(bad_entry(live, overlay, list, entry)) };
        rest = &behind[1..];
        if fixup.path != last.0 {
            last = (fixup.path, find_node(live, overlay, list, &fixup)?);
        }
        let property = find_property(live, overlay, list, &fixup, last.1, &mut places.tables)?;
        if fixup.property == b"target"
            && let Some(fragment) = overlay.fragment_mut(last.1)
        {
            fragment.labelled = wanted.0;
            fragment.set_target(live.number(wanted.1));
        }
        live.source_mut(id).change_cell(&property, fixup.at, |_| wanted.0);
    }
    Ok(())
}

/// Writes the phandle to the target of fragment number `guess`, if the first entry of `list` is just that, and gives
/// the other entries: most entries are so, and in the order of the fragments.
fn write_target<'e>(
    live: &mut Live<'_>,
    overlay: &mut Overlay<'_>,
    list: &'e [u8],
    wanted: (u32, NodeId),
    guess: &mut usize,
) -> Option<&'e [u8]> {
    let number = live.number(wanted.1);
    let source = live.source_mut(overlay.source);
    let fragment = overlay.distinct_fragment(*guess)?;
    let fragment_name = source.name_of_length(fragment.node, fragment.name_length)?;
    let (name, path) = list.strip_prefix(b"/")?.split_at_checked(fragment_name.len())?;
    let behind = path.strip_prefix(b":target:0\0").filter(|_| same(name, fragment_name))?;
    *source.cell_mut(fragment.target_only()?)? = wanted.0.to_be_bytes();
    fragment.labelled = wanted.0;
    fragment.set_target(number);
    *guess += 1;
    Some(behind)
}

/// The property of `node` that the entry names, if it has room for a phandle there.
#[inline]
fn find_property<'a>(
    live: &Live<'a>,
    overlay: &Overlay<'_>,
    list: &Property,
    fixup: &Fixup<'_>,
    node: NodeIndex,
    tables: &mut PropertyTables,
) -> Result<Property, Error> {
    let id = overlay.source;
    let source = live.source(id);
    let Some(property) = tables.find(source, node, fixup.property) else {
        let kind = ErrorKind::FixupPropertyMissing { path: text(fixup.path) };
        return Err(place(live, overlay, list, kind).fragment(fragment_of(fixup.path)));
    };
    if property.length < 4 || fixup.at > property.length - 4 {
        let kind = ErrorKind::FixupOutOfBounds { at: fixup.at, length: property.length };
        let error = source.error(kind, id, property.at);
        return Err(error.property(fixup.property).fragment(fragment_of(fixup.path)));
    }
    Ok(property)
}

#[cold]
fn bad_entry(live: &Live<'_>, overlay: &Overlay<'_>, list: &Property, entry: &[u8]) -> Error {
    let kind = ErrorKind::BadFixup { entry: text(entry) };
    place(live, overlay, list, kind).fragment(fragment_of(entry))
}

fn find_node(
    live: &mut Live<'_>,
    overlay: &Overlay<'_>,
    list: &Property,
    fixup: &Fixup<'_>,
) -> Result<NodeIndex, Error> {
    let mut node = NodeId { source: overlay.source, node: NodeIndex::ROOT };
    for component in components(fixup.path) {
        node = live.find_exact_child(node, component).ok_or_else(|| {
            let kind = ErrorKind::FixupNodeMissing { path: text(fixup.path) };
            place(live, overlay, list, kind).fragment(fragment_of(fixup.path))
        })?;
    }
    Ok(node.node)
}

/// One entry of a list.
struct Fixup<'e> {
    path: &'e [u8],
    property: &'e [u8],
    at: u32,
}

impl<'e> Fixup<'e> {
    fn parse(entry: &'e [u8]) -> Option<Self> {
        let (path, rest) = entry.split_at(find_byte(entry, b':')?);
        let (property, digits) = rest[1..].split_at(find_byte(&rest[1..], b':')?);
        if path.first() != Some(&b'/') || property.is_empty() {
            return None;
        }
        Some(Self { path, property, at: decimal(&digits[1..])? })
    }
}

/// Digits only, one at least.
fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 { None } else { value.checked_mul(10)?.checked_add(u32::from(digit)) }
    })
}

/// An error about a label's list, at the list, or at the first place that wants the label.
fn place(live: &Live<'_>, overlay: &Overlay<'_>, list: &Property, kind: ErrorKind) -> Error {
    let source = live.source(overlay.source);
    let error = source.error(kind, overlay.source, list.at);
    let value = source.original.value(list);
    let entry = value.split(|&byte| byte == 0).next().unwrap_or_default();
    match Fixup::parse(entry) {
        Some(fixup)
            if matches!(error.kind, ErrorKind::NoSymbols { .. } | ErrorKind::UnresolvedLabel { .. }) =>
        {
            error.fragment(fragment_of(fixup.path)).property(fixup.property)
        }
        _ => error.property(source.property_name(list)),
    }
}

/// The first name in an absolute path, or in the path of an entry.
fn fragment_of(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"/").unwrap_or_default();
    path.split(|&byte| byte == b'/' || byte == b':').next().unwrap_or_default()
}
