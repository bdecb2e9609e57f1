//! `modules.alias` and its index.

use super::{Failed, Join, Output, push_line};
use crate::index::IndexBuilder;
use crate::message::Messages;
use crate::names::normalize_alias;

pub(super) fn text(join: &Join<'_>) -> Vec<u8> {
    let mut text = b"# Aliases extracted from modules themselves.\n".to_vec();
    for (file, facts) in join.modules.iter().zip(join.facts) {
        for alias in facts.aliases() {
            push_line(&mut text, &[b"alias ", alias, b" ", file.name]);
        }
    }
    text
}

/// The aliases as the index holds them.
struct Keys<'j> {
    text: Vec<u8>,
    /// Of each key its end in `text`, which equal keys may take beyond what an index addresses, and its module.
    ends: Vec<(usize, u32)>,
    /// Aliases with a bracket that has no partner, and how many keys come before each.
    unmatched: Vec<(usize, &'j [u8])>,
}

impl<'j> Keys<'j> {
    fn of(join: &Join<'j>) -> Self {
        let mut keys = Self { text: Vec::new(), ends: Vec::new(), unmatched: Vec::new() };
        for (module, facts) in (0..).zip(join.facts) {
            for alias in facts.aliases() {
                match normalize_alias(alias) {
                    Some(normal) => {
                        keys.text.extend_from_slice(&normal);
                        keys.ends.push((keys.text.len(), module));
                    }
                    None => keys.unmatched.push((keys.ends.len(), alias)),
                }
            }
        }
        keys
    }

    fn insert_into<'t>(&'t self, join: &'t Join<'_>, index: &mut IndexBuilder<'t>) {
        index.reserve(self.ends.len());
        let mut start = 0;
        for &(end, module) in &self.ends {
            index.insert(self.text.get(start..end).unwrap_or_default(), join.name(module), module);
            start = end;
        }
    }
}

pub(super) fn index(join: &Join<'_>, messages: &mut Messages) -> Result<Vec<u8>, Failed> {
    let keys = Keys::of(join);
    let mut index = IndexBuilder::new();
    keys.insert_into(join, &mut index);
    let duplicates = if join.options.warn_duplicates { index.duplicates() } else { Vec::new() };
    let mut duplicates = duplicates.into_iter().peekable();
    let last = (usize::MAX, b"".as_slice());
    for (before, alias) in keys.unmatched.iter().copied().chain([last]) {
        while let Some(again) = duplicates.next_if(|again| again.entry < before) {
            messages.warn(&[b"duplicate module alias:\n", again.key, b" ", again.value]);
        }
        if before != usize::MAX {
            messages.warn(&[b"Unmatched bracket in ", alias]);
        }
    }
    let source = |entry: usize| join.path(keys.ends.get(entry)?.1);
    join.index(Output::AliasBin, &index, source, messages)
}
