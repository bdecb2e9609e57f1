//! Whether a tree holds what overlays ask for, as the tree that a device's kernel has must hold those of its `dtbo`
//! partition.
//!
//! Idea: each fragment's target is looked up in the final tree, and each node below it by its exact name. What the last
//! overlay says of a property must stand there: the same bytes, but that a phandle must lead to the node which the
//! overlay means. The phandles' places are those that `__fixups__` and `__local_fixups__` state; nothing is guessed.
//!
//! Unlike AOSP's `ufdt_verify_dtbo`: a target that cannot be found fails; fragments with a `target-path` count; a phandle
//! must lead to that very node, not to one of its name; phandles of the final tree that lead nowhere or that two nodes
//! have are found, as they are left by merges that overwrite a base's phandles or number none anew.
//!
//! A label is the node that it led to when its overlay was merged. The final tree's `__symbols__` say what it leads to now. Where
//! a later overlay has set it anew only the base tells of the time before.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;

use kbt_dto::{Input, Options};
use kbt_dts::{Dts, Error, IndexedTree, Referent, bindings};
use kbt_fdt::{NodeIndex, Property};

use crate::bootargs::{Line, Piece, shown};
use crate::placement::{Placement, TargetFault, find_label};

/// What the final tree lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The overlay has no fragment: nothing was to be merged.
    NoFragments,
    /// A child of the overlay's root has a target and no `__overlay__`.
    NoOverlay,
    /// A fragment's target is not in the final tree.
    Target(TargetFault),
    /// A node of the overlay is not in the final tree.
    NodeMissing {
        /// Path of the only node whose name is this one and a unit address.
        loose: Option<String>,
    },
    /// A property is not in the final tree.
    PropertyMissing,
    /// A property has another value.
    Value {
        /// The value wanted, as source.
        wanted: String,
        /// The value found, as source.
        found: String,
    },
    /// The command line that was joined has not these words.
    CommandLine {
        /// The words wanted.
        wanted: String,
        /// The whole line found.
        found: String,
    },
    /// The label in a property leads to no node of the final tree.
    LabelMissing {
        /// The label.
        label: String,
    },
    /// A phandle leads to another node, or to none.
    Phandle {
        /// The path wanted.
        wanted: String,
        /// The path found.
        found: Option<String>,
    },
    /// A later overlay has set the label anew, and there is no base to tell what it led to before.
    LabelReplaced {
        /// The label.
        label: String,
    },
    /// Two nodes of the final tree have one phandle.
    DuplicatePhandle {
        /// The phandle.
        phandle: u32,
        /// Path of the first of them.
        first: String,
    },
    /// A reference of the final tree leads to no node.
    Dangling {
        /// The phandle.
        phandle: u32,
    },
}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong.
    pub kind: FaultKind,
    /// The overlay that asks for it; [`Input::Base`] stands for the final tree.
    pub input: Input,
    /// Path of the node: in the final tree where it is there, else in the overlay.
    pub node: String,
    /// The property's name.
    pub property: Option<String>,
    /// Byte offset in the input.
    pub offset: usize,
}

/// What was held against what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// What the final tree lacks, overlay by overlay; at most 1000.
    pub faults: Vec<Fault>,
    /// How many faults more there are.
    pub unlisted: usize,
    /// Nodes of overlays that were looked up.
    pub nodes: usize,
    /// Properties that were compared.
    pub properties: usize,
}

/// No more faults are kept.
const MAX_FAULTS: usize = 1000;

