//! `kbt dto matrix`: which pairs are tried, how they end, what is told; against fdtoverlay on real trees.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;
mod dto_room;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use differential::engine::Engine;
use differential::files::Files;
use differential::parallel;
use kbt_testkit::{Node, Overlay, Target, Tree, peers, require};
use serde_json::Value;

struct Room(dto_room::Room);

impl Room {
    /// Two boards in folders, an overlay for both, one for the first, one that is wrong.
    fn new() -> Self {
        let room = Self(dto_room::Room::new());
        room.put("b/one/board.dtb", board("one"));
        room.put("b/two/board.dtb", board("two"));
        room.put("o/one/slow.dtbo", overlay("uart", Some("one"), "slow"));
        room.put("o/one/fast.dtbo", overlay("uart", None, "fast"));
        room.put("o/two/lost.dtbo", overlay("nobody", Some("two"), "x"));
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    fn put(&self, name: &str, tree: impl Into<Tree>) {
        self.0.put(name, tree);
    }

    fn run(&self, words: &str) -> Output {
        self.0.run(&format!("dto matrix --bases b --overlays o {words}"))
    }

    /// `base + overlays: code` of every run, and the exit code.
    fn runs(&self, words: &str) -> (Vec<String>, i32) {
        let output = self.run(&format!("--json {words}"));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let runs = value["runs"].as_array().unwrap_or_else(|| panic!("{value}")).iter().map(line);
        (runs.collect(), output.status.code().unwrap())
    }
}

fn line(run: &Value) -> String {
    let overlays: Vec<_> =
        run["overlays"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(run["applies"], run["error"].is_null());
    let end = run["error"]["code"].as_str().unwrap_or("applies");
    format!("{} + {}: {end}", run["base"].as_str().unwrap(), overlays.join(" + "))
}

fn board(compatible: &str) -> Node {
    Node::new("")
        .text("compatible", compatible)
        .child(Node::new("serial").text("mode", "none").phandle(1))
        .child(Node::new("__symbols__").text("uart", "/serial"))
}

fn overlay(label: &str, compatible: Option<&str>, mode: &str) -> Tree {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label(label), Node::new("").text("mode", mode).text("status", "okay"));
    if let Some(compatible) = compatible {
        overlay.root = overlay.root.text("compatible", compatible);
    }
    overlay.finish()
}

#[test]
fn all_pairs() {
    let expected = [
        "one/board.dtb + one/fast.dtbo: applies",
        "one/board.dtb + one/slow.dtbo: applies",
        "one/board.dtb + two/lost.dtbo: unresolved-label",
        "two/board.dtb + one/fast.dtbo: applies",
        "two/board.dtb + one/slow.dtbo: applies",
        "two/board.dtb + two/lost.dtbo: unresolved-label",
    ];
    let room = Room::new();
    let (runs, code) = room.runs("");
    assert_eq!((runs, code), (expected.map(str::to_owned).to_vec(), 1));
    let one = room.run("");
    for jobs in ["--jobs 1", "--jobs 2", "--jobs 7"] {
        assert_eq!(room.run(jobs).stdout, one.stdout);
    }
    let expected = "\
overlays       applies  refused  why
one/fast.dtbo        2        0
one/slow.dtbo        2        0
two/lost.dtbo        0        2  unresolved-label 2

not as expected:
  one/board.dtb + two/lost.dtbo: fragment@0: property 'target': label 'nobody' is not in the base tree (at byte 188)
  two/board.dtb + two/lost.dtbo: fragment@0: property 'target': label 'nobody' is not in the base tree (at byte 188)

conflicts (the order decides):
  one/board.dtb: /serial:mode
    one/fast.dtbo: mode = \"fast\";
    one/slow.dtbo: mode = \"slow\";
  two/board.dtb: /serial:mode
    one/fast.dtbo: mode = \"fast\";
    one/slow.dtbo: mode = \"slow\";

6 runs on 2 bases with 3 overlays: 4 apply, 2 are refused, 2 conflicts
";
    assert_eq!(String::from_utf8_lossy(&one.stdout), expected);
}

#[test]
fn pairs_that_belong_together() {
    let room = Room::new();
    let (runs, _) = room.runs("--pairs folder");
    let expected = [
        "one/board.dtb + one/fast.dtbo: applies",
        "one/board.dtb + one/slow.dtbo: applies",
        "two/board.dtb + two/lost.dtbo: unresolved-label",
    ];
    assert_eq!(runs, expected);
    let (runs, _) = room.runs("--pairs compatible");
    let expected = [
        "one/board.dtb + one/fast.dtbo: applies",
        "one/board.dtb + one/slow.dtbo: applies",
        "two/board.dtb + one/fast.dtbo: applies",
        "two/board.dtb + two/lost.dtbo: unresolved-label",
    ];
    assert_eq!(runs, expected);
}

#[test]
fn a_configuration_names_runs_and_refusals() {
    let room = Room::new();
    let with = |text: &str, words: &str| {
        fs::write(room.path("conf"), text).unwrap();
        room.runs(&format!("--config conf {words}"))
    };
    let (runs, code) = with("apply one/*.dtb one/fast.dtbo one/slow.dtbo # both\n", "");
    assert_eq!((runs, code), (vec!["one/board.dtb + one/fast.dtbo + one/slow.dtbo: applies".to_owned()], 0));
    let (runs, code) = with("refuse ** two/*\n", "");
    assert_eq!((runs.len(), code), (6, 0));
    let (runs, code) = with("skip ** **\nrefuse two/* two/*", "");
    assert_eq!((runs.len(), code), (1, 0));
    let (_, code) = with("refuse one/* one/fast.dtbo\nskip ** two/*", "");
    assert_eq!(code, 1, "it applies, and was to be refused");
    let (_, code) = with("apply one/* one/fast.dtbo one/slow.dtbo", "--deny-conflicts");
    assert_eq!(code, 1);
    for (text, expected) in [
        ("apply nothing* **", "conf: line 1: no base fits 'nothing*'"),
        ("\napply ** nothing", "conf: line 2: no overlay fits 'nothing'"),
        ("do x y", "conf: line 1: 'do' is none of apply, refuse and skip"),
        ("apply x", "conf: line 1: no overlay is named"),
    ] {
        fs::write(room.path("conf"), text).unwrap();
        let output = room.run("--config conf");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains(expected), "{output:?}");
    }
}

