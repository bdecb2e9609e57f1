//! How files appear: whose they are, what runs do to each other, and what is written to instead of replaced.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod depmod_room;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use depmod_room::{Room, stderr};
use kbt_testkit::module::OUTPUTS;

const KBT: &str = env!("CARGO_BIN_EXE_kbt");

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example").join(name)
}

/// `kbt dto apply` of the published example.
fn apply(output: &Path) -> Command {
    let mut command = Command::new(KBT);
    command.args(["dto", "apply"]).arg(example("base.dtb")).arg(example("overlay1.dtbo"));
    command.arg("-o").arg(output);
    command
}

/// Runs commands at once and gives what came of them.
fn at_once(commands: impl IntoIterator<Item = Command>) -> Vec<Output> {
    let start = |mut command: Command| {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children: Vec<_> = commands.into_iter().map(start).collect();
    children.into_iter().map(|child| child.wait_with_output().unwrap()).collect()
}

#[test]
fn runs_that_write_the_same_files_do_not_disturb_each_other() {
    let room = Room::small();
    room.ok(&[]);
    let expected = room.outputs();
    for _ in 0..25 {
        for output in at_once((0..4).map(|_| room.command(&[]))) {
            assert!(output.status.success(), "{}", stderr(&output));
        }
        assert_eq!(room.outputs(), expected);
        assert_eq!(room.strays(), [""; 0]);
    }
}

#[test]
fn runs_that_write_one_file_do_not_disturb_each_other() {
    let room = tempfile::tempdir().unwrap();
    let (merged, rule) = (room.path().join("merged.dtb"), room.path().join("merged.d"));
    for round in 0..25 {
        // A set of two files beside single ones.
        let commands = (0..4).map(|number| {
            let mut command = apply(&merged);
            if number % 2 == 0 {
                command.arg("--depfile").arg(&rule);
            }
            command
        });
        for output in at_once(commands) {
            assert!(output.status.success(), "{round}: {}", stderr(&output));
        }
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 2);
    }
}

#[test]
fn the_files_of_depmod_are_the_process_own() {
    let room = Room::small();
    let alias = room.modules().join("modules.alias");
    fs::write(&alias, "old").unwrap();
    fs::set_permissions(&alias, fs::Permissions::from_mode(0o666)).unwrap();
    // Only root can give a file away; for a user the owner is the same before and after.
    let _ = std::os::unix::fs::chown(&alias, Some(65534), Some(65534));
    for (mask, mode) in [("000", 0o644), ("077", 0o600)] {
        let script = format!("umask {mask}; exec \"$0\" depmod -b \"$1\" {}", depmod_room::VERSION);
        let status = Command::new("sh").args(["-c", &script, KBT]).arg(room.root()).status().unwrap();
        assert!(status.success());
        for name in OUTPUTS {
            let found = fs::metadata(room.modules().join(name)).unwrap();
            assert_eq!(found.mode() & 0o7777, mode, "{name}");
            assert_eq!(found.uid(), fs::metadata("/proc/self").unwrap().uid(), "{name}");
        }
    }
}

/// The user's own group is not the one that was trusted with the old file.
#[test]
fn a_group_that_cannot_be_kept_leaves_its_rights_to_nobody() {
    let room = tempfile::tempdir().unwrap();
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let merged = room.path().join("merged.dtb");
    fs::write(&merged, "old").unwrap();
    fs::set_permissions(&merged, fs::Permissions::from_mode(0o6664)).unwrap();
    let (mut command, mode) = if rustix::process::geteuid().is_root() {
        // The binary and its inputs lie where a user may not look.
        for file in [Path::new(KBT).to_owned(), example("base.dtb"), example("overlay1.dtbo")] {
            assert!(Command::new("cp").arg(file).arg(room.path()).status().unwrap().success());
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "./kbt"]);
        command.args(["dto", "apply", "base.dtb", "overlay1.dtbo", "-o", "merged.dtb"]);
        (command, 0o644)
    } else {
        // Who is not root has no files of a group without being in it: all is kept.
        (apply(&merged), 0o6664)
    };
    let output = command.current_dir(room.path()).output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let found = fs::metadata(&merged).unwrap();
    assert!(found.len() > 3);
    assert_eq!(found.mode() & 0o7777, mode, "{:o}", found.mode());
}

#[test]
fn an_incremental_run_takes_away_what_a_killed_one_left_beside_files_that_stay() {
    let room = Room::small();
    let cache = tempfile::tempdir().unwrap();
    let option = format!("--incremental={}", cache.path().display());
    room.ok(&[&option]);
    // The names are made of the targets': those that a run without RENAME_EXCHANGE would leave.
    let names: Vec<String> = OUTPUTS.iter().map(|name| format!(".kbt-{:016x}", fnv1a(name))).collect();
    for name in &names {
        room.write(name, b"left behind");
    }
    assert_eq!(room.strays().len(), OUTPUTS.len());
    room.ok(&[&option]);
    assert_eq!(room.strays(), [""; 0]);
}

/// Fowler's, Noll's and Vo's hash, with 64 bits.
fn fnv1a(name: &str) -> u64 {
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn a_link_to_standard_output_is_standard_output() {
    let room = tempfile::tempdir().unwrap();
    let (link, file) = (room.path().join("link"), room.path().join("file"));
    symlink("/dev/stdout", &link).unwrap();
    assert!(apply(&file).status().unwrap().success());
    for option in [None, Some("--sync")] {
        let piped = apply(&link).args(option).output().unwrap();
        assert!(piped.status.success(), "{}", stderr(&piped));
        assert_eq!(piped.stdout, fs::read(&file).unwrap());
    }
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
}

#[test]
fn what_can_be_written_but_not_replaced_is_told_with_its_mend() {
    let room = tempfile::tempdir().unwrap();
    let script = "set -e; cd \"$1\"; echo old > target; echo mounted > source; mount --bind source target; \
                  shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", script, "sh"]).arg(room.path()).arg(KBT);
    command
        .args(["dto", "apply"])
        .arg(example("base.dtb"))
        .arg(example("overlay1.dtbo"))
        .args(["-o", "target"]);
    let output = command.output().unwrap();
    let told = stderr(&output);
    if told.contains("unshare") || told.contains("mount:") {
        let name = "what_can_be_written_but_not_replaced_is_told_with_its_mend";
        kbt_testkit::peers::skip(name, &format!("no mounts by 'unshare -rm': {told}"));
        return;
    }
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("target: cannot write: ") && told.contains("hint: a file is replaced as a whole"),
        "{told}"
    );
    assert_eq!(fs::read_to_string(room.path().join("source")).unwrap(), "mounted\n");
}

#[test]
fn a_depfile_replaces_neither_an_input_nor_the_result() {
    let room = tempfile::tempdir().unwrap();
    let base = room.path().join("base.dtb");
    fs::copy(example("base.dtb"), &base).unwrap();
    let before = fs::read(&base).unwrap();
    for depfile in ["base.dtb", "./base.dtb", "out", "./out", "-"] {
        let mut command = Command::new(KBT);
        command.args(["dto", "apply", "base.dtb"]).arg(example("overlay1.dtbo"));
        let output =
            command.args(["-o", "out", "--depfile", depfile]).current_dir(room.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{depfile}: {}", stderr(&output));
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1, "{depfile}");
        assert_eq!(fs::read(&base).unwrap(), before);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // The pipe's other end is closed before kbt begins.
    let script = "sleep 0.2; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", KBT, "dto", "show"]).arg(example("base.dtb"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stderr(&output), "");
}
