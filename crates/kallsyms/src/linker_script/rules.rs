//! The patterns of a script and the output sections that they lead to, asked for by the name of an input section.
//!
//! **Idea.** A pattern without a wildcard is looked up by the whole name, another by what stands in front of its first
//! wildcard. What is found that way is few: most patterns of a kernel's script begin with a name.
//!
//! **Limits.** Patterns that begin alike are tried one after the other.

use std::collections::{BTreeSet, HashMap};

use super::glob;

/// The rules, numbered in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Rules<'a> {
    outputs: Vec<&'a [u8]>,
    /// The first rule of every pattern without a wildcard.
    plain: HashMap<&'a [u8], usize>,
    /// The rules of the others by what they begin with, in order.
    wild: HashMap<&'a [u8], Vec<Wild<'a>>>,
    /// How long the beginnings are.
    lengths: BTreeSet<usize>,
}

#[derive(Debug, Clone)]
struct Wild<'a> {
    number: usize,
    pattern: &'a [u8],
}

impl<'a> Rules<'a> {
    /// Adds the next rule: sections that match `pattern` go to `output`.
    pub(super) fn push(&mut self, pattern: &'a [u8], output: &'a [u8]) {
        let number = self.outputs.len();
        self.outputs.push(output);
        match pattern.iter().position(|byte| b"*?[\\".contains(byte)) {
            None => {
                self.plain.entry(pattern).or_insert(number);
            }
            Some(length) => {
                let beginning = pattern.get(..length).unwrap_or_default();
                self.lengths.insert(length);
                self.wild.entry(beginning).or_default().push(Wild { number, pattern });
            }
        }
    }

    /// The output section of the first rule that matches.
    pub(super) fn output(&self, section: &[u8]) -> Option<&'a [u8]> {
        let mut first = self.plain.get(section).copied();
        for beginning in self.lengths.iter().map_while(|&length| section.get(..length)) {
            let rules = self.wild.get(beginning).map(Vec::as_slice).unwrap_or_default();
            let earlier = rules.iter().take_while(|rule| first.is_none_or(|first| rule.number < first));
            let found = earlier.into_iter().find(|rule| glob::matches(rule.pattern, section));
            first = found.map(|rule| rule.number).or(first);
        }
        self.outputs.get(first?).copied()
    }
}
