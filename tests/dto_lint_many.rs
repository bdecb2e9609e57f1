//! `kbt dto lint` with more findings than are listed: none of the others is hidden, and the exit code counts them all.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod dto_room;

use std::fs;

use dto_room::{Room, one};
use kbt_dto_check::lint::MAX_OF_RULE;
use kbt_testkit::{Node, Target, Tree};
use serde_json::Value;

const MORE: usize = 7;

fn base() -> Node {
    let soc = Node::new("soc").phandle(1);
    Node::new("").child(soc).child(Node::new("__symbols__").text("soc", "/soc"))
}

/// An overlay of which so many nodes are not merged, and one label is nobody's.
fn stray(nodes: usize) -> Tree {
    let mut tree = one(Target::label("soc"), Node::new("").flag("x"));
    tree.root.children.extend((0..nodes).map(|n| Node::new(format!("stray{n}"))));
    tree.root.children.push(Node::new("__symbols__").text("idle", "/fragment@0/__overlay__"));
    tree
}

/// The exit code, and what is listed.
fn run(room: &Room, words: &str) -> (Option<i32>, Vec<Value>) {
    let output = room.run(&format!("--json dto lint {words}"));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code(), value["findings"].as_array().unwrap().clone())
}

fn of<'v>(found: &'v [Value], code: &str) -> Vec<&'v Value> {
    found.iter().filter(|it| it["code"] == code).collect()
}

#[test]
fn an_error_behind_many_warnings_is_one() {
    let bad = one(Target::label("nowhere"), Node::new("").flag("x"));
    let room = Room::with(base(), [stray(MAX_OF_RULE / 2), stray(MAX_OF_RULE / 2 + MORE), bad]);
    let (code, found) = run(&room, "base a b c");
    assert_eq!(code, Some(1));
    assert_eq!(of(&found, "unresolved-label")[0]["file"], "c");

    let strays = of(&found, "outside-fragment");
    assert_eq!(strays.len(), MAX_OF_RULE);
    let (last, others) = strays.split_last().unwrap();
    assert!(others.iter().all(|it| it["unlisted"] == 0));
    assert_eq!((&last["unlisted"], &last["file"]), (&Value::from(MORE), &Value::from("b")));

    // What is allowed takes nobody's room.
    let (code, found) = run(&room, "base a b c --allow outside-fragment");
    assert_eq!(code, Some(1));
    assert_eq!(found.len(), 4);

    let text = String::from_utf8(room.run("dto lint base a b").stdout).unwrap();
    let expected = format!("is not merged; {MORE} more outside-fragment are not listed (at byte ");
    assert_eq!(text.lines().filter(|line| line.contains(&expected)).count(), 1);
}

#[test]
fn what_is_denied_is_seen_and_counted_behind_what_is_listed() {
    let room = Room::with(base(), [stray(MAX_OF_RULE + MORE)]);
    assert_eq!(run(&room, "base a").0, Some(0));
    let (code, found) = run(&room, "base a --deny unused-label");
    assert_eq!(code, Some(1));
    assert_eq!(of(&found, "unused-label")[0]["denied"], true);
    let output = room.run("dto lint base a --deny outside-fragment");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains(&format!("{} findings are errors or denied", MAX_OF_RULE + MORE)), "{said}");
}

/// What is not listed has changed the overlay that the last one in the list names.
#[test]
fn each_finding_names_its_own_earlier_overlay() {
    let properties = || (0..MAX_OF_RULE).fold(Node::new(""), |node, n| node.flag(&format!("p{n}")));
    let overlay = || one(Target::label("soc"), properties());
    let room = Room::with(base(), [overlay(), overlay(), overlay()]);
    let (_, found) = run(&room, "base a b c");
    let twice = of(&found, "property-twice");
    assert!(twice.iter().all(|it| it["file"] == "b" && it["earlier"] == "a"));
    assert_eq!(twice.last().unwrap()["unlisted"], MAX_OF_RULE);
}

/// Warnings of the merge have room of their own, too.
#[test]
fn many_duplicates_hide_no_other_warning_of_the_merge() {
    let content = Node::new("").children((0..300).map(|n| Node::new(format!("n{}", n / 2))));
    let mut twins = one(Target::path("/soc"), content);
    twins.root.children[0].properties.push(("target".to_owned(), 1_u32.to_be_bytes().to_vec()));
    let again = Node { name: "fragment@1".to_owned(), ..twins.root.children[0].clone() };
    twins.root.children.push(again);
    let room = Room::with(base(), [twins]);
    let (code, found) = run(&room, "base a --deny two-targets");
    assert_eq!((code, of(&found, "two-targets").len()), (Some(1), 2), "{found:?}");
}

/// The name of the file was copied for every directive: memory by the square of the source.
#[test]
fn a_long_name_of_a_file_is_not_told_at_length() {
    let room = Room::with(base(), [stray(0)]);
    let (name, count) = ("\u{e4}".repeat(100_000), 20_000);
    let source = format!("# 1 \"{name}\"\n/plugin/;\n&soc {{\n{}}};\n", "/delete-node/ x;\n".repeat(count));
    fs::write(room.path("a.dtso"), source).unwrap();
    fs::write(room.path("b.dtso"), "/plugin/;\n&soc { /delete-node/ y; };\n").unwrap();
    let (_, found) = run(&room, "base a --source a.dtso --source b.dtso");
    let deleted = of(&found, "delete-does-nothing");
    assert_eq!(deleted.len(), MAX_OF_RULE);
    assert_eq!(deleted.last().unwrap()["unlisted"], count + 1 - MAX_OF_RULE);
    assert!(deleted.iter().all(|it| it["file"] == "\u{e4}".repeat(2048)));
}
