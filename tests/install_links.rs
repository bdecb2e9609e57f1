//! `kbt install-links`: links that work, and nothing that is lost.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

const NAMES: [&str; 6] = ["depmod", "fdtoverlay", "jobserver-exec", "kallsyms", "mkdtboimg", "mkdtboimg.py"];

fn install(directory: &Path, words: &[&str]) -> Output {
    let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
    kbt.arg("install-links").arg(directory).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn listed(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn every_name_answers_as_its_tool() {
    let room = tempfile::tempdir().unwrap();
    let output = install(room.path(), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(listed(room.path()), NAMES);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["made"], serde_json::json!(NAMES));
    for (name, word, answer) in [
        ("fdtoverlay", "--help", "fdtoverlay"),
        ("mkdtboimg", "help", "mkdtboimg help all"),
        ("depmod", "--help", "depmod"),
        ("jobserver-exec", "--help", "jobserver-exec"),
    ] {
        let output = Command::new(room.path().join(name)).arg(word).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(answer), "{name}: {text}");
    }
    // Once more: nothing is to be done.
    let output = install(room.path(), &["--json"]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["made"], serde_json::json!([]));
}

#[test]
fn a_directory_that_is_not_there_is_told() {
    let room = tempfile::tempdir().unwrap();
    let place = room.path().join("bin");
    let expected = format!(
        "kbt: error: {0}: there is no such directory\n  hint: make it first: mkdir -p {0}\n",
        place.display()
    );
    let output = install(&place, &[]);
    assert_eq!((output.status.code(), said(&output)), (Some(1), expected));
    fs::write(&place, "").unwrap();
    assert_eq!(install(&place, &[]).status.code(), Some(1));
}

#[test]
fn what_is_there_stays_and_then_nothing_is_made() {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("mkdtboimg"), "theirs").unwrap();
    let output = install(room.path(), &[]);
    assert_eq!(output.status.code(), Some(1));
    let place = room.path().join("mkdtboimg");
    let message = format!("kbt: error: {}: something else has this name\n", place.display());
    assert!(said(&output).starts_with(&message), "{}", said(&output));
    assert_eq!(listed(room.path()), ["mkdtboimg"]);
    assert_eq!(fs::read(&place).unwrap(), b"theirs");

    let output = install(room.path(), &["--only", "depmod,kallsyms"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(listed(room.path()), ["depmod", "kallsyms", "mkdtboimg"]);

    // A link to another program is another thing as well, wherever it leads.
    symlink("nowhere", room.path().join("fdtoverlay")).unwrap();
    assert_eq!(install(room.path(), &["--only", "fdtoverlay"]).status.code(), Some(1));
    let output = install(room.path(), &["--force"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(listed(room.path()), NAMES);
    let kbt = fs::canonicalize(env!("CARGO_BIN_EXE_kbt")).unwrap();
    assert!(NAMES.iter().all(|name| fs::canonicalize(room.path().join(name)).unwrap() == kbt));

    // A directory is replaced by nothing.
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    assert_eq!(install(room.path(), &["--force"]).status.code(), Some(1));
    assert!(place.is_dir());
}

#[test]
fn links_beside_the_program_and_links_for_a_package() {
    let room = tempfile::tempdir().unwrap();
    let kbt = room.path().join("kbt");
    // By another process: a program that this one has open for writing, while a test beside starts one, is busy.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_kbt")).arg(&kbt).status().unwrap().success());
    assert!(Command::new(&kbt).arg("install-links").arg(room.path()).status().unwrap().success());
    assert_eq!(fs::read_link(room.path().join("depmod")).unwrap(), Path::new("kbt"));

    let links = room.path().join("links");
    fs::create_dir(&links).unwrap();
    let output = install(&links, &["--target", "../../../bin/kbt"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert_eq!(fs::read_link(links.join("kallsyms")).unwrap(), Path::new("../../../bin/kbt"));
}

#[test]
fn what_is_asked_for_wrongly() {
    let room = tempfile::tempdir().unwrap();
    let output = install(room.path(), &["--only", "modprobe"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("kbt does not answer for 'modprobe'"), "{}", said(&output));
}

#[test]
fn runs_at_once_take_nothing_from_each_other() {
    let room = tempfile::tempdir().unwrap();
    for round in 0..10 {
        let place = room.path().join(round.to_string());
        fs::create_dir(&place).unwrap();
        let spawn = |_| {
            let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
            kbt.arg("install-links").arg(&place).spawn().unwrap()
        };
        let runs: Vec<_> = (0..6).map(spawn).collect();
        for mut run in runs {
            assert!(run.wait().unwrap().success());
        }
        assert_eq!(listed(&place), NAMES);
    }
}
