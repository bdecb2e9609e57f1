//! Every refusal of `kbt kallsyms` in its full words, against one golden text.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod small_kernel;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use kbt_elf::{Image, section_type};
use kbt_kallsyms::{Array, Located};
use small_kernel::{GENERATIONS, I386, Room, X86_64};

const GOLDEN: &str = "tests/golden/kallsyms-errors.txt";

/// What was said, by what was done.
struct Refusals {
    room: Room,
    text: String,
}

impl Refusals {
    /// Runs a command that must fail.
    #[track_caller]
    fn add(&mut self, case: &str, words: &str) {
        let output = self.room.kbt(&format!("kallsyms {words}"));
        self.note(case, words, &output);
    }

    #[track_caller]
    fn note(&mut self, case: &str, words: &str, output: &Output) {
        let room = self.room.path("").canonicalize().unwrap();
        let said = String::from_utf8(output.stderr.clone()).unwrap().replace(room.to_str().unwrap(), "ROOM");
        let code = output.status.code().unwrap();
        assert!(code == 1 || code == 2, "{case}: {code} {said}");
        writeln!(self.text, "# {case}\n$ kbt kallsyms {words}\n{}[{code}]\n", without_numbers(&said))
            .unwrap();
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.room.path(name), bytes).unwrap();
    }

    /// A copy of the patched kernel, changed at a place of an array.
    #[track_caller]
    fn damaged(&mut self, case: &str, array: Array, at: usize, bytes: &[u8]) {
        let mut file = self.room.bytes("full");
        let located = Located::by_symbols(&Image::parse(&file[..]).unwrap()).unwrap();
        let start = usize::try_from(located.slot(array).unwrap().offset).unwrap() + at;
        file[start..start + bytes.len()].copy_from_slice(bytes);
        self.write("damaged", file);
        self.add(case, "verify damaged");
    }
}

/// What differs between linkers: numbers of three digits and more.
fn without_numbers(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        let is_hex = number.starts_with("0x") || number.starts_with("0000") || number.starts_with("ffff");
        let digits =
            number.find(|c: char| !(c.is_ascii_digit() || is_hex && (c.is_ascii_hexdigit() || c == 'x')));
        let (number, behind) = number.split_at(digits.unwrap_or(number.len()));
        out += before;
        out += if number.len() > 2 { "N" } else { number };
        rest = behind;
    }
    out + rest
}

#[test]
fn every_refusal_in_its_words() {
    let room = Room::padded(X86_64, &GENERATIONS[3]);
    fs::copy(room.path("vmlinux"), room.path("full")).unwrap();
    room.ok("kallsyms patch full --pad-file kallsyms.pad");
    let mut refusals = Refusals { room, text: String::new() };
    files(&mut refusals);
    tables(&mut refusals);
    lists(&mut refusals);
    pads(&mut refusals);
    in_place(&mut refusals);
    images(&mut refusals);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN);
    if std::env::var_os("KBT_BLESS").is_some() {
        fs::write(&path, &refusals.text).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(refusals.text, expected, "{GOLDEN}; KBT_BLESS=1 rewrites it");
}

fn files(refusals: &mut Refusals) {
    refusals.write("text", "no ELF file at all, but a few words");
    refusals.add("no ELF file", "verify text");
    refusals.add("no file", "verify nowhere");
    refusals.add("a directory", "verify .");
    let full = refusals.room.bytes("full");
    refusals.write("cut", &full[..full.len() / 2]);
    refusals.add("the end is missing", "verify cut");
    refusals.room.tool("strip", &["-o", "stripped", "full"]);
    refusals.add("no symbols", "patch stripped");
    refusals.add("no table", "verify vmlinux.o");
    refusals.add("a device", "dump /dev/null");
    refusals.add("standard input as a result", "patch vmlinux -o -");
    refusals.add("no section", "offset vmlinux .nowhere");
    refusals.add("a section that is too small", "offset vmlinux sorted --size 64");
    refusals.add("a section without bytes", "offset vmlinux .bss");
    refusals.write("patch", "abcdef");
    refusals.add("behind the end", "patchfile text 32 patch");
    refusals.add("no number", "patchfile text 0x3g patch");
}

