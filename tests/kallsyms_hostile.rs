//! `kbt kallsyms` and what goes wrong: damaged kernels, odd names, full disks, runs that are killed.

#![allow(clippy::unwrap_used, clippy::panic)]

mod small_kernel;

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kbt_elf::Image;
use kbt_kallsyms::{Array, Located};
use small_kernel::{GENERATIONS, Room, X86_64};

const KBT: &str = env!("CARGO_BIN_EXE_kbt");

/// Generation 6.12.
fn padded() -> Room {
    Room::padded(X86_64, &GENERATIONS[3])
}

/// Where an array starts in the file.
fn place(file: &[u8], array: Array) -> usize {
    let located = Located::by_symbols(&Image::parse(file).unwrap()).unwrap();
    usize::try_from(located.slot(array).unwrap().offset).unwrap()
}

/// Where the header of a section of a 64-bit file starts, and its offset and size.
fn section(file: &[u8], name: &[u8]) -> (usize, u64, u64) {
    let image = Image::parse(file).unwrap();
    let sections = image.sections().unwrap();
    let index = sections.iter().position(|section| sections.name(&section) == Some(name)).unwrap();
    let found = sections.get(index).unwrap();
    (usize::try_from(image.header().section_offset).unwrap() + 64 * index, found.offset, found.size)
}

#[test]
fn what_is_no_kernel_is_refused_by_every_command() {
    let room = padded();
    let before = room.bytes("vmlinux");
    fs::write(room.path("text"), "no ELF file at all, but a few words").unwrap();
    fs::write(room.path("empty"), "").unwrap();
    fs::write(room.path("cut"), &before[..before.len() / 2]).unwrap();
    room.tool("strip", &["-o", "stripped", "vmlinux"]);
    // One that may do without a table.
    let weak = Room::new(X86_64);
    weak.objects(&GENERATIONS[2]);
    weak.link(&["vmlinux.o"]);
    fs::write(room.path("bare"), weak.bytes("vmlinux")).unwrap();
    for (file, said) in [
        ("text", "not an ELF file"),
        ("empty", "not an ELF file"),
        ("cut", "section header table"),
        ("stripped", "there is no symbol table"),
        ("bare", "no symbol table of a kernel (kallsyms)"),
    ] {
        let bytes = room.bytes(file);
        for command in [
            format!("patch {file}"),
            format!("patch {file} --in-place"),
            format!("patch {file} --pad-file kallsyms.pad -o out"),
            format!("verify {file}"),
            format!("pad {file} --all-symbols -o out"),
        ] {
            // What asks for a table and has none is what `pad` reads.
            if file == "bare" && command.starts_with("pad") {
                continue;
            }
            let stderr = room.refused(&format!("kallsyms {command}"));
            assert!(stderr.contains(said), "{command}: {stderr}");
        }
        assert!(room.bytes(file) == bytes && !room.path("out").exists());
    }
}

#[test]
fn sections_that_overlap_are_refused() {
    let room = padded();
    let before = room.bytes("vmlinux");
    let names = place(&before, Array::Names) as u64;
    for name in [&b".data"[..], b".symtab", b".strtab"] {
        let (header, offset, _) = section(&before, name);
        let mut broken = before.clone();
        // Within the names, or far behind the end of the file.
        let to = if name == b".data" { names + 8 } else { offset };
        broken[header + 24..header + 32].copy_from_slice(&to.to_le_bytes());
        let size = if name == b".data" { 16 } else { (1 << 40) - offset };
        broken[header + 32..header + 40].copy_from_slice(&size.to_le_bytes());
        fs::write(room.path("broken"), &broken).unwrap();
        for options in ["", "--in-place", "--pad-file kallsyms.pad"] {
            let stderr = room.refused(&format!("kallsyms patch broken {options}"));
            let said = match name {
                b".data" => "kallsyms_names and section .data lie in the same bytes of the file",
                _ => "error: broken: ",
            };
            assert!(stderr.contains(said), "{options}: {stderr}");
            assert!(room.bytes("broken") == broken && !room.path("broken.kbt-undo").exists());
        }
    }
    // Two arrays in one place: neither has room.
    let mut broken = before.clone();
    let symbol = |name: &str| {
        let text = room.tool("readelf", &["-sW", "vmlinux"]);
        let line = text.lines().find(|line| line.ends_with(&format!(" {name}"))).unwrap();
        line.split(':').next().unwrap().trim().parse::<usize>().unwrap()
    };
    let (_, symtab, _) = section(&before, b".symtab");
    let value = |index: usize| usize::try_from(symtab).unwrap() + 24 * index + 8;
    let (from, to) = (value(symbol("kallsyms_names")), value(symbol("kallsyms_markers")));
    broken.copy_within(from..from + 8, to);
    fs::write(room.path("broken"), &broken).unwrap();
    let stderr = room.refused("kallsyms patch broken --pad-file kallsyms.pad");
    assert!(stderr.contains(" has 0 bytes, the pad file says "), "{stderr}");
    assert!(room.refused("kallsyms patch broken").contains(" bytes missing in kallsyms_"), "{stderr}");
}

