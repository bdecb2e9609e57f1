//! One voice: what docs/cli.md says of all commands, held against each of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

mod depmod_room;
mod small_kernel;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// A directory in which the examples of every command run, with all that they name.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        room.trees();
        room.kernel();
        let made = depmod_room::Room::small();
        room.sh(&format!("cp -r {} modules", made.root().display()));
        room.sh(&format!(
            "mv modules/lib/modules/{} modules/lib/modules/6.1.0-50-amd64",
            depmod_room::VERSION
        ));
        room.sh("cp modules/lib/modules/*/kernel/a.ko modules/lib/modules/6.1.0-50-amd64/kernel/ext4.ko");
        // A tool that is there on every machine.
        room.sh("mkdir bin && printf '#!/bin/sh\\nexit 0\\n' > bin/ninja && chmod +x bin/ninja; echo text > note; echo note > files");
        room
    }

    fn trees(&self) {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
        let links = [
            ("base.dtb", "board.dtb old.dtb new.dtb out/dtb/board.dtb"),
            ("overlay1.dtbo", "camera.dtbo board0.dtbo out/dtbo/camera.dtbo"),
            ("overlay2.dtbo", "display.dtbo board1.dtbo"),
        ];
        self.sh("mkdir -p out/dtb out/dtbo");
        for (from, names) in links {
            for name in names.split(' ') {
                fs::copy(fixtures.join(from), self.0.path().join(name)).unwrap();
            }
        }
        self.ok("dtbo pack -o dtbo.img board0.dtbo,id=0 board1.dtbo,id=2 board0.dtbo,id=3 board0.dtbo,id=4");
        self.ok("dto apply board.dtb board0.dtbo board1.dtbo -o final.dtb");
    }

    fn kernel(&self) {
        let made = small_kernel::Room::padded(small_kernel::X86_64, &small_kernel::GENERATIONS[2]);
        made.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
        self.sh(&format!(
            "cp {0}/vmlinux {0}/vmlinux.o {0}/kallsyms.pad {0}/kallsyms.o .",
            made.path("").display()
        ));
        self.sh(&format!(
            "mkdir -p arch/x86/kernel; cp {0}/vmlinux.lds arch/x86/kernel/",
            made.path("").display()
        ));
        self.sh("head -c 64 /dev/zero > table.bin");
    }

    fn sh(&self, script: &str) {
        let status = Command::new("sh").args(["-c", script]).current_dir(self.0.path()).status().unwrap();
        assert!(status.success(), "{script}");
    }

    fn kbt(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.current_dir(self.0.path()).env_remove("MAKEFLAGS");
        command
    }

    fn run(&self, words: &str) -> Output {
        self.kbt().args(words.split_whitespace()).output().unwrap()
    }

    fn ok(&self, words: &str) -> Output {
        let output = self.run(words);
        assert!(output.status.success(), "{words}: {}", stderr(&output));
        output
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every command that has none below it, with its help.
fn leaves() -> Vec<(String, String)> {
    let mut leaves = Vec::new();
    let mut rest = vec![String::new()];
    while let Some(words) = rest.pop() {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        let output = command.args(words.split_whitespace()).arg("--help").output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        let listed = help.split_once("Commands:\n").map_or("", |(_, list)| list);
        let names = listed.lines().take_while(|line| !line.is_empty());
        let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let below = names.filter_map(|line| line.split_whitespace().next());
        let before = rest.len();
        rest.extend(below.map(|name| format!("{words} {name}").trim_start().to_owned()));
        // depmod has a command below it and is one.
        if rest.len() == before || words == "depmod" {
            leaves.push((words, help));
        }
    }
    assert!(leaves.len() > 20, "{leaves:?}");
    leaves
}

/// The words behind `Example:`, which may go on in the next lines.
fn example(help: &str) -> Option<String> {
    let (_, rest) = help.split_once("Example: ")?;
    let text = rest.split("\n\n").next()?;
    Some(text.lines().map(str::trim).collect::<Vec<_>>().join(" "))
}

#[test]
fn the_help_fits_a_screen() {
    let output = Command::new(env!("CARGO_BIN_EXE_kbt")).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().count() <= 24 && text.lines().all(|line| line.chars().count() <= 100), "{text}");
}

#[test]
fn no_paragraph_of_a_help_is_broken_twice() {
    for (words, help) in leaves() {
        for (line, next) in help.lines().zip(help.lines().skip(1)) {
            let indent = |line: &str| line.len() - line.trim_start().len();
            let is_text = !line.trim().is_empty() && !next.trim().is_empty() && indent(line) == indent(next);
            // What stands further in is a list of its own, an option, a sample.
            if is_text && [0, 10].contains(&indent(line)) && !next.trim_start().starts_with(['-', '[']) {
                let word = next.split_whitespace().next().unwrap_or_default();
                assert!(line.len() + 1 + word.len() > 100, "{words}: a line ends at '{line}'");
            }
        }
    }
}

