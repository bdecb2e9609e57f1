//! What was found so far: of each rule a list that ends, and a count that does not.
//!
//! A tree of megabytes may have a finding at each of its nodes. Only what is listed is put into words. What the merge says has
//! limits of its own: an error ends it, and of a warning it keeps no more than a hundred.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use kbt_dto::{Input, WarningKind};
use kbt_dts::IndexedTree;
use kbt_fdt::{NodeIndex, Property};

use super::MAX_OF_RULE;
use crate::finding::{Finding, What};
use crate::rule::Rule;

#[derive(Debug, Default)]
struct Listed {
    count: usize,
    /// Where in the list the last of them is.
    last: usize,
}

/// The findings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
    rules: BTreeMap<Rule, Listed>,
}

impl Findings {
    pub(super) fn into_list(self) -> Vec<Finding> {
        self.list
    }

    /// Adds a finding of a rule, or one to the count of those that are not listed; gives what was listed.
    fn add(&mut self, rule: Rule, finding: impl FnOnce() -> Finding) -> Option<&mut Finding> {
        let listed = self.rules.entry(rule).or_default();
        if listed.count == MAX_OF_RULE {
            self.list.get_mut(listed.last)?.unlisted += 1;
            return None;
        }
        *listed = Listed { count: listed.count + 1, last: self.list.len() };
        self.list.push(finding());
        self.list.last_mut()
    }

    pub(super) fn at_node(
        &mut self,
        rule: Rule,
        message: impl FnOnce() -> String,
        input: Input,
        tree: &IndexedTree<'_>,
        node: NodeIndex,
    ) -> Option<&mut Finding> {
        self.add(rule, || Finding {
            what: What::Rule(rule, message()),
            input,
            node: Some(tree.path(node)),
            property: None,
            earlier: None,
            offset: Some(tree.offset(tree.node(node).begin.index())),
            unlisted: 0,
        })
    }

    pub(super) fn at_property(
        &mut self,
        rule: Rule,
        message: impl FnOnce() -> String,
        input: Input,
        (tree, node): (&IndexedTree<'_>, NodeIndex),
        property: &Property,
    ) -> Option<&mut Finding> {
        self.add(rule, || Finding {
            what: What::Rule(rule, message()),
            input,
            node: Some(tree.path(node)),
            property: Some(String::from_utf8_lossy(tree.property_name(property)).into_owned()),
            earlier: None,
            offset: Some(tree.offset(property.at.index())),
            unlisted: 0,
        })
    }

    /// What the merge of overlay number `index` into the tree so far refused.
    pub(super) fn refused(&mut self, error: kbt_dto::Error, index: usize) {
        let place = *error.place;
        self.list.push(Finding {
            what: What::Refused(error.kind),
            input: real(place.input, index),
            node: place.fragment.map(|name| format!("/{name}")),
            property: place.property,
            earlier: None,
            offset: place.offset,
            unlisted: 0,
        });
    }

    /// What it warned of, but for what the lint itself finds.
    pub(super) fn odd(&mut self, warnings: Vec<kbt_dto::Warning>, index: usize) {
        for warning in warnings {
            // The base is told of once, and as it was given.
            let known =
                matches!(warning.kind, WarningKind::DuplicateNode { .. } | WarningKind::DuplicateProperty);
            let of_a_later_base = warning.place.input == Input::Base && index > 0;
            if known || of_a_later_base {
                continue;
            }
            self.list.push(Finding {
                what: What::Odd(warning.kind),
                input: real(warning.place.input, index),
                node: warning.place.fragment.map(|name| format!("/{name}")),
                property: warning.place.property,
                earlier: None,
                offset: warning.place.offset,
                unlisted: 0,
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