#[test]
fn more_symbols_than_three_bytes_count() {
    let room = padded();
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
    let file = room.bytes("vmlinux");
    let at = place(&file, Array::NumSyms);
    for (count, said) in [
        (u32::MAX, "4294967295 symbols are more than the table's three-byte numbers count"),
        ((1 << 24) + 1, "16777217 symbols are more than the table's three-byte numbers count"),
        (1 << 24, "reaches out of the file"),
    ] {
        let mut broken = file.clone();
        broken[at..at + 4].copy_from_slice(&count.to_le_bytes());
        fs::write(room.path("broken"), &broken).unwrap();
        for command in ["verify", "dump"] {
            let stderr = room.refused(&format!("kallsyms {command} broken"));
            assert!(stderr.contains(said), "{command} {count}: {stderr}");
        }
    }
    // The sequence numbers themselves.
    let mut broken = file.clone();
    let at = place(&file, Array::SeqsOfNames);
    broken[at..at + 3].copy_from_slice(&[0xff; 3]);
    fs::write(room.path("broken"), &broken).unwrap();
    let stderr = room.refused("kallsyms verify broken");
    assert!(stderr.contains("16777215 is no symbol of the table"), "{stderr}");
}

#[test]
fn odd_names_go_through_or_are_left_out() {
    let room = Room::new(X86_64);
    room.objects(&GENERATIONS[3]);
    let (long, longest, utf8) = ("n".repeat(600), "m".repeat(511), "größe_🐧");
    let define = |name: &str| format!("\t.globl \"{name}\"\n\"{name}\":\n\t.long 1\n");
    room.assemble("odd", &[long.as_str(), &longest, utf8].map(define).concat());
    let bytes = b"\t.globl \"b\xff\x80\"\n\"b\xff\x80\":\n\t.long 1\n";
    fs::write(room.path("bytes.s"), bytes).unwrap();
    room.tool("as", &["--64", "-o", "bytes.o", "bytes.s"]);
    let objects = ["vmlinux.o", "odd.o", "bytes.o", "kallsyms.o"];
    let words = "--lds vmlinux.lds --all-symbols --pad-file kallsyms.pad -o kallsyms.o";
    room.ok(&format!("kallsyms pad vmlinux.o odd.o bytes.o {words}"));
    room.link(&objects);
    let output = room.kbt("kallsyms patch vmlinux --pad-file kallsyms.pad --in-place");
    let warning = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && warning.contains("has 600 bytes"), "{warning}");
    room.ok("kallsyms verify vmlinux");
    let dump = room.kbt("kallsyms dump vmlinux").stdout;
    let has = |name: &[u8]| dump.windows(name.len()).any(|window| window == name);
    assert!(has(longest.as_bytes()) && has(utf8.as_bytes()) && !has(long.as_bytes()) && has(b" b\xff\x80\n"));
    // Where JSON has no character for a byte, it has the bytes.
    let records: Vec<serde_json::Value> =
        serde_json::from_str(&room.ok("kallsyms dump vmlinux --format json")).unwrap();
    let record = |name: &str| records.iter().find(|record| record["name"] == name).unwrap();
    assert_eq!(record("b\u{fffd}\u{fffd}")["name_bytes"], "62ff80");
    assert!(record(utf8).get("name_bytes").is_none());
    // What no pad has waiting is parsed: a name of the last link alone.
    room.assemble("odd", &define("other"));
    room.link(&objects);
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
    room.ok("kallsyms verify vmlinux");
    let dump = room.kbt("kallsyms dump vmlinux").stdout;
    assert!(dump.windows(7).any(|window| window == b" other\n"));
    // A byte without a code.
    room.assemble("odd", &define("ÿ_new"));
    room.link(&objects);
    let before = room.bytes("vmlinux");
    let stderr = room.refused("kallsyms patch vmlinux --pad-file kallsyms.pad");
    assert!(stderr.contains("byte 0xbf of a name has no code") && stderr.contains("hint: "), "{stderr}");
    assert!(room.bytes("vmlinux") == before);
}

