//! `kbt dto diff` against dtdiff on real merges, where both have to tell the same: the merge keeps the base's phandles, so
//! that numbers and meaning agree.
//!
//! dtdiff prints both trees by dtc, sorted, and compares the texts. Where the sorted texts differ is what it tells; which
//! lines diff(1) pairs with which is chance, so both texts are taken out of its output and held against each other.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use differential::files::{Files, pairs_of_a_vendor};
use differential::parallel;
use kbt_testkit::{peers, require};

/// Places in trees: a node's path, and a property of it.
type Place = (String, Option<String>);

/// Every node and property of a text of dtc's, with what is said of it.
type Text = BTreeMap<Place, String>;

struct Dtdiff {
    script: PathBuf,
    /// A diff(1) that shows all of both texts, then dtc, then the system.
    path: std::ffi::OsString,
    _room: tempfile::TempDir,
}

impl Dtdiff {
    fn get() -> Result<Self, peers::Missing> {
        let (script, dtc) = (peers::script("dtdiff")?, peers::tool("dtc")?);
        let room = tempfile::tempdir().unwrap();
        let diff = room.path().join("diff");
        fs::write(&diff, "#!/bin/sh\nshift\nPATH=${PATH#*:} exec diff -U 1000000 \"$@\"\n").unwrap();
        fs::set_permissions(&diff, fs::Permissions::from_mode(0o755)).unwrap();
        let system = std::env::var_os("PATH").unwrap_or_default();
        let own = [room.path().to_owned(), dtc.parent().unwrap().to_owned()];
        let path = std::env::join_paths(own.into_iter().chain(std::env::split_paths(&system))).unwrap();
        Ok(Self { script, path, _room: room })
    }

    /// What dtdiff compares, left and right; none where it finds no difference.
    fn run(&self, left: &Path, right: &Path) -> Option<[Text; 2]> {
        let mut bash = Command::new("bash");
        let output = bash.arg(&self.script).args([left, right]).env("PATH", &self.path).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        match output.status.code() {
            Some(0) => None,
            Some(1) => Some(['-', '+'].map(|side| parse(&side_of(&text, side)))),
            code => panic!("{code:?}: {text}"),
        }
    }
}

/// The lines of one side.
fn side_of(diff: &str, side: char) -> Vec<&str> {
    let lines = diff.lines().skip_while(|line| !line.starts_with("@@")).skip(1);
    let own = lines.filter_map(|line| line.strip_prefix([side, ' ']));
    own.collect()
}

/// Reads a text of dtc's: a node or a property a line.
fn parse(lines: &[&str]) -> Text {
    let (mut text, mut path) = (Text::new(), Vec::new());
    for line in lines.iter().map(|line| line.trim()) {
        let node = |path: &[&str]| if path.len() < 2 { "/".to_owned() } else { path.join("/") };
        if let Some(name) = line.strip_suffix(" {") {
            path.push(name.trim_start_matches('/'));
            text.insert((node(&path), None), String::new());
        } else if line == "};" {
            path.pop();
        } else if !line.is_empty() && !path.is_empty() {
            let name = line.split([' ', ';']).next().unwrap();
            text.insert((node(&path), Some(name.to_owned())), line.to_owned());
        }
    }
    text
}

fn is_phandle(place: &Place) -> bool {
    matches!(place.1.as_deref(), Some("phandle" | "linux,phandle"))
}

/// Where the texts differ, phandles as such left out.
fn theirs([left, right]: &[Text; 2]) -> BTreeSet<Place> {
    let places = left.keys().chain(right.keys());
    places.filter(|place| left.get(place) != right.get(place) && !is_phandle(place)).cloned().collect()
}

/// What kbt tells, in the same words: a node that comes or goes with all that is in it.
fn ours(left: &Path, right: &Path, texts: Option<&[Text; 2]>) -> BTreeSet<Place> {
    let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
    let Output { status, stdout, .. } =
        kbt.args(["--json", "dto", "diff"]).args([left, right]).output().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(status.code(), Some(i32::from(value["same"] == false)));
    let mut places = BTreeSet::new();
    for it in value["differences"].as_array().unwrap() {
        let path = it["path"].as_str().unwrap();
        match it["kind"].as_str().unwrap() {
            "node-added" | "node-removed" => {
                let below = format!("{path}/");
                let within = |place: &&Place| place.0 == path || place.0.starts_with(&below);
                let all = texts.into_iter().flatten().flat_map(|text| text.keys());
                places.extend(all.filter(within).filter(|place| !is_phandle(place)).cloned());
            }
            _ => _ = places.insert((path.to_owned(), it["property"].as_str().map(str::to_owned))),
        }
    }
    places
}

#[test]
fn both_tell_what_a_merge_changed() {
    let directory = require!(peers::trees("arm64-6.12"));
    let dtdiff = require!(Dtdiff::get());
    let pairs = pairs_of_a_vendor(&directory, 37);
    let room = tempfile::tempdir().unwrap();
    let counts = parallel::map(&pairs, |thread, (base, overlay)| {
        // dtdiff goes by the extension.
        let merged = room.path().join(format!("{thread}.dtb"));
        let mut apply = Command::new(env!("CARGO_BIN_EXE_kbt"));
        apply.args(["-q", "dto", "apply"]).args([base, overlay]).arg("-o").arg(&merged);
        if apply.output().unwrap().status.code() != Some(0) {
            return (0, 0);
        }
        let texts = dtdiff.run(base, &merged);
        let theirs = texts.as_ref().map(theirs).unwrap_or_default();
        let ours = ours(base, &merged, texts.as_ref());
        let only = |one: &BTreeSet<Place>, other| one.difference(other).take(9).cloned().collect::<Vec<_>>();
        let (more, less) = (only(&ours, &theirs), only(&theirs, &ours));
        assert!(ours == theirs, "{base:?} + {overlay:?}: kbt alone {more:?}, dtdiff alone {less:?}");
        (1, theirs.len())
    });
    let (merges, places) = counts.into_iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    eprintln!("{merges} merges of {} pairs, {places} places", pairs.len());
    assert!(merges > 0 && places > 0);
}

/// Of a tree with itself, and of two boards: dtdiff and kbt agree on whether there is anything to tell.
#[test]
fn both_agree_on_whether_trees_differ() {
    let directory = require!(peers::trees("arm64-6.12"));
    let dtdiff = require!(Dtdiff::get());
    let bases = Files::list(&directory).bases;
    let bases: Vec<PathBuf> = bases.iter().step_by(60).map(|name| directory.join(name)).collect();
    let pairs: Vec<_> = bases.windows(2).flat_map(|two| [[&two[0], &two[0]], [&two[0], &two[1]]]).collect();
    parallel::map(&pairs, |_, [left, right]| {
        let texts = dtdiff.run(left, right);
        assert_eq!(ours(left, right, texts.as_ref()).is_empty(), texts.is_none(), "{left:?} {right:?}");
    });
}
