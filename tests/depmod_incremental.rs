//! `kbt depmod --incremental`: what is kept, what is believed, and that the outputs are those of a full run.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test's helpers fail as its body does")]

mod depmod_room;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use depmod_room::{Room, VERSION, as_user, module, stderr};
use kbt_testkit::module::{Encoding, Module, OUTPUTS};
use kbt_testkit::{peers, random::Random};
use serde_json::Value;

#[test]
fn incremental_reads_only_what_changed() {
    let room = Room::small();
    let cache = format!("--incremental={}", room.root().join("cache").display());
    thread::sleep(Duration::from_millis(50));
    let reused = || {
        let output = room.ok(&[&cache, "--json"]);
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        let files = result["files"].as_object().unwrap();
        assert_eq!(files.len(), 11, "{files:?}");
        assert!(files.iter().all(|(name, size)| *size == room.outputs()[name.as_str()].len()));
        result["reused"].as_u64().unwrap()
    };
    assert_eq!(reused(), 0);
    assert_eq!(reused(), 3);
    let before = room.outputs();
    let index = fs::metadata(room.modules().join("modules.alias.bin")).unwrap().ino();
    room.module("kernel/a.ko", &module("1").import("from_c"));
    thread::sleep(Duration::from_millis(50));
    assert_eq!(reused(), 2);
    assert_ne!(room.outputs()["modules.dep"], before["modules.dep"]);
    assert_eq!(fs::metadata(room.modules().join("modules.alias.bin")).unwrap().ino(), index, "it was right");
    room.ok(&["-o", room.root().join("full").to_str().unwrap()]);
    assert_eq!(room.outputs(), room.outputs_at(&room.root().join("full")));
}

#[test]
fn times_of_another_file_system_are_not_believed() {
    // The image of a file system has the times that its maker wrote, and another one may be mounted at the same place.
    let room = Room::small();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        peers::skip("times_of_another_file_system_are_not_believed", &"nothing can be made in /dev/shm");
        return;
    };
    let device = |path: &Path| fs::metadata(path).unwrap().dev();
    if device(other.path()) == device(room.root()) {
        peers::skip(
            "times_of_another_file_system_are_not_believed",
            &"/dev/shm is no file system of its own",
        );
        return;
    }
    let cache = format!("--incremental={}", other.path().join("cache").display());
    thread::sleep(Duration::from_millis(50));
    let reused = |words: &[&str]| {
        let output = room.ok(&[words, &["--json"]].concat());
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        result["reused"].as_u64().unwrap()
    };
    let here = format!("--incremental={}", room.root().join("cache").display());
    assert_eq!([reused(&[&here]), reused(&[&here])], [0, 3]);
    let is_lasting = ["/", "/usr"].iter().any(|path| device(Path::new(path)) == device(room.root()));
    assert_eq!([reused(&[&cache]), reused(&[&cache])], [0, if is_lasting { 3 } else { 0 }]);
    // The modules lie on the other one.
    fs::rename(room.modules().join("kernel"), room.root().join("away")).unwrap();
    let copied =
        Command::new("cp").arg("-r").arg(room.root().join("away")).arg(other.path().join("kernel")).status();
    assert!(copied.unwrap().success());
    std::os::unix::fs::symlink(other.path().join("kernel"), room.modules().join("kernel")).unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!([reused(&[&here]), reused(&[&here])], [0, 0]);
    assert_eq!([reused(&[&here, "--verify"]), reused(&[&here, "--verify"])], [0, 3]);
}

#[test]
fn a_cache_that_is_no_file_of_ours_is_not_waited_for() {
    let room = Room::small();
    let cache = room.root().join("cache");
    let word = format!("--incremental={}", cache.display());
    room.ok(&[&word]);
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    for spoil in
        ["rm $1; mkfifo $1", "rm $1; truncate -s 15T $1", "rm $1; ln -s /dev/zero $1", "mkfifo $1.changes"]
    {
        let spoilt = Command::new("sh").args(["-c", spoil, "sh"]).arg(&file).status().unwrap();
        assert!(spoilt.success(), "{spoil}");
        room.ok(&[&word]);
    }
}

