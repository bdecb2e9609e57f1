//! A base and overlays: what is merged is a sound tree, the same in memory that another merge left.
//!
//! The input is a byte of options, a byte that says how many trees follow, and of each tree its length in two
//! big-endian bytes and its bytes; the last one takes the rest.

use kbt_dto::{Merger, Options, apply};
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
    let merged = apply(base, overlays, &options);
    let mut merger = Merger::default();
    let _ = merger.apply(base, overlays.get(1..).unwrap_or_default(), &options);
    assert_eq!(format!("{merged:?}"), format!("{:?}", merger.apply(base, overlays, &options)));
    let Ok(merged) = merged else { return };
    let blob = Blob::parse(&merged.bytes).expect("what was merged is a device tree");
    blob.tree().expect("what was merged has sound tokens");
}
