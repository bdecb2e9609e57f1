//! `--depfile`: names of every kind, read back by make and ninja themselves. What one of them would misread is refused.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::ffi::OsStr;
use std::fs::{self, File, FileTimes};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use kbt_testkit::{peers, require};

/// What letters mean together, directives, special targets.
const WORDS: &[&str] = &[
    "a  b",
    " a b",
    "a::b",
    "a#:b",
    "a :b",
    "a: b",
    "a :: b",
    "a$$b",
    "a$(b",
    "a$(b)",
    "a)b(c",
    "a (1).d",
    "a(b)",
    "a\\ b",
    "a\\\\ b",
    "a \\b",
    "a\\ \\b",
    "\\ b",
    "\\\\a",
    "a\\#b",
    "a\\:b",
    "a\\\\:b",
    "a\\$b",
    "a{b,c}d",
    "a'b\"c",
    "include x",
    "~root",
    "a ~root",
    "a & b",
    "\u{e4}\u{20ac}",
    "a[b]c",
    "a.o(b.o)",
    // Directives, and what stands behind some of them.
    "define",
    "define x",
    "undefine",
    "undefine x",
    "override",
    "override x",
    "override define",
    "export",
    "export x",
    "unexport",
    "private",
    "private x",
    "include",
    "-include",
    "sinclude",
    "vpath",
    "vpath x",
    "ifdef",
    "ifndef",
    "ifeq",
    "ifneq",
    "else",
    "endif",
    "endef",
    "load",
    "-load",
    // Special targets.
    ".PHONY",
    ".SUFFIXES",
    ".DEFAULT",
    ".PRECIOUS",
    ".INTERMEDIATE",
    ".NOTINTERMEDIATE",
    ".SECONDARY",
    ".SECONDEXPANSION",
    ".DELETE_ON_ERROR",
    ".IGNORE",
    ".LOW_RESOLUTION_TIME",
    ".SILENT",
    ".EXPORT_ALL_VARIABLES",
    ".NOTPARALLEL",
    ".ONESHELL",
    ".POSIX",
    ".WAIT",
    ".MAKE",
    ".RECIPEPREFIX",
    "./.SECONDARY",
    "./.POSIX",
    ".config",
];

/// Every printable letter in the middle, at the start and at the end of a name, and what two of them mean together.
fn names() -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    for letter in (b' '..=b'~').filter(|letter| !letter.is_ascii_alphanumeric() && *letter != b'/') {
        names.push(vec![b'a', letter, b'b']);
        names.push(vec![letter, b'b']);
        names.push(vec![b'a', letter]);
    }
    names.extend(WORDS.iter().map(|name| name.as_bytes().to_vec()));
    // No UTF-8.
    names.push(b"a\xff\xfeb".to_vec());
    names
}

/// Those that no depfile can hold.
fn is_refused(name: &[u8]) -> bool {
    let has = |letters: &[u8]| name.iter().any(|letter| letters.contains(letter));
    let pair = |pair: &[u8]| name.windows(2).any(|two| two == pair);
    has(b"%*?[;=<>^`|")
        || name.last().is_some_and(|last| b"\\:& ".contains(last))
        || [&br"\:"[..], br"\#", br"\$"].iter().any(|it| pair(it))
        || name[0] == b'~'
        || is_special(name)
        || name.contains(&b'(') && name.ends_with(b")")
}

/// A name like that of a special target of make's.
fn is_special(name: &[u8]) -> bool {
    let name = name.strip_prefix(b"./").unwrap_or(name);
    name[0] == b'.'
        && name.len() > 2
        && name[1..].iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_')
}

struct Room {
    directory: tempfile::TempDir,
    tree: PathBuf,
}

impl Room {
    fn new() -> Self {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
        Self { directory: tempfile::tempdir().unwrap(), tree: fixtures.join("overlay1.dtbo") }
    }

    fn path(&self, name: impl AsRef<[u8]>) -> PathBuf {
        self.directory.path().join(OsStr::from_bytes(name.as_ref()))
    }