fn tables(refusals: &mut Refusals) {
    let many = ((1_u32 << 24) + 1).to_le_bytes();
    refusals.damaged("more symbols than can be", Array::NumSyms, 0, &many);
    refusals.damaged("more symbols than there is room for", Array::NumSyms, 0, &(1_u32 << 20).to_le_bytes());
    refusals.damaged("a name without codes", Array::Names, 0, &[0]);
    refusals.damaged("a token that is not where it should be", Array::TokenIndex, 2, &[0xff, 0xff]);
    refusals.damaged("addresses that descend", Array::Offsets, 40, &[0xff, 0xff, 0xff, 0x70]);
    let entry = |array, at: usize| {
        let full = refusals.room.bytes("full");
        let located = Located::by_symbols(&Image::parse(&full[..]).unwrap()).unwrap();
        let start = usize::try_from(located.slot(array).unwrap().offset).unwrap() + at;
        full[start..start + 8].to_vec()
    };
    let count = u32::from_le_bytes(*entry(Array::NumSyms, 0).first_chunk().unwrap());
    let seqs = entry(Array::SeqsOfNames, 3);
    let swapped = [&seqs[3..6], &seqs[..3]].concat();
    refusals.damaged("an address that no symbol has", Array::Offsets, 4 * (count as usize - 1) + 2, &[0x7f]);
    refusals.damaged("one symbol less", Array::NumSyms, 0, &(count - 1).to_le_bytes());
    refusals.damaged("a wrong marker", Array::Markers, 4, &[7]);
    refusals.damaged("a sequence number that is none", Array::SeqsOfNames, 0, &[0xff; 3]);
    refusals.damaged("names out of order", Array::SeqsOfNames, 3, &swapped);
    let mut file = refusals.room.bytes("full");
    let (symbols, names) = symbol_table(&file);
    // That of a symbol in the middle.
    file[symbols + 500 * 24..symbols + 500 * 24 + 4].copy_from_slice(&[0xff; 4]);
    refusals.write("damaged", &file);
    refusals.add("a name that lies nowhere", "verify damaged");
    let mut file = refusals.room.bytes("full");
    let name = b"kallsyms_markers";
    let at = names + file[names..].windows(name.len()).position(|window| window == name).unwrap();
    file[at..at + 4].copy_from_slice(b"gone");
    refusals.write("damaged", &file);
    refusals.add("an array without a symbol", "dump damaged");
    // One symbol of 4095 codes.
    let mut file = refusals.room.bytes("full");
    let located = Located::by_symbols(&Image::parse(&file[..]).unwrap()).unwrap();
    let mut set = |array, bytes: &[u8]| {
        let start = usize::try_from(located.slot(array).unwrap().offset).unwrap();
        file[start..start + bytes.len()].copy_from_slice(bytes);
    };
    set(Array::NumSyms, &1_u32.to_le_bytes());
    set(Array::Names, &[0xff, 0x1f]);
    refusals.write("damaged", &file);
    refusals.add("a name that expands to more than any", "dump damaged");
}

/// Where symbols and their names start in the file.
fn symbol_table(file: &[u8]) -> (usize, usize) {
    let image = Image::parse(file).unwrap();
    let sections = image.sections().unwrap();
    let (_, table) = sections.of_type(section_type::SYMTAB).unwrap();
    let names = sections.get(table.link as usize).unwrap();
    (usize::try_from(table.offset).unwrap(), usize::try_from(names.offset).unwrap())
}

fn lists(refusals: &mut Refusals) {
    refusals.write("map", "vmlinux.o:\n                 U printk\n");
    refusals.add("no symbols in a list", "generate --kernel 6.1 --from-nm map");
    refusals.add("an unknown kernel", "generate --from-nm map");
    refusals.add("a kernel that is no number", "generate --kernel six --from-nm map");
    refusals.write("map", "0000000000001000 T _text\nffffffffffffffff T far\n");
    refusals.add("an address out of range", "generate --kernel 6.1 --all-symbols --from-nm map");
    refusals.write("map", b"\x7fELF\0\0\0");
    refusals.add("a list that is no text", "generate --kernel 6.1 --from-nm map");
    refusals.write("map", "0000000000001000 T _text\n0000000000001010 T\n");
    let mut named = Command::new(env!("CARGO_BIN_EXE_kbt"));
    named.arg0("kallsyms").args(["--all-symbols", "map"]).env("VERSION", "6").env("PATCHLEVEL", "12");
    let output = named.current_dir(refusals.room.path("")).output().unwrap();
    refusals.note(
        "a line that is none, under the generator's name",
        "(as kallsyms) --all-symbols map",
        &output,
    );
}