#[test]
fn without_a_place_nothing_is_kept_and_told() {
    let room = Room::small();
    let mut command = as_user(&room, &["--incremental", "-o", room.root().join("out").to_str().unwrap()]);
    fs::create_dir(room.root().join("out")).unwrap();
    fs::set_permissions(room.root().join("out"), fs::Permissions::from_mode(0o777)).unwrap();
    let output = command.env_remove("HOME").env_remove("XDG_CACHE_HOME").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("nothing is kept: neither XDG_CACHE_HOME nor HOME"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_broken_cache_is_no_cache() {
    let room = Room::small();
    let cache = room.root().join("cache");
    let word = format!("--incremental={}", cache.display());
    thread::sleep(Duration::from_millis(50));
    room.ok(&[&word]);
    let expected = room.outputs();
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&file).unwrap();
    for at in [0, 9, good.len() / 2, good.len() - 1] {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes[..]).unwrap();
        room.ok(&[&word]);
        assert_eq!(room.outputs(), expected);
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let output = room.ok(&[&word, "--json"]);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["reused"], 0, "a cache that others may write is not believed");
}

#[test]
fn an_output_that_others_may_write_does_not_stay() {
    let room = Room::small();
    let word = format!("--incremental={}", room.root().join("cache").display());
    let aliases = room.modules().join("modules.alias");
    let mode = || fs::metadata(&aliases).unwrap().mode() & 0o777;
    for _ in 0..3 {
        room.ok(&[&word]);
        assert_eq!(mode(), 0o644);
        fs::set_permissions(&aliases, fs::Permissions::from_mode(0o666)).unwrap();
    }
}

#[test]
fn facts_that_are_broken_are_read_anew() {
    let room = Room::small();
    let cache = room.root().join("cache");
    let word = format!("--incremental={}", cache.display());
    room.write("kernel/bad.ko", b"no module");
    thread::sleep(Duration::from_millis(50));
    room.ok(&[&word]);
    let file = fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    // The last fact of the last module. While nothing changes nobody looks at it.
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, &bytes).unwrap();
    room.ok(&[&word]);
    let full = room.root().join("full");
    let told = stderr(&room.ok(&["-o", full.to_str().unwrap()]));
    assert_eq!(room.outputs(), room.outputs_at(&full));
    room.module("kernel/b.ko", &module("new").export("from_b", 9).export("more", 1).import("from_c"));
    let output = room.ok(&[&word]);
    assert_eq!(stderr(&output), told, "each message once");
    room.ok(&["-o", full.to_str().unwrap()]);
    assert_eq!(room.outputs(), room.outputs_at(&full));
}

#[test]
fn a_module_of_another_name_with_the_same_facts_is_another() {
    let room = Room::new();
    let word = format!("--incremental={}", room.root().join("cache").display());
    room.module("kernel/old.ko", &module("1").export("mine", 1).info("softdep", "pre: x"));
    thread::sleep(Duration::from_millis(50));
    room.ok(&[&word]);
    fs::rename(room.modules().join("kernel/old.ko"), room.modules().join("kernel/new.ko")).unwrap();
    room.ok(&[&word]);
    let full = room.root().join("full");
    room.ok(&["-o", full.to_str().unwrap()]);
    assert_eq!(room.outputs(), room.outputs_at(&full));
    assert!(String::from_utf8_lossy(&room.outputs()["modules.alias"]).ends_with("alias test:1 new\n"));
}

#[test]
fn what_is_told_is_told_each_time() {
    let room = Room::small();
    room.module("kernel/odd.ko", &module("[").info("alias", "devname:odd").info("alias", "odd"));
    fs::remove_file(room.modules().join("modules.builtin")).unwrap();
    room.write("modules.builtin.modinfo", b"inside.alias=x[\0");
    let word = format!("--incremental={}", room.root().join("cache").display());
    let full = stderr(&room.ok(&["-o", room.root().join("full").to_str().unwrap()]));
    for part in
        ["Unmatched bracket in test:[", "lacks major", "modules.builtin at", "Unmatched bracket in x["]
    {
        assert!(full.contains(part), "{full}");
    }
    for _ in 0..3 {
        thread::sleep(Duration::from_millis(50));
        assert_eq!(stderr(&room.ok(&[&word])), full);
    }
    // And where more than files is asked for, all of it comes.
    for words in [&["-v"][..], &["-n"], &["-w"], &["-e", "-F", "/dev/null"]] {
        let full = room.ok(&[words, &["-o", room.root().join("full").to_str().unwrap()]].concat());
        let again = room.ok(&[words, &[word.as_str()]].concat());
        assert_eq!((stderr(&again), again.stdout), (stderr(&full), full.stdout), "{words:?}");
    }
}