    /// Makes a file so many seconds old, a tree where it is not there.
    fn touch(&self, name: &[u8], age: u64) {
        let path = self.path(name);
        if !path.exists() {
            fs::copy(&self.tree, &path).unwrap();
        }
        let file = File::options().append(true).open(path).unwrap();
        file.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(age))).unwrap();
    }

    /// Runs a command with a depfile; false where it refuses a name.
    fn show(&self, input: &[u8], output: &[u8], depfile: &str) -> bool {
        let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
        kbt.current_dir(self.directory.path()).args(["dto", "show", "--depfile", depfile]);
        kbt.arg(OsStr::from_bytes(&[b"--output=", output].concat())).arg("--").arg(OsStr::from_bytes(input));
        let output = kbt.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        match output.status.code() {
            Some(0) => true,
            Some(2) if said.contains("a depfile cannot name a file with") => false,
            _ => panic!("{said}"),
        }
    }

    /// How often a tool printed `ran`; it may warn of nothing.
    fn builds(&self, tool: &Path, words: &[&OsStr]) -> usize {
        let output = Command::new(tool).args(words).current_dir(self.directory.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && wrong.is_empty(), "{said}{wrong}");
        said.lines().filter(|line| *line == "ran").count()
    }

    /// The names that are not refused, each as the input of a depfile `N.d` of `out.N`.
    fn inputs(&self) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        for name in names() {
            self.touch(&name, OLD);
            let number = taken.len();
            let shown = self.show(&name, format!("out.{number}").as_bytes(), &format!("{number}.d"));
            assert_eq!(shown, !is_refused(&name), "{}", String::from_utf8_lossy(&name));
            if shown {
                taken.push(name);
            }
        }
        taken
    }

    /// The names that are not refused, each as the output of a depfile `N.d` with the input `in`.
    fn outputs(&self) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        self.touch(b"in", OLD);
        for name in names() {
            let shown = self.show(b"in", &name, &format!("{}.d", taken.len()));
            assert_eq!(shown, !is_refused(&name), "{}", String::from_utf8_lossy(&name));
            if shown {
                taken.push(name);
            }
        }
        taken
    }
}

/// Seconds ago: older than what is built, and newer.
const OLD: u64 = 1000;
const YOUNG: u64 = 10;
const BETWEEN: u64 = 100;

#[test]
fn make_reads_every_input() {
    for make in ["make-4.3", "make-4.4"] {
        let make = require!(peers::tool(make));
        let room = Room::new();
        let taken = room.inputs();
        let mut makefile = "all:\n".to_owned();
        for number in 0..taken.len() {
            makefile += &format!("all: out.{number}\nout.{number}:\n\t@echo ran\n-include {number}.d\n");
        }
        fs::write(room.path("Makefile"), makefile).unwrap();
        for number in 0..taken.len() {
            room.touch(format!("out.{number}").as_bytes(), BETWEEN);
        }
        assert_eq!(room.builds(&make, &["-s".as_ref()]), 0);
        // One by one: a name that stood for another's file would show.
        for name in &taken {
            room.touch(name, YOUNG);
            assert_eq!(room.builds(&make, &["-s".as_ref()]), 1, "{}", String::from_utf8_lossy(name));
            room.touch(name, OLD);
        }
        // What is gone stops nobody.
        for name in &taken {
            fs::remove_file(room.path(name)).unwrap();
        }
        assert_eq!(room.builds(&make, &["-s".as_ref()]), taken.len());
    }
}

#[test]
fn make_reads_every_output() {
    for make in ["make-4.3", "make-4.4"] {
        let make = require!(peers::tool(make));
        let room = Room::new();
        let taken = room.outputs();
        let depfiles: Vec<String> = (0..taken.len()).map(|number| format!("{number}.d")).collect();
        let depfiles = depfiles.join(" ");
        // Whatever is asked for has this recipe.
        let makefile = format!("include {depfiles}\n%:\n\t@echo ran\nMakefile {depfiles}:;\n");
        fs::write(room.path("Makefile"), makefile).unwrap();
        for name in &taken {
            room.touch(name, BETWEEN);
        }
        let goals: Vec<&OsStr> = taken.iter().map(|name| OsStr::from_bytes(name)).collect();
        let words = [&["-s".as_ref(), "--".as_ref()], &goals[..]].concat();
        assert_eq!(room.builds(&make, &words), 0);
        room.touch(b"in", YOUNG);
        assert_eq!(room.builds(&make, &words), taken.len());
    }
}

