//! `kbt kallsyms pad` and `patch` around real links: small kernels of each layout, on the machines that Linux runs on.

#![allow(clippy::unwrap_used)]

mod small_kernel;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kbt_testkit::require;
use small_kernel::{CROSS, GENERATIONS, Generation, I386, Machine, Room, X86_64, X86_64_PIE, has_tools};

/// One link, its patch, and all that must hold of it.
fn one_link(machine: Machine, generation: &Generation, options: &str) {
    let room = Room::new(machine);
    room.objects(generation);
    room.pad(options);
    room.link(&["vmlinux.o", "kallsyms.o"]);
    let (before, size) = (room.nm(), room.bytes("vmlinux").len());
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap System.map");
    assert_eq!(room.nm(), before, "{} {}", machine.name, generation.kernel);
    assert_eq!(room.bytes("vmlinux").len(), size);
    room.ok("kallsyms verify vmlinux");
    // The table has every line of nm, but for what this generation leaves out.
    let mut dumped: Vec<String> = room.ok("kallsyms dump vmlinux").lines().map(str::to_owned).collect();
    let arrays = |line: &String| line.contains(" kallsyms_");
    let mut expected: Vec<String> = before
        .iter()
        .filter(|line| generation.kernel >= "6.12" && generation.kernel != "5.10" || !arrays(line))
        .cloned()
        .collect();
    dumped.sort();
    expected.sort();
    assert_eq!(dumped, expected, "{} {}", machine.name, generation.kernel);
    assert!(dumped.len() > 1200);
    let map = String::from_utf8(room.bytes("System.map")).unwrap();
    assert_eq!(map.lines().collect::<Vec<_>>(), before);
    // Nothing is left to do.
    let json = room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --json");
    assert!(json.contains("\"changed\":false"), "{json}");
    // The names that had waited are gone: parsing them gives the same.
    let patched = room.bytes("vmlinux");
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --optimal");
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --in-place");
    assert!(room.bytes("vmlinux") == patched, "{} {}", machine.name, generation.kernel);
}

#[test]
fn one_link_is_enough_in_every_layout() {
    for generation in &GENERATIONS {
        one_link(X86_64, generation, "");
        one_link(I386, generation, "");
        // The linker makes _DYNAMIC and _GLOBAL_OFFSET_TABLE_.
        one_link(X86_64_PIE, generation, "");
    }
    // CONFIG_RELOCATABLE.
    one_link(I386, &GENERATIONS[4], "--pc-relative");
}

#[test]
fn one_link_is_enough_on_other_machines() {
    for machine in CROSS {
        require!(has_tools(&machine));
        for generation in &GENERATIONS {
            one_link(machine, generation, "");
        }
        if machine.word != ".quad" {
            one_link(machine, &GENERATIONS[4], "--pc-relative");
        }
    }
}

#[test]
fn the_room_is_tight() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    let json = room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --json");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for (array, needed) in json["needed"].as_object().unwrap() {
        let room = json["room"][array].as_u64().unwrap();
        // PROVIDE has made nothing of one name.
        assert!(room - needed.as_u64().unwrap() <= 16, "{array}: {needed} of {room}");
    }
}

/// Where a name stays away, the base has to fit behind the last offset, whatever the number of symbols.
#[test]
fn the_room_of_the_offsets_is_whole_words() {
    let mut rooms = Vec::new();
    for more in 0..2 {
        let room = Room::new(X86_64);
        room.objects(&GENERATIONS[3]);
        room.assemble("more", &"\t.globl more\nmore:\n\t.long 1\n".repeat(more));
        room.ok("kallsyms pad vmlinux.o more.o --lds vmlinux.lds --all-symbols --pad-file p -o k.o");
        let record = String::from_utf8(room.bytes("p")).unwrap();
        let size = record.split("slot kallsyms_offsets ").nth(1).unwrap().lines().next().unwrap();
        rooms.push(size.parse::<u64>().unwrap());
    }
    // 4 bytes an offset: one of the two has an odd number.
    assert!(rooms.iter().all(|size| size % 8 == 0), "{rooms:?}");
}

#[test]
fn in_place_a_copy_and_another_file_are_the_same() {
    let room = Room::padded(X86_64, &GENERATIONS[4]);
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad -o patched");
    let before = room.bytes("vmlinux");
    assert!(before != room.bytes("patched"));
    fs::copy(room.path("vmlinux"), room.path("copy")).unwrap();
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --in-place");
    room.ok("kallsyms patch copy --pad-file kallsyms.pad");
    assert!(room.bytes("vmlinux") == room.bytes("patched"));
    assert!(room.bytes("copy") == room.bytes("patched"));
    assert!(!room.path("vmlinux.kbt-undo").exists());
    // Without a record: the tokens that wait in the image, all symbols as there is room.
    fs::write(room.path("vmlinux"), before).unwrap();
    room.ok("kallsyms patch vmlinux");
    assert!(room.bytes("vmlinux") == room.bytes("patched"));
}