#[test]
fn every_example_runs() {
    let room = Room::new();
    for (words, help) in leaves() {
        // What another example has replaced.
        room.trees();
        let example = example(&help).unwrap_or_else(|| panic!("the help of '{words}' has no example"));
        let line = example
            .replace("/mnt/root", "modules")
            .replace("graph ext4", "graph -b modules --kernel 6.1.0-50-amd64 ext4")
            .replace("/sys/firmware/fdt", "final.dtb")
            .replace("/boot/vmlinuz", "vmlinux")
            .replace("~/.local/bin", "bin")
            .replace("kbt kallsyms patchfile vmlinux 0x200000", "kbt kallsyms patchfile vmlinux 0x200");
        let kbt = Path::new(env!("CARGO_BIN_EXE_kbt")).parent().unwrap();
        let path = format!(
            "{}:{}:{}",
            room.0.path().join("bin").display(),
            kbt.display(),
            std::env::var("PATH").unwrap()
        );
        let mut command = Command::new("sh");
        command.args(["-c", &line]).current_dir(room.0.path()).env("PATH", path).env_remove("MAKEFLAGS");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{line}: {}", stderr(&output));
    }
}

#[test]
fn what_is_not_understood_is_2_as_text_and_as_json() {
    let room = Room::new();
    for (words, _) in leaves() {
        let output = room.run(&format!("{words} --no-such-option"));
        assert_eq!(output.status.code(), Some(2), "{words}");
        let told = stderr(&output);
        assert!(
            output.stdout.is_empty() && told.starts_with("kbt: error: unexpected argument"),
            "{words}: {told}"
        );
        assert!(told.lines().count() == 2 && told.contains("\n  hint: "), "{words}: {told}");
        let output = room.run(&format!("{words} --json --no-such-option"));
        assert_eq!(output.status.code(), Some(2), "{words}");
        let object = object(&output);
        assert_eq!(
            (&object["ok"], &object["error"]["code"]),
            (&Value::Bool(false), &"usage".into()),
            "{words}"
        );
        assert!(output.stderr.is_empty(), "{words}: {}", stderr(&output));
    }
}

#[test]
fn a_wrong_word_is_told_in_the_one_voice() {
    let room = Room::new();
    for (words, told) in [
        ("dto aply", "unrecognized subcommand 'aply'\n  hint: a similar subcommand exists: 'apply'"),
        ("--jobs 0 jobserver status", "invalid value '0' for '--jobs <N>': a number above 0 is wanted"),
        (
            "dto apply a b -o c --padding 4T",
            "invalid value '4T' for '--padding <N>': a size is a number, with K, M or G behind it if need be",
        ),
        (
            "dto verify a b c --idx x",
            "invalid value 'x' for '--idx <N,M>': an entry's number is wanted, from 0",
        ),
        (
            "dto apply board.dtb",
            "the following required arguments were not provided: --output <OUT> <OVERLAY>...\n  hint: \
             the usage is kbt dto apply --output <OUT> <BASE> <OVERLAY>...",
        ),
    ] {
        let output = room.run(words);
        assert_eq!(stderr(&output), format!("kbt: error: {told}\n"), "{words}");
        let object = object(&room.run(&format!("--json {words}")));
        let hint = told.split_once("hint: ").map(|(_, hint)| hint);
        assert_eq!(object["error"]["hint"].as_str(), hint, "{words}");
    }
    // A size is one wherever there is one.
    room.ok("dto apply board.dtb camera.dtbo -o out.dtb --padding 4K");
    room.ok("dtbo pack -o out.img camera.dtbo --page-size 4K --align 1K");
    room.ok("kallsyms offset vmlinux .text --size 0K");
}

#[test]
fn where_a_command_is_missing_its_help_is_told_or_that() {
    let room = Room::new();
    for words in ["", "dto", "dtbo", "jobserver", "kallsyms"] {
        let output = room.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(output.stdout.is_empty() && stderr(&output).contains("Usage: kbt"), "{words}");
        let output = room.run(&format!("--json {words}"));
        assert_eq!(object(&output)["error"]["message"], "a command is missing", "{words}");
    }
}

/// Lines of runs side by side, as under `make -j`, are not to run into each other.
#[test]
fn a_message_is_one_write() {
    let (ours, theirs) = UnixDatagram::pair().unwrap();
    let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
    let status = kbt.args(["dto", "aply"]).stderr(OwnedFd::from(theirs)).status().unwrap();
    assert_eq!(status.code(), Some(2));
    let mut bytes = [0; 1000];
    let size = ours.recv(&mut bytes).unwrap();
    let expected =
        "kbt: error: unrecognized subcommand 'aply'\n  hint: a similar subcommand exists: 'apply'\n";
    assert_eq!(String::from_utf8_lossy(&bytes[..size]), expected);
}