#[test]
fn zero_symbols() {
    let room = Room::new(X86_64);
    room.assemble("vmlinux", "\t.data\n");
    fs::write(room.path("vmlinux.lds"), "SECTIONS { .data : { *(.data) *(.rodata) } }\n").unwrap();
    room.link(&["vmlinux.o"]);
    // The linker has kept no symbol at all, and with them no table of them.
    let stderr = room.refused("kallsyms generate vmlinux --kernel 6.1 --all-symbols -o out.o");
    assert!(stderr.contains("no symbol"), "{stderr}");
    assert!(!room.path("out.o").exists());
    let stderr = room.refused("kallsyms pad vmlinux.o --all-symbols -o out.o");
    assert!(stderr.contains("no object asks for a table") || stderr.contains("no symbol table"), "{stderr}");
    // No text, and so no symbol of it: an empty table is fine from 6.12 on, and refused before.
    room.assemble("vmlinux", "\t.data\n\t.globl only\nonly:\n\t.long 1\n");
    room.link(&["vmlinux.o"]);
    let stderr = room.refused("kallsyms generate vmlinux --kernel 6.1 -o out.o");
    assert!(stderr.contains("no symbol is left for the table") && stderr.contains("_stext"), "{stderr}");
    assert!(!room.path("out.o").exists());
    room.ok("kallsyms generate vmlinux --kernel 6.12 -o out.o");
}

/// The commands that write a file, each with what it writes.
const WRITERS: [(&str, &str); 3] = [
    ("kallsyms generate vmlinux --kernel 6.12 --all-symbols -o out", "out"),
    ("kallsyms pad vmlinux.o --lds vmlinux.lds --all-symbols --pad-file out.pad -o out", "out"),
    ("kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap out.map", "vmlinux"),
];

#[test]
fn a_run_that_is_killed_leaves_nothing_or_all() {
    let room = padded();
    let original = room.bytes("vmlinux");
    for (words, written) in WRITERS {
        let run = || {
            let mut command = Command::new(KBT);
            let command = command.current_dir(room.path("")).args(words.split_whitespace());
            command.stderr(Stdio::null()).spawn().unwrap()
        };
        let reset = |old: &[u8]| fs::write(room.path(written), old).unwrap();
        let old = if written == "vmlinux" { &original[..] } else { b"what was there" };
        reset(old);
        let start = Instant::now();
        assert!(run().wait().unwrap().success());
        // Where other work makes it slow, not all of it is tried.
        let whole = start.elapsed().min(Duration::from_millis(300));
        let new = room.bytes(written);
        for step in 0..16 {
            reset(old);
            let mut child = run();
            thread::sleep(whole * step / 16);
            let _ = child.kill();
            child.wait().unwrap();
            let found = room.bytes(written);
            assert!(found == old || found == new, "{words}: killed after {:?}", whole * step / 16);
        }
        // What a killed run may leave under another name the next one takes away.
        reset(old);
        assert!(run().wait().unwrap().success());
        let names = fs::read_dir(room.path("")).unwrap().map(|entry| entry.unwrap().file_name());
        let strays: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(".kbt-")).collect();
        assert!(strays.is_empty(), "{words}: {strays:?}");
        fs::write(room.path("vmlinux"), &original).unwrap();
    }
}

#[test]
fn a_full_disk_leaves_what_was_there() {
    let room = padded();
    let size = room.bytes("vmlinux").len() / 1024 + room.bytes("vmlinux.o").len() / 1024 + 24;
    fs::create_dir(room.path("disk")).unwrap();
    let runs: String = WRITERS
        .iter()
        .map(|(words, _)| format!("echo old >out; {KBT} {words} >/dev/null; echo $? $(cat out); rm -f out; "))
        .collect();
    let script = format!(
        "mount -t tmpfs -o size={size}k tmpfs disk && cp vmlinux vmlinux.o vmlinux.lds kallsyms.pad disk && cd disk && \
         {{ {runs} cmp vmlinux ../vmlinux; echo $?; ls -A; }}"
    );
    let mut command = Command::new("unshare");
    let output = command.args(["-rm", "sh", "-c", &script]).current_dir(room.path("")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    if stderr.contains("unshare") || stderr.contains("mount") {
        let reason = format!("no tmpfs by 'unshare -rm': {stderr}");
        kbt_testkit::peers::skip("a_full_disk_leaves_what_was_there", &reason);
        return;
    }
    let expected = "1 old\n1 old\n1 old\n0\nkallsyms.pad\nvmlinux\nvmlinux.lds\nvmlinux.o\n";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected, "{stderr}");
    assert_eq!(stderr.matches("No space left on device").count(), 3, "{stderr}");
}

