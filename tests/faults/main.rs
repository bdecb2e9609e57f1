//! Every command that writes, with one system call that fails or in which it is killed: afterwards what was there before
//! is whole, or what was to come is, and nothing lies about.
//!
//! The default run takes a sample of the calls; `cargo xtask stress faults` takes all of them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test")]

#[path = "../depmod_room/mod.rs"]
mod depmod_room;
mod inject;
mod memory;
mod odd_files;
#[path = "../small_kernel/mod.rs"]
mod small_kernel;
mod surroundings;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use inject::{CALLS, Fault, Injector};
use kbt_testkit::{peers, require};

/// Names and contents below a directory; a symbolic link's content is where it leads.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// A command in a directory of its own.
struct Case {
    room: PathBuf,
    words: Vec<String>,
    /// Of what lies there, what the command may write, with what lies there before.
    old: Vec<(&'static str, &'static str)>,
}

fn files(directory: &Path) -> Files {
    let mut found = Files::new();
    let mut rest = vec![directory.to_owned()];
    while let Some(directory) = rest.pop() {
        for entry in fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            let status = fs::symlink_metadata(&path).unwrap();
            if status.is_dir() {
                rest.push(path);
            } else if status.is_symlink() {
                let target = fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes();
                found.insert(path, target);
            } else {
                let bytes = fs::read(&path).unwrap();
                found.insert(path, bytes);
            }
        }
    }
    found
}

/// A run that was killed may leave these; the next one takes them away.
fn is_stray(path: &Path) -> bool {
    let name = path.file_name().unwrap().to_string_lossy();
    name.starts_with(".kbt-") || name.ends_with(".kbt-undo")
}

/// What an incremental run remembers is its own affair.
fn is_cache(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "cache")
}

fn without(files: &Files, unwanted: fn(&Path) -> bool) -> Files {
    files
        .iter()
        .filter(|(path, _)| !unwanted(path))
        .map(|(path, bytes)| (path.clone(), bytes.clone()))
        .collect()
}

impl Case {
    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.args(&self.words).current_dir(&self.room);
        command
    }

    /// Makes the directory what it was, and gives that.
    fn restore(&self, before: &Files) {
        for path in files(&self.room).into_keys() {
            if !before.contains_key(&path) {
                fs::remove_file(path).unwrap();
            }
        }
        for (path, bytes) in before {
            if fs::read(path).ok().as_ref() != Some(bytes) {
                let _ = fs::remove_file(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, bytes).unwrap();
            }
        }
    }

    /// Puts there what is to be replaced.
    fn prepare(&self) {
        for (name, text) in &self.old {
            let path = self.room.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    /// Tries the faults of every `stride`th call.
    fn try_all(&self, injector: &Injector<'_>, stride: usize) -> usize {
        self.prepare();
        let old = files(&self.room);
        let counts = injector.counts(&self.command());
        let new = without(&files(&self.room), is_cache);
        assert!(new.keys().all(|path| !is_stray(path)), "{:?}", self.words);
        let mut tried = 0;
        let calls =
            CALLS.iter().zip(counts).flat_map(|(call, count)| (1..=count).map(move |number| (call, number)));
        for ((name, errors), number) in calls.skip(self.words.len() % stride).step_by(stride) {
            let faults = errors.iter().map(|error| Fault::Error(error)).chain([Fault::Kill]);
            for fault in faults {
                self.restore(&old);
                let output = injector.with_fault(&self.command(), name, number, fault);
                let what = format!("{} with {fault:?} at {name} {number}", self.words.join(" "));
                self.check(&what, name, &output, &without(&old, is_cache), &new);
                tried += 1;
            }
        }
        self.restore(&old);
        tried
    }

    /// Whether everything is as it was, or as it was to be, as the exit code says.
    fn check(&self, what: &str, name: &str, output: &Output, old: &Files, new: &Files) {
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!told.contains("panicked"), "{what}: {told}");
        let found = without(&files(&self.room), is_cache);
        let visible = without(&found, is_stray);
        if output.status.signal().is_some() {
            for (path, bytes) in &visible {
                let is_old = old.get(path) == Some(bytes);
                assert!(is_old || new.get(path) == Some(bytes), "{what}: {} is neither", path.display());
            }
        } else {
            // A name that cannot be removed, or looked at before, stays for the next run.
            let strays_allowed = matches!(name, "unlink" | "statx");
            assert!(strays_allowed || visible == found, "{what}: {:?}", found.keys().collect::<Vec<_>>());
            match output.status.code() {
                // What depmod cannot read it tells, and goes on, as kmod does.
                Some(0) => assert!(visible == *new || told.contains("depmod: "), "{what}: it says 0: {told}"),
                // The loader's code is 127.
                Some(1 | 127) => {
                    // Where an undo file stays, the next run begins with it.
                    let is_undone_later = found != visible && visible == *new;
                    assert!(visible == *old || is_undone_later, "{what}: something has changed: {told}");
                    assert!(!told.is_empty(), "{what}: no word");
                }
                code => panic!("{what}: {code:?}: {told}"),
            }
        }
        if visible != found || output.status.signal().is_some() {
            let mended = self.command().output().unwrap();
            assert!(
                mended.status.success(),
                "{what}: the next run: {}",
                String::from_utf8_lossy(&mended.stderr)
            );
            let found = without(&files(&self.room), is_cache);
            let wrong = |(path, bytes): &(&PathBuf, &Vec<u8>)| new.get(*path) != Some(*bytes);
            let wrong: Vec<_> = found.iter().filter(wrong).map(|(path, _)| path).collect();
            assert!(wrong.is_empty() && found.len() == new.len(), "{what}: after the next run {wrong:?}");
        }
    }
}

