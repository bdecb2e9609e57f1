//! `kbt dto diff`: what counts as a difference, how it is told, and its exit codes.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use differential::files::Files;
use differential::parallel;
use kbt_testkit::{Node, Overlay, Target, Tree, differences, peers, read, require, write};

fn kbt(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kbt")).args(words).output().unwrap()
}

/// The output of a diff of two trees, without the two lines that name them; its exit code.
fn diff(left: &Tree, right: &Tree) -> (String, i32) {
    let room = tempfile::tempdir().unwrap();
    let paths = [("a", left), ("b", right)].map(|(name, tree)| {
        let path = room.path().join(name);
        fs::write(&path, write(tree)).unwrap();
        path.to_str().unwrap().to_owned()
    });
    let output = kbt(&["dto", "diff", &paths[0], &paths[1]]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap();
    if !text.is_empty() {
        assert!(text.starts_with(&format!("--- {}\n+++ {}\n", paths[0], paths[1])), "{text}");
    }
    let lines = text.lines().skip(2).map(|line| line.to_owned() + "\n").collect();
    (lines, output.status.code().unwrap())
}

#[track_caller]
fn same(left: impl Into<Tree>, right: impl Into<Tree>) {
    assert_eq!(diff(&left.into(), &right.into()), (String::new(), 0));
}

#[track_caller]
fn differ(left: impl Into<Tree>, right: impl Into<Tree>, expected: &str) {
    assert_eq!(diff(&left.into(), &right.into()), (expected.to_owned(), 1));
}

/// Clocks with these phandles and a user of the first.
fn clocks(first: u32, second: u32, used: u32) -> Node {
    Node::new("")
        .child(Node::new("osc0").cells("#clock-cells", &[0]).phandle(first))
        .child(Node::new("osc1").cells("#clock-cells", &[0]).phandle(second))
        .child(Node::new("uart").cells("clocks", &[used]).cells("mystery", &[used]))
}

#[test]
fn numbers_and_order_mean_nothing() {
    let mut other = clocks(7, 9, 7);
    other.children.reverse();
    other.children[0].properties.reverse();
    same(clocks(1, 2, 1), other);
}

#[test]
fn a_reference_to_another_node_is_told_by_label() {
    let labelled = |mut tree: Node| {
        tree.children.push(Node::new("__symbols__").text("osc", "/osc1").text("serial", "/uart"));
        tree
    };
    let expected = "\
@@ /uart &serial @@
-clocks = <&{/osc0}>;
+clocks = <&osc>;
-mystery = <0x01>;
+mystery = <0x02>;
";
    differ(labelled(clocks(1, 2, 1)), labelled(clocks(1, 2, 2)), expected);
    // The same numbers, but the nodes have changed them: a number that no binding tells of may be just that.
    let expected = "@@ /uart &serial @@\n-clocks = <&{/osc0}>;\n+clocks = <&osc>;\n";
    differ(labelled(clocks(1, 2, 1)), labelled(clocks(2, 1, 1)), expected);
}

#[test]
fn a_number_that_a_node_which_went_had_as_phandle_hides_nothing() {
    let left = clocks(9, 2, 9);
    let mut right = clocks(9, 2, 9);
    right.children.remove(0);
    let uart = right.node_mut("uart");
    uart.properties = vec![
        ("clocks".to_owned(), 77_u32.to_be_bytes().to_vec()),
        ("mystery".to_owned(), 115_200_u32.to_be_bytes().to_vec()),
    ];
    let gone = "-osc0 {\n-\t#clock-cells = <0x00>;\n-\tphandle = <0x09>;\n-};\n";
    let text = diff(&left.clone().into(), &right.clone().into()).0;
    assert!(text.contains(gone), "{text}");
    assert!(text.contains("-clocks = <&{/osc0}>;\n+clocks = <0x4d>;\n"), "{text}");
    assert!(text.contains("-mystery = <0x09>;\n+mystery = <0x1c200>;\n"), "{text}");
    let text = diff(&right.into(), &left.into()).0;
    assert!(text.contains("-clocks = <0x4d>;\n+clocks = <&{/osc0}>;\n"), "{text}");
    assert!(text.contains("-mystery = <0x1c200>;\n+mystery = <0x09>;\n"), "{text}");
}

#[test]
fn a_reference_that_dangles_is_a_difference() {
    let expected = "@@ /uart @@\n-clocks = <&{/osc0}>;\n+clocks = <0x01>;\n";
    differ(clocks(1, 2, 1), clocks(5, 2, 1), expected);
}

#[test]
fn nodes_and_properties_come_and_go() {
    let left = Node::new("")
        .text("model", "x")
        .child(Node::new("a").flag("on").child(Node::new("deep").cells("reg", &[1])))
        .child(Node::new("b").text("status", "okay"));
    let right = Node::new("")
        .text("model", "y")
        .child(Node::new("b").text("status", "okay").bytes("mac", [1, 2, 3]))
        .child(Node::new("c"));
    let expected = "\
@@ / @@
-model = \"x\";
+model = \"y\";
@@ /c @@
+c {
+};
@@ /a @@
-a {
-\ton;
-
-\tdeep {
-\t\treg = <0x01>;
-\t};
-};
@@ /b @@
+mac = [01 02 03];
";
    differ(left, right, expected);
}

#[test]
fn what_stands_beside_the_nodes_counts() {
    let mut other = Tree::from(Node::new(""));
    other.reservations.push((0x1000, 0x10));
    other.boot_cpuid = 1;
    let expected = "\
@@ header @@
+/memreserve/\t0x0000000000001000 0x0000000000000010;
-boot_cpuid_phys = 0;
+boot_cpuid_phys = 1;
";
    differ(Node::new(""), other, expected);
}

#[test]
fn the_second_of_a_name_is_compared_too() {
    let twice = |value| Node::new("").child(Node::new("a")).child(Node::new("a").cells("x", &[value]));
    differ(twice(1), twice(2), "@@ /a @@\n-x = <0x01>;\n+x = <0x02>;\n");
}

/// An overlay of two fragments, the second first where `turned`.
fn overlay(turned: bool, raw: u32) -> Tree {
    let mut overlay = Overlay::new();
    for second in [turned, !turned] {
        if second {
            let path = overlay.fragment(Target::path("/soc"), Node::new("").cells("clocks", &[raw]));
            overlay.reference(&path, "clocks", 0, "osc");
        } else {
            let path =
                overlay.fragment(Target::label("uart"), Node::new("").child(Node::new("x").phandle(raw)));
            overlay.symbol("label", &format!("{path}/x"));
        }
    }
    overlay.finish()
}

#[test]
fn fragments_are_paired_by_their_targets() {
    same(overlay(false, 5), overlay(true, 9));
    let mut other = overlay(true, 9);
    other.root.children[1].children[0].children.clear();
    let (text, code) = diff(&overlay(false, 5), &other);
    assert_eq!(code, 1);
    assert!(text.contains("@@ /fragment@0/__overlay__/x &label @@\n-label: x {\n"), "{text}");
}

#[test]
fn trouble_exits_with_2() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("a").to_str().unwrap().to_owned();
    for content in [None, Some(&b"no tree"[..])] {
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let output = kbt(&["dto", "diff", &path, &path]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("kbt: error: "), "{output:?}");
    }
    assert_eq!(kbt(&["dto", "diff", "-", "-"]).status.code(), Some(2));
}

