//! `kbt dto lint`: each rule on a made case that has it and a neighbour that has not; exit codes and JSON. tests/dto_sarif.rs has SARIF.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod dto_room;

use std::fs;

use dto_room::{Room, one};
use kbt_testkit::{Node, Overlay, Target, Tree};
use serde_json::Value;

fn findings(room: &Room, words: &str) -> Vec<Value> {
    let output = room.run(&format!("--json dto lint {words}"));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["findings"].as_array().unwrap_or_else(|| panic!("{value}")).clone()
}

/// `code file node:property` of every finding.
fn lint(base: impl Into<Tree>, overlays: Vec<Tree>) -> Vec<String> {
    let words = ["base", "base a", "base a b", "base a b c"][overlays.len()];
    let found = findings(&Room::with(base, overlays), words);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let line = |it: &Value| {
        let property = it["property"].as_str().map_or(String::new(), |name| format!(":{name}"));
        format!("{} {} {}{property}", text(&it["code"]), text(&it["file"]), text(&it["node"]))
    };
    found.iter().map(line).collect()
}

fn base() -> Node {
    Node::new("")
        .child(Node::new("chosen").text("bootargs", "quiet"))
        .child(Node::new("soc").phandle(1).child(Node::new("spi@10").phandle(2)))
        .child(Node::new("osc").cells("#clock-cells", &[0]).phandle(3))
        .child(Node::new("__symbols__").text("soc", "/soc").text("osc", "/osc").text("chosen", "/chosen"))
}

fn on_soc(content: Node) -> Tree {
    one(Target::label("soc"), content)
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_clean_overlay_has_no_finding() {
    assert_eq!(
        lint(base(), vec![on_soc(Node::new("").text("status", "okay").child(Node::new("i2c")))]),
        NOTHING
    );
}

#[test]
fn root_target() {
    let root = one(Target::path("/"), Node::new("").flag("x"));
    assert_eq!(lint(base(), vec![root]), ["root-target a /fragment@0"]);
}

#[test]
fn empty_fragment() {
    assert_eq!(lint(base(), vec![on_soc(Node::new(""))]), ["empty-fragment a /fragment@0"]);
}

#[test]
fn outside_fragment() {
    let mut tree = on_soc(Node::new("").flag("x"));
    tree.root.properties.push(("lost".to_owned(), vec![]));
    // An overlay says so of itself what it is for.
    tree.root.properties.push(("compatible".to_owned(), b"x\0".to_vec()));
    tree.root.children.push(Node::new("stray"));
    assert_eq!(lint(base(), vec![tree]), ["outside-fragment a /:lost", "outside-fragment a /stray"]);
}

#[test]
fn loose_name() {
    let with = |name: &str| on_soc(Node::new("").child(Node::new(name).flag("x")));
    assert_eq!(lint(base(), vec![with("spi")]), ["loose-name a /fragment@0/__overlay__/spi"]);
    assert_eq!(lint(base(), vec![with("spi@10")]), NOTHING);
    assert_eq!(lint(base(), vec![with("sp")]), NOTHING);
    let mut two = base();
    two.node_mut("soc").children.push(Node::new("spi@20"));
    assert_eq!(lint(two, vec![with("spi")]), NOTHING);
}

#[test]
fn phandle_clash() {
    let with = |name: &str| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(
            Target::label("soc"),
            Node::new("").cells("mine", &[7]).child(Node::new(name).phandle(7)),
        );
        overlay.local_reference(&path, "mine", 0);
        overlay.finish()
    };
    assert_eq!(lint(base(), vec![with("spi@10")]), ["phandle-clash a /fragment@0/__overlay__/spi@10"]);
    assert_eq!(lint(base(), vec![with("spi@11")]), NOTHING);
}

#[test]
fn duplicate_phandle() {
    let mut twice = base();
    twice.node_mut("osc").properties[1].1[3] = 1;
    let found = lint(twice, vec![on_soc(Node::new("").flag("x"))]);
    assert_eq!(found, ["duplicate-phandle base /osc"]);
}

#[test]
fn hard_coded_phandle() {
    let clocks = |stated: bool| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(Target::label("soc"), Node::new("").cells("clocks", &[3]));
        if stated {
            overlay.reference(&path, "clocks", 0, "osc");
        }
        overlay.finish()
    };
    assert_eq!(lint(base(), vec![clocks(false)]), ["hard-coded-phandle a /fragment@0/__overlay__:clocks"]);
    assert_eq!(lint(base(), vec![clocks(true)]), NOTHING);
    let hog = Node::new("").child(Node::new("hog").flag("gpio-hog").cells("gpios", &[3, 0]));
    assert_eq!(lint(base(), vec![on_soc(hog)]), NOTHING);
}