#[test]
fn reports() {
    let room = Room::new();
    fs::write(room.path("b/one/odd<&>.dtb"), "no tree").unwrap();
    let output = room.run("--pairs folder --report r.json --junit r.xml");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&fs::read(room.path("r.json")).unwrap()).unwrap();
    assert_eq!(
        (&report["applied"], &report["refused"], &report["unexpected"]),
        (&2.into(), &3.into(), &3.into())
    );
    assert_eq!(report["runs"][2]["error"]["code"], "bad-magic");
    assert_eq!(report["runs"][4]["error"]["fragment"], "fragment@0");
    assert_eq!(report["conflicts"][0]["property"], "mode");
    let xml = fs::read_to_string(room.path("r.xml")).unwrap();
    assert!(xml.contains("<testsuite name=\"one/board.dtb\" tests=\"2\" failures=\"0\">"), "{xml}");
    assert!(xml.contains("<testcase classname=\"one/board.dtb\" name=\"one/fast.dtbo\"/>"), "{xml}");
    assert!(
        xml.contains("<testsuite name=\"one/odd&lt;&amp;&gt;.dtb\" tests=\"2\" failures=\"2\">"),
        "{xml}"
    );
    assert!(xml.contains("<failure type=\"unresolved-label\" message=\"two/lost.dtbo: fragment@0:"), "{xml}");
    assert_eq!(xml.matches("<testcase").count(), 5);
}

