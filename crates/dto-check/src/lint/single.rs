//! One tree by itself.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;

use kbt_dto::Input;
use kbt_dts::bindings::{self, Shape};
use kbt_dts::{Dts, IndexedTree};
use kbt_fdt::{NodeIndex, Property};

use super::found::Findings;
use crate::rule::Rule;

/// The base.
pub(super) fn base(dts: &Dts<'_>, found: &mut Findings) {
    let (tree, input) = (dts.tree(), Input::Base);
    any(tree, input, found);
    for property in dts.labels().rest() {
        let Some(symbols) = tree.child(NodeIndex::ROOT, b"__symbols__") else { break };
        let path = tree.value(property).strip_suffix(b"\0").unwrap_or_default();
        if tree.find(path).is_some() {
            continue;
        }
        let into = path.split(|&byte| byte == b'/').any(|name| name == b"__overlay__");
        let rule = if into { Rule::SymbolIntoFragment } else { Rule::DanglingSymbol };
        let message = || {
            let (label, path) = texts(tree.property_name(property), path);
            format!("the symbol '{label}' leads to {path}, which does not exist")
        };
        found.at_property(rule, message, input, (tree, symbols), property);
    }
    for node in tree.indices() {
        for property in tree.properties(node) {
            if let Some((_, phandle)) = bindings::dangling(tree, node, &property) {
                let message = || format!("no node has the phandle {phandle:#x}");
                found.at_property(Rule::DanglingReference, message, input, (tree, node), &property);
            }
        }
    }
}

/// An overlay.
pub(super) fn overlay(dts: &Dts<'_>, input: Input, found: &mut Findings) {
    let tree = dts.tree();
    any(tree, input, found);
    outside_of_fragments(tree, input, found);
    symbols(dts, input, found);
    for child in tree.children(NodeIndex::ROOT) {
        let Some(content) = tree.child(child, b"__overlay__") else { continue };
        if tree.node(content).subtree_end.0 == content.0 + 1 && tree.properties(content).next().is_none() {
            let message = || "the fragment changes nothing".into();
            found.at_node(Rule::EmptyFragment, message, input, tree, child);
        }
        for index in content.0..tree.node(content).subtree_end.0 {
            let node = NodeIndex(index);
            for property in tree.properties(node) {
                hard_coded(dts, input, node, &property, found);
            }
        }
    }
}

/// What holds for any tree.
fn any(tree: &IndexedTree<'_>, input: Input, found: &mut Findings) {
    for pair in tree.phandles().windows(2) {
        if let [(one, first), (other, second)] = pair
            && one == other
        {
            let message = || format!("the phandle {one:#x} is that of {}, too", tree.path(*first));
            found.at_node(Rule::DuplicatePhandle, message, input, tree, *second);
        }
    }
    for parent in tree.indices() {
        for pair in tree.children_by_name(parent).windows(2) {
            if tree.name(pair[0]) == tree.name(pair[1]) {
                let message = || "a node of this name stands beside it already".into();
                found.at_node(Rule::DuplicateNode, message, input, tree, pair[1]);
            }
        }
        duplicate_properties(tree, input, parent, found);
    }
}

fn duplicate_properties(tree: &IndexedTree<'_>, input: Input, node: NodeIndex, found: &mut Findings) {
    for property in tree.properties(node) {
        let first = tree.property(node, tree.property_name(&property));
        if first.is_some_and(|first| first.at != property.at) {
            let message = || "the node has the property already".into();
            found.at_property(Rule::DuplicateProperty, message, input, (tree, node), &property);
        }
    }
}

/// What no tool merges.
fn outside_of_fragments(tree: &IndexedTree<'_>, input: Input, found: &mut Findings) {
    let root = NodeIndex::ROOT;
    for property in tree.properties(root) {
        // What the overlay says of itself: kbt dto matrix reads compatible.
        if !matches!(
            tree.property_name(&property),
            b"compatible" | b"model" | b"#address-cells" | b"#size-cells"
        ) {
            let message = || "a property of the overlay's root is not merged".into();
            found.at_property(Rule::OutsideFragment, message, input, (tree, root), &property);
        }
    }
    for child in tree.children(root) {
        let known = matches!(tree.name(child), b"__symbols__" | b"__fixups__" | b"__local_fixups__");
        if !known && tree.child(child, b"__overlay__").is_none() {
            let message = || "the node is no fragment (it has no __overlay__) and is not merged".into();
            found.at_node(Rule::OutsideFragment, message, input, tree, child);
        }
    }
}

/// Symbols that a merge drops.
fn symbols(dts: &Dts<'_>, input: Input, found: &mut Findings) {
    let tree = dts.tree();
    let Some(symbols) = tree.child(NodeIndex::ROOT, b"__symbols__") else { return };
    for symbol in tree.properties(symbols) {
        let path = tree.value(&symbol).strip_suffix(b"\0").unwrap_or_default();
        let (rule, says, what) = match tree.find(path) {
            None => (Rule::DanglingSymbol, "leads to", "does not exist"),
            Some(node) if !in_fragment(tree, node) => (Rule::SymbolOutsideOverlay, "is on", "is not merged"),
            Some(_) => continue,
        };
        let message = || {
            let (label, path) = texts(tree.property_name(&symbol), path);
            format!("the label '{label}' {says} {path}, which {what}")
        };
        found.at_property(rule, message, input, (tree, symbols), &symbol);
    }
}

/// A label and the path that it leads to.
fn texts<'t>(label: &'t [u8], path: &'t [u8]) -> (Cow<'t, str>, Cow<'t, str>) {
    (String::from_utf8_lossy(label), String::from_utf8_lossy(path))
}

/// Whether the node is the content of a fragment or stands in it.
fn in_fragment(tree: &IndexedTree<'_>, node: NodeIndex) -> bool {
    let ancestry = tree.ancestry(node);
    ancestry.get(1).is_some_and(|&content| tree.name(content) == b"__overlay__")
}

/// Tells of a number where a binding wants a phandle, and no fixup writes one.
fn hard_coded(dts: &Dts<'_>, input: Input, node: NodeIndex, property: &Property, found: &mut Findings) {
    let tree = dts.tree();
    let name = tree.property_name(property);
    let Some(shape) = bindings::shape(name).filter(|shape| *shape != Shape::InterruptMap) else { return };
    let value = tree.value(property);
    let hog = name == b"gpios" && tree.property(node, b"gpio-hog").is_some();
    let (Some(first), true) = (value.first_chunk::<4>(), value.len().is_multiple_of(4)) else { return };
    let first = u32::from_be_bytes(*first);
    let stated = dts.fixups().of(property.at);
    let is_stated = match shape {
        Shape::Phandles => stated.len() * 4 >= value.len(),
        _ => !stated.is_empty(),
    };
    if !is_stated && !hog && !bindings::is_text(value) && !matches!(first, 0 | u32::MAX) {
        let message = || format!("{first:#x} stands where a phandle is wanted, and no fixup writes one");
        found.at_property(Rule::HardCodedPhandle, message, input, (tree, node), property);
    }
}
