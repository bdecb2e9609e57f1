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
    lines.map(|line| line.split_once(": ").map_or(line, |(_, what)| what)).map(in_one_order).collect()
}

/// Of two nodes with one unit address dtc names the later one first: kbt appends where libfdt inserts in
/// front.
fn in_one_order(warning: &str) -> String {
    let parts =
        warning.split_once(": duplicate unit-address (also used in node ").and_then(|(head, other)| {
            let (kind, node) = head.split_once(": ")?;
            Some((kind, node, other.strip_suffix(')')?))
        });
    match parts {
        Some((kind, node, other)) => {
            format!("{kind}: {} and {} have one unit address", node.min(other), node.max(other))
        }
        None => warning.to_owned(),
    }
}

#[test]
fn the_order_of_two_nodes_does_not_count() {
    let warning = |one, other| {
        in_one_order(&format!("Warning (k): {one}: duplicate unit-address (also used in node {other})"))
    };
    assert_eq!(warning("/a@1", "/b@1"), "Warning (k): /a@1 and /b@1 have one unit address");
    assert_eq!(warning("/a@1", "/b@1"), warning("/b@1", "/a@1"));
    assert_eq!(in_one_order("Warning (k): /a: else"), "Warning (k): /a: else");
}
