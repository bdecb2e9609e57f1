//! `kbt dto apply` and `fdtoverlay` as programs: streams, files, exit codes, help.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use kbt_testkit::golden;
use kbt_testkit::read::read;

const BASE: &str = "base.dtb";
const FIRST: &str = "overlay1.dtbo";
const SECOND: &str = "overlay2.dtbo";

/// A directory with the published example in it.
struct Room(tempfile::TempDir);

impl Room {
    fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
        for name in [BASE, FIRST, SECOND] {
            fs::copy(fixtures.join(name), room.path(name)).unwrap();
        }
        room
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    fn kbt(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.current_dir(self.0.path());
        command
    }

    fn run(&self, words: &str) -> Output {
        self.kbt().args(words.split_whitespace()).output().unwrap()
    }

    fn fdtoverlay(&self, words: &str) -> Output {
        self.kbt().arg0("/usr/bin/fdtoverlay").args(words.split_whitespace()).output().unwrap()
    }

    /// What applying the first overlay gives.
    fn merged(&self) -> Vec<u8> {
        ok(&self.run("dto apply base.dtb overlay1.dtbo -o expected"));
        let bytes = self.bytes("expected");
        fs::remove_file(self.path("expected")).unwrap();
        bytes
    }
}

#[track_caller]
fn ok(output: &Output) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_published_example() {
    let room = Room::new();
    ok(&room.run("dto apply base.dtb overlay1.dtbo overlay2.dtbo -o out.dtb --concat-bootargs"));
    let tree = read(&room.bytes("out.dtb")).unwrap();
    let bootargs = tree.root.at("/chosen").unwrap().property_text("bootargs").unwrap();
    let part = |name: &str| {
        let tree = read(&room.bytes(name)).unwrap();
        let chosen = tree
            .root
            .walk()
            .into_iter()
            .find_map(|(_, node)| node.property_text("bootargs_ext").map(str::to_owned));
        chosen.unwrap()
    };
    let base = read(&room.bytes(BASE)).unwrap();
    let first = base.root.at("/chosen").unwrap().property_text("bootargs").unwrap();
    assert_eq!(bootargs, format!("{first} {} {}", part(FIRST), part(SECOND)));
    assert!(tree.root.at("/odm/odm_device@0").is_some());
    assert!(tree.root.at("/chosen").unwrap().property("bootargs_ext").is_none());
}

#[test]
fn standard_input_and_output() {
    let room = Room::new();
    let expected = room.merged();
    for (words, input) in [("dto apply - overlay1.dtbo -o -", BASE), ("dto apply base.dtb - -o -", FIRST)] {
        let mut command = room.kbt();
        command.args(words.split_whitespace()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // More than the tree: what follows it is no part of it.
        let bytes = [room.bytes(input), vec![0xee; 100_000]].concat();
        let mut stdin = child.stdin.take().unwrap();
        // The rest is not read, so the pipe may break.
        let _ = stdin.write_all(&bytes);
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(output.stdout == expected);
    }
}

#[test]
fn an_endless_input_ends() {
    let room = Room::new();
    let output = room.run("dto apply /dev/zero overlay1.dtbo -o out.dtb");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.starts_with("kbt: error: /dev/zero: not a device tree: bad magic 00000000"), "{stderr}");
}

#[test]
fn the_output_may_be_an_input_and_keeps_its_permissions() {
    let room = Room::new();
    let expected = room.merged();
    fs::set_permissions(room.path(BASE), fs::Permissions::from_mode(0o640)).unwrap();
    ok(&room.run("dto apply base.dtb overlay1.dtbo -o base.dtb --sync"));
    assert!(room.bytes(BASE) == expected);
    assert_eq!(fs::metadata(room.path(BASE)).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn a_symbolic_link_stays_one() {
    let room = Room::new();
    let expected = room.merged();
    fs::write(room.path("real"), "old").unwrap();
    symlink("real", room.path("link")).unwrap();
    symlink("second", room.path("dangling")).unwrap();
    symlink("made", room.path("second")).unwrap();
    for (link, behind) in [("link", "real"), ("dangling", "made")] {
        ok(&room.run(&format!("dto apply base.dtb overlay1.dtbo -o {link}")));
        assert!(fs::symlink_metadata(room.path(link)).unwrap().is_symlink());
        assert!(room.bytes(behind) == expected, "{behind}");
    }
}

#[test]
fn a_device_is_written_to_and_not_replaced() {
    let room = Room::new();
    ok(&room.run("dto apply base.dtb overlay1.dtbo -o /dev/null"));
    // A log that the shell has opened is written to, not replaced.
    fs::write(room.path("log"), "before").unwrap();
    let log = fs::OpenOptions::new().append(true).open(room.path("log")).unwrap();
    let words = "dto apply base.dtb overlay1.dtbo -o /dev/stdout";
    assert!(room.kbt().args(words.split_whitespace()).stdout(log).status().unwrap().success());
    assert!(room.bytes("log") == [&b"before"[..], &room.merged()].concat());
    let output = room.run("dto apply base.dtb overlay1.dtbo -o /dev/stdout");
    ok(&output);
    assert!(output.stdout == room.merged());
}

#[test]
fn a_failed_write_is_told_and_leaves_nothing() {
    let room = Room::new();
    let output = room.run("dto apply base.dtb overlay1.dtbo -o missing/out.dtb");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "kbt: error: missing/out.dtb: cannot write: No such file or directory\n"
    );
    fs::create_dir(room.path("directory")).unwrap();
    let output = room.run("dto apply base.dtb overlay1.dtbo -o directory");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "kbt: error: directory: cannot write: is a directory\n"
    );
    assert_eq!(fs::read_dir(room.0.path()).unwrap().count(), 4);
}