#[test]
fn what_a_kernel_exports_does_not_lose_dependencies() {
    let room = Room::small();
    let word = format!("--incremental={}", room.root().join("cache").display());
    thread::sleep(Duration::from_millis(50));
    let full = room.root().join("full");
    for words in [&["-E", "/dev/null"][..], &["-F", "/dev/null"], &["-P", "_"]] {
        room.ok(&[words, &["-o", full.to_str().unwrap()]].concat());
        for _ in 0..3 {
            room.ok(&[words, &[word.as_str()]].concat());
            assert_eq!(room.outputs(), room.outputs_at(&full), "{words:?}");
        }
    }
}

#[test]
fn a_layer_below_an_overlay_may_change_without_a_trace() {
    // A directory of two layers has the state of the upper one, whatever modules the lower one gets while it is not mounted.
    let room = Room::small();
    let lower = room.root().join("lower");
    fs::create_dir(&lower).unwrap();
    fs::rename(room.root().join("lib"), lower.join("lib")).unwrap();
    let (new, dkms) = (room.root().join("new.ko"), room.root().join("dkms.ko"));
    fs::write(&new, module("new").import("from_c").write()).unwrap();
    fs::write(&dkms, module("dkms").import("from_c").write()).unwrap();
    let script = format!(
        "set -e; cd {root}; mkdir upper work lib; \
         layers() {{ mount -t overlay -o userxattr,lowerdir=lower,upperdir=upper,workdir=work overlay lib; }}; \
         run() {{ {kbt} depmod -b lib -C /nonexistent --incremental=lib/cache -o incremental {VERSION}; }}; \
         layers; cp dkms.ko lib/{deep}; sleep .1; run; run; umount lib; \
         cp new.ko lower/{deep}; layers; run; \
         {kbt} depmod -b lib -C /nonexistent -o full {VERSION}; umount lib",
        root = room.root().display(),
        kbt = env!("CARGO_BIN_EXE_kbt"),
        deep = format_args!("lib/modules/{VERSION}/kernel/deep"),
    );
    let output = Command::new("unshare").args(["-rm", "sh", "-c", &script]).output().unwrap();
    let told = stderr(&output);
    if told.contains("unshare") || told.contains("mount:") {
        peers::skip(
            "a_layer_below_an_overlay_may_change_without_a_trace",
            &format!("no overlay by 'unshare -rm': {told}"),
        );
        return;
    }
    assert!(output.status.success(), "{told}");
    let outputs = room.outputs_at(&room.root().join("incremental"));
    assert!(
        String::from_utf8_lossy(&outputs["modules.dep"]).contains("kernel/deep/new.ko: kernel/deep/c-c.ko")
    );
    assert_eq!(outputs, room.outputs_at(&room.root().join("full")));
}