#[test]
fn dangling_reference() {
    let mut broken = base();
    broken.node_mut("soc").properties.push(("clocks".to_owned(), vec![0, 0, 0, 9]));
    let found = lint(broken, vec![on_soc(Node::new("").flag("x"))]);
    assert_eq!(found, ["dangling-reference base /soc:clocks"]);
}

#[test]
fn labels_unused_and_unresolved() {
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::label("soc"), Node::new("").child(Node::new("i2c")));
    overlay.symbol("bus", &format!("{path}/i2c"));
    let labelled = overlay.finish();
    let user = one(Target::label("bus"), Node::new("").flag("x"));
    assert_eq!(lint(base(), vec![labelled.clone()]), ["unused-label a /__symbols__:bus"]);
    assert_eq!(lint(base(), vec![labelled.clone(), user.clone()]), NOTHING);
    let unresolved = "unresolved-label a /fragment@0:target";
    assert_eq!(lint(base(), vec![user, labelled]), [unresolved, "unused-label b /__symbols__:bus"]);
}

#[test]
fn a_target_that_is_missing() {
    let lost = one(Target::path("/nowhere"), Node::new("").flag("x"));
    assert_eq!(lint(base(), vec![lost]), ["target-path-missing a /fragment@0:target-path"]);
}

#[test]
fn symbols_that_lead_nowhere() {
    let mut broken = base();
    broken.node_mut("__symbols__").properties.push(("gone".to_owned(), b"/gone\0".to_vec()));
    broken
        .node_mut("__symbols__")
        .properties
        .push(("old".to_owned(), b"/fragment@0/__overlay__/i2c\0".to_vec()));
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label("soc"), Node::new("").flag("x"));
    overlay.symbol("f", "/fragment@0");
    overlay.symbol("g", "/fragment@7");
    let expected = [
        "dangling-symbol base /__symbols__:gone",
        "symbol-into-fragment base /__symbols__:old",
        "symbol-outside-overlay a /__symbols__:f",
        "dangling-symbol a /__symbols__:g",
    ];
    assert_eq!(lint(broken.clone(), vec![overlay.finish()])[..2], expected[..2]);
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label("soc"), Node::new("").flag("x"));
    overlay.symbol("f", "/fragment@0");
    let found = lint(base(), vec![overlay.finish()]);
    assert_eq!(found, ["symbol-outside-overlay a /__symbols__:f", "unused-label a /__symbols__:f"]);
}

#[test]
fn boot_arguments() {
    let set = |name: &str, value: &str| one(Target::label("chosen"), Node::new("").text(name, value));
    let replaced = "bootargs-replaced a /fragment@0/__overlay__:bootargs";
    assert_eq!(lint(base(), vec![set("bootargs", "loud")]), [replaced]);
    assert_eq!(lint(base(), vec![set("bootargs", "quiet")]), NOTHING);
    assert_eq!(lint(base(), vec![set("bootargs_ext", "a")]), NOTHING);
    let twice = "bootargs-ext-twice b /fragment@0/__overlay__:bootargs_ext";
    assert_eq!(lint(base(), vec![set("bootargs_ext", "a"), set("bootargs_ext", "b")]), [twice]);
    let mut bare = base();
    bare.node_mut("chosen").properties.clear();
    assert_eq!(lint(bare, vec![set("bootargs", "loud")]), NOTHING);
}

#[test]
fn duplicates() {
    let mut twice = base();
    twice.children.push(Node::new("osc"));
    twice.node_mut("soc").properties.push(("phandle".to_owned(), vec![0, 0, 0, 1]));
    let overlay = on_soc(Node::new("").flag("x").flag("x").child(Node::new("y")).child(Node::new("y")));
    let expected = [
        "duplicate-node base /osc",
        "duplicate-property base /soc:phandle",
        "duplicate-node a /fragment@0/__overlay__/y",
        "duplicate-property a /fragment@0/__overlay__:x",
    ];
    assert_eq!(lint(twice, vec![overlay]), expected);
}

#[test]
fn conflicts() {
    let mode = |value: &str| on_soc(Node::new("").text("mode", value));
    let by_path = |value: &str| one(Target::path("/soc"), Node::new("").text("mode", value));
    let conflict = "property-conflict b /fragment@0/__overlay__:mode";
    assert_eq!(lint(base(), vec![mode("a"), by_path("b")]), [conflict]);
    let twice = "property-twice b /fragment@0/__overlay__:mode";
    assert_eq!(lint(base(), vec![mode("a"), mode("a")]), [twice]);
    let room = Room::with(base(), vec![mode("a"), on_soc(Node::new("").flag("x")), mode("b")]);
    let found = findings(&room, "base a b c");
    assert_eq!((&found[0]["earlier"], &found[0]["file"]), (&"a".into(), &"c".into()));
    let brings = |property: &str| on_soc(Node::new("").child(Node::new("i2c").flag(property)));
    let node = "node-twice b /fragment@0/__overlay__/i2c";
    assert_eq!(lint(base(), vec![brings("x"), brings("y")]), [node]);
}