/// Runs kbt as a user for whom permissions count, which they do not for root.
fn as_user(room: &Room, words: &str) -> Output {
    let is_root = fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0);
    if !is_root {
        return room.run(words);
    }
    // The binary may lie where that user cannot reach it.
    let kbt = room.path("kbt");
    // By a process of its own: a child that another test starts meanwhile would hold our copy open for writing, and the
    // system would call it busy.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_kbt")).arg(&kbt).status().unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&kbt);
    let output = command.args(words.split_whitespace()).current_dir(room.0.path()).output().unwrap();
    fs::remove_file(kbt).unwrap();
    output
}

#[test]
fn what_may_not_be_read_or_written_is_told() {
    let room = Room::new();
    let mode = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(room.path(""), 0o755);
    mode(room.path(FIRST), 0o000);
    let output = as_user(&room, "dto apply base.dtb overlay1.dtbo -o /dev/null");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "kbt: error: overlay1.dtbo: cannot read: Permission denied\n"
    );
    assert_eq!(output.status.code(), Some(1));
    mode(room.path(FIRST), 0o644);
    fs::create_dir(room.path("sealed")).unwrap();
    fs::write(room.path("sealed/out.dtb"), "old").unwrap();
    mode(room.path("sealed"), 0o555);
    let output = as_user(&room, "dto apply base.dtb overlay1.dtbo -o sealed/out.dtb");
    mode(room.path("sealed"), 0o755);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "kbt: error: sealed/out.dtb: cannot write: Permission denied\n"
    );
    assert_eq!((output.status.code(), room.bytes("sealed/out.dtb")), (Some(1), b"old".to_vec()));
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let room = Room::new();
    let script = format!(
        "mount -t tmpfs -o size=8k none disk && cp old disk/out.dtb && head -c 4096 /dev/zero >disk/rest; \
         {} dto apply big.dtb overlay1.dtbo -o disk/out.dtb; echo $?; cmp old disk/out.dtb && ls -A disk",
        env!("CARGO_BIN_EXE_kbt")
    );
    let base = read(&room.bytes(BASE)).unwrap();
    let mut big = base.clone();
    big.root = big.root.bytes("big", vec![1; 20_000]);
    fs::write(room.path("big.dtb"), kbt_testkit::write::write(&big)).unwrap();
    fs::write(room.path("old"), "old").unwrap();
    fs::create_dir(room.path("disk")).unwrap();
    let mut command = Command::new("unshare");
    let output = command.args(["-rm", "sh", "-c", &script]).current_dir(room.0.path()).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.contains("unshare") || stderr.contains("mount") {
        kbt_testkit::peers::skip(
            "a_full_disk_leaves_the_old_file",
            &format!("no tmpfs by 'unshare -rm': {stderr}"),
        );
        return;
    }
    assert_eq!(stderr, "kbt: error: disk/out.dtb: cannot write: No space left on device\n");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\nout.dtb\nrest\n");
}

#[test]
fn an_entry_of_an_image_is_an_overlay() {
    let room = Room::new();
    let expected = room.merged();
    ok(&room.run(
        "dtbo pack -o image --version 1 overlay2.dtbo,id=1,compression=zlib overlay1.dtbo,id=0x10,rev=3,compression=gzip",
    ));
    for entry in ["image#1", "image#id=0x10", "image#id=16,rev=3"] {
        ok(&room.run(&format!("dto apply base.dtb {entry} -o out.dtb")));
        assert!(room.bytes("out.dtb") == expected, "{entry}");
    }
    let output = room.run("dto apply base.dtb image#7 -o out2.dtb");
    assert_eq!(output.status.code(), Some(1));
    assert!(!room.path("out2.dtb").exists());
}

