//! The lint.
//!
//! The overlays are merged one after the other, each into what came of those before, so that each finding sees the tree
//! as it is by then. What the merge refuses is a finding, and the overlay is left out for the rest. Files:
//! `single.rs` looks at one tree by itself, `overlay.rs` at an overlay beside the tree before and after it,
//! `history.rs` at what several overlays change; `found.rs` keeps what they find.

mod found;
mod history;
mod overlay;
mod single;

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use kbt_dto::{Input, Merger, Options};
use kbt_dts::{Dts, Error, Fixups, IndexedTree};
use kbt_fdt::NodeIndex;

use crate::finding::Finding;
use crate::rule::Rule;
use found::Findings;

/// No more findings of one rule are listed; the others are counted ([`Finding::unlisted`]). What the merge refuses is listed
/// for every overlay.
pub const MAX_OF_RULE: usize = 10_000;

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
    Ok(found.into_list())
}

/// Tells of labels of overlays that neither the overlay itself nor a later one refers to.
fn unused_labels(overlays: &[Dts<'_>], found: &mut Findings) {
    let mut last_use: BTreeMap<&[u8], usize> = BTreeMap::new();
    for (index, overlay) in overlays.iter().enumerate() {
        last_use.extend(Fixups::wanted(overlay.tree()).map(|label| (label, index)));
    }
    for (index, overlay) in overlays.iter().enumerate() {
        let tree = overlay.tree();
        let Some(symbols) = tree.child(NodeIndex::ROOT, b"__symbols__") else { continue };
        for symbol in tree.properties(symbols) {
            let label = tree.property_name(&symbol);
            let Some(node) = overlay.labels().node(label) else { continue };
            let used =
                overlay.fixups().refers_to(node) || last_use.get(label).is_some_and(|&last| last > index);
            if !used {
                let message = || format!("nobody refers to the label '{}'", String::from_utf8_lossy(label));
                let input = Input::Overlay(index);
                found.at_property(Rule::UnusedLabel, message, input, (tree, symbols), &symbol);
            }
        }
    }
}