/// The places that kbt tells of as `path:property`, those of phandles left out.
fn places_of_kbt(left: &Path, right: &Path) -> BTreeSet<String> {
    let output = kbt(&["--json", "dto", "diff", left.to_str().unwrap(), right.to_str().unwrap()]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let places = value["differences"].as_array().unwrap().iter().map(|difference| {
        let property = difference["property"].as_str().map(|name| format!(":{name}"));
        format!("{}{}", difference["path"].as_str().unwrap(), property.unwrap_or_default())
    });
    let places: BTreeSet<_> = places.collect();
    assert_eq!(output.status.code(), Some(i32::from(!places.is_empty())));
    assert_eq!(value["same"], places.is_empty());
    places
}

/// The same as the testkit sees them.
fn places_of_testkit(left: &[u8], right: &[u8]) -> BTreeSet<String> {
    let found = differences(&read(left).unwrap(), &read(right).unwrap());
    let places =
        found.into_iter().filter(|it| !matches!(it.property.as_deref(), Some("phandle" | "linux,phandle")));
    places.map(|it| it.path + &it.property.map_or(String::new(), |name| format!(":{name}"))).collect()
}

#[test]
fn a_merge_is_told_as_the_testkit_sees_it() {
    let directory = require!(peers::trees("arm64-6.12"));
    let files = Files::list(&directory);
    let vendor = |name: &str| name.split('/').next().unwrap().to_owned();
    let pairs = files.overlays.iter().flat_map(|overlay| {
        let bases = files.bases.iter().filter(move |base| vendor(base) == vendor(overlay));
        bases.map(move |base| (base, overlay))
    });
    let pairs: Vec<_> = pairs.step_by(if differential_all() { 1 } else { 7 }).collect();
    let room = tempfile::tempdir().unwrap();
    let compared = parallel::map(&pairs, |thread, (base, overlay)| {
        let merged = room.path().join(format!("{thread}.dtb"));
        let (base, overlay) = (directory.join(base), directory.join(overlay));
        let words = [Path::new("-o"), &merged, &base, &overlay].map(|path| path.to_str().unwrap().to_owned());
        let words: Vec<&str> = ["dto", "apply"].into_iter().chain(words.iter().map(String::as_str)).collect();
        if kbt(&words).status.code() != Some(0) {
            return false;
        }
        let theirs = places_of_testkit(&fs::read(&base).unwrap(), &fs::read(&merged).unwrap());
        assert_eq!(places_of_kbt(&base, &merged), theirs, "{base:?} + {overlay:?}");
        true
    });
    let compared = compared.into_iter().filter(|compared| *compared).count();
    eprintln!("{compared} merges of {} pairs compared", pairs.len());
    assert!(compared > 0, "no pair applies");
}

fn differential_all() -> bool {
    std::env::var("KBT_DIFFERENTIAL").is_ok_and(|value| value == "all")
}
