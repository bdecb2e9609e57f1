//! Files that are none, that have no end, or that change while they are read.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use kbt_testkit::module::OUTPUTS;

use crate::{depmod_room, small_kernel, words};

/// A run in a directory, with an address space that holds no endless input.
fn run(room: &Path, line: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -v 400000 && exec timeout 20 \"$@\"", "sh", env!("CARGO_BIN_EXE_kbt")]);
    shell.args(words(line)).current_dir(room).output().unwrap()
}

/// A directory with a base, an overlay and an image.
fn room() -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    for file in ["base.dtb", "overlay1.dtbo"] {
        fs::copy(fixtures.join(file), room.path().join(file)).unwrap();
    }
    let output = run(room.path(), "dtbo pack -o in.img base.dtb overlay1.dtbo");
    assert!(output.status.success(), "{output:?}");
    room
}

fn refused(room: &Path, line: &str, why: &str) {
    let output = run(room, line);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(1 | 2)), "{line}: {}: {told}", output.status);
    assert!(told.contains(why), "{line}: {told}");
    assert!(told.lines().filter(|line| line.contains("error: ")).count() == 1, "{line}: {told}");
    assert!(!room.join("out").exists(), "{line}");
}

#[test]
fn what_has_no_end_is_refused_soon() {
    let room = room();
    for line in [
        "dto apply /dev/zero overlay1.dtbo -o out",
        "dto apply base.dtb /dev/zero -o out",
        "dto show /dev/zero -o out",
        "dto diff base.dtb /dev/zero",
        "dto lint base.dtb /dev/zero",
        "dto verify base.dtb /dev/zero",
        "dto matrix --bases . --overlays . --config /dev/zero",
        "dtbo pack -o out /dev/zero",
        "dtbo pack --config /dev/zero -o out",
        "dtbo dump /dev/zero",
        "dtbo list /dev/urandom",
        "dtbo unpack /dev/zero out",
        "kallsyms verify /dev/zero",
        "kallsyms dump /dev/urandom",
        "kallsyms generate /dev/zero -o out",
        "kallsyms generate --kernel 6.12 --from-nm /dev/zero -o out.S",
        "kallsyms offset /dev/zero .text",
        "depmod -n -F /dev/zero -b . 6.12",
        "depmod -n -E /dev/zero -b . 6.12",
    ] {
        refused(room.path(), line, "");
    }
}

#[test]
fn what_is_too_large_is_not_read() {
    let room = room();
    for name in ["base.dtb", "in.img"] {
        let file = File::options().write(true).open(room.path().join(name)).unwrap();
        file.set_len(1 << 40).unwrap();
    }
    File::create(room.path().join("text")).unwrap().set_len(1 << 40).unwrap();
    for line in [
        "dtbo dump in.img",
        "dtbo unpack in.img out",
        "dtbo extract in.img 0 -o out",
        "dtbo pack -o out base.dtb",
        "dto matrix --bases . --overlays .",
        "depmod -n -F text -b . 6.12",
        "kallsyms generate --kernel 6.12 --from-nm text -o out.S",
    ] {
        refused(room.path(), line, "4 GiB");
    }
    // A tree says how long it is.
    let output = run(room.path(), "dto apply base.dtb overlay1.dtbo -o merged");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_fifo_that_was_not_named_is_not_waited_for() {
    let room = depmod_room::Room::small();
    let settings = room.root().join("depmod.d");
    fs::create_dir(&settings).unwrap();
    fs::remove_file(room.modules().join("modules.order")).unwrap();
    for name in
        [settings.join("a.conf"), room.modules().join("modules.order"), room.modules().join("kernel/x.ko")]
    {
        assert!(Command::new("mkfifo").arg(name).status().unwrap().success());
    }
    std::os::unix::fs::symlink("/dev/null", settings.join("b.conf")).unwrap();
    let output = run(room.root(), &format!("depmod -b . -C depmod.d {}", depmod_room::VERSION));
    let told = depmod_room::stderr(&output);
    assert!(output.status.success(), "{}: {told}", output.status);
    assert!(told.contains("a.conf: this is a FIFO") && !told.contains("b.conf"), "{told}");
    assert_eq!(room.outputs().len(), OUTPUTS.len());
}

/// Runs a line again and again while a file has now one size, now another. The run may fail, but by itself.
fn while_it_changes(room: &Path, name: &str, line: &str) {
    let path = room.join(name);
    let whole = fs::read(&path).unwrap();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let file = File::options().write(true).open(&path).unwrap();
            let full = whole.len() as u64;
            let mut size = full;
            while !over.load(Ordering::Relaxed) {
                size = if size < 200 { full * 2 } else { size * 2 / 3 };
                file.set_len(size).unwrap();
            }
        });
        for _ in 0..25 {
            let output = run(room, line);
            let told = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.signal(), None, "{line}: {told}");
            assert!(matches!(output.status.code(), Some(0 | 1)), "{line}: {}: {told}", output.status);
            assert!(!told.contains("panicked"), "{line}: {told}");
        }
        over.store(true, Ordering::Relaxed);
    });
    fs::write(path, whole).unwrap();
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    let trees = room();
    while_it_changes(trees.path(), "base.dtb", "dto apply base.dtb overlay1.dtbo -o out");
    while_it_changes(trees.path(), "overlay1.dtbo", "dto lint base.dtb overlay1.dtbo");
    while_it_changes(trees.path(), "in.img", "dtbo unpack in.img parts");
    let kernel = small_kernel::Room::padded(small_kernel::X86_64, &small_kernel::GENERATIONS[3]);
    let patch = "kallsyms patch vmlinux --pad-file kallsyms.pad -o out";
    for line in ["kallsyms dump vmlinux", "kallsyms generate vmlinux --kernel 6.12 -o out.o", patch] {
        while_it_changes(&kernel.path(""), "vmlinux", line);
    }
    let modules = depmod_room::Room::small();
    let module = modules.modules().join("kernel/b.ko");
    let name = module.strip_prefix(modules.root()).unwrap().to_str().unwrap();
    while_it_changes(modules.root(), name, &format!("depmod -b . {}", depmod_room::VERSION));
}

/// kmod numbers modules in 16 bits, and ends where they are more; so does kbt, and says so.
#[test]
#[ignore = "writes 10^5 files; cargo xtask stress faults"]
fn a_hundred_thousand_modules() {
    let room = depmod_room::Room::new();
    let module = depmod_room::module("1").import("from_b").write();
    let add = |numbers: Range<usize>| {
        numbers.for_each(|number| room.write(&format!("kernel/{}/m{number}.ko", number % 1000), &module));
    };
    room.module("kernel/b.ko", &depmod_room::module("2").export("from_b", 7));
    add(0..65_000);
    let line = format!("depmod -b . {}", depmod_room::VERSION);
    let output = run(room.root(), &line);
    assert!(output.status.success(), "{}", depmod_room::stderr(&output));
    let outputs = room.outputs();
    let lines = outputs["modules.dep"].split(|&byte| byte == b'\n');
    assert_eq!(lines.filter(|line| line.ends_with(b": kernel/b.ko")).count(), 65_000);
    add(65_000..100_000);
    refused(room.root(), &line, "at most 65534 modules");
    assert!(room.outputs() == outputs);
}
