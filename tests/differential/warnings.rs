//! What dtc has to say about a tree.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// The warnings of `dtc -I dtb -O dts` on a tree, without the file's name.
///
/// # Panics
/// Where dtc does not accept the tree.
pub fn of(dtc: &Path, tree: &[u8]) -> BTreeSet<String> {
    let mut child = Command::new(dtc)
        .args(["-I", "dtb", "-O", "dts", "-o", "/dev/null", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(tree).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "dtc does not accept a tree: {said}");
    let lines = said.lines().filter(|line| !line.trim().is_empty());
    lines.map(|line| line.split_once(": ").map_or(line, |(_, what)| what).to_owned()).collect()
}