fn words(words: &str) -> Vec<String> {
    words.split(' ').map(ToOwned::to_owned).collect()
}

/// Device trees and images.
fn tree_cases(scratch: &Path) -> Vec<Case> {
    let room = |name: &str| {
        let room = scratch.join(name);
        fs::create_dir(&room).unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
        for file in ["base.dtb", "overlay1.dtbo"] {
            fs::copy(fixtures.join(file), room.join(file)).unwrap();
        }
        let mut pack = Command::new(env!("CARGO_BIN_EXE_kbt"));
        pack.args(words("dtbo pack -o in.img --version 1 base.dtb overlay1.dtbo,compression=gzip"));
        assert!(pack.current_dir(&room).status().unwrap().success());
        room
    };
    let case = |name: &str, line: &str, old: &[(&'static str, &'static str)]| Case {
        room: room(name),
        words: words(line),
        old: old.to_vec(),
    };
    vec![
        case("apply", "dto apply base.dtb overlay1.dtbo -o out.dtb --depfile out.d", &[("out.dtb", "old")]),
        case("in-its-place", "dto apply base.dtb overlay1.dtbo -o base.dtb --sync", &[]),
        case("show", "dto show base.dtb -o out.dts", &[("out.dts", "old")]),
        case(
            "pack",
            "dtbo pack --jobs 1 --version 1 --compression zlib -o out.img base.dtb overlay1.dtbo",
            &[],
        ),
        case("unpack", "dtbo unpack in.img parts", &[("parts/manifest.json", "old"), ("parts/0.dtb", "old")]),
        case("dump", "dtbo dump in.img -b entry -o text --sync", &[("text", "old"), ("entry.1", "old")]),
        case("extract", "dtbo extract in.img 1 -o out --depfile out.d", &[("out", "old")]),
        case("links", "install-links .", &[]),
    ]
}

fn depmod_cases(scratch: &Path) -> Vec<Case> {
    let made = depmod_room::Room::small();
    let case = |name: &str, options: &str| {
        let room = scratch.join(name);
        let copied = Command::new("cp").arg("-r").arg(made.root()).arg(&room).status().unwrap();
        assert!(copied.success());
        let line = format!("depmod -b . --jobs 1{options} {}", depmod_room::VERSION);
        let alias = "lib/modules/6.1.0-kbt/modules.alias";
        Case {
            room,
            words: words(&line),
            old: vec![(alias, "old"), ("lib/modules/6.1.0-kbt/modules.dep", "old")],
        }
    };
    vec![case("depmod", ""), case("depmod-incremental", " --incremental=cache")]
}

fn kernel_cases(scratch: &Path) -> Vec<Case> {
    let case = |name: &str, line: &str| {
        let made = small_kernel::Room::padded(small_kernel::X86_64, &small_kernel::GENERATIONS[3]);
        let room = scratch.join(name);
        assert!(Command::new("cp").arg("-r").arg(made.path("")).arg(&room).status().unwrap().success());
        Case { room, words: words(line), old: Vec::new() }
    };
    vec![
        case("generate", "kallsyms generate vmlinux --kernel 6.12 --all-symbols -o out.o"),
        case("pad", "kallsyms pad vmlinux.o --lds vmlinux.lds -o kallsyms.o --pad-file kallsyms.pad"),
        case("patch", "kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap System.map"),
        case("patch-in-place", "kallsyms patch vmlinux --pad-file kallsyms.pad --in-place"),
    ]
}

fn run(cases: fn(&Path) -> Vec<Case>, stride: usize) {
    let strace = require!(peers::strace());
    let scratch = tempfile::tempdir().unwrap();
    let logs = tempfile::tempdir().unwrap();
    let injector = Injector { strace, scratch: logs.path() };
    for case in cases(scratch.path()) {
        let tried = case.try_all(&injector, stride);
        println!("{}: {tried} faults survived", case.words.join(" "));
    }
}

/// Of so many calls the default run tries one.
const SAMPLE: usize = 9;

#[test]
fn trees_survive_faults() {
    run(tree_cases, SAMPLE);
}

#[test]
fn modules_survive_faults() {
    run(depmod_cases, SAMPLE);
}

#[test]
fn kernels_survive_faults() {
    run(kernel_cases, SAMPLE);
}

#[test]
#[ignore = "minutes; cargo xtask stress faults"]
fn all_trees_survive_faults() {
    run(tree_cases, 1);
}

#[test]
#[ignore = "minutes; cargo xtask stress faults"]
fn all_modules_survive_faults() {
    run(depmod_cases, 1);
}

#[test]
#[ignore = "minutes; cargo xtask stress faults"]
fn all_kernels_survive_faults() {
    run(kernel_cases, 1);
}
