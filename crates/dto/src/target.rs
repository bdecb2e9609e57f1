//! Where a fragment is merged into: the node with the phandle `target`, or the one at `target-path`.

use alloc::string::String;
use alloc::vec::Vec;

use kbt_fdt::Property;

use crate::Options;
use crate::error::{Error, ErrorKind, Place, Warning, WarningKind, text};
use crate::live::{Live, cell};
use crate::overlay::Fragment;
use crate::paths::{components, path_in, resolve_absolute};
use crate::phandles;
use crate::source::{NodeId, SourceId};

/// The fragment's target in the merged tree as it is now; it is noted in the fragment.
pub(crate) fn find_target(
    live: &mut Live<'_>,
    id: SourceId,
    fragment: &mut Fragment,
    options: &Options,
) -> Result<NodeId, Error> {
    let found = match only_target(live, id, fragment) {
        Some(found) => found,
        None => {
            let found = read_target(live, id, fragment, options)
                .map_err(|error| error.fragment(live.source(id).name(fragment.node)))?;
            fragment.set_target(live.number(found));
            found
        }
    };
    if options.forbid_root && found == NodeId::ROOT {
        let source = live.source(id);
        let error = source.error(ErrorKind::RootForbidden, id, source.tree.node(fragment.node).begin);
        return Err(error.fragment(source.name(fragment.node)));
    }
    Ok(found)
}

/// The same where the fragment has a phandle and nothing else, and there is a node with it.
#[inline]
fn only_target(live: &mut Live<'_>, id: SourceId, fragment: &mut Fragment) -> Option<NodeId> {
    let block = live.source(id).copy();
    let phandle = block.word(fragment.target_only()?.plus(Property::HEADER_SIZE))?;
    match fragment.target() {
        Some(node) if fragment.labelled == phandle => Some(live.numbered(node)),
        _ if (1..=phandles::MAX).contains(&phandle) => {
            let found = live.node_with_phandle(phandle)?;
            fragment.set_target(live.number(found));
            Some(found)
        }
        _ => None,
    }
}

#[inline(never)]
fn read_target(
    live: &mut Live<'_>,
    id: SourceId,
    fragment: &Fragment,
    options: &Options,
) -> Result<NodeId, Error> {
    let source = live.source(id);
    let (mut target, mut path) = (None, None);
    for property in source.properties(fragment.node) {
        let name = source.string_from(property.name);
        if name.starts_with(b"target\0") {
            target = target.or(Some(property));
        } else if name.starts_with(b"target-path\0") {
            path = path.or(Some(property));
        }
    }
    let begin = source.tree.node(fragment.node).begin;
    let phandle = match target {
        Some(target) => match cell(source.value(&target)) {
            Some(u32::MAX) | None => {
                return Err(source
                    .error(ErrorKind::BadTarget, id, target.at)
                    .fragment(source.name(fragment.node))
                    .property(b"target"));
            }
            // libfdt reads 0 as no target.
            Some(0) => None,
            Some(phandle) => Some((phandle, target)),
        },
        None => None,
    };
    match (phandle, path) {
        (Some((phandle, target)), path) => {
            if let Some(path) = path {
                warn_two_targets(live, id, fragment);
                if options.labels_only {
                    return Err(path_forbidden(live, id, &path));
                }
            }
            by_phandle(live, id, phandle, &target)
        }
        (None, Some(path)) => by_path(live, id, &path, options),
        (None, None) => Err(source.error(ErrorKind::NoTarget, id, begin)),
    }
}

fn warn_two_targets(live: &mut Live<'_>, id: SourceId, fragment: &Fragment) {
    let source = live.source(id);
    let at = source.tree.node(fragment.node).begin;
    let place = Place {
        input: id.input(),
        offset: Some(source.input_offset(at)),
        fragment: Some(text(source.name(fragment.node))),
        property: Some("target-path".into()),
    };
    live.keep(Warning { kind: WarningKind::TwoTargets, place });
}

fn by_phandle(live: &mut Live<'_>, id: SourceId, phandle: u32, target: &Property) -> Result<NodeId, Error> {
    live.node_with_phandle(phandle).ok_or_else(|| {
        let error = live.source(id).error(ErrorKind::TargetPhandleMissing { phandle }, id, target.at);
        error.property(b"target")
    })
}

fn path_forbidden(live: &Live<'_>, id: SourceId, property: &Property) -> Error {
    let source = live.source(id);
    let path = source.original.value(property);
    let path = text(path.strip_suffix(b"\0").unwrap_or(path));
    source.error(ErrorKind::PathForbidden { path }, id, property.at).property(b"target-path")
}

fn by_path(
    live: &mut Live<'_>,
    id: SourceId,
    property: &Property,
    options: &Options,
) -> Result<NodeId, Error> {
    let source = live.source(id);
    let value = source.original.value(property);
    let fail =
        |live: &Live<'_>, kind| Err(live.source(id).error(kind, id, property.at).property(b"target-path"));
    let path = match value.split_last() {
        Some((0, path)) if !path.is_empty() && !path.contains(&0) => path,
        _ => return fail(live, ErrorKind::BadTarget),
    };
    if options.labels_only {
        return Err(path_forbidden(live, id, property));
    }
    match resolve(live, path) {
        Some(node) => Ok(node),
        None => {
            let loose = loose_path(live, path);
            fail(live, ErrorKind::TargetPathMissing { path: text(path), loose })
        }
    }
}

/// The node at a path: an absolute one, or one that starts with an alias.
pub(crate) fn resolve(live: &mut Live<'_>, path: &[u8]) -> Option<NodeId> {
    if path.first() == Some(&b'/') {
        return resolve_absolute(live, path);
    }
    let absolute = expand_alias(live, path)?;
    resolve_absolute(live, &absolute)
}

/// The path with its first component, an alias, replaced by what `/aliases` says.
fn expand_alias(live: &mut Live<'_>, path: &[u8]) -> Option<Vec<u8>> {
    let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
    let (alias, rest) = path.split_at(end);
    let aliases = live.find_child(NodeId::ROOT, b"aliases")?;
    let value = live.value(aliases, alias)?;
    let value = path_in(value).filter(|path| path.starts_with(b"/") && value.ends_with(b"\0"))?;
    let mut absolute = value.to_vec();
    absolute.extend_from_slice(rest);
    Some(absolute)
}

/// For a hint: the path that is found if each name may stand for the only one that adds a unit address.
fn loose_path(live: &mut Live<'_>, path: &[u8]) -> Option<String> {
    let absolute = if path.first() == Some(&b'/') { path.to_vec() } else { expand_alias(live, path)? };
    let mut node = NodeId::ROOT;
    for component in components(&absolute) {
        node = live.find_child(node, component).or_else(|| live.only_with_unit_address(node, component))?;
    }
    let mut found = Vec::new();
    live.push_path(node, &mut found);
    Some(text(&found))
}