#[test]
fn what_does_not_fit_changes_nothing_and_says_what_would() {
    let room = Room::new(X86_64);
    room.objects(&GENERATIONS[3]);
    let more: String = (0..600)
        .map(|number| format!("\t.globl open_{number}_show\nopen_{number}_show:\n\t.long 1\n"))
        .collect();
    room.assemble("more", &more);
    room.pad("");
    room.link(&["vmlinux.o", "more.o", "kallsyms.o"]);
    let before = room.bytes("vmlinux");
    for options in ["", "--in-place", "-o other"] {
        let stderr = room.refused(&format!("kallsyms patch vmlinux --pad-file kallsyms.pad {options}"));
        let start = "kbt: error: not enough padding in vmlinux for the new kallsyms, ";
        assert!(stderr.starts_with(start), "{stderr}");
        assert!(stderr.contains(" bytes missing in kallsyms_names"), "{stderr}");
        assert!(stderr.contains("2396 bytes missing in kallsyms_offsets"), "{stderr}");
        assert!(room.bytes("vmlinux") == before && !room.path("other").exists());
        assert!(!room.path("vmlinux.kbt-undo").exists());
    }
    let stderr = room.refused("kallsyms patch vmlinux --pad-file kallsyms.pad");
    let digits = stderr.split("--slack ").nth(1).unwrap();
    let slack: u32 = digits.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    // One byte less is not enough, this is.
    room.pad(&format!("--slack {}", slack - 1));
    room.link(&["vmlinux.o", "more.o", "kallsyms.o"]);
    assert!(
        room.refused("kallsyms patch vmlinux --pad-file kallsyms.pad")
            .contains(" 1 bytes missing in kallsyms_names")
    );
    room.pad(&format!("--slack {slack}"));
    room.link(&["vmlinux.o", "more.o", "kallsyms.o"]);
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
    room.ok("kallsyms verify vmlinux");
}

#[test]
fn a_record_of_another_link_is_refused() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    let before = room.bytes("vmlinux");
    let record = String::from_utf8(room.bytes("kallsyms.pad")).unwrap();
    let tokens = record.split("tokens ").nth(1).unwrap();
    let turned = tokens.replacen("63", "64", 1);
    for (other, said) in [
        (record.replace("slot kallsyms_names ", "slot kallsyms_names 1"), "the pad file says 1"),
        (record.replace(tokens, &turned), "the tokens in it are not those of the pad file"),
        (record.replace("class 64", "class 32"), "word size or byte order are not those of the pad file"),
        (record.replace("kernel 6.12", "kernel 6.13"), "line 2 is not understood"),
        (String::new(), "this is no pad file"),
    ] {
        fs::write(room.path("other.pad"), other).unwrap();
        let stderr = room.refused("kallsyms patch vmlinux --pad-file other.pad --in-place");
        assert!(stderr.contains(said), "{stderr}");
        assert!(stderr.contains("hint:"), "{stderr}");
        assert!(room.bytes("vmlinux") == before);
    }
    let stderr = room.refused("kallsyms patch vmlinux.o");
    assert!(stderr.contains("there is no symbol table of a kernel (kallsyms)"), "{stderr}");
}

/// sorttable sorts tables of the kernel in place, and System.map is made of symbols: neither sees the table, which sees
/// neither of them.
#[test]
fn the_patch_may_come_before_or_after_what_sorts_tables() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    fs::copy(room.path("vmlinux"), room.path("sorted-first")).unwrap();
    let sort = |file: &str| {
        let place = room.ok(&format!("kallsyms offset {file} sorted --size 16"));
        fs::write(room.path("sorted"), [0_u32, 1, 2, 3].map(u32::to_le_bytes).concat()).unwrap();
        room.ok(&format!("kallsyms patchfile {file} {} sorted", place.trim()));
    };
    sort("sorted-first");
    room.ok("kallsyms patch sorted-first --pad-file kallsyms.pad");
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap before.map");
    sort("vmlinux");
    assert!(room.bytes("vmlinux") == room.bytes("sorted-first"));
    room.ok("kallsyms verify vmlinux");
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap after.map");
    assert!(room.bytes("before.map") == room.bytes("after.map"));
}

#[test]
fn a_run_that_is_killed_is_undone() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    let before = room.bytes("vmlinux");
    let words = ["kallsyms", "patch", "vmlinux", "--pad-file", "kallsyms.pad", "--in-place"];
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.current_dir(room.path("")).args(words).stderr(Stdio::null()).spawn().unwrap()
    };
    let start = Instant::now();
    assert!(run().wait().unwrap().success());
    // Where other work makes it slow, not all of it is tried.
    let whole = start.elapsed().min(Duration::from_millis(300));
    let after = room.bytes("vmlinux");
    for step in 0..40 {
        fs::write(room.path("vmlinux"), &before).unwrap();
        let mut child = run();
        thread::sleep(whole * step / 40);
        let _ = child.kill();
        child.wait().unwrap();
        let undone = room.kbt("kallsyms patch vmlinux --undo");
        let found = room.bytes("vmlinux");
        assert!(found == before || found == after, "killed after {:?}", whole * step / 40);
        assert!(!room.path("vmlinux.kbt-undo").exists());
        if undone.status.success() {
            assert!(found == before);
        }
    }
    assert!(
        room.refused("kallsyms patch vmlinux --undo").contains("no killed run has left anything to undo")
    );
}

