//! `--depfile`: make and ninja build again what they have to, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::{self, File, FileTimes};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use kbt_testkit::{peers, require};

/// A directory with inputs whose names every tool reads in its own way.
struct Room {
    directory: tempfile::TempDir,
    /// Seconds; each touch is one later.
    now: std::cell::Cell<u64>,
}

const BASE: &str = "my base.dtb";
const OVERLAYS: [&str; 4] = ["a#1.dtbo", "b$c.dtbo", "d\\ e.dtbo", "f:g\u{fc}.dtbo"];

impl Room {
    fn new() -> Self {
        let room = Self { directory: tempfile::tempdir().unwrap(), now: std::cell::Cell::new(0) };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
        fs::copy(fixtures.join("base.dtb"), room.path(BASE)).unwrap();
        for name in OVERLAYS {
            fs::copy(fixtures.join("overlay1.dtbo"), room.path(name)).unwrap();
        }
        for name in [&[BASE][..], &OVERLAYS].concat() {
            room.touch(name);
        }
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Makes a file newer than everything that was touched before, in the past.
    fn touch(&self, name: &str) {
        self.now.set(self.now.get() + 1);
        let time = SystemTime::now() - Duration::from_secs(10_000) + Duration::from_secs(self.now.get());
        let file = File::options().append(true).open(self.path(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(time)).unwrap();
    }

    /// Runs a tool and gives how often the command ran, which appends a line each time.
    fn builds(&self, tool: &Path, words: &[&str]) -> usize {
        let output = Command::new(tool).args(words).current_dir(self.directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let log = fs::read_to_string(self.path("log")).unwrap_or_default();
        let _ = fs::remove_file(self.path("log"));
        log.lines().count()
    }

    /// The command, for a shell.
    fn command(&self) -> String {
        let inputs: Vec<String> =
            [&[BASE][..], &OVERLAYS].concat().iter().map(|name| format!("'{name}'")).collect();
        let kbt = env!("CARGO_BIN_EXE_kbt");
        format!("echo ran >> log; '{kbt}' dto apply {} -o 'the out.dtb' --depfile out.d", inputs.join(" "))
    }

    /// After a first build nothing is built; after a touch of any input, once; a removed input is told of by the command.
    fn rebuilds(&self, tool: &Path, words: &[&str]) {
        assert_eq!(self.builds(tool, words), 1, "the first time");
        assert_eq!(self.builds(tool, words), 0, "nothing changed");
        for name in [&[BASE][..], &OVERLAYS].concat() {
            // Newer than the output, which was made just now.
            let later = SystemTime::now() + Duration::from_secs(2);
            let file = File::options().append(true).open(self.path(name)).unwrap();
            file.set_times(FileTimes::new().set_modified(later)).unwrap();
            assert_eq!(self.builds(tool, words), 1, "{name} changed");
            self.touch(name);
            let output = File::options().append(true).open(self.path("the out.dtb")).unwrap();
            output.set_times(FileTimes::new().set_modified(SystemTime::now())).unwrap();
            assert_eq!(self.builds(tool, words), 0, "{name} is old again");
        }
    }
}

#[test]
fn make_rebuilds_what_changed() {
    for make in ["make-4.3", "make-4.4"] {
        let make = require!(peers::tool(make));
        let room = Room::new();
        // make reads `$` twice.
        let command = room.command().replace('$', "$$").replace('#', "\\#");
        let makefile = format!(
            "all: the\\ out.dtb\nCOMMAND = {command}\nthe\\ out.dtb:\n\t$(COMMAND)\n-include out.d\n"
        );
        fs::write(room.path("Makefile"), makefile).unwrap();
        room.rebuilds(&make, &["-s"]);
        // What is not there any more does not stop make: the command is run, and says it better.
        fs::remove_file(room.path(OVERLAYS[1])).unwrap();
        let output = Command::new(&make).current_dir(room.directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("kbt: error: b$c.dtbo: cannot read"), "{said}");
    }
}

#[test]
fn ninja_rebuilds_what_changed() {
    let ninja = require!(peers::tool("ninja"));
    for keep in ["", "  deps = gcc\n"] {
        let room = Room::new();
        let command = room.command().replace('$', "$$");
        let build = format!(
            "rule apply\n  command = {command}\n  depfile = out.d\n{keep}build the$ out.dtb: apply\n"
        );
        fs::write(room.path("build.ninja"), build).unwrap();
        assert_eq!(room.builds(&ninja, &[]), 1, "the first time");
        assert_eq!(room.builds(&ninja, &[]), 0, "nothing changed");
        for name in [&[BASE][..], &OVERLAYS].concat() {
            let later = SystemTime::now() + Duration::from_secs(2);
            let file = File::options().append(true).open(room.path(name)).unwrap();
            file.set_times(FileTimes::new().set_modified(later)).unwrap();
            assert_eq!(room.builds(&ninja, &[]), 1, "{name} changed");
            room.touch(name);
        }
    }
}

/// The names in the first rule of a depfile, without their escapes; none here needs one.
fn inputs(room: &Room, words: &str, target: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_kbt"))
        .args(words.split_whitespace())
        .args(["--depfile", "d"])
        .current_dir(room.directory.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rule = fs::read_to_string(room.path("d")).unwrap();
    let (first, _) = rule.split_once("\n").map_or((rule.as_str(), ""), |_| {
        let end = rule.match_indices('\n').find(|(at, _)| !rule[..*at].ends_with('\\')).unwrap().0;
        rule.split_at(end)
    });
    let (output, inputs) = first.split_once(':').unwrap();
    assert_eq!(output, target, "{rule}");
    fs::remove_file(room.path("d")).unwrap();
    inputs.split_whitespace().filter(|word| *word != "\\").map(str::to_owned).collect()
}

#[test]
fn every_command_names_what_it_read() {
    let room = Room::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    for (from, to) in [
        ("dto/example/base.dtb", "base"),
        ("dto/example/overlay1.dtbo", "o1"),
        ("dto/example/overlay2.dtbo", "o2"),
    ] {
        fs::copy(fixtures.join(from), room.path(to)).unwrap();
    }
    fs::write(room.path("cfg"), "o1\n  id=1\no2\n").unwrap();
    let of = |words: &str, target: &str| inputs(&room, words, target);
    assert_eq!(of("dtbo pack o1,id=1 o2 -o img", "img"), ["o1", "o2"]);
    assert_eq!(of("dtbo pack --config cfg -o img", "img"), ["cfg", "./o1", "./o2"]);
    assert_eq!(of("dtbo pack --compression zlib o1,id=1 o2 o1 -o img", "img"), ["o1", "o2"]);
    assert_eq!(of("dtbo unpack img parts", "parts/manifest.json"), ["img"]);
    let parts = of("dtbo pack --manifest parts/manifest.json -o again", "again");
    let stored = ["parts/0.dtbo.zlib", "parts/0.dtbo", "parts/1.dtbo.zlib", "parts/1.dtbo"];
    assert_eq!(parts, [&["parts/manifest.json"][..], &stored].concat());
    // One of two that stand for a blob may be gone, and then it is no input.
    fs::remove_file(room.path("parts/1.dtbo.zlib")).unwrap();
    assert_eq!(of("dtbo pack --manifest parts/manifest.json -o again", "again").len(), 4);
    assert_eq!(of("dtbo dump img -o dump", "dump"), ["img"]);
    assert_eq!(of("dtbo dump img -b entry", "entry.0"), ["img"]);
    assert_eq!(of("dtbo extract img 0 -o one", "one"), ["img"]);
    assert_eq!(of("dtbo extract img 0 --stored -o one", "one"), ["img"]);
    assert_eq!(of("dto apply base img#0 img#1 -o out", "out"), ["base", "img"]);
    assert_eq!(of("dto show img#0 -o dts", "dts"), ["img"]);
    // In its place: a rule that names its own output is a circle to make and to ninja.
    assert_eq!(of("dto apply base o1 -o base", "base"), ["o1"]);
}

#[test]
fn no_depfile_without_its_output() {
    let room = Room::new();
    fs::write(room.path("d"), "old").unwrap();
    let run = |words: &[&str]| {
        let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
        let output = kbt.args(words).current_dir(room.directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(fs::read(room.path("d")).unwrap(), b"old", "{said}");
        (output.status.code(), said)
    };
    let (code, said) = run(&["dto", "apply", BASE, "absent", "-o", "out", "--depfile", "d"]);
    assert_eq!(code, Some(1), "{said}");
    let (code, said) = run(&["dto", "apply", BASE, OVERLAYS[0], "-o", "-", "--depfile", "d"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("the result goes to standard output"), "{said}");
    let (code, said) = run(&["dto", "apply", BASE, OVERLAYS[0], "-o", "new\nline", "--depfile", "d"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(!room.path("new\nline").exists());
    // Where the depfile cannot be written there is no output either.
    let (code, said) = run(&["dto", "apply", BASE, OVERLAYS[0], "-o", "out", "--depfile", "absent/d"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(!room.path("out").exists());
}

/// The examples of docs/scaling.md.
#[test]
fn the_examples_of_the_farm_run() {
    let (make, ninja) = (require!(peers::tool("make-4.4")), require!(peers::tool("ninja")));
    let room = Room::new();
    let (bases, overlays) = (room.path("bases"), room.path("overlays"));
    [&bases, &overlays].into_iter().for_each(|directory| fs::create_dir(directory).unwrap());
    for base in ["one", "two"] {
        fs::copy(room.path(BASE), bases.join(base).with_extension("dtb")).unwrap();
    }
    fs::write(bases.join("three.dtb"), "no tree").unwrap();
    for overlay in ["a", "b"] {
        fs::copy(room.path(OVERLAYS[0]), overlays.join(overlay).with_extension("dtbo")).unwrap();
    }
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/scaling");
    let kbt = concat!("KBT=", env!("CARGO_BIN_EXE_kbt"));
    let makefile = docs.join("Makefile");
    let words = ["-j2", "-s", kbt, "-f", makefile.to_str().unwrap()];
    room.builds(&make, &words);
    let report = fs::read_to_string(room.path("out/report")).unwrap();
    let mut lines: Vec<&str> = report.lines().collect();
    lines.sort_unstable();
    let all = [
        "applies one+a",
        "applies one+b",
        "applies two+a",
        "applies two+b",
        "fails three+a",
        "fails three+b",
    ];
    assert_eq!(lines, all);
    assert!(room.path("out/pairs/one+a.dtb").exists() && !room.path("out/pairs/three+a.dtb").exists());
    let dry = |what: &str| {
        let output =
            Command::new(&make).arg("-n").args(&words[2..]).current_dir(room.directory.path()).output();
        let text = String::from_utf8(output.unwrap().stdout).unwrap();
        (what.to_owned(), text.matches("dto apply").count())
    };
    assert_eq!(dry("again"), ("again".to_owned(), 0));
    let later = SystemTime::now() + Duration::from_secs(2);
    let file = File::options().append(true).open(overlays.join("b.dtbo")).unwrap();
    file.set_times(FileTimes::new().set_modified(later)).unwrap();
    assert_eq!(dry("one overlay"), ("one overlay".to_owned(), 3));

    room.touch("overlays/b.dtbo");

    let products = "x bases/one.dtb overlays/a.dtbo\ny bases/two.dtb overlays/a.dtbo overlays/b.dtbo\n";
    fs::write(room.path("products"), products).unwrap();
    let mut script = Command::new("sh");
    script.arg(docs.join("ninja.sh")).stdin(File::open(room.path("products")).unwrap());
    let rules = String::from_utf8(script.output().unwrap().stdout).unwrap();
    let rules = rules.replace("kbt = kbt", &format!("kbt = {}", env!("CARGO_BIN_EXE_kbt")));
    fs::write(room.path("build.ninja"), rules).unwrap();
    room.builds(&ninja, &[]);
    assert!(room.path("products.img").exists());
    let again = Command::new(&ninja).current_dir(room.directory.path()).output().unwrap();
    assert!(String::from_utf8_lossy(&again.stdout).contains("no work to do"));
}
