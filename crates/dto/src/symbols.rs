//! Labels of the overlay in the merged tree's `/__symbols__`, so that a later overlay can use them.

use alloc::vec::Vec;

use kbt_fdt::NodeIndex;

use crate::error::{Error, ErrorKind, text};
use crate::live::Live;
use crate::names::Symbol;
use crate::ordered;
use crate::overlay::{Label, Overlay};
use crate::paths::components;
use crate::source::{MADE_SYMBOLS, NodeId, SourceId};

/// Adds every symbol of the overlay that leads into a fragment, as a path of the merged tree. A symbol that
/// leads elsewhere, to a fragment's own node say, has nothing in the merged tree and is left out.
pub(crate) fn update_symbols(live: &mut Live<'_>, overlay: &Overlay<'_>) -> Result<(), Error> {
    if overlay.own_symbols.is_empty() {
        return Ok(());
    }
    let id = overlay.source;
    // A fragment may have brought it.
    find(live);
    let mut prefix = Prefix { fragment: NodeIndex::ROOT, target: NodeId::ROOT, path: Vec::new() };
    for &Label { at, name, id: label } in overlay.own_symbols {
        let Some(property) = live.source(id).original.property(at) else { continue };
        let fail = |live: &Live<'_>, kind| {
            let source = live.source(id);
            Err(source.error(kind, id, property.at).property(source.property_name(&property)))
        };
        let path = live.source(id).original.value(&property);
        let path = match path.split_last() {
            Some((0, path)) if path.first() == Some(&b'/') && !path.contains(&0) => path,
            _ => return fail(live, ErrorKind::BadOverlaySymbol),
        };
        let Some((fragment, rest)) = split(path) else { continue };
        if !prefix.find(live, overlay, fragment) {
            return fail(live, ErrorKind::SymbolFragmentMissing { path: text(path) });
        }
        let node = *live.symbols.get_or_insert(MADE_SYMBOLS);
        let above = NodeId { source: SourceId::MADE, node: NodeIndex::ROOT };
        if node == MADE_SYMBOLS && live.parent(node) != Some(NodeId::ROOT) {
            live.merge_into(above, NodeId::ROOT);
            live.attach(NodeId::ROOT, node, 1)?;
        }
        let found = live.loose_names.then(|| prefix.found_below(live, rest)).flatten();
        let rest = found.as_deref().unwrap_or(rest);
        // The target may be the root node, whose path is empty here.
        let slash: &[u8] = if prefix.path.is_empty() && rest.is_empty() { b"/" } else { b"" };
        if !live.may_make(prefix.path.len() + rest.len()) {
            return fail(live, ErrorKind::TooLarge);
        }
        let offset = live.names.offset(name);
        let made = live.make_property(offset, &[slash, &prefix.path, rest, b"\0"]);
        let slot = match live.names.symbol(label) {
            Some(symbol) => live.replace_property(node, symbol.slot, Some(made)),
            None => live.append_property(node, made),
        };
        live.names.set_symbol(label, Symbol { property: made, slot, node: 0 });
    }
    Ok(())
}

/// Splits `/fragment/__overlay__/rest` into `fragment` and `/rest`.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let path = &path[1..];
    let (fragment, rest) = path.split_at(path.iter().position(|&byte| byte == b'/')?);
    let rest = rest.strip_prefix(b"/__overlay__")?;
    match rest {
        [] | [b'/'] => Some((fragment, &[])),
        [b'/', ..] => Some((fragment, rest)),
        _ => None,
    }
}

/// The path of a fragment's target, kept from symbol to symbol: those of one fragment stand together.
struct Prefix {
    fragment: NodeIndex,
    target: NodeId,
    path: Vec<u8>,
}

impl Prefix {
    fn find(&mut self, live: &mut Live<'_>, overlay: &Overlay<'_>, name: &[u8]) -> bool {
        let root = NodeId { source: overlay.source, node: NodeIndex::ROOT };
        let Some(found) = live.find_exact_child(root, name) else { return false };
        if found.node == self.fragment {
            return true;
        }
        let Some(target) = overlay.fragment(found.node).and_then(|fragment| fragment.target()) else {
            return false;
        };
        let target = live.numbered(target);
        (self.fragment, self.target) = (found.node, target);
        self.path.clear();
        live.push_path(target, &mut self.path);
        true
    }

    /// The path below the target with the names of the nodes that are found there.
    fn found_below(&self, live: &mut Live<'_>, path: &[u8]) -> Option<Vec<u8>> {
        let mut below = Vec::new();
        components(path).try_fold(self.target, |node, name| {
            let child = live.find_child(node, name)?;
            below.push(b'/');
            below.extend_from_slice(live.name(child));
            Some(child)
        })?;
        Some(below)
    }
}

/// Looks for `/__symbols__`, in the base or in what overlays brought, and notes its entries. From then on each
/// change of it is noted where it is made.
pub(crate) fn find(live: &mut Live<'_>) {
    if live.symbols.is_some() {
        return;
    }
    live.symbols = live.find_child(NodeId::ROOT, b"__symbols__");
    let Some(node) = live.symbols.filter(|_| live.names.has_labels()) else { return };
    if node.source == SourceId::BASE && live.list(node).is_empty() {
        let Live { sources, names, .. } = live;
        names.note_symbols(sources[0].properties(node.node));
        return ordered::resolve_symbols(live);
    }
    for (slot, property) in live.properties(node) {
        let name = live.names.get(live.property_at(property).name).to_vec();
        live.names.note_symbol_set(&name, Symbol { property, slot, node: 0 });
    }
}
