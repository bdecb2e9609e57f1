//! No result replaces an input: every command that writes, every result, every input, under other names too.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod writers;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use writers::{CASES, inputs, room};

const KBT: &str = env!("CARGO_BIN_EXE_kbt");

fn kbt(room: &Path, words: &str, more: &[&str]) -> Output {
    Command::new(KBT)
        .args(words.split(' '))
        .args(more)
        .current_dir(room)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// That no byte of an input has changed.
fn are_whole(room: &Path, files: &BTreeMap<&str, Vec<u8>>, what: &str) {
    for (name, bytes) in files {
        assert!(fs::read(room.join(name)).unwrap() == *bytes, "{what}: {name} was replaced");
    }
}

#[test]
fn a_result_that_is_an_input_is_refused() {
    let files = inputs();
    for case in CASES {
        for output in case.outputs.iter().chain([&"d"]).filter(|output| !files.contains_key(**output)) {
            for input in case.inputs {
                for hard in [true, false] {
                    let what = format!("{}: {output} is {input}, {hard}", case.words);
                    let room = room(files.iter());
                    let (link, target) = (room.path().join(output), room.path().join(input));
                    fs::create_dir_all(link.parent().unwrap()).unwrap();
                    match hard {
                        true => fs::hard_link(&target, &link).unwrap(),
                        false => symlink(&target, &link).unwrap(),
                    }
                    let told = kbt(room.path(), case.words, &["--depfile", "d"]);
                    let said = String::from_utf8_lossy(&told.stderr).into_owned();
                    let of = |command: &str| case.words.starts_with(command) && *output != "d";
                    // A tree may become the merged one, but no image that it is an entry of; a kernel the patched one.
                    if *output == "out"
                        && (of("dto apply ") && !case.words.contains(&format!("{input}#"))
                            || of("kallsyms patch ") && *input == "vmlinux")
                    {
                        assert_eq!(told.status.code(), Some(0), "{what}: {said}");
                        continue;
                    }
                    are_whole(room.path(), &files, &what);
                    // Where the name itself is replaced a symbolic link is no way to the input.
                    if !hard && (of("dtbo unpack ") || of("depmod -b")) {
                        assert_eq!(told.status.code(), Some(0), "{what}: {said}");
                        continue;
                    }
                    assert_eq!(told.status.code(), Some(2), "{what}: {said}");
                    let refused = "this result would replace an input";
                    assert!(
                        said.contains(refused) && said.contains("hint: name another file"),
                        "{what}: {said}"
                    );
                }
            }
        }
    }
}

/// Runs that would cost an input, in ways of their own.
#[test]
fn however_it_is_named() {
    let files = inputs();
    let room = room(files.iter());
    assert!(kbt(room.path(), "dtbo pack base.dtb -o bases", &[]).status.success());
    let bases = fs::read(room.path().join("bases")).unwrap();
    for words in [
        "dto show o1.dtbo -o o1.dtbo",
        "dto show o1.dtbo -o ./trees/../o1.dtbo",
        "dto lint base.dtb o1.dtbo --sarif base.dtb",
        // An entry's tree is not its image.
        "dto apply bases#0 o1.dtbo -o bases",
        "dto apply base.dtb image#0 -o image",
        "dto show image#0 -o image",
        "dtbo extract image 0 -o image",
        "dtbo dump image -o image",
        "dtbo pack o1.dtbo,id=1 -o o1.dtbo",
        "kallsyms generate vmlinux --kernel 6.12 -o vmlinux",
        "kallsyms patch vmlinux --in-place --sysmap vmlinux",
        "kallsyms patch vmlinux --pad-file kallsyms.pad -o kallsyms.pad",
        "kallsyms patchfile vmlinux 0 ./vmlinux",
        "kallsyms patchfile vmlinux 0 ./vmlinux --in-place",
        // Files that were found and are not tried.
        "dto matrix --bases trees --overlays trees --config matrix.conf --report trees/c/unused.dtb",
    ] {
        fs::create_dir_all(room.path().join("trees/c")).unwrap();
        fs::copy(room.path().join("base.dtb"), room.path().join("trees/c/unused.dtb")).unwrap();
        let output = kbt(room.path(), words, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{words}: {said}");
        assert!(said.contains("would replace an input"), "{words}: {said}");
        are_whole(room.path(), &files, words);
        assert!(fs::read(room.path().join("bases")).unwrap() == bases, "{words}");
        assert!(fs::read(room.path().join("trees/c/unused.dtb")).unwrap() == files["base.dtb"], "{words}");
    }
}

#[test]
fn the_merged_tree_may_take_the_place_of_what_it_was_merged_from() {
    let files = inputs();
    let room = room(files.iter());
    let merge = |out: &str| {
        let output = kbt(room.path(), "dto apply base.dtb o1.dtbo o2.dtbo -o", &[out]);
        assert!(output.status.success(), "{out}: {}", String::from_utf8_lossy(&output.stderr));
        fs::read(room.path().join(out)).unwrap()
    };
    let merged = merge("other.dtb");
    are_whole(room.path(), &files, "another file");
    for input in ["base.dtb", "o1.dtbo", "o2.dtbo"] {
        assert!(merge(input) == merged, "{input}");
        fs::write(room.path().join(input), &files[input]).unwrap();
    }
}

#[test]
fn an_input_without_a_name_is_one() {
    let files = inputs();
    let room = room(files.iter());
    let script = "exec \"$0\" dto show - -o o1.dtbo < o1.dtbo";
    let output = Command::new("sh").args(["-c", script, KBT]).current_dir(room.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("o1.dtbo: this result would replace an input, standard input"), "{said}");
    // A descriptor's file, which is written to.
    let script = "exec \"$0\" dto show o1.dtbo -o /dev/fd/3 3<> o1.dtbo";
    let output = Command::new("sh").args(["-c", script, KBT]).current_dir(room.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    are_whole(room.path(), &files, "descriptors");
    // What keeps nothing can be both.
    let output = kbt(room.path(), "depmod graph -b . -C /dev/null -k 6.1.0 -o /dev/null", &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_tools_that_kbt_stands_in_for_spare_them_too() {
    let files = inputs();
    let room = room(files.iter());
    fs::write(room.path().join("pack.cfg"), "o1.dtbo\n").unwrap();
    let link = room.path().join("mkdtboimg");
    symlink(KBT, &link).unwrap();
    for words in [
        "create o1.dtbo o1.dtbo",
        "create o1.dtbo o2.dtbo ./o1.dtbo",
        "cfg_create o1.dtbo pack.cfg",
        "cfg_create pack.cfg pack.cfg",
        "dump image -o image",
    ] {
        let output = Command::new(&link).args(words.split(' ')).current_dir(room.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains("would replace an input"), "{words}: {said}");
        are_whole(room.path(), &files, words);
        assert_eq!(fs::read(room.path().join("pack.cfg")).unwrap(), b"o1.dtbo\n", "{words}");
    }
}

#[test]
fn one_standard_output_takes_one_result() {
    let files = inputs();
    let room = room(files.iter());
    for words in [
        "dto matrix --bases trees --overlays trees --report - --junit -",
        "dto matrix --bases trees --overlays trees --report - --junit /dev/stdout",
        "kallsyms pad vmlinux.o --lds vmlinux.lds -o - --pad-file -",
    ] {
        let output = kbt(room.path(), words, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{words}: {said}");
        assert!(said.contains("two results of this run would go to standard output"), "{words}: {said}");
    }
    // And `-` is standard output wherever a result is named.
    let output = kbt(room.path(), "kallsyms patch vmlinux --sysmap - -o out", &[]);
    assert!(output.status.success() && output.stdout.starts_with(b"ffff"), "{output:?}");
    let output = kbt(room.path(), "kallsyms patch vmlinux -o -", &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!room.path().join("-").exists());
}

#[test]
fn standard_output_that_is_an_input_is_refused() {
    let files = inputs();
    for (words, opened) in [
        ("dto apply base.dtb o1.dtbo -o -", ">>base.dtb"),
        ("dto apply base.dtb o1.dtbo -o -", "1<>o1.dtbo"),
        ("dto show base.dtb", ">>base.dtb"),
        ("kallsyms dump vmlinux -o -", ">>vmlinux"),
    ] {
        let room = room(files.iter());
        let line = format!("exec \"$0\" {words} {opened}");
        let told = Command::new("sh").args(["-c", &line, KBT]).current_dir(room.path()).output().unwrap();
        let said = String::from_utf8_lossy(&told.stderr).into_owned();
        are_whole(room.path(), &files, &line);
        assert_eq!(told.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains("standard output: this result would go into an input, "), "{line}: {said}");
    }
}
