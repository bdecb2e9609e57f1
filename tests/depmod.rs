//! `kbt depmod` as a program: what is its own, beside what the comparisons with kmod cover.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's helpers fail as its body does")]

mod depmod_room;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use depmod_room::{Room, VERSION, as_user, module, stderr};
use kbt_testkit::module::OUTPUTS;
use kbt_testkit::{peers, random::Random, require};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;

#[test]
fn all_files_appear_and_nothing_else() {
    let room = Room::small();
    let output = room.ok(&[]);
    assert_eq!(stderr(&output), "");
    assert_eq!(room.outputs().len(), OUTPUTS.len());
    assert_eq!(room.strays(), [""; 0]);
    let dep = "kernel/b.ko: kernel/deep/c-c.ko\n";
    assert!(room.outputs()["modules.dep"].starts_with(dep.as_bytes()));
}

#[test]
fn json_tells_what_came_of_it() {
    let room = Room::small();
    room.write("kernel/bad.ko", b"no module at all");
    let output = room.ok(&["--json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["modules"], 4);
    assert_eq!(result["unreadable"], 1);
    assert_eq!(result["symbols"], 2);
    assert_eq!(result["files"]["modules.dep"], room.outputs()["modules.dep"].len());
    let told = result["warnings"][0]["message"].as_str().unwrap();
    assert!(told.contains("/kernel/bad.ko: "), "{told}");
    assert_eq!(stderr(&output), "");
}

#[test]
fn strict_writes_nothing_where_a_module_is_bad() {
    let room = Room::small();
    room.ok(&[]);
    let before = room.outputs();
    room.write("kernel/bad.ko", b"no module at all");
    let output = room.run(&["--strict"]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert_eq!(told.lines().count(), 2, "{told}");
    assert!(told.starts_with("depmod: ERROR: failed to load symbols from /"), "{told}");
    assert!(told.contains("kbt: error: 1 modules cannot be read; nothing was written"), "{told}");
    assert_eq!(room.outputs(), before);
    assert_eq!(room.run(&[]).status.code(), Some(0));
    assert_ne!(room.outputs(), before);
}

#[test]
fn by_name_the_outcome_does_not_depend_on_the_file_system() {
    let outcome = |order: &[&str]| {
        let room = Room::new();
        for directory in order {
            room.module(&format!("kernel/{directory}/same.ko"), &module(directory));
        }
        room.ok(&["--order=name"]);
        room.outputs()
    };
    let names: Vec<String> = (0..30).map(|number| format!("d{number:02}")).collect();
    let forward: Vec<&str> = names.iter().map(String::as_str).collect();
    let backward: Vec<&str> = forward.iter().rev().copied().collect();
    let outputs = outcome(&forward);
    assert_eq!(outputs["modules.dep"], b"kernel/d00/same.ko:\n");
    assert_eq!(outcome(&backward), outputs);
}

#[test]
fn a_hostile_alias_leaves_the_old_files() {
    let room = Room::small();
    room.ok(&[]);
    let before = room.outputs();
    room.module("kernel/evil.ko", &module("caf\u{e9}"));
    let output = room.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.contains("modules.alias.bin") && told.contains("/kernel/evil.ko: byte 0xc3"), "{told}");
    assert_eq!((room.outputs(), room.strays()), (before, Vec::new()));
}

#[test]
fn a_cycle_leaves_the_old_files() {
    let room = Room::small();
    room.ok(&[]);
    let before = room.outputs();
    room.module("kernel/deep/c-c.ko", &module("3").export("from_c", 8).import("from_b"));
    let output = room.run(&[]);
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert!(told.starts_with("depmod: ERROR: Cycle detected: b -> c_c -> b\n"), "{told}");
    assert_eq!((room.outputs(), room.strays()), (before, Vec::new()));
}

#[test]
fn a_link_that_leads_back_is_not_followed() {
    let room = Room::small();
    std::os::unix::fs::symlink("..", room.modules().join("kernel/deep/up")).unwrap();
    let output = room.ok(&[]);
    assert!(stderr(&output).contains("/kernel/deep/up leads back to a directory above it"));
    assert_eq!(room.outputs()["modules.dep"].iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[test]
fn a_directory_that_may_not_be_written_is_one_message() {
    let room = Room::small();
    room.ok(&[]);
    let before = room.outputs();
    room.module("kernel/new.ko", &module("9"));
    fs::set_permissions(room.modules(), fs::Permissions::from_mode(0o555)).unwrap();
    let output = as_user(&room, &[]).output().unwrap();
    fs::set_permissions(room.modules(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = stderr(&output);
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("modules.dep: cannot write: Permission denied"), "{told}");
    assert_eq!(room.outputs(), before);
}

#[test]
fn an_unreadable_module_is_listed_without_dependencies() {
    let room = Room::small();
    let path = room.modules().join("kernel/b.ko");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let out = room.root().join("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    let output = as_user(&room, &["-o", out.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).ends_with("/kernel/b.ko: Permission denied\n"), "{}", stderr(&output));
    assert!(room.outputs_at(&out)["modules.dep"].starts_with(b"kernel/b.ko:\n"));
}

#[test]
fn strict_takes_no_directory_that_cannot_be_read_for_an_empty_one() {
    let room = Room::small();
    room.module("kernel/deep/d.ko", &module("9"));
    let out = room.root().join("out");
    fs::create_dir(&out).unwrap();
    fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).unwrap();
    let deep = room.modules().join("kernel/deep");
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o000)).unwrap();
    let run = |strict: &[&str]| {
        as_user(&room, &[&["-o", out.to_str().unwrap()], strict].concat()).output().unwrap()
    };
    let output = run(&["--strict"]);
    let told = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.ends_with("kbt: error: not all modules could be looked at; nothing was written\n"),
        "{told}"
    );
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
    // As kmod does.
    assert_eq!(run(&[]).status.code(), Some(0));
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_current_directory_that_is_gone_is_no_matter_where_all_names_are_absolute() {
    let room = Room::small();
    room.ok(&[]);
    let (before, gone) = (room.outputs(), room.root().join("gone"));
    fs::create_dir(&gone).unwrap();
    let command = room.command(&[]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "cd \"$0\" && rmdir \"$0\" && exec \"$@\""]).arg(&gone);
    shell.arg(command.get_program()).args(command.get_args());
    let output = shell.output().unwrap();
    assert_eq!((output.status.code(), stderr(&output).as_str()), (Some(0), ""));
    assert_eq!(room.outputs(), before);
}

#[test]
fn a_full_disk_leaves_the_old_files() {
    let room = Room::small();
    for number in 0..40 {
        let many = (0..100).fold(module("x"), |many, alias| {
            many.info("alias", &format!("a-long-alias-that-takes-its-room:{number}:{alias}*"))
        });
        room.module(&format!("kernel/many{number}.ko"), &many);
    }
    let out = room.root().join("out");
    let modules = out.join("lib/modules").join(VERSION);
    fs::create_dir(&out).unwrap();
    let run = room.command(&["-o", out.to_str().unwrap()]);
    let words: Vec<String> = std::iter::once(run.get_program()).chain(run.get_args()).map(quoted).collect();
    let script = format!(
        "mount -t tmpfs -o size=256k tmpfs {out} && mkdir -p {modules} && cd {modules} && echo old >modules.dep && \
         {run}; echo exit=$?; cat modules.dep; ls -A",
        out = out.display(),
        modules = modules.display(),
        run = words.join(" ")
    );
    let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).output().unwrap();
    let told = stderr(&output);
    if told.contains("unshare") || told.contains("mount:") {
        peers::skip("a_full_disk_leaves_the_old_files", &format!("no tmpfs by 'unshare -rm': {told}"));
        return;
    }
    assert_eq!(String::from_utf8_lossy(&output.stdout), "exit=1\nold\nmodules.dep\n", "{told}");
    assert!(told.contains("No space left on device"), "{told}");
}

/// What a terminal gets to see of a run that takes long, since opening a file does.
fn on_a_terminal(strace: &Path, room: &Room, words: &[&str]) -> String {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = fs::File::options().read(true).write(true).open(name).unwrap();
    let run = room.command(words);
    let mut command = Command::new(strace);
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=openat:delay_enter=20000"]);
    command.arg(run.get_program()).args(run.get_args()).stdout(Stdio::null()).stderr(theirs);
    command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").env("TERM", "xterm");
    let mut child = command.spawn().unwrap();
    // It has the other side of the terminal, too.
    drop(command);
    let mut shown = Vec::new();
    // Once nobody has the other side open there is an error.
    let _ = fs::File::from(ours).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success());
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn a_long_run_shows_on_a_terminal_how_far_it_is() {
    let strace = require!(peers::strace());
    let room = Room::small();
    for number in 0..60 {
        room.module(&format!("kernel/m{number}.ko"), &module("x"));
    }
    let shown = on_a_terminal(&strace, &room, &["--jobs", "1"]);
    assert!(shown.contains("/63 modules read, "), "{shown}");
    assert!(shown.ends_with("\u{1b}[2K"), "it goes at the end: {shown:?}");
    let shown = on_a_terminal(&strace, &room, &["--jobs", "1", "--quiet"]);
    assert_eq!(shown, "");
}

fn quoted(word: &std::ffi::OsStr) -> String {
    format!("'{}'", word.to_str().unwrap())
}

/// Each file is an old or a new one; how many of each.
fn mixture(room: &Room, states: &[BTreeMap<&'static str, Vec<u8>>; 2]) -> [usize; 2] {
    let mut counts = [0, 0];
    for (name, bytes) in room.outputs() {
        let state = states.iter().position(|state| state[name] == bytes);
        counts[state.unwrap_or_else(|| panic!("{name} is neither old nor new"))] += 1;
    }
    counts
}

#[test]
fn killed_at_any_moment_it_leaves_whole_files_and_the_next_run_mends() {
    let room = Room::small();
    // All eleven files differ between the two states.
    let turn = |state: usize| {
        let numbers = format!("char-major-10-{state}");
        let own = module(&format!("turn{state}"))
            .info("alias", &numbers)
            .info("alias", &format!("devname:d{state}"));
        let own = own.info("softdep", &format!("pre: s{state}")).info("weakdep", &format!("w{state}"));
        room.module(
            "kernel/turn.ko",
            &own.export(&format!("turn{state}"), 1).import(["from_b", "from_c"][state]),
        );
        room.write("modules.builtin", format!("kernel/inside{state}.ko\n").as_bytes());
        room.write("modules.builtin.modinfo", format!("inside.alias=x{state}\0").as_bytes());
    };
    let states = [0, 1].map(|state| {
        turn(state);
        room.ok(&[]);
        room.outputs()
    });
    assert!(OUTPUTS.iter().all(|name| states[0][name] != states[1][name]));
    let mut random = Random::new(7);
    let (mut killed, mut mixed) = (0, 0);
    for run in 0..100 {
        turn(run % 2);
        let mut child = room.command(&[]).stderr(Stdio::null()).spawn().unwrap();
        thread::sleep(Duration::from_micros(random.below(30_000) as u64));
        let _ = child.kill();
        killed += usize::from(!child.wait().unwrap().success());
        let [old, new] = mixture(&room, &states);
        assert_eq!(old + new, OUTPUTS.len());
        mixed += usize::from(old > 0 && new > 0);
        if run % 10 == 9 {
            room.ok(&[]);
            assert_eq!(room.outputs(), states[run % 2]);
            assert_eq!(room.strays(), [""; 0]);
        }
    }
    assert!(killed > 10, "only {killed} of 100 runs were killed");
    // Between two renames there is no other state; it is a matter of microseconds.
    assert!(mixed <= killed / 4, "{mixed} of {killed} killed runs left old and new files");
}

#[test]
fn what_is_no_module_is_not_read_whole() {
    let room = Room::small();
    for name in ["kernel/large.ko", "kernel/packed.ko.xz"] {
        room.write(name, b"no module");
        fs::File::options().write(true).open(room.modules().join(name)).unwrap().set_len(900 << 20).unwrap();
    }
    let command = room.command(&[]);
    // 256 MiB of address space have no room for it.
    let limited = Command::new("sh")
        .args(["-c", "ulimit -v 262144; exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap();
    assert_eq!(limited.status.code(), Some(0), "{}", stderr(&limited));
    assert_eq!(stderr(&limited).matches("not an ELF file (at byte 0)").count(), 2, "{}", stderr(&limited));
}

#[test]
fn a_bomb_is_an_error_of_its_module() {
    let room = Room::small();
    let zeros = vec![0; 100 << 20];
    let bomb = kbt_compress::compress(kbt_compress::Compression::Gzip, &zeros).unwrap();
    room.write("kernel/bomb.ko.gz", &bomb);
    let output = room.ok(&[]);
    let told = stderr(&output);
    let limit = "kernel/bomb.ko.gz: gzip: more than 67108864 bytes would come out\n";
    assert!(told.ends_with(limit) && told.lines().count() == 1, "{told}");
    assert!(String::from_utf8_lossy(&room.outputs()["modules.dep"]).contains("\nkernel/bomb.ko.gz:\n"));
    assert_eq!(room.run(&["--strict"]).status.code(), Some(1));
}

#[test]
fn a_file_beside_the_modules_that_cannot_be_read_is_fatal() {
    for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        let room = Room::small();
        room.ok(&[]);
        let before = room.outputs();
        let _ = fs::remove_file(room.modules().join(name));
        fs::create_dir(room.modules().join(name)).unwrap();
        let output = room.run(&[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            stderr(&output).contains(&format!("{name}: cannot read: Is a directory")),
            "{}",
            stderr(&output)
        );
        assert_eq!(room.outputs(), before);
    }
}

#[test]
fn the_graph_shows_what_is_needed_and_who_needs_it() {
    let room = Room::small();
    let graph = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command
            .args(["depmod", "graph", "-C", "/nonexistent", "-k", VERSION, "-b"])
            .arg(room.root())
            .args(words);
        command.output().unwrap()
    };
    let text = |words: &[&str]| {
        let output = graph(words);
        assert!(output.status.success(), "{}", stderr(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    let dot = text(&["b"]);
    assert!(dot.contains("  \"b\" -> \"c_c\";\n") && !dot.contains("\"a\""), "{dot}");
    let dot = text(&["--reverse", "b.ko"]);
    assert!(dot.contains("  \"a\" -> \"b\";\n") && !dot.contains("\"c_c\""), "{dot}");
    let json: Value = serde_json::from_str(&text(&["--format=json"])).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    let svg = text(&["a", "--format=svg"]);
    assert_eq!(svg.matches("<path class=\"e\"").count(), 2, "{svg}");
    assert!(svg.contains(">c_c</text>"), "{svg}");
    let output = graph(&["nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("no module 'nobody'"), "{}", stderr(&output));
}

#[test]
fn no_name_steers_a_terminal_or_ends_a_line() {
    let room = Room::small();
    room.write("kernel/a\u{1b}]0;title\u{7}\nkbt: error: forged.ko", b"no ELF file");
    let output = room.ok(&[]);
    let told = stderr(&output);
    assert!(
        told.contains("kernel/a\\u{1b}]0;title\\u{7}\\nkbt: error: forged.ko: not an ELF file"),
        "{told}"
    );
    assert!(!told.contains("\nkbt: error: forged"), "{told}");
    let mut graph = Command::new(env!("CARGO_BIN_EXE_kbt"));
    graph.args(["depmod", "graph", "-b"]).arg(room.root()).args(["--kernel", VERSION]);
    let dot = String::from_utf8(graph.output().unwrap().stdout).unwrap();
    assert!(dot.contains("title") && !dot.contains('\u{1b}'), "{dot}");
}