/// Holds the overlays, in the order in which they were merged, against the final tree. Faults of the final tree that `base`,
/// the tree before the merge, has too are left out. Of the options of the merge two count: `concat_bootargs` and `loose_names`.
///
/// # Errors
/// A tree that cannot be read, with the input that it is; [`Input::Base`] is the final tree, or the base.
pub fn verify(
    last: &[u8],
    base: Option<&[u8]>,
    overlays: &[&[u8]],
    options: &Options,
) -> Result<Verified, (Input, Error)> {
    let last = Dts::parse(last).map_err(|error| (Input::Base, error))?;
    let base = base.map(Dts::parse).transpose().map_err(|error| (Input::Base, error))?;
    let mut read = Vec::with_capacity(overlays.len());
    for (index, bytes) in overlays.iter().enumerate() {
        read.push(Dts::parse(bytes).map_err(|error| (Input::Overlay(index), error))?);
    }
    let mut verifier = Verifier {
        last: &last,
        base: base.as_ref(),
        loose: options.loose_names,
        labels: BTreeMap::new(),
        tails: tails(&read),
        found: Verified::default(),
    };
    let mut wanted: BTreeMap<(NodeIndex, &[u8]), Wanted<'_, '_>> = BTreeMap::new();
    let mut placements = Vec::with_capacity(read.len());
    for (index, overlay) in read.iter().enumerate() {
        placements.push(verifier.place(index, overlay));
    }
    let mut line = options.concat_bootargs.then(|| Line::start(base.as_ref()));
    let chosen = last.tree().child(NodeIndex::ROOT, b"chosen");
    for (index, (overlay, placement)) in read.iter().zip(&placements).enumerate() {
        for (place, property) in verifier.nodes(Input::Overlay(index), overlay, placement) {
            let joined = line.as_mut().filter(|_| Some(place) == chosen);
            let property_of = property.property;
            if joined.is_some_and(|line| {
                line.take(Piece { index: Some(index), dts: overlay, property: property_of })
            }) {
                continue;
            }
            // A later overlay, and a later property, replaces what an earlier one wants.
            let name = overlay.tree().property_name(&property.property);
            wanted.insert((place, name), Wanted { index, overlay, placement, ..property });
        }
    }
    let mut wanted: Vec<_> = wanted.into_iter().collect();
    wanted.sort_by_key(|(_, it)| (it.index, it.property.at));
    for ((place, name), wanted) in wanted {
        verifier.property(place, name, &wanted);
    }
    line.into_iter().for_each(|line| verifier.command_line(&line));
    verifier.dangling();
    verifier.duplicate_phandles();
    Ok(verifier.found)
}

/// Of each label that overlays bring the overlays, in order, with the label's path below `__overlay__`.
fn tails<'a>(overlays: &[Dts<'a>]) -> BTreeMap<&'a [u8], Vec<(usize, &'a [u8])>> {
    const CONTENT: &[u8] = b"/__overlay__";
    let mut tails: BTreeMap<&[u8], Vec<(usize, &[u8])>> = BTreeMap::new();
    for (index, overlay) in overlays.iter().enumerate() {
        let own = overlay.tree();
        let symbols = own.child(NodeIndex::ROOT, b"__symbols__");
        for symbol in symbols.into_iter().flat_map(|symbols| own.properties(symbols)) {
            let Some(path) = own.value(&symbol).strip_suffix(b"\0") else { continue };
            let content = path.windows(CONTENT.len()).position(|window| window == CONTENT);
            if let Some(tail) = content.and_then(|at| path.get(at + CONTENT.len()..)) {
                tails.entry(own.property_name(&symbol)).or_default().push((index, tail));
            }
        }
    }
    tails
}

/// A property that an overlay wants.
#[derive(Clone, Copy)]
struct Wanted<'r, 'a> {
    index: usize,
    overlay: &'r Dts<'a>,
    placement: &'r Placement,
    property: Property,
}

struct Verifier<'r, 'a> {
    last: &'r Dts<'a>,
    base: Option<&'r Dts<'a>>,
    /// Whether names match as libfdt's do.
    loose: bool,
    /// Labels of overlays with their nodes, each with the overlay's number, in order.
    labels: BTreeMap<&'a [u8], Vec<(usize, NodeIndex)>>,
    tails: BTreeMap<&'a [u8], Vec<(usize, &'a [u8])>>,
    found: Verified,
}

impl<'r, 'a> Verifier<'r, 'a> {
    /// Finds the overlay's nodes and notes its labels for the next ones.
    fn place(&mut self, index: usize, overlay: &'r Dts<'a>) -> Placement {
        let (tree, input) = (self.last.tree(), Input::Overlay(index));
        let placement =
            Placement::new(overlay, tree, self.loose, |label| self.label(index, label).ok().flatten());
        for fragment in placement.fragments() {
            if let Err(fault) = &fragment.target {
                let kind = match fault {
                    TargetFault::Label(label) if self.label(index, label.as_bytes()).is_err() => {
                        FaultKind::LabelReplaced { label: label.clone() }
                    }
                    fault => FaultKind::Target(fault.clone()),
                };
                self.fault(kind, input, overlay.tree(), fragment.node, None);
            }
        }
        let own = overlay.tree();
        for node in own.children(NodeIndex::ROOT) {
            let targeted = own.property(node, b"target").or(own.property(node, b"target-path")).is_some();
            if targeted && own.child(node, b"__overlay__").is_none() {
                self.fault(FaultKind::NoOverlay, input, own, node, None);
            }
        }
        if placement.fragments().is_empty() {
            self.fault(FaultKind::NoFragments, input, own, NodeIndex::ROOT, None);
        }
        if let Some(symbols) = own.child(NodeIndex::ROOT, b"__symbols__") {
            for symbol in own.properties(symbols) {
                let path = own.value(&symbol).strip_suffix(b"\0");
                if let Some(place) = path.and_then(|path| placement.of(own.find(path)?)) {
                    self.labels.entry(own.property_name(&symbol)).or_default().push((index, place));
                }
            }
        }
        placement
    }