#[test]
fn references_of_conflicts_are_compared_by_label() {
    let room = Room::new();
    let clock = |raw: u32, label: &str| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(Target::path("/serial"), Node::new("").cells("clocks", &[raw]));
        overlay.reference(&path, "clocks", 0, label);
        overlay.finish()
    };
    for name in ["one/fast", "one/slow", "two/lost"] {
        fs::remove_file(room.path(&format!("o/{name}.dtbo"))).unwrap();
    }
    room.put("o/a.dtbo", clock(1, "uart"));
    room.put("o/b.dtbo", clock(2, "uart"));
    assert!(String::from_utf8_lossy(&room.run("").stdout).contains(" 0 conflicts"));
    let mut other = board("one");
    other.children[1].properties.push(("other".to_owned(), b"/osc\0".to_vec()));
    other.children.push(Node::new("osc"));
    room.put("b/one/board.dtb", other);
    room.put("o/b.dtbo", clock(1, "other"));
    assert!(String::from_utf8_lossy(&room.run("").stdout).contains(" 1 conflicts"));
}

#[test]
fn a_conflict_has_every_value_in_the_order_of_the_overlays() {
    let room = Room::new();
    room.put("o/one/zz.dtbo", overlay("uart", None, "fast"));
    room.put("o/one/mid.dtbo", overlay("uart", None, "mid"));
    // The later fragment counts.
    let mut twice = Overlay::new();
    twice.fragment(Target::label("uart"), Node::new("").text("mode", "mid"));
    twice.fragment(Target::path("/serial"), Node::new("").text("mode", "slow"));
    room.put("o/one/twice.dtbo", twice.finish());
    let conflicts = |config: &str| {
        fs::write(room.path("conf"), config).unwrap();
        let output = room.run("--json --config conf");
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let conflicts = value["conflicts"].as_array().unwrap().iter().map(|it| {
            assert_eq!((&it["node"], &it["property"]), (&"/serial".into(), &"mode".into()));
            let values = it["values"].as_array().unwrap().iter().map(|value| {
                let names = value["overlays"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                let names: Vec<_> = names.map(|name| name.trim_end_matches(".dtbo")).collect();
                format!("{} {}", value["value"].as_str().unwrap(), names.join(" "))
            });
            values.collect::<Vec<_>>().join(" ")
        });
        conflicts.collect::<Vec<_>>()
    };
    let alone =
        "mode = \"fast\"; one/fast one/zz mode = \"mid\"; one/mid mode = \"slow\"; one/slow one/twice";
    assert_eq!(conflicts("skip two/* **\nskip ** two/*"), [alone]);
    // In the order of the line, not of the names.
    let stack = "apply one/* one/slow.dtbo one/mid.dtbo one/fast.dtbo one/zz.dtbo";
    let together = "mode = \"slow\"; one/slow mode = \"mid\"; one/mid mode = \"fast\"; one/fast one/zz";
    assert_eq!(conflicts(stack), [together]);
    assert_eq!(conflicts("apply one/* one/slow.dtbo one/twice.dtbo"), Vec::<String>::new());
}

/// The places where these overlays are in conflict, alone or, with a configuration, one after the other.
fn conflicts(base: Node, overlays: &[(&str, Overlay)], config: &str) -> Vec<String> {
    let room = Room(dto_room::Room::new());
    room.put("b/b.dtb", base);
    for (name, overlay) in overlays {
        room.put(&format!("o/{name}.dtbo"), overlay.clone().finish());
    }
    fs::write(room.path("conf"), config).unwrap();
    let output = room.run("--json --config conf");
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["unexpected"], 0, "{value}");
    let places = value["conflicts"].as_array().unwrap().iter();
    places
        .map(|it| format!("{}:{}", it["node"].as_str().unwrap(), it["property"].as_str().unwrap()))
        .collect()
}