#[test]
fn a_directory_that_cannot_be_searched_has_no_modules() {
    let room = Room::small();
    for name in ["full", "incremental", "cache"] {
        fs::create_dir(room.root().join(name)).unwrap();
        fs::set_permissions(room.root().join(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    let word = |name: &str| room.root().join(name).to_str().unwrap().to_owned();
    let (full, incremental) = (["-o", &word("full")], ["-o", &word("incremental")]);
    let cache = format!("--incremental={}", word("cache"));
    let deep = room.modules().join("kernel/deep");
    thread::sleep(Duration::from_millis(50));
    for mode in [0o755, 0o755, 0o744, 0o744, 0o755] {
        fs::set_permissions(&deep, fs::Permissions::from_mode(mode)).unwrap();
        let expected = as_user(&room, &full).output().unwrap();
        let output = as_user(&room, &[&incremental[..], &[&cache]].concat()).output().unwrap();
        assert_eq!((expected.status.code(), stderr(&output)), (output.status.code(), stderr(&expected)));
        assert_eq!(
            room.outputs_at(&room.root().join("incremental")),
            room.outputs_at(&room.root().join("full"))
        );
        let outputs = room.outputs_at(&room.root().join("full"));
        let is_there = String::from_utf8_lossy(&outputs["modules.dep"]).contains("kernel/deep/c-c.ko:");
        assert_eq!(is_there, mode == 0o755);
        // kmod's words.
        let path = deep.join("c-c.ko");
        let told = format!("could not create module {}: Permission denied", path.display());
        assert_eq!(stderr(&expected).contains(&told), mode == 0o744, "{}", stderr(&expected));
    }
}

/// A module of the tree that [`change`] changes.
fn random_module(random: &mut Random) -> Module {
    let number = random.below(10);
    // Some export, some want what a later one may export: never each other. Many export one symbol.
    let own = Module::new(Encoding::X86_64);
    let own = if random.below(2) == 0 { own } else { own.info("alias", &format!("random:{number}")) };
    match number % 3 {
        0 => own.export(["r0", "r3"][number / 6], [1, 2][random.below(2)]).import("from_c"),
        1 => own.import(["r0", "r3", "r6"][number / 4]).info("softdep", &format!("pre: s{number}")),
        _ => own.import("from_c").import("from_b"),
    }
}

/// Some change of the tree.
fn change(room: &Room, random: &mut Random) {
    let name = format!("kernel/r{}.ko", random.below(12));
    let path = room.modules().join(&name);
    let own = random_module(random);
    let output = room.modules().join(OUTPUTS[random.below(OUTPUTS.len())]);
    match random.below(14) {
        // In place and of the same size; most often within one tick.
        0 | 1 => fs::write(&path, own.write()).unwrap(),
        // The same with the time of before.
        2 => {
            let modified = fs::metadata(&path).and_then(|status| status.modified());
            fs::write(&path, own.write()).unwrap();
            if let Ok(modified) = modified {
                fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
            }
        }
        3 => {
            let beside = room.root().join("beside");
            fs::write(&beside, own.write()).unwrap();
            fs::rename(beside, &path).unwrap();
        }
        4 => drop(fs::remove_file(&path)),
        5 => room.module(&format!("updates/r{}.ko", random.below(12)), &own),
        // Somebody edits, removes, or replaces what kbt wrote.
        6 => {
            let mut bytes = fs::read(&output).unwrap_or_default();
            if let Some(last) = bytes.last_mut() {
                *last ^= 1;
                fs::write(&output, bytes).unwrap();
            }
        }
        7 => drop(fs::remove_file(&output)),
        8 => {
            let text = format!("kernel/inside{}.ko\n", random.below(3));
            room.write("modules.builtin", text.as_bytes());
            drop(fs::remove_file(&output));
            std::os::unix::fs::symlink("modules.order", &output).unwrap();
        }
        9 => {
            let text: String =
                (0..random.below(4)).map(|number| format!("in{number}.alias=b{number}\0")).collect();
            room.write("modules.builtin.modinfo", text.as_bytes());
        }
        // Which of two counts, and which are looked at.
        10 => {
            let lines = ["search updates built-in\n", "search built-in updates\n", "override r3 * updates\n"];
            let excluded = format!("exclude r{}.ko\n", random.below(12));
            let text = [lines[random.below(3)], excluded.as_str()][..1 + random.below(2)].concat();
            fs::write(room.root().join("depmod.conf"), text).unwrap();
        }
        // What many want comes, goes, or is another's.
        11 => drop(fs::remove_file(room.modules().join("kernel/deep/c-c.ko"))),
        12 => room.module("kernel/deep/c-c.ko", &module("3").export("from_c", 8)),
        _ => {
            let order: String = (0..8).map(|_| format!("kernel/r{}.ko\n", random.below(12))).collect();
            room.write("modules.order", order.as_bytes());
        }
    }
}

#[test]
fn incremental_gives_the_bytes_of_a_full_run() {
    for (seed, verify) in [(1, false), (2, false), (3, true), (4, false)] {
        let room = Room::small();
        let cache = format!("--incremental={}", room.root().join("cache").display());
        let config = room.root().join("depmod.conf");
        let config = ["-C", config.to_str().unwrap()];
        let words: &[&str] = if verify {
            &[config[0], config[1], &cache, "--verify"]
        } else {
            &[config[0], config[1], &cache]
        };
        let full = room.root().join("full");
        let mut random = Random::new(seed);
        // So many that a few changes go to the small file.
        for number in 0..60 {
            room.module(&format!("kernel/f{number}.ko"), &module("f").import(&format!("r{}", number % 12)));
        }
        let mut changes = 0;
        for step in 0..40 {
            for _ in 0..random.below(4) {
                change(&room, &mut random);
            }
            if random.below(4) == 0 {
                let mut child = room.command(words).stderr(Stdio::null()).spawn().unwrap();
                thread::sleep(Duration::from_micros(random.below(20_000) as u64));
                let _ = child.kill();
                child.wait().unwrap();
                change(&room, &mut random);
            }
            room.ok(words);
            room.ok(&["-o", full.to_str().unwrap(), config[0], config[1]]);
            assert!(room.outputs() == room.outputs_at(&full), "seed {seed}, step {step}");
            let mut files = fs::read_dir(room.root().join("cache")).unwrap();
            changes +=
                usize::from(files.any(|file| file.unwrap().path().extension() == Some("changes".as_ref())));
        }
        assert!(changes > 0, "seed {seed}");
    }
}
