//! What several overlays change: who set a property first, who brought a node.
//!
//! A place is the number of a path, given when it is first met, so that it stays the same while the tree grows; a path is
//! its parent's number and its own name, and never written out.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use kbt_dto::Input;
use kbt_dts::IndexedTree;
use kbt_fdt::{NodeIndex, Property};

use super::found::Findings;
use super::overlay::Case;
use crate::rule::Rule;

/// The number of a path; the root node's is 0.
type Place = usize;

/// What the overlays so far have done.
#[derive(Debug, Default)]
pub(super) struct History {
    places: BTreeMap<(Place, Vec<u8>), Place>,
    /// The overlay that last set a property.
    properties: BTreeMap<(Place, Vec<u8>), usize>,
    /// The overlay that brought a node.
    nodes: BTreeMap<Place, usize>,
}

impl History {
    /// Tells what overlay number `index` does again, and notes what it does.
    pub(super) fn note(&mut self, case: &Case<'_, '_, '_>, index: usize, found: &mut Findings) {
        let tree = case.overlay.tree();
        for fragment in case.new.fragments() {
            let Ok(target) = fragment.target else { continue };
            let mut places = alloc::vec![self.place(case.after, target)];
            for at in fragment.overlay.0..tree.node(fragment.overlay).subtree_end.0 {
                let node = NodeIndex(at);
                if node != fragment.overlay {
                    let above = places[(tree.node(node).parent.0 - fragment.overlay.0) as usize];
                    let name = case.new.of(node).map_or(tree.name(node), |at| case.after.name(at));
                    places.push(self.child(above, name));
                }
                let place = places[(at - fragment.overlay.0) as usize];
                self.note_node(case, index, node, (place, node == fragment.overlay), found);
                for property in tree.properties(node) {
                    self.note_property(case, index, (node, place), &property, found);
                }
            }
        }
    }

    fn child(&mut self, above: Place, name: &[u8]) -> Place {
        let next = self.places.len() + 1;
        *self.places.entry((above, name.to_vec())).or_insert(next)
    }

    fn place(&mut self, tree: &IndexedTree<'_>, node: NodeIndex) -> Place {
        tree.ancestry(node).into_iter().fold(0, |above, node| self.child(above, tree.name(node)))
    }

    fn note_node(
        &mut self,
        case: &Case<'_, '_, '_>,
        index: usize,
        node: NodeIndex,
        (place, is_target): (Place, bool),
        found: &mut Findings,
    ) {
        if is_target {
            return;
        }
        if case.old.of(node).is_none() {
            self.nodes.entry(place).or_insert(index);
        } else if let Some(first) = self.nodes.get(&place).copied().filter(|&first| first != index) {
            let message = || "an earlier overlay brings the node, too".into();
            let finding = found.at_node(Rule::NodeTwice, message, case.input, case.overlay.tree(), node);
            finding.into_iter().for_each(|finding| finding.earlier = Some(first));
        }
    }

    fn note_property(
        &mut self,
        case: &Case<'_, '_, '_>,
        index: usize,
        (node, place): (NodeIndex, Place),
        property: &Property,
        found: &mut Findings,
    ) {
        let tree = case.overlay.tree();
        let name = tree.property_name(property);
        if matches!(name, b"phandle" | b"linux,phandle") {
            return;
        }
        let earlier =
            self.properties.insert((place, name.to_vec()), index).filter(|&earlier| earlier != index);
        let old = case.old.of(node).and_then(|node| case.before.property_value(node, name));
        let changed = old != case.new.of(node).and_then(|node| case.after.property_value(node, name));
        let chosen = case.new.of(node).is_some_and(|node| case.after.find(b"/chosen") == Some(node));
        let rule = match (earlier, name) {
            (_, b"bootargs") if chosen && old.is_some() && changed => Rule::BootargsReplaced,
            (Some(_), b"bootargs_ext") if chosen => Rule::BootargsExtTwice,
            (Some(_), _) if changed => Rule::PropertyConflict,
            (Some(_), _) => Rule::PropertyTwice,
            _ => return,
        };
        let message = || match rule {
            Rule::BootargsReplaced => format!("it replaces \"{}\"", command_line(old.unwrap_or_default())),
            Rule::PropertyTwice => "an earlier overlay sets it to the same".into(),
            _ => "it replaces what an earlier overlay sets".into(),
        };
        let finding = found.at_property(rule, message, Input::Overlay(index), (tree, node), property);
        finding.into_iter().for_each(|finding| finding.earlier = earlier);
    }
}

/// The text of a kernel's command line, cut where it is longer than kernels take.
fn command_line(value: &[u8]) -> String {
    const LONGEST: usize = 4096;
    let text = value.strip_suffix(b"\0").unwrap_or(value);
    match text.split_at_checked(LONGEST) {
        Some((cut, rest)) if !rest.is_empty() => format!("{}...", String::from_utf8_lossy(cut)),
        _ => String::from_utf8_lossy(text).into_owned(),
    }
}
