//! `kbt dto lint --sarif`: the structure that SARIF 2.1.0 prescribes, and what code hosts ask for beyond it.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod dto_room;

use std::collections::BTreeSet;
use std::fs;

use dto_room::{Room, one};
use kbt_testkit::{Node, Overlay, Target, Tree};
use serde_json::Value;

/// What a value must be.
#[derive(Clone, Copy)]
enum Is {
    Text,
    /// An integer from this number on.
    From(u64),
    /// One of these.
    OneOf(&'static [&'static str]),
    Object(&'static [Member]),
    List(&'static Is),
}

/// A member of an object: name, whether it must be there, what it is. Others are forbidden, as in the standard's schema.
type Member = (&'static str, bool, Is);

const LEVEL: Is = Is::OneOf(&["none", "note", "warning", "error"]);
const TEXT: Is = Is::Object(&[("text", true, Is::Text)]);

/// The part of SARIF 2.1.0 (OASIS) that is written here; sections in the standard's numbers.
const LOG: Is = Is::Object(&[
    ("$schema", true, Is::OneOf(&["https://json.schemastore.org/sarif-2.1.0.json"])),
    ("version", true, Is::OneOf(&["2.1.0"])),
    ("runs", true, Is::List(&RUN)),
]);
// 3.14
const RUN: Is = Is::Object(&[
    ("tool", true, Is::Object(&[("driver", true, DRIVER)])),
    ("automationDetails", true, Is::Object(&[("id", true, Is::Text)])),
    ("columnKind", true, Is::OneOf(&["utf16CodeUnits", "unicodeCodePoints"])),
    ("results", true, Is::List(&RESULT)),
]);
// 3.19
const DRIVER: Is = Is::Object(&[
    ("name", true, Is::OneOf(&["kbt"])),
    ("fullName", true, Is::Text),
    ("version", true, Is::Text),
    ("semanticVersion", true, Is::Text),
    ("rules", true, Is::List(&RULE)),
]);
// 3.49; GitHub and Azure DevOps refuse a rule that lacks one of these.
const RULE: Is = Is::Object(&[
    ("id", true, Is::Text),
    ("name", true, Is::Text),
    ("shortDescription", true, TEXT),
    ("fullDescription", true, TEXT),
    ("help", true, TEXT),
    ("defaultConfiguration", true, Is::Object(&[("level", true, LEVEL)])),
]);
// 3.27
const RESULT: Is = Is::Object(&[
    ("ruleId", true, Is::Text),
    ("ruleIndex", true, Is::From(0)),
    ("level", true, LEVEL),
    ("message", true, TEXT),
    ("locations", true, Is::List(&LOCATION)),
    ("partialFingerprints", false, Is::Object(&[("primaryLocationLineHash", true, Is::Text)])),
]);
// 3.28 to 3.30, 3.33
const LOCATION: Is = Is::Object(&[
    (
        "physicalLocation",
        true,
        Is::Object(&[
            ("artifactLocation", true, Is::Object(&[("uri", true, Is::Text)])),
            (
                "region",
                true,
                Is::Object(&[
                    ("startLine", true, Is::From(1)),
                    ("startColumn", false, Is::From(1)),
                    ("byteOffset", false, Is::From(0)),
                ]),
            ),
        ]),
    ),
    ("logicalLocations", false, Is::List(&Is::Object(&[("fullyQualifiedName", true, Is::Text)]))),
]);

/// Holds a value against what it must be.
fn check(value: &Value, is: Is, place: &str) {
    match is {
        Is::Text => assert!(value.as_str().is_some_and(|text| !text.is_empty()), "{place}: {value}"),
        Is::From(least) => assert!(value.as_u64().is_some_and(|number| number >= least), "{place}: {value}"),
        Is::OneOf(words) => {
            assert!(value.as_str().is_some_and(|word| words.contains(&word)), "{place}: {value}");
        }
        Is::List(each) => {
            let list = value.as_array().unwrap_or_else(|| panic!("{place}: {value}"));
            list.iter().for_each(|value| check(value, *each, place));
        }
        Is::Object(members) => {
            let object = value.as_object().unwrap_or_else(|| panic!("{place}: {value}"));
            for name in object.keys() {
                assert!(members.iter().any(|(known, ..)| known == name), "{place}.{name} is not allowed");
            }
            for (name, required, is) in members {
                match object.get(*name) {
                    Some(value) => check(value, *is, &format!("{place}.{name}")),
                    None => assert!(!required, "{place}.{name} is missing"),
                }
            }
        }
    }
}

/// What holds between the parts of a log; gives its results.
fn check_log(log: &Value) -> &[Value] {
    check(log, LOG, "log");
    let [run] = &log["runs"].as_array().unwrap()[..] else { panic!("one run") };
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let texts = |name: &str| rules.iter().map(|rule| rule[name].as_str().unwrap()).collect::<BTreeSet<_>>();
    assert_eq!(texts("id").len(), rules.len(), "an id twice");
    for name in texts("name") {
        assert!(name.chars().all(char::is_alphanumeric) && name.starts_with(char::is_uppercase), "{name}");
    }
    for rule in rules {
        for text in ["fullDescription", "help"].map(|name| rule[name]["text"].as_str().unwrap()) {
            assert!(text.ends_with(['.', '?']), "{text}");
        }
    }
    let results = run["results"].as_array().unwrap();
    let mut known = BTreeSet::new();
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        let hash = &result["partialFingerprints"]["primaryLocationLineHash"];
        let file = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        if let Some(hash) = hash.as_str() {
            assert!(known.insert((file.to_string(), hash.to_owned())), "{hash} twice");
        }
    }
    results
}

fn room(overlays: [Tree; 2]) -> Room {
    let base = Node::new("")
        .child(Node::new("soc").phandle(1).child(Node::new("spi@10").phandle(2)))
        .child(Node::new("__symbols__").text("soc", "/soc"));
    Room::with(base, overlays)
}

fn log(room: &Room, words: &str) -> Value {
    serde_json::from_slice(&room.run(&format!("dto lint {words} --sarif -")).stdout).unwrap()
}

#[test]
fn a_log_of_every_kind_of_place() {
    let room =
        room([one(Target::path("/"), Node::new("").flag("x")), one(Target::label("nobody"), Node::new(""))]);
    fs::write(room.path("a.dtso"), "/plugin/; /delete-node/ &soc;").unwrap();
    let output = room.run("dto lint base a b --source a.dtso --sarif out.sarif --deny root-target");
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stdout.is_empty());
    let log: Value = serde_json::from_slice(&fs::read(room.path("out.sarif")).unwrap()).unwrap();
    let results = check_log(&log);
    let codes: BTreeSet<_> = results.iter().map(|result| result["ruleId"].as_str().unwrap()).collect();
    let expected = ["delete-does-nothing", "empty-fragment", "root-target", "unresolved-label"];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
    let of = |code: &str| results.iter().find(|result| result["ruleId"] == code).unwrap();
    let root = of("root-target");
    assert_eq!(root["level"], "error", "what is denied is an error");
    assert_eq!(root["locations"][0]["logicalLocations"][0]["fullyQualifiedName"], "/fragment@0");
    let deleted = &of("delete-does-nothing")["locations"][0]["physicalLocation"];
    assert_eq!(
        (&deleted["artifactLocation"]["uri"], &deleted["region"]["startColumn"]),
        (&"a.dtso".into(), &11.into())
    );
    check_log(&self::log(&room, "base a"));
    assert_eq!(log["runs"][0]["automationDetails"]["id"], "kbt-dto-lint/base/");
}

