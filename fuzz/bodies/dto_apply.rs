//! A base and overlays: what is merged is a sound tree, the same each time.
//!
//! The input is a byte of options, a byte that says how many trees follow, and of each tree its length in two
//! big-endian bytes and its bytes; the last one takes the rest.

use kbt_dto::{Options, apply};
use kbt_fdt::Blob;

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((&[options, count], mut rest)) = bytes.split_first_chunk() else { return };
    let options = Options {
        concat_bootargs: options & 1 != 0,
        loose_names: options & 2 != 0,
        forbid_root: options & 4 != 0,
        labels_only: options & 8 != 0,
        padding: u32::from(options >> 4),
    };
    let mut trees = Vec::new();
    for _ in 0..count % 4 {
        let Some((length, behind)) = rest.split_first_chunk() else { break };
        let (tree, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)).min(behind.len()));
        trees.push(tree);
        rest = behind;
    }
    trees.push(rest);
    let Some((base, overlays)) = trees.split_first() else { return };
    let Ok(merged) = apply(base, overlays, &options) else { return };
    let blob = Blob::parse(&merged.bytes).expect("what was merged is a device tree");
    blob.tree().expect("what was merged has sound tokens");
    assert_eq!(apply(base, overlays, &options).expect("it could be merged before").bytes, merged.bytes);
}
