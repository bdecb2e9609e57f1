//! Values that a device tree itself states: `/node:property`.

use kbt_fdt::Blob;

use crate::report::{self, Failure};

/// The first cell of a property of a device tree, as AOSP's older mkdtimg reads it; unlike there, a missing node or
/// property is an error, not 0.
pub fn first_cell(dtb: &[u8], node: &str, property: &str) -> Result<u32, Failure> {
    let value = find(dtb, node, property)?;
    let cell = value.first_chunk().map(|cell| u32::from_be_bytes(*cell));
    cell.ok_or_else(|| {
        let message = format!("{node}:{property} has {} bytes, too few for a number", value.len());
        Failure::new("no-such-value", message)
    })
}

/// The first string of a property, if it is there and printable.
pub fn first_string(dtb: &[u8], node: &str, property: &str) -> Option<String> {
    let value = find(dtb, node, property).ok()?;
    let text = value.split(|&byte| byte == 0).next()?;
    let text = std::str::from_utf8(text).ok()?;
    (!text.is_empty() && !text.chars().any(report::steers)).then(|| text.to_owned())
}

/// A property's bytes.
fn find<'a>(dtb: &'a [u8], path: &str, property: &str) -> Result<&'a [u8], Failure> {
    let unread = |error: kbt_fdt::Error| {
        let message = format!("the value {path}:{property} cannot be read: {error}");
        Failure::new("no-such-value", message).hint("give the value as a number")
    };
    let blob = Blob::parse(dtb).map_err(unread)?;
    let tree = blob.tree().map_err(unread)?;
    let structure = blob.structure();
    let mut at = kbt_fdt::NodeIndex::ROOT;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = tree
            .children(at)
            .find(|&child| structure.name_is(tree.node(child), name.as_bytes()))
            .ok_or_else(|| {
                Failure::new("no-such-value", format!("there is no node {path} to read {property} from"))
            })?;
    }
    structure
        .properties(tree.node(at))
        .find(|found| blob.strings().is(found.name, property.as_bytes()))
        .map(|found| structure.value(&found))
        .ok_or_else(|| Failure::new("no-such-value", format!("node {path} has no property {property}")))
}