#[test]
fn offsets_of_32_bits_want_the_record() {
    let room = Room::new(small_kernel::I386);
    room.objects(&GENERATIONS[4]);
    room.pad("--slack 300");
    room.link(&["vmlinux.o", "kallsyms.o"]);
    let before = room.bytes("vmlinux");
    let stderr = room.refused("kallsyms patch vmlinux");
    assert!(stderr.contains("whether kallsyms_offsets count from their own places"), "{stderr}");
    assert!(stderr.contains("--pad-file") && room.bytes("vmlinux") == before);
    // Where a table is there, it tells.
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad --optimal");
    let patched = room.bytes("vmlinux");
    room.ok("kallsyms patch vmlinux --relearn");
    room.ok("kallsyms verify vmlinux");
    let offsets = |file: &[u8]| file[place(file, Array::Offsets)..][..400].to_vec();
    assert!(offsets(&patched) == offsets(&room.bytes("vmlinux")));
}

/// The undo file of a run that patches `vmlinux` in its place, caught while it is there.
fn caught_undo(room: &Room, before: &[u8]) -> Vec<u8> {
    let (undo, caught) = (room.path("vmlinux.kbt-undo"), room.path("caught"));
    for _ in 0..500 {
        fs::write(room.path("vmlinux"), before).unwrap();
        let words = "kallsyms patch vmlinux --pad-file kallsyms.pad --in-place";
        let mut command = Command::new(KBT);
        let mut child = command.current_dir(room.path("")).args(words.split_whitespace()).spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            if fs::hard_link(&undo, &caught).is_ok() {
                child.wait().unwrap();
                return fs::read(&caught).unwrap();
            }
        }
    }
    panic!("no undo file was seen");
}

#[test]
fn what_a_killed_run_left_is_undone_by_every_later_one() {
    let room = padded();
    let before = room.bytes("vmlinux");
    let undo = caught_undo(&room, &before);
    let after = room.bytes("vmlinux");
    room.ok("kallsyms verify vmlinux");
    fs::write(room.path("byte"), before.get(..1).unwrap()).unwrap();
    let half = before.len() / 2;
    for (words, expected) in [
        ("patch vmlinux --pad-file kallsyms.pad", &after),
        ("patch vmlinux --pad-file kallsyms.pad --in-place", &after),
        ("patchfile vmlinux 0 byte", &before),
        ("patchfile vmlinux 0 byte --in-place", &before),
    ] {
        fs::write(room.path("vmlinux"), [&after[..half], &before[half..]].concat()).unwrap();
        fs::write(room.path("vmlinux.kbt-undo"), &undo).unwrap();
        let output = room.kbt(&format!("kallsyms {words}"));
        let warning = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && warning.contains("that was undone first"), "{words}: {warning}");
        assert!(!room.path("vmlinux.kbt-undo").exists(), "{words}");
        assert!(room.bytes("vmlinux") == **expected, "{words}");
    }
}

#[test]
fn no_result_is_written_over_the_kernel() {
    let room = padded();
    let before = room.bytes("vmlinux");
    fs::hard_link(room.path("vmlinux"), room.path("linked")).unwrap();
    for result in ["--sysmap vmlinux", "--sysmap ./vmlinux", "--sysmap linked", "--depfile vmlinux"] {
        for way in ["", "--in-place"] {
            let words = format!("kallsyms patch vmlinux --pad-file kallsyms.pad {way} {result}");
            let output = room.kbt(&words);
            assert_eq!(output.status.code(), Some(2), "{words}");
            assert!(room.bytes("vmlinux") == before, "{words}");
        }
    }
    // A map that cannot be written leaves the kernel as it was.
    for way in ["", "--in-place"] {
        let words = format!("kallsyms patch vmlinux --pad-file kallsyms.pad {way} --sysmap /dev/full");
        assert!(room.refused(&words).contains("/dev/full"), "{words}");
        assert!(room.bytes("vmlinux") == before, "{words}");
    }
}