/// The one line of JSON.
fn object(output: &Output) -> Value {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A call of each command whose first input is not there.
const ABSENT: &[&str] = &[
    "dto apply absent camera.dtbo -o out.dtb",
    "dto show absent",
    "dto diff absent new.dtb",
    "dto lint absent camera.dtbo",
    "dto verify absent camera.dtbo",
    "dto matrix --bases absent --overlays out/dtbo",
    "dtbo pack -o out.img absent",
    "dtbo unpack absent parts",
    "dtbo dump absent",
    "dtbo list absent",
    "dtbo extract absent 0 -o out",
    "kallsyms generate --kernel 6.1 absent -o out.o",
    "kallsyms dump absent -o map",
    "kallsyms verify absent",
    "kallsyms offset absent .text",
    "kallsyms pad absent -o out.o",
    "kallsyms patch absent",
    "kallsyms patchfile absent 0 table.bin",
    "depmod -b modules -F absent 6.1.0-50-amd64",
];

#[test]
fn what_is_not_there_is_one_line_that_names_it_and_nothing_is_written() {
    let room = Room::new();
    let names = |room: &Room| {
        let mut names: Vec<_> =
            fs::read_dir(room.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names(&room);
    for words in ABSENT {
        let output = room.run(words);
        // As diff(1): 1 says that the trees differ.
        let code = if words.starts_with("dto diff") { 2 } else { 1 };
        assert_eq!(output.status.code(), Some(code), "{words}");
        let told = stderr(&output);
        let first = told.lines().next().unwrap();
        assert!(first.starts_with("kbt: error: ") && first.contains("absent"), "{words}: {told}");
        assert!(!first.ends_with('.') && !told.contains("os error"), "{words}: {told}");
        assert!(told.lines().skip(1).all(|line| line.starts_with("  hint: ")), "{words}: {told}");
        let output = room.run(&format!("{words} --json"));
        assert_eq!(output.status.code(), Some(code), "{words}");
        let object = object(&output);
        assert_eq!(object["ok"], Value::Bool(false), "{words}");
        for field in ["code", "message"] {
            assert!(
                object["error"][field].as_str().is_some_and(|text| !text.is_empty()),
                "{words}: {object}"
            );
        }
        // depmod's sentences are kmod's, and have the name inside.
        let named = if words.starts_with("depmod") { "message" } else { "file" };
        assert!(
            object["error"][named].as_str().is_some_and(|file| file.contains("absent")),
            "{words}: {object}"
        );
        assert!(object["warnings"].is_array(), "{words}");
        assert!(output.stderr.is_empty(), "{words}: {}", stderr(&output));
        assert_eq!(names(&room), before, "{words}");
    }
}

/// A call of each command that succeeds.
const WELL: &[&str] = &[
    "dto apply board.dtb camera.dtbo -o out.dtb",
    "dto diff old.dtb new.dtb",
    "dto lint board.dtb camera.dtbo",
    "dto verify final.dtb dtbo.img --idx 0,1",
    "dto matrix --bases out/dtb --overlays out/dtbo",
    "dtbo pack -o out.img board0.dtbo",
    "dtbo unpack dtbo.img parts",
    "dtbo dump dtbo.img",
    "dtbo list dtbo.img",
    "dtbo extract dtbo.img 0 -o entry",
    "kallsyms generate --kernel 6.1 vmlinux -o out.o",
    "kallsyms verify vmlinux",
    "kallsyms offset vmlinux .text",
    "kallsyms patch vmlinux --pad-file kallsyms.pad",
    "kallsyms patchfile vmlinux 0x200 table.bin",
    "depmod -b modules 6.1.0-50-amd64",
    "install-links bin --only depmod",
    "jobserver status",
];

#[test]
fn success_is_an_object_too() {
    let room = Room::new();
    for words in WELL {
        let output = room.run(&format!("{words} --json"));
        assert_eq!(output.status.code(), Some(0), "{words}: {}", stderr(&output));
        let object = object(&output);
        assert_eq!(object["ok"], Value::Bool(true), "{words}");
        assert!(object.get("error").is_none() && object["warnings"].is_array(), "{words}");
        let output = room.run(&format!("{words} --quiet"));
        assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""), "{words}");
    }
}

#[test]
fn help_has_pages_and_commands() {
    let room = Room::new();
    let pages = String::from_utf8(room.ok("help").stdout).unwrap();
    let (_, topics) = pages.split_once("Topics:\n").unwrap();
    for topic in topics.lines().filter_map(|line| line.split_whitespace().next()) {
        let page = room.ok(&format!("help {topic}")).stdout;
        assert!(page.starts_with(b"# "), "{topic}");
    }
    assert_eq!(room.ok("help dto apply").stdout, room.ok("dto apply --help").stdout);
    let help = String::from_utf8(room.ok("help dto apply").stdout).unwrap();
    assert_eq!(object(&room.ok("--json help dto apply"))["text"], Value::String(help));
    let unknown = room.run("help nonsense");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(stderr(&unknown).contains("neither a topic nor a command is called 'nonsense'"));
}
