//! The same bytes for the same input: every command that writes a file, twice, in surroundings that have nothing in common
//! but the inputs; and `--depfile` on each of them.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod small_kernel;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use kbt_testkit::module::{Encoding, Module};
use small_kernel::{GENERATIONS, X86_64};

/// A command, the files that it writes, and those that its depfile names behind the first of them.
struct Case {
    words: &'static str,
    outputs: &'static [&'static str],
    inputs: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        words: "dto apply base.dtb o1.dtbo o2.dtbo --concat-bootargs -o out",
        outputs: &["out"],
        inputs: &["base.dtb", "o1.dtbo", "o2.dtbo"],
    },
    Case { words: "dto show o1.dtbo -o out", outputs: &["out"], inputs: &["o1.dtbo"] },
    Case {
        words: "dto lint base.dtb o1.dtbo o2.dtbo --source o1.dtso --sarif out",
        outputs: &["out"],
        inputs: &["base.dtb", "o1.dtbo", "o2.dtbo", "o1.dtso"],
    },
    Case {
        words: "dto matrix --bases trees --overlays trees --config matrix.conf --report out --junit out.xml",
        outputs: &["out", "out.xml"],
        inputs: &[
            "matrix.conf",
            "trees/a/base.dtb",
            "trees/b/base.dtb",
            "trees/a/o1.dtbo",
            "trees/b/o2.dtbo",
        ],
    },
    Case {
        words: "dto matrix --bases trees/a --overlays trees/a --pairs compatible --junit out",
        outputs: &["out"],
        inputs: &["trees/a/base.dtb", "trees/a/o1.dtbo"],
    },
    Case {
        words: "dtbo pack o1.dtbo,id=1 o2.dtbo --version 1 --compression gzip -o out",
        outputs: &["out"],
        inputs: &["o1.dtbo", "o2.dtbo"],
    },
    Case {
        words: "dtbo unpack image out",
        outputs: &["out/manifest.json", "out/0.dtbo", "out/1.dtbo"],
        inputs: &["image"],
    },
    Case { words: "dtbo extract image 1 -o out", outputs: &["out"], inputs: &["image"] },
    Case { words: "dtbo dump image -o out", outputs: &["out"], inputs: &["image"] },
    Case { words: "dtbo dump image -b out", outputs: &["out.0", "out.1"], inputs: &["image"] },
    Case {
        words: "depmod -b . -o out -C depmod.d --order name 6.1.0",
        outputs: &["out/lib/modules/6.1.0/modules.dep", "out/lib/modules/6.1.0/modules.alias.bin"],
        inputs: &[
            "depmod.d/a.conf",
            "depmod.d/b.conf",
            "lib/modules/6.1.0/modules.order",
            "lib/modules/6.1.0/kernel/b.ko",
            "lib/modules/6.1.0/kernel/a.ko",
        ],
    },
    Case {
        words: "depmod graph -b . -C depmod.d --order name -k 6.1.0 --format svg -o out",
        outputs: &["out"],
        inputs: &[
            "depmod.d/a.conf",
            "depmod.d/b.conf",
            "lib/modules/6.1.0/modules.order",
            "lib/modules/6.1.0/kernel/b.ko",
            "lib/modules/6.1.0/kernel/a.ko",
        ],
    },
    Case {
        words: "kallsyms pad vmlinux.o --lds vmlinux.lds --all-symbols --pad-file out.pad -o out",
        outputs: &["out", "out.pad"],
        inputs: &["vmlinux.o", "vmlinux.lds"],
    },
    Case {
        words: "kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap out.map -o out",
        outputs: &["out", "out.map"],
        inputs: &["vmlinux", "kallsyms.pad"],
    },
    Case {
        words: "kallsyms patch vmlinux --pad-file kallsyms.pad",
        outputs: &["vmlinux"],
        inputs: &["kallsyms.pad"],
    },
    Case {
        words: "kallsyms patch vmlinux --pad-file kallsyms.pad --in-place",
        outputs: &["vmlinux"],
        inputs: &["kallsyms.pad"],
    },
    Case { words: "kallsyms generate --kernel 6.12 vmlinux -o out", outputs: &["out"], inputs: &["vmlinux"] },
    Case { words: "kallsyms dump patched -o out", outputs: &["out"], inputs: &["patched"] },
    Case { words: "kallsyms patchfile vmlinux 64 o1.dtbo", outputs: &["vmlinux"], inputs: &["o1.dtbo"] },
    Case {
        words: "kallsyms patchfile vmlinux 64 o1.dtbo --in-place",
        outputs: &["vmlinux"],
        inputs: &["o1.dtbo"],
    },
];

/// All inputs, by name.
fn inputs() -> BTreeMap<&'static str, Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    let [base, o1, o2] =
        ["base.dtb", "overlay1.dtbo", "overlay2.dtbo"].map(|name| fs::read(fixtures.join(name)).unwrap());
    let kernel = small_kernel::Room::padded(X86_64, &GENERATIONS[3]);
    kernel.ok("kallsyms patch vmlinux --pad-file kallsyms.pad -o patched");
    let module = |alias: &str| Module::new(Encoding::X86_64).info("alias", alias);
    let mut files = BTreeMap::from([
        ("trees/a/base.dtb", base.clone()),
        ("trees/b/base.dtb", base.clone()),
        ("trees/a/o1.dtbo", o1.clone()),
        ("trees/b/o2.dtbo", o2.clone()),
        ("matrix.conf", b"apply **/base.dtb a/o1.dtbo b/o2.dtbo\n".to_vec()),
        ("o1.dtso", b"/dts-v1/;\n/plugin/;\n&soc { /delete-node/ gone; };\n".to_vec()),
        ("base.dtb", base),
        ("o1.dtbo", o1),
        ("o2.dtbo", o2),
        ("depmod.d/a.conf", b"search updates built-in\n".to_vec()),
        ("depmod.d/b.conf", b"override b * kernel\n".to_vec()),
        ("depmod.d/unused", b"".to_vec()),
        ("lib/modules/6.1.0/modules.order", b"kernel/b.ko\n".to_vec()),
        ("lib/modules/6.1.0/kernel/a.ko", module("x").import("from_b").write()),
        ("lib/modules/6.1.0/kernel/b.ko", module("y").export("from_b", 7).write()),
    ]);
    for name in ["vmlinux.o", "vmlinux.lds", "vmlinux", "kallsyms.pad", "patched"] {
        files.insert(name, kernel.bytes(name));
    }
    files
}

/// A directory with the inputs in it, made in this order.
fn room<'n>(files: impl Iterator<Item = (&'n &'static str, &'n Vec<u8>)>) -> tempfile::TempDir {
    let room = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = room.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    let mut pack = Command::new(env!("CARGO_BIN_EXE_kbt"));
    pack.current_dir(room.path()).args(["dtbo", "pack", "o1.dtbo", "o2.dtbo", "-o", "image"]);
    assert!(pack.status().unwrap().success());
    room
}

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
