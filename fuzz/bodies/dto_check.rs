//! A base and overlays, judged: the lint and the verification end, say the same each time, and a tree of kbt's own merge
//! holds what was merged into it.
//!
//! The input is that of `dto_apply`, without its byte of options: a byte that says how many trees follow, and of each
//! tree its length in two big-endian bytes and its bytes; the last one takes the rest.

use kbt_dto::{Options, apply};
use kbt_dto_check::{FaultKind, lint, verify};

use crate::trees::trees;

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((&count, rest)) = bytes.split_first() else { return };
    let trees = trees(count, rest);
    let Some((base, overlays)) = trees.split_first() else { return };
    let options = Options::default();
    if let Ok(found) = lint(base, overlays, &options) {
        assert_eq!(lint(base, overlays, &options).expect("it could be done before"), found);
    }
    let joined = Options { concat_bootargs: true, loose_names: true, ..options };
    let _ = lint(base, overlays, &joined);
    for options in [options, joined] {
        let _ = verify(base, None, overlays, &options);
        let [overlay] = overlays else { continue };
        let Ok(merged) = apply(base, overlays, &options) else { continue };
        let Ok(verified) = verify(&merged.bytes, Some(base), &[overlay], &options) else { continue };
        for fault in verified.faults {
            assert!(
                !matches!(fault.kind, FaultKind::NodeMissing { .. }),
                "a node of the overlay is missing: {fault:?}"
            );
        }
    }
}