/// A shell's word, in ninja's quotes.
fn quoted(word: &[u8]) -> Vec<u8> {
    let word = word.iter().flat_map(|byte| match byte {
        b'\'' => br"'\''".to_vec(),
        b'$' => b"$$".to_vec(),
        byte => vec![*byte],
    });
    [&b"'"[..], &word.collect::<Vec<_>>(), b"'"].concat()
}

/// A path of a ninja file.
fn escaped(path: &[u8]) -> Vec<u8> {
    let escape = |byte: &u8| if b" :$".contains(byte) { vec![b'$', *byte] } else { vec![*byte] };
    path.iter().flat_map(escape).collect()
}

/// `build OUTPUT` for each pair, by kbt itself, with its depfile.
fn ninja_file(pairs: &[[&[u8]; 2]]) -> Vec<u8> {
    let mut text = b"rule show\n  command = echo ran; $show\n  depfile = $d\n  deps = gcc\n".to_vec();
    for (number, [input, output]) in pairs.iter().enumerate() {
        let kbt = env!("CARGO_BIN_EXE_kbt").as_bytes();
        let output_word = quoted(&[b"--output=", *output].concat());
        let depfile = format!("{number}.d");
        text.extend([&b"build "[..], &escaped(output), b": show\n  d = ", depfile.as_bytes()].concat());
        text.extend(
            [&b"\n  show = "[..], &quoted(kbt), b" dto show --depfile ", depfile.as_bytes()].concat(),
        );
        text.extend([&b" "[..], &output_word, b" -- ", &quoted(input), b"\n"].concat());
    }
    text
}

#[test]
fn ninja_reads_every_input() {
    let ninja = require!(peers::tool("ninja"));
    let room = Room::new();
    let taken = room.inputs();
    let outputs: Vec<String> = (0..taken.len()).map(|number| format!("out.{number}")).collect();
    let pairs: Vec<_> =
        taken.iter().zip(&outputs).map(|(name, output)| [&name[..], output.as_bytes()]).collect();
    outputs.iter().for_each(|output| fs::remove_file(room.path(output)).unwrap());
    fs::write(room.path("build.ninja"), ninja_file(&pairs)).unwrap();
    assert_eq!(room.builds(&ninja, &[]), taken.len());
    assert_eq!(room.builds(&ninja, &[]), 0);
    for name in &taken {
        let late = SystemTime::now() + Duration::from_secs(2);
        let file = File::options().append(true).open(room.path(name)).unwrap();
        file.set_times(FileTimes::new().set_modified(late)).unwrap();
        assert_eq!(room.builds(&ninja, &[]), 1, "{}", String::from_utf8_lossy(name));
        room.touch(name, OLD);
    }
}

#[test]
fn ninja_reads_every_output() {
    let ninja = require!(peers::tool("ninja"));
    let room = Room::new();
    let taken = room.outputs();
    let pairs: Vec<_> = taken.iter().map(|name| [&b"in"[..], &name[..]]).collect();
    taken.iter().for_each(|output| fs::remove_file(room.path(output)).unwrap());
    fs::write(room.path("build.ninja"), ninja_file(&pairs)).unwrap();
    assert_eq!(room.builds(&ninja, &[]), taken.len());
    assert_eq!(room.builds(&ninja, &[]), 0);
    let late = SystemTime::now() + Duration::from_secs(2);
    let file = File::options().append(true).open(room.path(b"in")).unwrap();
    file.set_times(FileTimes::new().set_modified(late)).unwrap();
    assert_eq!(room.builds(&ninja, &[]), taken.len());
}
