//! What the fuzzers found worth keeping, through the same bodies: a regression test without a fuzzer.

// The bodies say with `expect` what must hold.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::fs;
use std::path::Path;

#[path = "../fuzz/bodies/compress.rs"]
mod compress;
#[path = "../fuzz/bodies/depmod_cache.rs"]
mod depmod_cache;
#[path = "../fuzz/bodies/depmod_index.rs"]
mod depmod_index;
#[path = "../fuzz/bodies/depmod_texts.rs"]
mod depmod_texts;
#[path = "../fuzz/bodies/dtbo_config.rs"]
mod dtbo_config;
#[path = "../fuzz/bodies/dtbo_image.rs"]
mod dtbo_image;
#[path = "../fuzz/bodies/dto_apply.rs"]
mod dto_apply;
#[path = "../fuzz/bodies/dto_check.rs"]
mod dto_check;
#[path = "../fuzz/bodies/dto_deletions.rs"]
mod dto_deletions;
#[path = "../fuzz/bodies/dts.rs"]
mod dts;
#[path = "../fuzz/bodies/fdt.rs"]
mod fdt;
#[path = "../fuzz/bodies/fdt_round_trip.rs"]
mod fdt_round_trip;
#[path = "../fuzz/bodies/kallsyms_nm.rs"]
mod kallsyms_nm;
#[path = "../fuzz/bodies/kallsyms_patch.rs"]
mod kallsyms_patch;
#[path = "../fuzz/bodies/kallsyms_table.rs"]
mod kallsyms_table;
#[path = "../fuzz/bodies/linker_script.rs"]
mod linker_script;
#[path = "../fuzz/bodies/makeflags.rs"]
mod makeflags;
#[path = "../fuzz/bodies/module.rs"]
mod module;
#[path = "../fuzz/bodies/module_file.rs"]
mod module_file;
#[path = "../fuzz/bodies/pad_file.rs"]
mod pad_file;
#[path = "../fuzz/trees.rs"]
mod trees;
#[path = "../fuzz/bodies/undo.rs"]
mod undo;

/// A target's name and its body.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 21] = [
    ("compress", compress::run),
    ("depmod_cache", depmod_cache::run),
    ("depmod_index", depmod_index::run),
    ("depmod_texts", depmod_texts::run),
    ("dtbo_config", dtbo_config::run),
    ("dtbo_image", dtbo_image::run),
    ("dto_apply", dto_apply::run),
    ("dto_check", dto_check::run),
    ("dto_deletions", dto_deletions::run),
    ("dts", dts::run),
    ("fdt", fdt::run),
    ("fdt_round_trip", fdt_round_trip::run),
    ("kallsyms_nm", kallsyms_nm::run),
    ("kallsyms_patch", kallsyms_patch::run),
    ("kallsyms_table", kallsyms_table::run),
    ("linker_script", linker_script::run),
    ("makeflags", makeflags::run),
    ("module", module::run),
    ("module_file", module_file::run),
    ("pad_file", pad_file::run),
    ("undo", undo::run),
];

#[test]
fn every_corpus_is_replayed() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    for (target, run) in TARGETS {
        let corpus = fuzz.join("corpus").join(target);
        let mut count = 0;
        for entry in fs::read_dir(&corpus).unwrap() {
            let path = entry.unwrap().path();
            // Shown only where the test fails.
            println!("{}", path.display());
            run(&fs::read(path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{} is empty", corpus.display());
        for length in 0..80 {
            run(&vec![0; length]);
            run(&vec![0xff; length]);
        }
    }
    let bodies = fs::read_dir(fuzz.join("bodies")).unwrap().count();
    assert_eq!(bodies, TARGETS.len(), "a body that is not replayed");
}
