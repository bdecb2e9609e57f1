//! The same bytes for the same input: every command that writes a file, twice, in surroundings that have nothing in common
//! but the inputs; and `--depfile` on each of them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod writers;

use std::fs;
use std::path::Path;
use std::process::Command;

use writers::{CASES, Case, inputs, room};

/// Runs a case and gives what it wrote, its depfile last.
fn outcome(case: &Case, command: &mut Command, room: &Path) -> Vec<Vec<u8>> {
    let output =
        command.args(case.words.split(' ')).args(["--depfile", "d"]).current_dir(room).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}: {said}", case.words);
    let read = |name: &&str| fs::read(room.join(name)).unwrap_or_else(|_| panic!("{}: {name}", case.words));
    case.outputs.iter().chain([&"d"]).map(read).collect()
}

#[test]
fn surroundings_do_not_matter() {
    let files = inputs();
    for case in CASES {
        let (one, two) = (room(files.iter()), room(files.iter().rev()));
        let mut plain = Command::new(env!("CARGO_BIN_EXE_kbt"));
        plain.env_clear().args(["--jobs", "1"]);
        let mut other = Command::new(env!("CARGO_BIN_EXE_kbt"));
        other.args(["--quiet", "--jobs", "7"]);
        for (name, value) in [
            ("TZ", "Pacific/Chatham"),
            ("LC_ALL", "tr_TR.UTF-8"),
            ("HOME", "/nowhere"),
            ("COLUMNS", "40"),
            ("CLICOLOR_FORCE", "1"),
            ("SOURCE_DATE_EPOCH", "1"),
            ("KBT_PEERS", "/nowhere"),
        ] {
            other.env(name, value);
        }
        let (one, two) = (outcome(case, &mut plain, one.path()), outcome(case, &mut other, two.path()));
        // A depfile of depmod has its paths in full, below the directory that differs.
        let files = if case.words.contains(" -b .") { case.outputs.len() } else { one.len() };
        assert!(one[..files] == two[..files], "{}", case.words);
    }
}

#[test]
fn every_depfile_names_what_was_read() {
    let files = inputs();
    for case in CASES {
        let room = room(files.iter());
        let outputs = outcome(case, &mut Command::new(env!("CARGO_BIN_EXE_kbt")), room.path());
        let rule = String::from_utf8(outputs.last().unwrap().clone()).unwrap();
        // depmod makes its paths absolute, as kmod does; a path of the room is as good.
        let here = format!("{}/", fs::canonicalize(room.path()).unwrap().display());
        let rule = rule.replace(&here, "").replace("./", "");
        let mut expected = format!("{}:", case.outputs[0]);
        case.inputs.iter().for_each(|input| expected += &format!(" \\\n {input}"));
        expected += "\n";
        case.inputs.iter().for_each(|input| expected += &format!("{input}:\n"));
        assert_eq!(rule, expected, "{}", case.words);
    }
}

/// The commands of an area, as its help lists them.
fn commands(area: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_kbt")).args([area, "--help"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let list = text.split_once("Commands:\n").map_or("", |(_, list)| list);
    let lines = list.lines().map_while(|line| line.strip_prefix("  "));
    // A line that goes on stands further in.
    let names = lines.filter(|line| !line.starts_with(' ')).filter_map(|line| line.split(' ').next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

/// Commands that write no file, or none that is made of others.
const WRITE_NOTHING: &[&str] = &[
    "dto diff",
    "dto verify",
    "dtbo list",
    "jobserver exec",
    "jobserver pool",
    "jobserver status",
    "kallsyms verify",
    "kallsyms offset",
];

#[test]
fn every_command_that_writes_is_a_case() {
    for area in ["dto", "dtbo", "jobserver", "kallsyms"] {
        let commands = commands(area);
        assert!(!commands.is_empty(), "{area}");
        for name in commands {
            let command = format!("{area} {name}");
            let tried = CASES.iter().any(|case| case.words.starts_with(&format!("{command} ")));
            let silent = WRITE_NOTHING.contains(&command.as_str());
            assert!(tried != silent, "{command}: it needs a case here, or a line in WRITE_NOTHING");
        }
    }
}

#[test]
fn a_depfile_without_a_file_is_refused() {
    let files = inputs();
    let room = room(files.iter());
    for words in [
        "dto lint base.dtb o1.dtbo",
        "dto lint base.dtb o1.dtbo --sarif -",
        "dto matrix --bases trees --overlays trees",
        "dto matrix --bases trees --overlays trees --report -",
        "kallsyms dump patched",
        "depmod graph -b . -C depmod.d -k 6.1.0",
        "depmod -n -b . -C depmod.d 6.1.0",
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.args(words.split(' ')).args(["--depfile", "d"]).current_dir(room.path());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stdout.is_empty() && !room.path().join("d").exists(), "{words}");
    }
}
