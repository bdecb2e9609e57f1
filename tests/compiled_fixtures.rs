//! The committed binaries of tests/fixtures are what dtc makes of the sources beside them.

#![allow(clippy::unwrap_used, reason = "a test's helpers fail as its body does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbt_testkit::{peers, require};

/// The blob that lies beside a source, if one does.
fn blob_of(source: &Path) -> Option<PathBuf> {
    ["dtb", "dtbo"].iter().map(|extension| source.with_extension(extension)).find(|blob| blob.exists())
}

/// Adds every `.dts` below `directory` that has a blob.
fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "dts") && blob_of(&path).is_some() {
            found.push(path);
        }
    }
}

#[test]
fn blobs_are_what_dtc_makes_of_their_sources() {
    let dtc = require!(peers::tool("dtc"));
    let mut found = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"), &mut found);
    assert!(found.iter().any(|path| path.ends_with("dto/example/base.dts")), "{found:?}");
    for source in found {
        let output = Command::new(&dtc).args(["-@", "-I", "dts", "-O", "dtb"]).arg(&source).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", source.display());
        let committed = fs::read(blob_of(&source).unwrap()).unwrap();
        assert!(output.stdout == committed, "{}: the blob is not what dtc makes of it", source.display());
    }
}