fn pads(refusals: &mut Refusals) {
    let pad = "--lds vmlinux.lds --all-symbols -o out";
    refusals.room.assemble("few", "\t.text\n\t.globl few\nfew:\n\t.long 1\n");
    refusals.add("nobody asks for a table", &format!("pad few.o {pad}"));
    refusals.room.assemble("own", "\t.data\n\t.globl kallsyms_names\nkallsyms_names:\n\t.long 1\n");
    refusals.add("a table is there", &format!("pad vmlinux.o own.o {pad}"));
    let other = Room::new(I386);
    other.assemble("narrow", "\t.text\n\t.globl few\nfew:\n\t.long 1\n");
    refusals.write("narrow.o", other.bytes("narrow.o"));
    refusals.add("two machines", &format!("pad vmlinux.o narrow.o {pad}"));
    let narrow = Room::padded(I386, &GENERATIONS[3]);
    refusals.write("narrow.pad", narrow.bytes("kallsyms.pad"));
    refusals.add("the pad file of another machine", "patch vmlinux --pad-file narrow.pad");
    let record = String::from_utf8(refusals.room.bytes("kallsyms.pad")).unwrap();
    refusals.write("cut.pad", &record[..record.len() / 2]);
    refusals.add("half of a pad file", "patch vmlinux --pad-file cut.pad");
    refusals.add("no pad file", "patch vmlinux --pad-file text");
    refusals.room.assemble("more", "\t.text\n\t.globl xyzzy_more\nxyzzy_more:\n\t.long 1\n");
    fs::rename(refusals.room.path("vmlinux"), refusals.room.path("waiting")).unwrap();
    refusals.room.link(&["vmlinux.o", "more.o", "kallsyms.o"]);
    refusals.add("an object that was not told", "patch vmlinux --pad-file kallsyms.pad");
    fs::rename(refusals.room.path("waiting"), refusals.room.path("vmlinux")).unwrap();
}

fn in_place(refusals: &mut Refusals) {
    refusals.add("nothing to undo", "patch vmlinux --undo");
    refusals.add("no regular file", "patch /dev/null --in-place");
    refusals.add("a copy that is no file", "patch vmlinux --pad-file kallsyms.pad -o /dev/null");
    fs::create_dir(refusals.room.path("vmlinux.kbt-undo")).unwrap();
    refusals.add("what no run has left", "patch vmlinux --in-place");
    fs::remove_dir(refusals.room.path("vmlinux.kbt-undo")).unwrap();
    refusals.write("vmlinux.kbt-undo", "KBTUNDO1 torn");
    refusals.add("a torn undo file", "patch vmlinux --undo");
    let file = fs::File::open(refusals.room.path("vmlinux")).unwrap();
    file.lock().unwrap();
    refusals.add("another run", "patch vmlinux --in-place");
}

fn images(refusals: &mut Refusals) {
    refusals.add("no image", "dump text");
    for (name, magic) in [("bzip2", "BZh91AY"), ("lzma", "]\0\0"), ("lzo", "\u{89}LZO")] {
        let magic: Vec<u8> = magic.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        refusals.write("image", [magic, vec![b'x'; 60]].concat());
        refusals.add(&format!("compressed by {name}"), "dump image");
    }
    refusals.write("image", [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &[b'x'; 60]].concat());
    refusals.add("a stream that is broken", "dump image");
    // A stored block of 5000 zeros, without its sum.
    let stored = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x01\x88\x13\x77\xec"[..], &[0; 5000]].concat();
    refusals.write("image", stored);
    refusals.add("an image that is too large", "dump --max-size 1K image");
}