/// The log says that columns are counted in UTF-16; the text counts bytes, as compilers do.
#[test]
fn columns_are_those_of_editors() {
    let room = room([one(Target::label("soc"), Node::new("").flag("x")), Tree::default()]);
    let source = "/plugin/;\n&soc { /* \u{e4}\u{e4} \u{1f600} */ /delete-node/ x; };\n";
    fs::write(room.path("a.dtso"), source).unwrap();
    let log = log(&room, "base a --source a.dtso");
    let [result] = check_log(&log) else { panic!("{log}") };
    let region = &result["locations"][0]["physicalLocation"]["region"];
    assert_eq!((&region["startLine"], &region["startColumn"]), (&2.into(), &20.into()));
    let output = room.run("dto lint base a --source a.dtso");
    assert!(output.stdout.starts_with(b"a.dtso:2:24: warning[delete-does-nothing]"), "{output:?}");
}

/// A rule that a code host shows, and a finding that it knows again.
#[test]
fn a_finding_in_a_tree_is_known_again() {
    let spi = |more: &[u8]| {
        let content = Node::new("").child(Node::new("spi").text("note", std::str::from_utf8(more).unwrap()));
        let mut overlay = Overlay::new();
        overlay.fragment(Target::label("soc"), content.clone());
        overlay.fragment(Target::label("soc"), content.flag("late"));
        overlay.finish()
    };
    let hashes = |more: &[u8]| -> Vec<(String, u64)> {
        let log = log(&room([spi(more), spi(b"")]), "base a");
        let results = check_log(&log).iter().map(|result| {
            let region = &result["locations"][0]["physicalLocation"]["region"];
            let hash = &result["partialFingerprints"]["primaryLocationLineHash"];
            (hash.as_str().unwrap().to_owned(), region["byteOffset"].as_u64().unwrap())
        });
        results.collect()
    };
    let (old, new) = (hashes(b"x"), hashes(b"a longer one"));
    assert_eq!(old.len(), 2);
    // The bytes moved, the findings did not.
    assert!(old[1].1 != new[1].1);
    assert_eq!(
        old.iter().map(|it| &it.0).collect::<Vec<_>>(),
        new.iter().map(|it| &it.0).collect::<Vec<_>>()
    );
}
