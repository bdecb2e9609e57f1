//! Fragments as source writes them: `&label { ... };` instead of a node `fragment@0` with its `target`.

use alloc::vec::Vec;

use kbt_fdt::NodeIndex;

use crate::dts::Dts;
use crate::references::Referent;
use crate::text::is_path;

/// What a fragment is merged into, as it states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FragmentTarget<'a> {
    /// A label of the base.
    Label(&'a [u8]),
    /// A path, or an alias, without its NUL.
    Path(&'a [u8]),
    /// A node of the overlay itself.
    Own(NodeIndex),
    /// A phandle that no fixup explains: of the base, as it happens to be numbered.
    Number(u32),
}

/// A fragment's target, where it has one that can be read; `target` counts before `target-path`.
pub fn target<'a>(dts: &Dts<'a>, fragment: NodeIndex) -> Option<FragmentTarget<'a>> {
    let tree = dts.tree();
    if let Some(target) = tree.property(fragment, b"target") {
        let number = tree.value(&target).as_array().map(|cell| u32::from_be_bytes(*cell));
        match dts.fixups().of(target.at).first().map(|reference| reference.to) {
            Some(Referent::Label(label)) => return Some(FragmentTarget::Label(label)),
            Some(Referent::Node(node)) => return Some(FragmentTarget::Own(node)),
            // No phandle is 0: libfdt takes the path then.
            None if number == Some(0) => {}
            None => return number.map(FragmentTarget::Number),
        }
    }
    let path = tree.property_value(fragment, b"target-path")?;
    path.strip_suffix(b"\0").map(FragmentTarget::Path)
}

/// The `__overlay__` and the reference in front of its brace, where dtc makes just this node of them as the fragment of
/// that number.
pub(crate) fn short_form(dts: &Dts<'_>, fragment: NodeIndex, number: u32) -> Option<(NodeIndex, Vec<u8>)> {
    let tree = dts.tree();
    if tree.name(fragment) != alloc::format!("fragment@{number}").as_bytes() {
        return None;
    }
    let mut children = tree.children(fragment);
    let overlay = children.next().filter(|&child| tree.name(child) == b"__overlay__")?;
    let one_property = tree.properties(fragment).count() == 1;
    let labelled = dts.labels().of(fragment).chain(dts.labels().of(overlay)).next().is_some();
    // A phandle that references alone ask for would go to the wrong node.
    let referred = dts.fixups().refers_to(fragment);
    if children.next().is_some() || !one_property || labelled || referred {
        return None;
    }
    let mut text = alloc::vec![b'&'];
    match target(dts, fragment)? {
        FragmentTarget::Label(label) => {
            let whole = tree.property_value(fragment, b"target")?.len() == 4;
            if !whole {
                return None;
            }
            text.extend_from_slice(label);
        }
        FragmentTarget::Path(path) => {
            if !is_path(path) {
                return None;
            }
            text.push(b'{');
            text.extend_from_slice(path);
            text.push(b'}');
        }
        FragmentTarget::Own(_) | FragmentTarget::Number(_) => return None,
    }
    Some((overlay, text))
}