#[test]
fn what_is_no_undo_file_is_refused() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    let before = room.bytes("vmlinux");
    for target in ["/dev/full", "vmlinux", "nowhere"] {
        std::os::unix::fs::symlink(target, room.path("vmlinux.kbt-undo")).unwrap();
        for words in ["--undo", "--pad-file kallsyms.pad --in-place"] {
            let stderr = room.refused(&format!("kallsyms patch vmlinux {words}"));
            assert!(
                stderr.contains("vmlinux.kbt-undo: this is no file that a killed run could have left"),
                "{stderr}"
            );
        }
        assert!(room.bytes("vmlinux") == before);
        fs::remove_file(room.path("vmlinux.kbt-undo")).unwrap();
    }
    // One that was torn, or is of another file, is told and taken away.
    fs::write(room.path("vmlinux.kbt-undo"), "KBTUNDO1").unwrap();
    let output = room.kbt("kallsyms patch vmlinux --pad-file kallsyms.pad --in-place");
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("it was made anew"));
    assert!(!room.path("vmlinux.kbt-undo").exists());
}

#[test]
fn a_full_disk_changes_nothing() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    let size = room.bytes("vmlinux").len() / 1024 + 8;
    fs::create_dir(room.path("disk")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size={size}k tmpfs disk && cp vmlinux kallsyms.pad disk && cd disk && \
         {{ {0} kallsyms patch vmlinux --pad-file kallsyms.pad; echo $?; \
         {0} kallsyms patch vmlinux --pad-file kallsyms.pad --in-place --sysmap ../map --depfile ../map.d; echo $?; \
         cmp vmlinux ../vmlinux; echo $?; ls -A; ls ../map* | wc -l; }}",
        env!("CARGO_BIN_EXE_kbt")
    );
    let mut command = Command::new("unshare");
    let output = command.args(["-rm", "sh", "-c", &script]).current_dir(room.path("")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.contains("unshare") || stderr.contains("mount") {
        kbt_testkit::peers::skip(
            "a_full_disk_changes_nothing",
            &format!("no tmpfs by 'unshare -rm': {stderr}"),
        );
        return;
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1\n1\n0\nkallsyms.pad\nvmlinux\n0\n", "{stderr}");
    assert_eq!(stderr.matches("No space left on device").count(), 2, "{stderr}");
}

#[test]
fn a_stock_kernel_with_room_is_patched() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    // The table that the kernel's own generator would have made, linked as the last of three links.
    room.ok("kallsyms generate vmlinux --kernel 6.12 --all-symbols -o kallsyms.o");
    room.link(&["vmlinux.o", "kallsyms.o"]);
    room.ok("kallsyms generate vmlinux --kernel 6.12 --all-symbols -o kallsyms.o");
    room.link(&["vmlinux.o", "kallsyms.o"]);
    let stock = room.bytes("vmlinux");
    room.ok("kallsyms verify vmlinux");
    for options in ["", "--relearn", "--relearn --all-symbols --kernel 6.12"] {
        let json = room.ok(&format!("kallsyms patch vmlinux --json {options}"));
        assert!(json.contains("\"changed\":false"), "{options}: {json}");
        assert!(room.bytes("vmlinux") == stock);
    }
    room.ok("kallsyms patch vmlinux --optimal");
    assert!(room.bytes("vmlinux") != stock);
    room.ok("kallsyms verify vmlinux");
    room.ok("kallsyms patch vmlinux --relearn --in-place");
    assert!(room.bytes("vmlinux") == stock);
}

#[test]
fn sections_and_bytes() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    let offset: usize = room.ok("kallsyms offset vmlinux sorted").trim().parse().unwrap();
    assert_eq!(room.bytes("vmlinux")[offset..offset + 4], [3, 0, 0, 0]);
    assert!(
        room.refused("kallsyms offset vmlinux sorted --size 0x14")
            .contains("section sorted has 16 bytes, 4 too few")
    );
    assert!(room.refused("kallsyms offset vmlinux nowhere").contains("there is no section nowhere"));
    assert!(room.refused("kallsyms offset vmlinux .bss").contains("section .bss takes no room in the file"));
    let before = room.bytes("vmlinux");
    fs::write(room.path("patch"), "abcdef").unwrap();
    let end = before.len() - 5;
    assert!(
        room.refused(&format!("kallsyms patchfile vmlinux {end} patch"))
            .contains("end 1 bytes behind its end")
    );
    assert!(room.bytes("vmlinux") == before);
    room.ok(&format!("kallsyms patchfile vmlinux {end} patch 5"));
    assert_eq!(room.bytes("vmlinux")[end..], *b"abcde");
    let output = room.kbt(&format!("kallsyms patchfile vmlinux {:#x} patch 0x10 --in-place", end - 1));
    assert!(output.status.success());
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(warning.contains("it has 6 bytes, fewer than 16: all of them are written"), "{warning}");
    assert_eq!(room.bytes("vmlinux")[end - 1..], *b"abcdef");
    assert_eq!(room.bytes("vmlinux").len(), before.len());
}
