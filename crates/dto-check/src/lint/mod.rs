//! The lint.
//!
//! The overlays are merged one after the other, each into what came of those before, so that each finding sees the tree
//! as it is by then. What the merge refuses is a finding, and the overlay is left out for the rest. Files:
//! `single.rs` looks at one tree by itself, `overlay.rs` at an overlay beside the tree before and after it,
//! `history.rs` at what several overlays change.

mod history;
mod overlay;
mod single;

use alloc::string::String;
use alloc::vec::Vec;

use kbt_dto::{Input, Merger, Options};
use kbt_dts::{Dts, Error, IndexedTree};
use kbt_fdt::{NodeIndex, Property};

use crate::finding::{Finding, What};
use crate::rule::Rule;

/// No more findings are kept.
pub const MAX_FINDINGS: usize = 10_000;

/// Looks at overlays, in the order in which they are to be merged into the base.
///
/// # Errors
/// A tree that cannot be read, with the input that it is.
pub fn lint(base: &[u8], overlays: &[&[u8]], options: &Options) -> Result<Vec<Finding>, (Input, Error)> {
    let mut found = Findings::default();
    let mut history = history::History::default();
    let parsed = Dts::parse(base).map_err(|error| (Input::Base, error))?;
    single::base(&parsed, &mut found);
    let mut read = Vec::with_capacity(overlays.len());
    for (index, bytes) in overlays.iter().enumerate() {
        read.push(Dts::parse(bytes).map_err(|error| (Input::Overlay(index), error))?);
    }
    let (mut tree, mut merger) = (base.to_vec(), Merger::default());
    for (index, (bytes, own)) in overlays.iter().zip(&read).enumerate() {
        let input = Input::Overlay(index);
        single::overlay(own, input, &mut found);
        let merged = match merger.apply(&tree, &[bytes], options) {
            Ok(merged) => merged,
            Err(error) => {
                found.refused(error, index);
                continue;
            }
        };
        found.odd(merged.warnings, index);
        let before = IndexedTree::parse(&tree).map_err(|error| (Input::Base, error))?;
        let after = IndexedTree::parse(&merged.bytes).map_err(|error| (input, error))?;
        let case = overlay::Case::new(own, input, &before, &after, options.loose_names);
        case.look(&mut found);
        history.note(&case, index, &mut found);
        tree = merged.bytes;
    }
    unused_labels(&read, &mut found);
    Ok(found.list)
}

/// Tells of labels of overlays that neither the overlay itself nor a later one refers to.
fn unused_labels(overlays: &[Dts<'_>], found: &mut Findings) {
    for (index, overlay) in overlays.iter().enumerate() {
        let tree = overlay.tree();
        let Some(symbols) = tree.child(NodeIndex::ROOT, b"__symbols__") else { continue };
        let later = overlays.get(index + 1..).unwrap_or_default();
        for symbol in tree.properties(symbols) {
            let label = tree.property_name(&symbol);
            let Some(node) = overlay.labels().node(label) else { continue };
            let used = overlay.fixups().refers_to(node)
                || later.iter().any(|other| kbt_dts::Fixups::wants(other.tree(), label));
            if !used {
                let text = String::from_utf8_lossy(label);
                let message = alloc::format!("nobody refers to the label '{text}'");
                found.at_property(
                    Rule::UnusedLabel,
                    message,
                    Input::Overlay(index),
                    (tree, symbols),
                    &symbol,
                );
            }
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    fn push(&mut self, finding: Finding) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(finding);
        }
    }

    fn at_node(
        &mut self,
        rule: Rule,
        message: String,
        input: Input,
        tree: &IndexedTree<'_>,
        node: NodeIndex,
    ) {
        self.push(Finding {
            what: What::Rule(rule, message),
            input,
            node: Some(tree.path(node)),
            property: None,
            earlier: None,
            offset: Some(tree.offset(tree.node(node).begin.index())),
        });
    }

    fn at_property(
        &mut self,
        rule: Rule,
        message: String,
        input: Input,
        (tree, node): (&IndexedTree<'_>, NodeIndex),
        property: &Property,
    ) {
        self.push(Finding {
            what: What::Rule(rule, message),
            input,
            node: Some(tree.path(node)),
            property: Some(String::from_utf8_lossy(tree.property_name(property)).into_owned()),
            earlier: None,
            offset: Some(tree.offset(property.at.index())),
        });
    }

    /// Names the earlier overlay of the finding that was made last.
    fn by(&mut self, earlier: usize) {
        if let Some(last) = self.list.last_mut() {
            last.earlier = Some(earlier);
        }
    }

    /// What the merge of overlay number `index` into the tree so far refused.
    fn refused(&mut self, error: kbt_dto::Error, index: usize) {
        let place = *error.place;
        self.push(Finding {
            what: What::Refused(error.kind),
            input: real(place.input, index),
            node: place.fragment.map(|name| alloc::format!("/{name}")),
            property: place.property,
            earlier: None,
            offset: place.offset,
        });
    }

    /// What it warned of, but for what the lint itself finds.
    fn odd(&mut self, warnings: Vec<kbt_dto::Warning>, index: usize) {
        use kbt_dto::WarningKind as Kind;
        for warning in warnings {
            // The base is told of once, and as it was given.
            let known = matches!(warning.kind, Kind::DuplicateNode { .. } | Kind::DuplicateProperty);
            let of_a_later_base = warning.place.input == Input::Base && index > 0;
            if known || of_a_later_base {
                continue;
            }
            self.push(Finding {
                what: What::Odd(warning.kind),
                input: real(warning.place.input, index),
                node: warning.place.fragment.map(|name| alloc::format!("/{name}")),
                property: warning.place.property,
                earlier: None,
                offset: warning.place.offset,
            });
        }
    }
}

/// The overlays are merged one at a time: the only one of a merge is number `index` of all.
fn real(input: Input, index: usize) -> Input {
    match input {
        Input::Overlay(_) => Input::Overlay(index),
        Input::Base => Input::Base,
    }
}