    /// The node that a label led to for overlay `index`; an error where nobody can tell.
    fn label(&self, index: usize, label: &[u8]) -> Result<Option<NodeIndex>, Replaced> {
        let tree = self.last.tree();
        let now = find_label(tree, label, self.loose);
        let brought = self.tails.get(label).map(Vec::as_slice).unwrap_or_default();
        let earlier = self.labels.get(label).and_then(|nodes| nodes.iter().rfind(|(by, _)| *by < index));
        // Whether the final tree's symbol is what the last overlay with this label has set; libufdt sets none.
        let is_set = |tail: &[u8]| now.is_some_and(|node| tree.path(node).as_bytes().ends_with(tail));
        if !brought.last().is_some_and(|(_, tail)| is_set(tail)) {
            return Ok(now.or(earlier.map(|(_, node)| *node)));
        }
        if let Some((_, node)) = earlier {
            return Ok(Some(*node));
        }
        match self.base {
            Some(base) => {
                let node = find_label(base.tree(), label, self.loose);
                Ok(node.and_then(|node| tree.find(base.tree().path(node).as_bytes())))
            }
            None => Err(Replaced),
        }
    }

    /// Tells of nodes that are missing and gives the properties of the others, with their places.
    fn nodes<'p>(
        &mut self,
        input: Input,
        overlay: &'p Dts<'a>,
        placement: &'p Placement,
    ) -> Vec<(NodeIndex, Wanted<'p, 'a>)> {
        let own = overlay.tree();
        let mut wanted = Vec::new();
        for fragment in placement.fragments().iter().filter(|fragment| fragment.target.is_ok()) {
            for index in fragment.overlay.0..own.node(fragment.overlay).subtree_end.0 {
                let node = NodeIndex(index);
                self.found.nodes += 1;
                let Some(place) = placement.of(node) else {
                    // Of a subtree that is missing its top is told.
                    if let Some(above) = placement.of(own.node(node).parent) {
                        let tree = self.last.tree();
                        let mut alike = tree.children_with_unit_address(above, own.name(node));
                        let only = alike.next().filter(|_| alike.next().is_none());
                        let loose = only.map(|only| tree.path(only));
                        self.fault(FaultKind::NodeMissing { loose }, input, own, node, None);
                    }
                    continue;
                };
                let properties = own.properties(node);
                wanted.extend(
                    properties.map(|property| (place, Wanted { index: 0, overlay, placement, property })),
                );
            }
        }
        wanted
    }

    /// Holds a property against the final tree's.
    fn property(&mut self, place: NodeIndex, name: &[u8], wanted: &Wanted<'_, 'a>) {
        self.found.properties += 1;
        let tree = self.last.tree();
        let is_phandle = matches!(name, b"phandle" | b"linux,phandle");
        let kind = match tree.property(place, name) {
            // The base's may stay under the other name.
            None if is_phandle && tree.phandle(place) != 0 => return,
            None => Some(FaultKind::PropertyMissing),
            // Its number is the merge's affair; who refers to it is looked at there.
            Some(_) if is_phandle => None,
            Some(found) => self.value(place, &found, wanted),
        };
        if let Some(kind) = kind {
            let own = wanted.overlay.tree();
            self.push(Fault {
                kind,
                input: Input::Overlay(wanted.index),
                node: tree.path(place),
                property: Some(String::from_utf8_lossy(name).into_owned()),
                offset: own.offset(wanted.property.at.index()),
            });
        }
    }

    fn value(&self, place: NodeIndex, found: &Property, wanted: &Wanted<'_, 'a>) -> Option<FaultKind> {
        let (tree, own) = (self.last.tree(), wanted.overlay.tree());
        let (there, asked) = (tree.value(found), own.value(&wanted.property));
        let mut at = 0;
        let references = wanted.overlay.fixups().of(wanted.property.at);
        let mut same = there.len() == asked.len();
        for reference in references {
            let offset = reference.offset as usize;
            same &= there.get(at..offset) == asked.get(at..offset);
            at = offset + 4;
        }
        if !same || there.get(at..) != asked.get(at..) {
            return Some(FaultKind::Value {
                wanted: source(wanted.overlay, NodeIndex::ROOT, &wanted.property),
                found: source(self.last, place, found),
            });
        }
        references.iter().find_map(|reference| {
            let cell = there.get(reference.offset as usize..).and_then(<[u8]>::first_chunk);
            let leads_to = tree.node_with_phandle(u32::from_be_bytes(*cell?));
            let means = match reference.to {
                Referent::Label(label) => match self.label(wanted.index, label) {
                    Ok(Some(node)) => node,
                    missing => {
                        let label = String::from_utf8_lossy(label).into_owned();
                        return Some(match missing {
                            Ok(_) => FaultKind::LabelMissing { label },
                            Err(Replaced) => FaultKind::LabelReplaced { label },
                        });
                    }
                },
                // A node that is missing was told of.
                Referent::Node(node) => wanted.placement.of(node)?,
            };
            (leads_to != Some(means)).then(|| FaultKind::Phandle {
                wanted: tree.path(means),
                found: leads_to.map(|node| tree.path(node)),
            })
        })
    }

    /// Tells of what the joined command line lacks.
    fn command_line(&mut self, line: &Line<'_, 'a>) {
        let tree = self.last.tree();
        let chosen = tree.child(NodeIndex::ROOT, b"chosen");
        let found = chosen.and_then(|chosen| tree.property_value(chosen, b"bootargs")).unwrap_or_default();
        self.found.properties += line.len();
        for piece in line.missing(tree) {
            let own = piece.dts.tree();
            self.push(Fault {
                kind: FaultKind::CommandLine {
                    wanted: shown(own.value(&piece.property)),
                    found: shown(found),
                },
                input: piece.index.map_or(Input::Base, Input::Overlay),
                node: "/chosen".into(),
                property: Some(String::from_utf8_lossy(own.property_name(&piece.property)).into_owned()),
                offset: own.offset(piece.property.at.index()),
            });
        }
    }

    /// Looks for phandles that two nodes of the final tree have.
    fn duplicate_phandles(&mut self) {
        let tree = self.last.tree();
        let of_base = self.base.map(|base| duplicates(base.tree())).unwrap_or_default();
        let of_base: BTreeSet<u32> = of_base.into_iter().map(|(phandle, ..)| phandle).collect();
        for (phandle, first, second) in duplicates(tree) {
            if !of_base.contains(&phandle) {
                let first = tree.path(first);
                self.fault(FaultKind::DuplicatePhandle { phandle, first }, Input::Base, tree, second, None);
            }
        }
    }

    /// References of the base that lead nowhere, in the final tree's nodes.
    fn known_dangling(&self) -> BTreeSet<(NodeIndex, &'a [u8], u32)> {
        let mut known = BTreeSet::new();
        let Some(base) = self.base.map(Dts::tree) else { return known };
        for node in base.indices() {
            for property in base.properties(node) {
                if let Some((_, phandle)) = bindings::dangling(base, node, &property)
                    && let Some(node) = self.last.tree().find(base.path(node).as_bytes())
                {
                    known.insert((node, base.property_name(&property), phandle));
                }
            }
        }
        known
    }

    /// Looks for references of the final tree that lead nowhere.
    fn dangling(&mut self) {
        let tree = self.last.tree();
        let known = self.known_dangling();
        for node in tree.indices() {
            for property in tree.properties(node) {
                if let Some((at, phandle)) = bindings::dangling(tree, node, &property)
                    && !known.contains(&(node, tree.property_name(&property), phandle))
                {
                    let offset = tree.offset(property.value().start) + at;
                    let name = String::from_utf8_lossy(tree.property_name(&property)).into_owned();
                    self.push(Fault {
                        kind: FaultKind::Dangling { phandle },
                        input: Input::Base,
                        node: tree.path(node),
                        property: Some(name),
                        offset,
                    });
                }
            }
        }
    }

    fn fault(
        &mut self,
        kind: FaultKind,
        input: Input,
        tree: &IndexedTree<'_>,
        node: NodeIndex,
        property: Option<String>,
    ) {
        let offset = tree.offset(tree.node(node).begin.index());
        self.push(Fault { kind, input, node: tree.path(node), property, offset });
    }

    fn push(&mut self, fault: Fault) {
        if self.found.faults.len() < MAX_FAULTS {
            self.found.faults.push(fault);
        } else {
            self.found.unlisted += 1;
        }
    }
}

/// A label leads elsewhere since a later overlay was merged.
struct Replaced;

/// Phandles of several nodes, each with the first and the second of them.
fn duplicates(tree: &IndexedTree<'_>) -> Vec<(u32, NodeIndex, NodeIndex)> {
    let pairs = tree.phandles().windows(2).filter_map(|pair| match *pair {
        [(one, first), (other, second)] if one == other && first != second => Some((one, first, second)),
        _ => None,
    });
    pairs.collect()
}

/// A property as source without its line end, cut where it is very long.
fn source(dts: &Dts<'_>, node: NodeIndex, property: &Property) -> String {
    const LONGEST: usize = 200;
    let text = dts.show_property(node, property, 0);
    let text = String::from_utf8_lossy(text.strip_suffix(b";\n").unwrap_or(&text)).into_owned();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => alloc::format!("{}...", text.get(..cut).unwrap_or_default()),
        None => text,
    }
}