#[test]
fn results_and_refusals_as_json() {
    let room = Room::new();
    let output = room.run("dto apply base.dtb overlay1.dtbo -o out.dtb --json");
    assert_eq!(output.status.code(), Some(0));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["ok"], true);
    assert_eq!(result["bytes"], room.bytes("out.dtb").len());
    assert_eq!(result["warnings"], serde_json::json!([]));
    let output = room.run("--json dto apply overlay1.dtbo overlay1.dtbo -o out2.dtb");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["ok"], false);
    assert_eq!(result["error"]["code"], "unresolved-label");
    assert_eq!(result["error"]["file"], FIRST);
    assert_eq!(result["error"]["overlay"], 0);
    for field in ["label", "fragment", "property", "offset", "message", "hint", "near"] {
        assert!(!result["error"][field].is_null(), "{field} in {result}");
    }
}

#[test]
fn the_wrong_words_are_a_usage_error() {
    let room = Room::new();
    for words in [
        "",
        "nonsense",
        "dto",
        "dto apply",
        "dto apply base.dtb -o out",
        "dto apply base.dtb overlay1.dtbo",
        "dto apply - - -o out",
        "--json dto apply base.dtb overlay1.dtbo -o -",
        "dto apply base.dtb overlay1.dtbo -o out --padding many",
        "dto apply base.dtb overlay1.dtbo -o out --nonsense",
        "dto apply base.dtb --json",
        "dto apply base.dtb -#0 - -o out",
    ] {
        let output = room.run(words);
        assert_eq!(output.status.code(), Some(2), "{words}");
        assert!(!room.path("out").exists());
        if words.contains("--json") {
            let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(result["error"]["code"], "usage", "{words}");
        }
    }
}

#[test]
fn help_and_version() {
    let room = Room::new();
    for (words, name) in [
        ("--help", "kbt.txt"),
        ("install-links --help", "kbt-install-links.txt"),
        ("dto --help", "kbt-dto.txt"),
        ("dto apply --help", "kbt-dto-apply.txt"),
        ("dto show --help", "kbt-dto-show.txt"),
        ("dto diff --help", "kbt-dto-diff.txt"),
        ("dto lint --help", "kbt-dto-lint.txt"),
        ("dto verify --help", "kbt-dto-verify.txt"),
        ("dto matrix --help", "kbt-dto-matrix.txt"),
        ("dto apply -h", "kbt-dto-apply-short.txt"),
        ("dtbo --help", "kbt-dtbo.txt"),
        ("dtbo pack --help", "kbt-dtbo-pack.txt"),
        ("dtbo unpack --help", "kbt-dtbo-unpack.txt"),
        ("dtbo dump --help", "kbt-dtbo-dump.txt"),
        ("dtbo list --help", "kbt-dtbo-list.txt"),
        ("dtbo extract --help", "kbt-dtbo-extract.txt"),
        ("depmod --help", "kbt-depmod.txt"),
        ("depmod graph --help", "kbt-depmod-graph.txt"),
        ("kallsyms pad --help", "kbt-kallsyms-pad.txt"),
        ("kallsyms patch --help", "kbt-kallsyms-patch.txt"),
        ("kallsyms offset --help", "kbt-kallsyms-offset.txt"),
        ("kallsyms patchfile --help", "kbt-kallsyms-patchfile.txt"),
        ("jobserver --help", "kbt-jobserver.txt"),
        ("jobserver exec --help", "kbt-jobserver-exec.txt"),
        ("jobserver exec -h", "kbt-jobserver-exec-short.txt"),
        ("jobserver pool --help", "kbt-jobserver-pool.txt"),
        ("jobserver status --help", "kbt-jobserver-status.txt"),
    ] {
        let output = room.run(words);
        ok(&output);
        golden::compare(name, &output.stdout);
    }
    golden::compare("fdtoverlay.txt", &room.fdtoverlay("--help").stdout);
    let output = room.kbt().arg0("jobserver-exec").arg("--help").output().unwrap();
    ok(&output);
    golden::compare("jobserver-exec.txt", &output.stdout);
    for (words, name) in [("help", "mkdtboimg.txt"), ("help all", "mkdtboimg-all.txt")] {
        let output = room.kbt().arg0("mkdtboimg.py").args(words.split_whitespace()).output().unwrap();
        ok(&output);
        golden::compare(name, &output.stdout);
    }
    let version = room.run("--version");
    assert_eq!(String::from_utf8(version.stdout).unwrap(), format!("kbt {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn quiet_drops_warnings_and_deny_turns_them_into_errors() {
    let room = Room::new();
    let words = "dto apply base.dtb base.dtb -o out.dtb";
    let output = room.run(words);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "kbt: warning: base.dtb: the overlay has no fragment with an __overlay__; nothing to merge\n"
    );
    ok(&room.run(&format!("{words} -q")));
    fs::remove_file(room.path("out.dtb")).unwrap();
    let output = room.run(&format!("{words} --deny-warnings"));
    assert_eq!(output.status.code(), Some(1));
    assert!(!room.path("out.dtb").exists());
}

#[test]
fn names_that_are_not_utf_8() {
    use std::os::unix::ffi::OsStrExt as _;
    let room = Room::new();
    let name = std::ffi::OsStr::from_bytes(b"over\xff.dtbo");
    fs::copy(room.path(FIRST), room.0.path().join(name)).unwrap();
    let output = room.kbt().args(["dto", "apply", BASE]).arg(name).args(["-o", "out.dtb"]).output().unwrap();
    ok(&output);
    assert!(room.bytes("out.dtb") == room.merged());
}

#[test]
fn fdtoverlay_has_its_own_command_line() {
    let room = Room::new();
    let expected = room.merged();
    for words in [
        "-i base.dtb -o out.dtb overlay1.dtbo",
        "overlay1.dtbo --output=out.dtb --input base.dtb",
        "-ibase.dtb -oout.dtb overlay1.dtbo",
        "--inp base.dtb --out out.dtb overlay1.dtbo",
    ] {
        ok(&room.fdtoverlay(words));
        assert!(room.bytes("out.dtb") == expected, "{words}");
        fs::remove_file(room.path("out.dtb")).unwrap();
    }
    let output = room.fdtoverlay("-v -i base.dtb -o out.dtb overlay1.dtbo");
    ok(&output);
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "input  = base.dtb\noutput = out.dtb\noverlay[0] = overlay1.dtbo\n"
    );
}

