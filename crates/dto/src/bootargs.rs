//! `--concat-bootargs`: the command line in the device tree.
//!
//! An overlay can replace `/chosen/bootargs` but not extend it, so Android's overlays carry `bootargs_ext` and
//! the boot loader joins the two; this does the boot loader's part.

use alloc::vec::Vec;

use crate::live::Live;
use crate::names::NameId;
use crate::source::NodeId;

/// The extensions in the order in which they were set.
#[derive(Debug, Default)]
pub(crate) struct BootArguments {
    extensions: Vec<u8>,
}

impl BootArguments {
    /// Takes `/chosen/bootargs_ext` out of the tree, if it is there.
    pub(crate) fn take_extension(&mut self, live: &mut Live<'_>) {
        let Some(chosen) = live.find_child(NodeId::ROOT, b"chosen") else { return };
        let Some(slot) = live.find_property(chosen, b"bootargs_ext") else { return };
        let Some(property) = live.current(chosen, slot) else { return };
        let value = live.value_of(property);
        push_words(&mut self.extensions, value);
        live.replace_property(chosen, slot, None);
    }

    /// Sets `/chosen/bootargs` to its value and all extensions, a blank between them.
    pub(crate) fn join(&self, live: &mut Live<'_>) {
        if self.extensions.is_empty() {
            return;
        }
        let Some(chosen) = live.find_child(NodeId::ROOT, b"chosen") else { return };
        let mut joined = Vec::new();
        push_words(&mut joined, live.value(chosen, b"bootargs").unwrap_or_default());
        push_words(&mut joined, &self.extensions);
        joined.push(0);
        let offset = live.names.offset(NameId::BOOTARGS);
        let property = live.make_property(offset, &[&joined]);
        live.set_property(chosen, offset, property);
    }
}

/// Appends a string value without its NUL, behind a blank where something is there already.
fn push_words(line: &mut Vec<u8>, value: &[u8]) {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    if end > 0 {
        if !line.is_empty() {
            line.push(b' ');
        }
        line.extend_from_slice(&value[..end]);
    }
}
