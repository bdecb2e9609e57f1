//! The indexes of what is built into the kernel.

use super::{Failed, Join, Output};
use crate::builtin;
use crate::index::IndexBuilder;
use crate::message::Messages;
use crate::names::normalize_alias;

/// The text, or an empty index for a file that is not there.
fn text<'t>(source: Result<&'t [u8], &'t [u8]>, messages: &mut Messages) -> Option<&'t [u8]> {
    source.map_err(|missing| messages.warn(&[missing])).ok()
}

pub(super) fn names(join: &Join<'_>, messages: &mut Messages) -> Result<Vec<u8>, Failed> {
    let Some(text) = text(join.options.builtin, messages) else { return Ok(Vec::new()) };
    let (names, ends) = builtin::module_names(text, messages);
    let mut index = IndexBuilder::new();
    index.reserve(ends.len());
    let mut start = 0;
    for &end in &ends {
        index.insert(names.get(start..end).unwrap_or_default(), b"", 0);
        start = end;
    }
    join.index(Output::BuiltinBin, &index, |_| Some(b"modules.builtin"), messages)
}

pub(super) fn aliases(join: &Join<'_>, messages: &mut Messages) -> Result<Vec<u8>, Failed> {
    let Some(text) = text(join.options.builtin_modinfo, messages) else { return Ok(Vec::new()) };
    let found = builtin::aliases(text, messages);
    let mut keys = Vec::with_capacity(found.len());
    for entry in &found {
        match normalize_alias(entry.alias) {
            Some(key) => keys.push((key, entry.module)),
            None => messages.warn(&[b"Unmatched bracket in ", entry.alias]),
        }
    }
    let mut index = IndexBuilder::new();
    index.reserve(keys.len());
    for (key, module) in &keys {
        index.insert(key, module, 0);
    }
    join.index(Output::BuiltinAliasBin, &index, |_| Some(b"modules.builtin.modinfo"), messages)
}
