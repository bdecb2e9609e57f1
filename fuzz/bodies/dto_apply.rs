//! A base and overlays: what is merged is a sound tree, the same in memory that another merge left.
//!
//! The input is a byte of options, then as `trees.rs` cuts it.

use kbt_dto::{Merger, Options, apply};
use kbt_fdt::Blob;

use crate::trees::trees;

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((&[options, count], rest)) = bytes.split_first_chunk() else { return };
    let options = Options {
        concat_bootargs: options & 1 != 0,
        loose_names: options & 2 != 0,
        forbid_root: options & 4 != 0,
        labels_only: options & 8 != 0,
        padding: u32::from(options >> 4),
    };
    let trees = trees(count, rest);
    let Some((base, overlays)) = trees.split_first() else { return };
    let merged = apply(base, overlays, &options);
    let mut merger = Merger::default();
    let _ = merger.apply(base, overlays.get(1..).unwrap_or_default(), &options);
    assert_eq!(format!("{merged:?}"), format!("{:?}", merger.apply(base, overlays, &options)));
    let Ok(merged) = merged else { return };
    let blob = Blob::parse(&merged.bytes).expect("what was merged is a device tree");
    blob.tree().expect("what was merged has sound tokens");
}