#[test]
fn what_is_no_regular_file_is_not_patched_in_place() {
    let room = padded();
    assert!(Command::new("mkfifo").arg(room.path("fifo")).status().unwrap().success());
    for file in ["fifo", "/dev/null"] {
        let stderr = room.refused(&format!("kallsyms patch {file} --in-place"));
        assert!(stderr.contains("this is no regular file"), "{stderr}");
    }
    // Of an endless patch only the stated length is read.
    room.ok("kallsyms patchfile vmlinux 16 /dev/zero 3 --in-place");
    assert_eq!(room.bytes("vmlinux")[16..19], [0; 3]);
}

#[test]
fn a_patched_copy_is_a_file() {
    let room = padded();
    let said = "kbt: error: /dev/null: cannot write: a changed copy takes a regular file, and this is none\n";
    assert_eq!(room.refused("kallsyms patch vmlinux --pad-file kallsyms.pad -o /dev/null"), said);
}

#[test]
fn a_second_patch_needs_no_record_either() {
    let room = padded();
    room.ok("kallsyms patch vmlinux");
    let patched = room.bytes("vmlinux");
    for _ in 0..2 {
        room.ok("kallsyms patch vmlinux");
        assert!(room.bytes("vmlinux") == patched);
    }
    room.ok("kallsyms patch vmlinux --optimal");
    room.ok("kallsyms verify vmlinux");
}

#[test]
fn borders_of_sections_are_in_every_table() {
    let borders: String = (0..60)
        .map(|number| {
            format!("\t.globl __start_d{number}\n__start_d{number}:\n__stop_d{number}:\n\t.long 1\n")
        })
        .collect();
    for kernel in ["6.6", "6.12", "7.0"] {
        let room = Room::new(X86_64);
        room.objects(&GENERATIONS[if kernel == "7.0" { 4 } else { 3 }]);
        room.assemble("more", &format!("\t.data\n{borders}"));
        let objects = "vmlinux.o more.o --lds vmlinux.lds";
        room.ok(&format!("kallsyms pad {objects} --kernel {kernel} --pad-file kallsyms.pad -o kallsyms.o"));
        room.link(&["vmlinux.o", "more.o", "kallsyms.o"]);
        room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
        room.ok("kallsyms verify vmlinux");
        let dump = room.ok("kallsyms dump vmlinux");
        assert_eq!(dump.contains(" __stop_d59\n"), kernel != "6.6", "{kernel}");
    }
}

#[test]
fn a_wrong_address_is_told_as_such() {
    let room = padded();
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
    let mut broken = room.bytes("vmlinux");
    let at = place(&broken, Array::Offsets) + 4 * 700;
    broken[at] ^= 1;
    fs::write(room.path("broken"), &broken).unwrap();
    let stderr = room.refused("kallsyms verify broken");
    assert!(
        stderr.contains("kallsyms_offsets at 700: ") && stderr.contains(&format!("(at byte {at})")),
        "{stderr}"
    );
}

#[test]
fn devices_and_streams_without_end_are_not_read() {
    let room = padded();
    for (command, said) in [
        ("verify /dev/zero", "a device"),
        ("dump /dev/zero", "a device"),
        ("offset /dev/zero .text", "a device"),
        ("patch /dev/zero", "a device"),
        ("pad /dev/zero -o out", "a device"),
        ("generate --kernel 6.1 /dev/zero -o out", "a device"),
        ("generate --kernel 6.1 --from-nm /dev/zero -o out.S", "device"),
        ("pad vmlinux.o --lds /dev/zero -o out", "device"),
        ("patch vmlinux --pad-file /dev/zero", "pad file"),
    ] {
        let stderr = room.refused(&format!("kallsyms {command}"));
        assert!(stderr.contains("/dev/zero") && stderr.contains(said), "{command}: {stderr}");
    }
    // A terabyte of holes: told before a byte of it is read.
    fs::File::create(room.path("holes")).unwrap().set_len(1 << 40).unwrap();
    let script = format!("ulimit -v 2000000; exec {KBT} kallsyms dump holes");
    let output = Command::new("sh").args(["-c", &script]).current_dir(room.path("")).output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "kbt: error: holes: cannot read: larger than 4 GiB\n  hint: of what is larger, a vmlinux that has symbols is read\n"
    );
    for command in ["verify", "generate --kernel 6.1", "patch", "pad -o out"] {
        let stderr = room.refused(&format!("kallsyms {command} holes"));
        assert!(stderr.contains("holes: not an ELF file"), "{command}: {stderr}");
    }
    for command in ["verify", "offset --size=1 - .text", "generate --kernel 6.1"] {
        // What writes for ever ends when nobody reads.
        let script = format!("yes | {KBT} kallsyms {command} -");
        let script = if command.contains(" - ") { script.trim_end_matches(" -").to_owned() } else { script };
        let output = Command::new("timeout").args(["60", "sh", "-c", &script]).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert!(stderr.contains("standard input: not an ELF file"), "{command}: {stderr}");
    }
}