#[test]
fn words_that_nobody_takes_do_not_end_a_run() {
    let room = Room::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = room.kbt();
    command.arg0("fdtoverlay").args("-v -i base.dtb -o out.dtb overlay1.dtbo".split_whitespace());
    assert!(command.stdout(full).status().unwrap().success());
    assert!(room.bytes("out.dtb") == room.merged());
}

#[test]
fn fdtoverlay_refuses_with_1() {
    let room = Room::new();
    for words in ["", "-i base.dtb -o out.dtb", "-i base.dtb overlay1.dtbo", "-o out.dtb overlay1.dtbo", "-x"]
    {
        assert_eq!(room.fdtoverlay(words).status.code(), Some(1), "{words}");
    }
    let output = room.fdtoverlay("-i overlay2.dtbo -o out.dtb overlay1.dtbo");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.starts_with("fdtoverlay: error: overlay1.dtbo: fragment@0: property 'target': label"),
        "{stderr}"
    );
    assert!(!room.path("out.dtb").exists());
}

#[test]
fn a_closed_standard_output_is_no_success() {
    let room = Room::new();
    let run = |words: &str| {
        let line = format!("exec \"$0\" {words} >&-");
        let mut command = Command::new("sh");
        command.args(["-c", &line, env!("CARGO_BIN_EXE_kbt")]).current_dir(room.path(""));
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let lost = "kbt: error: standard output: cannot write: Bad file descriptor\n";
    for words in ["dto apply -q base.dtb base.dtb -o -", "jobserver status", "jobserver status --json"] {
        assert_eq!(run(words), (Some(1), lost.to_owned()), "{words}");
    }
    assert_eq!(run("--version"), (Some(1), lost.to_owned()));
    assert_eq!(run("dto lint base.dtb base.dtb"), (Some(1), lost.to_owned()));
    assert_eq!(run("dto diff base.dtb overlay1.dtbo"), (Some(2), lost.to_owned()));
    assert_eq!(run("dto apply --json base.dtb overlay1.dtbo -o out.dtb"), (Some(1), lost.to_owned()));
    assert!(!room.path("out.dtb").exists());
    // Nothing is to be written there.
    assert_eq!(run("dto apply -q base.dtb base.dtb -o out.dtb"), (Some(0), String::new()));
    assert_eq!(run("jobserver exec true"), (Some(0), String::new()));
}