#[test]
fn conflicts_are_about_nodes_however_they_are_named() {
    let base = || {
        Node::new("")
            .child(Node::new("soc").child(Node::new("uart@1").phandle(1)).phandle(2))
            .child(Node::new("aliases").text("s", "/soc"))
            .child(
                Node::new("__symbols__")
                    .text("uart", "/soc/uart@1")
                    .text("also", "/soc/uart@1")
                    .text("soc", "/soc"),
            )
    };
    let set = |target: Target, value: &str| {
        let mut overlay = Overlay::new();
        overlay.fragment(target, Node::new("").text("mode", value));
        overlay
    };
    // Paths with slashes to spare, an alias, a label.
    for other in [Target::path("//soc//uart@1/"), Target::path("s//uart@1"), Target::label("also")] {
        let overlays = [("a", set(Target::label("uart"), "one")), ("b", set(other, "two"))];
        assert_eq!(conflicts(base(), &overlays, ""), ["/soc/uart@1:mode"]);
    }
    let refer = |label: &str| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(Target::label("soc"), Node::new("").cells("to", &[u32::MAX]));
        overlay.reference(&path, "to", 0, label);
        overlay
    };
    // Two labels of one node, and of two.
    let none: [&str; 0] = [];
    assert_eq!(conflicts(base(), &[("a", refer("uart")), ("b", refer("also"))], ""), none);
    assert_eq!(conflicts(base(), &[("a", refer("uart")), ("b", refer("soc"))], ""), ["/soc:to"]);
    // A node of its own: another one for each, or the same one.
    let own = |name: &str, fragments: usize| {
        let mut overlay = Overlay::new();
        for _ in 0..fragments {
            overlay.fragment(Target::label("uart"), Node::new(""));
        }
        let content = Node::new("").cells("to", &[9]).child(Node::new(name).phandle(9));
        let path = overlay.fragment(Target::label("soc"), content);
        overlay.local_reference(&path, "to", 0);
        overlay.symbol("x", &format!("{path}/{name}"));
        overlay
    };
    assert_eq!(conflicts(base(), &[("a", own("n1", 0)), ("b", own("n2", 0))], ""), ["/soc:to"]);
    assert_eq!(conflicts(base(), &[("a", own("n1", 0)), ("b", own("n1", 1))], ""), none);
    // A label that the first of a stack brings.
    let stack =
        [("a", own("n1", 0)), ("b", set(Target::label("x"), "one")), ("c", set(Target::label("x"), "two"))];
    let found = conflicts(base(), &stack, "apply b.dtb a.dtbo b.dtbo c.dtbo");
    assert_eq!(found, ["/soc/n1:mode"]);
}

#[test]
fn an_empty_directory_is_an_error() {
    let room = Room::new();
    fs::remove_dir_all(room.path("o/one")).unwrap();
    fs::remove_dir_all(room.path("o/two")).unwrap();
    let output = room.run("");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "kbt: error: o: there is no *.dtbo in the directory or below\n"
    );
}

/// The pairs of one vendor that apply are those which fdtoverlay applies.
#[test]
fn agrees_with_fdtoverlay() {
    let directory = require!(peers::trees("arm64-6.12"));
    let fdtoverlay = Engine::Fdtoverlay(require!(peers::tool("fdtoverlay")));
    let vendor = "ti";
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    let folder = directory.join(vendor);
    command
        .args(["--json", "dto", "matrix", "--loose-names", "--bases"])
        .arg(&folder)
        .arg("--overlays")
        .arg(&folder);
    let report: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    let ours: BTreeSet<String> = report["runs"]
        .as_array()
        .unwrap()
        .iter()
        .map(line)
        .filter_map(|line| line.strip_suffix(": applies").map(str::to_owned))
        .collect();
    let files = Files::list(&folder);
    let pairs: Vec<_> = files
        .bases
        .iter()
        .flat_map(|base| files.overlays.iter().map(move |overlay| (base, overlay)))
        .collect();
    let room = tempfile::tempdir().unwrap();
    let theirs = parallel::map(&pairs, |thread, (base, overlay)| {
        let out = room.path().join(thread.to_string());
        let applied =
            fdtoverlay.apply(&folder.join(base), &[&folder.join(overlay)], Path::new(&out)).applied();
        applied.then(|| format!("{base} + {overlay}"))
    });
    let theirs: BTreeSet<String> = theirs.into_iter().flatten().collect();
    assert!(!theirs.is_empty());
    assert_eq!(ours, theirs);
}