#[test]
fn a_table_in_a_section_that_16_bits_do_not_number() {
    let room = Room::new(X86_64);
    room.objects(&GENERATIONS[3]);
    let sections = (0..66_000).map(|number| format!(".section .d.{number}, \"aw\"\nown_{number}: .byte 1\n"));
    room.assemble("many", &sections.collect::<String>());
    // What the script does not name is put in front of what follows the data.
    let script = fs::read_to_string(room.path("vmlinux.lds")).unwrap();
    let rodata = script.lines().find(|line| line.starts_with(".rodata")).unwrap();
    let moved = script.replace(rodata, "").replace(".bss :", &format!("{rodata}\n.bss :"));
    fs::write(room.path("vmlinux.lds"), moved).unwrap();
    room.ok(
        "kallsyms pad vmlinux.o many.o --lds vmlinux.lds --all-symbols --pad-file kallsyms.pad -o kallsyms.o",
    );
    room.link(&["vmlinux.o", "many.o", "kallsyms.o"]);
    let symbols = room.tool("readelf", &["-sW", "vmlinux"]);
    let names = symbols.lines().find(|line| line.ends_with(" kallsyms_names")).unwrap();
    let section: usize = names.split_whitespace().nth_back(1).unwrap().parse().unwrap();
    assert!(section > 0xff00, "{names}");
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
    assert!(room.ok("kallsyms verify vmlinux").contains("as the symbol table says"));
    assert_eq!(room.ok("kallsyms dump vmlinux").lines().count(), room.nm().len());
    // An index behind the last of the numbers is no place.
    let mut broken = room.bytes("vmlinux");
    let image = Image::parse(&broken[..]).unwrap();
    let table = image.sections().unwrap().iter().find(|section| section.kind == 18).unwrap();
    let symbol: usize = names.split(':').next().unwrap().trim().parse().unwrap();
    let at = usize::try_from(table.offset).unwrap() + 4 * symbol;
    broken[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    fs::write(room.path("broken"), &broken).unwrap();
    for command in ["verify", "dump", "patch"] {
        let stderr = room.refused(&format!("kallsyms {command} broken"));
        assert!(stderr.contains("kallsyms_names reaches out of the file"), "{command}: {stderr}");
    }
}

#[test]
fn wrong_sequence_numbers_are_told_and_the_rest_is_read() {
    for generation in [&GENERATIONS[3], &GENERATIONS[4]] {
        let room = Room::padded(X86_64, generation);
        room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
        let mut file = room.bytes("vmlinux");
        let at = place(&file, Array::SeqsOfNames) + 3 * 77 + 2;
        file[at] ^= 0x80;
        fs::write(room.path("broken"), &file).unwrap();
        let stderr = room.refused("kallsyms verify broken");
        assert!(stderr.contains("kallsyms_seqs_of_names at "), "{stderr}");
        room.tool("objcopy", &["-O", "binary", "broken", "Image"]);
        let base = X86_64.text_address;
        let output = room.kbt(&format!("kallsyms dump Image --base {base}"));
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && stderr.contains("kallsyms_seqs_of_names"), "{stderr}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), room.ok("kallsyms dump vmlinux"));
    }
}

#[test]
fn decoders_that_guess_find_the_base_behind_the_offsets() {
    let room = Room::new(X86_64);
    room.objects(&GENERATIONS[3]);
    room.pad("--slack 64");
    room.link(&["vmlinux.o", "kallsyms.o"]);
    room.ok("kallsyms patch vmlinux --pad-file kallsyms.pad");
    let file = room.bytes("vmlinux");
    let at = |array| place(&file, array);
    let count = room.ok("kallsyms dump vmlinux").lines().count();
    let behind = at(Array::Offsets) + (4 * count).next_multiple_of(8);
    assert!(behind < at(Array::RelativeBase));
    let base = at(Array::RelativeBase);
    assert_eq!(file[behind..behind + 8], file[base..base + 8]);
    assert!(file[behind + 8..base].iter().all(|&byte| byte == 0));
    room.ok("kallsyms verify vmlinux");
}