#[test]
fn a_conflict_of_references_is_one_of_nodes() {
    let clock = |label: &str| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(Target::label("soc"), Node::new("").cells("clocks", &[u32::MAX]));
        overlay.reference(&path, "clocks", 0, label);
        overlay.finish()
    };
    let at = "/fragment@0/__overlay__:clocks";
    assert_eq!(lint(base(), vec![clock("osc"), clock("osc")]), [format!("property-twice b {at}")]);
    assert_eq!(lint(base(), vec![clock("osc"), clock("soc")]), [format!("property-conflict b {at}")]);
}

#[test]
fn what_the_merge_warns_of() {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label("soc"), Node::new("").flag("x"));
    overlay.root.children[0].properties.push(("target-path".to_owned(), b"/soc\0".to_vec()));
    let found = lint(base(), vec![overlay.finish(), Tree::default()]);
    assert_eq!(found, ["two-targets a /fragment@0:target-path", "no-fragments b "]);
}

/// Names of bindings have other uses; what can be printed is no phandle.
#[test]
fn a_string_under_the_name_of_a_binding_is_no_phandle() {
    let with = |value: &[u8]| {
        let names = ["panel", "leds", "x-supply", "gpio", "trip", "clocks"];
        on_soc(names.into_iter().fold(Node::new(""), |node, name| node.bytes(name, value)))
    };
    assert_eq!(lint(base(), vec![with(b"abc\0")]), NOTHING);
    assert_eq!(lint(base(), vec![with(b"a\0b\0")]), NOTHING);
    let mut named = base();
    named.node_mut("soc").properties.push(("panel".to_owned(), b"abcdefg\0".to_vec()));
    assert_eq!(lint(named.clone(), vec![on_soc(Node::new("").flag("x"))]), NOTHING);
    assert_eq!(lint(base(), vec![with(b"abcd")]).len(), 6, "no string: it does not end in NUL");
    named.node_mut("soc").properties.push(("leds".to_owned(), b"abcd".to_vec()));
    assert_eq!(lint(named, vec![on_soc(Node::new("").flag("x"))]), ["dangling-reference base /soc:leds"]);
}

#[test]
fn deletions_in_source() {
    let room = Room::with(base(), vec![on_soc(Node::new("").flag("x"))]);
    fs::write(room.path("a.dtso"), "/dts-v1/;\n/plugin/;\n&soc {\n\t/delete-node/ spi@10;\n};\n").unwrap();
    let output = room.run("dto lint base a --source a.dtso");
    assert_eq!(output.status.code(), Some(0));
    let expected = "a.dtso:4:2: warning[delete-does-nothing]: '/delete-node/ spi@10' deletes nothing: no earlier block of \
                    this source has it\n  hint: an overlay cannot delete: dtc drops the directive; set status = \"disabled\", \
                    or change the base\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
}

#[test]
fn exit_codes() {
    let room =
        Room::with(base(), vec![one(Target::path("/"), Node::new("").flag("x")), on_soc(Node::new(""))]);
    let code = |words: &str| room.run(&format!("dto lint base {words}")).status.code();
    assert_eq!(code("a b"), Some(0));
    assert_eq!(code("a --deny root-target"), Some(1));
    assert_eq!(code("a --deny phandle-clash"), Some(0));
    assert_eq!(code("a --deny warnings"), Some(1));
    assert_eq!(code("b --deny warnings"), Some(0));
    assert_eq!(code("b --deny notes"), Some(1));
    assert_eq!(code("a --deny root-target --allow root-target"), Some(0));
    assert_eq!(code("a --deny no-such-code"), Some(2));
    assert_eq!(code("a --allow no-such-code"), Some(2));
    assert_eq!(code("base"), Some(0));
    assert_eq!(code("nothing"), Some(1));
    let output = room.run("-q dto lint base a b");
    assert!(output.stdout.is_empty(), "{output:?}");
    let output = room.run("dto lint base a --deny root-target");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "kbt: error: one finding is an error or denied\n");
}

#[test]
fn every_code_stands_in_the_documents() {
    let room = Room::with(base(), vec![on_soc(Node::new("").flag("x"))]);
    let output = room.run("dto lint base a --sarif -");
    let log: Value = serde_json::from_slice(&output.stdout).unwrap();
    let page = include_str!("../docs/dto-lint.md");
    for rule in log["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap() {
        let code = rule["id"].as_str().unwrap();
        assert!(page.contains(&format!("`{code}`")), "docs/dto-lint.md lacks {code}");
    }
}
