//! `kbt dtbo dump`, `list` and `extract`: what images say, and what is refused of them.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dtbo_cli;

use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use dtbo_cli::{Ended, Room, fixture, pack, partition, refuses, with_image, words};

#[test]
fn dumps_the_very_text_of_mkdtboimg() {
    for image in dtbo_cli::IMAGES {
        let room = with_image(image);
        let dump = fs::read_to_string(fixture(&image.replace(".img", ".dump.txt"))).unwrap();
        assert_eq!(room.kbt(&["dtbo", "dump", "a.img"]), Ended::quiet(&dump));
    }
}

#[test]
fn what_follows_the_image_is_told_and_kept() {
    let room = with_image("create-v1-mixed.img");
    room.write("p.img", partition(&room.read("a.img")));
    let text = room.kbt(&["dtbo", "dump", "a.img"]).stdout
        + "trailing:\n                size = 12616\n             nonzero = 14\n           avb_major = 1\n           \
           avb_minor = 0\n original_image_size = 3768\n       vbmeta_offset = 12288\n         vbmeta_size = 1984\n";
    assert_eq!(room.kbt(&["dtbo", "dump", "p.img"]), Ended::quiet(&text));
    let json = room.kbt(&["dtbo", "dump", "p.img", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["trailing"]["avb_footer"]["original_image_size"], 3768);
    assert_eq!(json["entries"][3]["id"], 0x33);
    assert_eq!(json["header"]["version"], 1);

    room.kbt(&["dtbo", "unpack", "p.img", "d"]);
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    assert!(room.read("b.img") == room.read("p.img"));
}

#[test]
fn lists() {
    let room = with_image("create-v1-mixed.img");
    let text = "\
index          id         rev      offset      stored  compression        size  compatible, model
    0         0x0         0x0         160         499  none                499  kbt,board0
    1         0x0         0x0         659         654  zlib               2791  kbt,board1
    2         0x0         0x0        1313        1045  gzip               5087  kbt,board2
    3        0x33         0x0        2358        1410  zlib               7379  kbt,board3
";
    assert_eq!(room.kbt(&["dtbo", "list", "a.img"]), Ended::quiet(text));
    let mut image = room.read("a.img");
    image[2400] ^= 0x55;
    room.write("broken.img", &image);
    let ended = room.kbt(&["dtbo", "list", "broken.img"]);
    assert!(ended.stdout.ends_with("1410  zlib                  -  -\n"), "{}", ended.stdout);
    assert!(
        ended.stderr.starts_with("kbt: warning: broken.img: entry 3: the compressed stream is corrupt:"),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.code, 0);
}

#[test]
fn extracts_the_one_entry_that_fits() {
    let room = with_image("create-v0.img");
    for (entry, board) in
        [("0", 0), ("#2", 2), ("rev=7", 1), ("id=4096,rev=0x7", 1), ("custom0=1", 2), ("custom3=0377", 2)]
    {
        assert_eq!(room.kbt(&["dtbo", "extract", "a.img", entry, "-o", "e"]), Ended::quiet(""), "{entry}");
        assert!(room.read("e") == room.read(&format!("board{board}.dtbo")), "{entry}");
    }
}

#[test]
fn entries_that_cannot_be_told() {
    let room = with_image("create-v0.img");
    let how = "  hint: name it by its index (2) or by its fields (id=0x10,rev=2,custom0=3)\n";
    let all = "#0 (id=0x1000, rev=0x0), #1 (id=0x1000, rev=0x7), #2 (id=0x1000, rev=0x0, custom0=0x1, custom3=0xff)";
    refuses(
        &room,
        "extract a.img 3 -o e",
        1,
        "kbt: error: a.img: there is no entry 3: the image has entries 0 to 2\n",
    );
    refuses(
        &room,
        "extract a.img id=5 -o e",
        1,
        &format!("kbt: error: a.img: no entry has id=0x5\n  hint: the image has {all}\n"),
    );
    refuses(
        &room,
        "extract a.img id=0x1000 -o e",
        1,
        &format!(
            "kbt: error: a.img: 3 entries have id=0x1000\n  hint: add a field or name one by its index: {all}\n"
        ),
    );
    refuses(&room, "extract a.img id=5,ref=6 -o e", 2, &format!("kbt: error: 'ref=6' names no entry\n{how}"));
    refuses(&room, "extract a.img -1x -o e", 2, &room.kbt(&words("dtbo extract a.img -1x -o e")).stderr);
    refuses(&room, "extract a.img first -o e", 2, &format!("kbt: error: 'first' names no entry\n{how}"));
}

#[test]
fn refusals_of_images() {
    let room = with_image("create-v1-mixed.img");
    let image = room.read("a.img");
    room.write("short.img", &image[..20]);
    room.write("cut.img", &image[..3000]);
    let mut version = image.clone();
    version[31] = 9;
    room.write("version.img", version);
    let mut entry = image.clone();
    entry[32] = 1;
    room.write("entry.img", entry);
    let mut count = image.clone();
    count[16..20].fill(0xff);
    room.write("count.img", count);
    let mut flags = image.clone();
    flags[32 + 32 + 19] = 9;
    room.write("flags.img", flags);
    for (line, expected) in [
        ("dump nowhere.img", "nowhere.img: cannot read: No such file or directory\n"),
        (
            "dump short.img",
            "short.img: 20 bytes are too few for the 32-byte header of a DTBO image (at byte 20)\n  hint: give it a whole image\n",
        ),
        (
            "dump cut.img",
            "cut.img: the image is cut short: it states 3768 bytes and has 3000 (at byte 4)\n  hint: copy the whole partition again\n",
        ),
        (
            "dump board0.dtbo",
            "board0.dtbo: this is no DTBO image: it starts with d00dfeed instead of d7b7ab1e (or 41435049, ACPI) (at byte 0)\n  \
             hint: this is a device tree itself: use it without an entry, or pack it first\n",
        ),
        (
            "list version.img",
            "version.img: table version 9 is not known (0, 1 and 2 are) (at byte 28)\n  hint: the header may be damaged\n",
        ),
        (
            "unpack entry.img d",
            "entry.img: entry 0 (16777715 bytes at byte 160) ends past total_size (at byte 32)\n  \
             hint: the image is cut short or damaged: copy it again\n",
        ),
        (
            "dump count.img",
            "count.img: a table of 4294967295 entries at byte 32 does not lie between header and total_size (at byte 16)\n  \
             hint: the image is cut short or damaged: copy it again\n",
        ),
        (
            "extract flags.img 1 -o e",
            "flags.img: entry 1: compression 9 is not known (0 none, 1 zlib, 2 gzip and 3 lz4 are) (at byte 659)\n",
        ),
        (
            "extract a.img 3 --max-size 7378 -o e",
            "a.img: entry 3: more than 7378 bytes would come out (at byte 3768)\n  hint: raise --max-size if you trust the image\n",
        ),
    ] {
        refuses(&room, line, 1, &format!("kbt: error: {expected}"));
    }
    assert_eq!(room.kbt(&words("dtbo extract a.img 3 --max-size 7379 -o e")), Ended::quiet(""));
    assert!(!room.path("d").exists(), "a refused image leaves no directory");
}

#[test]
fn a_bomb_is_an_error_and_takes_no_memory() {
    let room = Room::new();
    let zeros = vec![0; 256 << 20];
    for format in ["zlib", "gzip", "lz4"] {
        let compression = kbt_compress::Compression::from_name(format).unwrap();
        let bomb = kbt_compress::compress(compression, &zeros).unwrap();
        // An uncompressed image, then flags of the compression: kbt must not have seen the zeros itself.
        room.write("bomb", &bomb);
        room.kbt(&["dtbo", "pack", "-q", "--version", "1", "-o", "a.img", "bomb"]);
        let mut image = room.read("a.img");
        image[32 + 19] = match format {
            "zlib" => 1,
            "gzip" => 2,
            _ => 3,
        };
        room.write("a.img", &image);
        // 200 MB of address space: the limit of 64 MiB, the image and the program, but never the zeros.
        let script = format!("ulimit -v 200000; exec {} dtbo \"$@\"", env!("CARGO_BIN_EXE_kbt"));
        for words in [
            &["extract", "a.img", "0", "-o", "e"][..],
            &["unpack", "a.img", "d"],
            &["dump", "a.img", "-b", "p", "--decompress"],
        ] {
            let output = std::process::Command::new("sh")
                .args(["-c", &script, "sh"])
                .args(words)
                .current_dir(room.path("."))
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{format} {words:?}: {said}");
            assert!(said.contains("more than 67108864 bytes would come out"), "{format} {words:?}: {said}");
        }
        assert_eq!(room.names("."), ["a.img", "bomb"], "{format}: nothing is left behind");
    }
}

/// An image whose entries are all this gzip stream. Every entry is another range, so none can be skipped as a copy:
/// each takes in one byte more behind the stream.
fn same_stream(stream: &[u8], count: u32) -> Vec<u8> {
    let data = 32 + 32 * count;
    let total = data + u32::try_from(stream.len()).unwrap() + count;
    let mut words = vec![0xd7b7_ab1e, total, 32, 32, count, 32, 2048, 1];
    for index in 0..count {
        words.extend([total - count - data + index, data, index, 0, 2, 0, 0, 0]);
    }
    let mut image: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    image.extend(stream);
    image.resize(total as usize, 0);
    image
}

#[test]
fn many_entries_of_one_bomb_are_an_error() {
    let room = Room::new();
    let stream = kbt_compress::compress(kbt_compress::Compression::Gzip, &vec![0; 1 << 20]).unwrap();
    room.write("a.img", same_stream(&stream, 100));
    for line in ["unpack -q a.img d", "dump a.img -b p --decompress"] {
        let ended = room.kbt(&words_of(line, "--max-size 1M"));
        assert!(
            ended.stderr.contains("entry 16: the entries decompress to more than 16777216 bytes in all"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.code, 1);
        assert_eq!(room.names("."), ["a.img"]);
    }
    let listed = room.kbt(&words_of("list a.img", "--max-size 1M"));
    assert_eq!(listed.stderr.matches("in all").count(), 84, "{}", listed.stderr);
    assert_eq!(room.kbt(&words_of("list a.img", "--max-size 10M")).stderr, "");
}

#[test]
fn many_entries_of_one_damaged_stream_are_an_error() {
    let room = Room::new();
    let mut stream = kbt_compress::compress(kbt_compress::Compression::Gzip, &vec![0; 1 << 20]).unwrap();
    // The checksum is wrong, which only the end of the stream tells.
    let crc = stream.len() - 8;
    stream[crc] ^= 1;
    room.write("a.img", same_stream(&stream, 50));
    let ended = room.kbt(&words_of("unpack -q a.img d", "--max-size 1M"));
    let in_all = "entry 16: the entries decompress to more than 16777216 bytes in all";
    assert!(ended.stderr.contains(in_all), "{}", ended.stderr);
    assert_eq!((ended.code, room.names(".")), (1, vec!["a.img".to_owned()]));
    let listed = room.kbt(&words_of("list a.img", "--max-size 1M"));
    assert_eq!(listed.stderr.matches("corrupt").count(), 16, "{}", listed.stderr);
    assert_eq!(listed.stderr.matches("in all").count(), 34, "{}", listed.stderr);
    // Short streams cannot have cost much: each of them is told as what it is.
    room.write("b.img", same_stream(b"\x1f\x8b damaged", 50));
    let listed = room.kbt(&words("dtbo list b.img"));
    assert_eq!((listed.stderr.matches("warning").count(), listed.stderr.matches("in all").count()), (50, 0));
}

fn words_of<'a>(line: &'a str, more: &'a str) -> Vec<&'a str> {
    [vec!["dtbo"], words(line), words(more)].concat()
}

#[test]
fn entries_are_inputs_of_other_commands() {
    let room = Room::with_inputs();
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    for name in ["base.dtb", "overlay1.dtbo", "overlay2.dtbo"] {
        fs::copy(example.join(name), room.path(name)).unwrap();
    }
    let line = "-o a.img --compression gzip base.dtb,id=1 overlay1.dtbo,id=2 overlay2.dtbo,id=2,rev=5";
    assert_eq!(pack(&room, line), Ended::quiet(""));
    let apply = |words: &str| room.kbt(&dtbo_cli::words(&format!("dto apply {words}")));
    let plain = apply("base.dtb overlay1.dtbo overlay2.dtbo -o plain.dtb");
    assert_eq!(plain.code, 0, "{}", plain.stderr);
    let from_image = apply("a.img#0 a.img#1 a.img#id=2,rev=5 -o image.dtb");
    assert_eq!(from_image.code, 0, "{}", from_image.stderr);
    assert!(room.read("plain.dtb") == room.read("image.dtb"));
    let ended = apply("a.img#0 a.img#id=2 -o no.dtb");
    assert_eq!(
        ended.stderr,
        "kbt: error: a.img: 2 entries have id=0x2\n  hint: add a field or name one by its index: \
         #1 (id=0x2, rev=0x0, flags=0x2), #2 (id=0x2, rev=0x5, flags=0x2)\n"
    );
    assert_eq!(ended.code, 1);
    let odd = std::ffi::OsStr::from_bytes(b"\xff#\xfe.img");
    fs::copy(room.path("a.img"), room.path(odd)).unwrap();
    let entry = |tail: &[u8]| std::ffi::OsString::from_vec([odd.as_bytes(), tail].concat());
    let words = ["dto".into(), "apply".into(), entry(b"#0"), entry(b"#1"), "-o".into(), "odd.dtb".into()];
    assert_eq!(room.kbt(&words), Ended::quiet(""), "a name that is not UTF-8");
    assert_eq!(apply("a.img#0 a.img#1 -o same.dtb").code, 0);
    assert!(room.read("odd.dtb") == room.read("same.dtb"));
    let words = ["dto".into(), "apply".into(), entry(b"#\xff"), "-o".into(), "no.dtb".into()];
    assert_ne!(room.kbt(&words).code, 0, "a selector is text");
    fs::copy(room.path("base.dtb"), room.path("b#0")).unwrap();
    assert_eq!(apply("b#0 overlay1.dtbo -o other.dtb").code, 0, "a file of that name is that file");
}

#[test]
fn a_dump_that_cannot_be_whole_writes_nothing() {
    let room = with_image("create-v0.img");
    fs::create_dir(room.path("in")).unwrap();
    fs::create_dir(room.path("in/way.2")).unwrap();
    std::os::unix::fs::symlink("in", room.path("link")).unwrap();
    room.write("in/x.1", room.read("a.img"));
    let files = room.names(".");
    let directory = "cannot write: is a directory\n";
    let taken = "two results of this run would have this name\n";
    let input = "this result would replace an input, ";
    let another = "  hint: name another file for the result\n";
    for (line, code, expected) in [
        ("a.img -b in/way", 1, format!("in/way.2: {directory}")),
        ("a.img -b in/b -o in", 1, format!("in: {directory}")),
        ("a.img -b in/b -o no/text", 1, "no/text: cannot write: No such file or directory\n".to_owned()),
        ("a.img -b in/b -o in/b.2", 2, format!("in/b.2: {taken}")),
        ("a.img -b link/b -o in/b.0", 2, format!("in/b.0: {taken}")),
        ("in/x.1 -b link/x", 2, format!("link/x.1: {input}in/x.1\n{another}")),
        ("a.img -o ./a.img", 2, format!("./a.img: {input}a.img\n{another}")),
    ] {
        refuses(&room, &format!("dump {line}"), code, &format!("kbt: error: {expected}"));
        let ended = room.run("mkdtboimg", &[vec!["dump"], words(line)].concat());
        assert_eq!((ended.code != 0, ended.stdout), (true, String::new()), "{line}");
        assert_eq!((room.names("in"), room.names(".")), (words_sorted("way.2 x.1"), files.clone()), "{line}");
    }
    assert!(room.read("a.img") == fs::read(fixture("create-v0.img")).unwrap());
    // What is no regular file is written to as it is, and a link is followed.
    std::os::unix::fs::symlink("in/made", room.path("to")).unwrap();
    assert_eq!(room.kbt(&words("dtbo dump a.img -b in/b -o /dev/null")), Ended::quiet(""));
    assert_eq!(room.kbt(&words("dtbo dump a.img -b in/b -o to")), Ended::quiet(""));
    assert_eq!(room.names("in"), ["b.0", "b.1", "b.2", "made", "way.2", "x.1"]);
}

fn words_sorted(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn sync_streams_and_json() {
    let room = with_image("create-v1-mixed.img");
    assert_eq!(room.kbt(&words("dtbo unpack --sync a.img d")), Ended::quiet(""));
    assert_eq!(pack(&room, "--sync --manifest d/manifest.json -o b.img"), Ended::quiet(""));
    assert!(room.read("a.img") == room.read("b.img"));
    assert_eq!(room.kbt(&words("dtbo extract --sync a.img 0 -o e")), Ended::quiet(""));
    let json = pack(&room, "--json --manifest d/manifest.json -o c.img").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ok"], &json["changed"], &json["moved"]), (&true.into(), &false.into(), &false.into()));
    let json = room.kbt(&words("dtbo dump --json board0.dtbo")).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["ok"], &json["error"]["code"]), (&false.into(), &"bad-magic".into()));
    for line in ["pack --json board0.dtbo -o -", "extract --json a.img 0 -o -"] {
        let ended = room.kbt(&words(&format!("dtbo {line}")));
        let json: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(json["error"]["message"], "--json and the result both want standard output");
        assert_eq!(ended.code, 2);
    }
    let piped =
        format!("{0} dtbo extract a.img 2 -o - | {0} dtbo pack - -o p.img", env!("CARGO_BIN_EXE_kbt"));
    let status = std::process::Command::new("sh").args(["-c", &piped]).current_dir(room.path(".")).status();
    assert!(status.unwrap().success());
    assert!(room.read("p.img")[64..] == room.read("board2.dtbo"));
    let listed = room.kbt(&words("dtbo list --json a.img")).stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["entries"][1]["compatible"], "kbt,board1");
}

#[test]
fn help() {
    let room = Room::new();
    for (line, expected) in [
        ("dtbo --help", "pack     Make an image"),
        ("dtbo pack --help", "ENTRY"),
        ("dtbo unpack --help", "manifest.json"),
        ("dtbo dump --help", "PREFIX"),
        ("dtbo list --help", "--max-size"),
        ("dtbo extract --help", "--stored"),
    ] {
        let ended = room.kbt(&words(line));
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{line}");
        assert!(ended.stdout.contains(expected), "{line}: {}", ended.stdout);
    }
}

#[test]
fn headers_that_state_other_sizes_than_theirs_are_refused() {
    let room = with_image("create-v1-mixed.img");
    let whole = room.read("a.img");
    let cases = [
        (8, 31, "header_size is 31 instead of 32 (at byte 8)"),
        (12, 33, "dt_entry_size is 33 instead of 32, that of version 1 (at byte 12)"),
    ];
    for (field, value, sentence) in cases {
        let mut image = whole.clone();
        image[field..field + 4].copy_from_slice(&u32::to_be_bytes(value));
        room.write("odd.img", &image);
        let expected = format!("kbt: error: odd.img: {sentence}\n  hint: the header may be damaged\n");
        refuses(&room, "dump odd.img", 1, &expected);
    }
}

/// A manifest that was changed by hand: with a word that its version has no place for, and with more zeros between two
/// entries than there is memory.
#[test]
fn manifests_that_ask_for_too_much_are_refused() {
    let room = with_image("create-v0.img");
    room.kbt(&["dtbo", "unpack", "-q", "a.img", "d"]);
    let read = || serde_json::from_slice::<serde_json::Value>(&room.read("d/manifest.json")).unwrap();
    let mut custom = read();
    custom["entries"][0]["custom"] = serde_json::json!(["0x1", "0x1", "0x1", "0x1", "0x1"]);
    room.write("d/custom.json", custom.to_string());
    refuses(
        &room,
        "pack --manifest d/custom.json -o o.img",
        1,
        "kbt: error: d/custom.json: entry 0 sets a custom word, which an image of version 0 cannot hold\n\
         \x20 hint: use a newer --version, or leave the field out\n",
    );
    let mut gap = read();
    let end = gap["total_size"].as_u64().unwrap();
    gap["total_size"] = u32::MAX.into();
    gap["gaps"] = serde_json::json!([{ "offset": end, "size": u64::from(u32::MAX) - end }]);
    room.write("d/gap.json", gap.to_string());
    let script = format!("ulimit -v 2000000; exec {} dtbo \"$@\"", env!("CARGO_BIN_EXE_kbt"));
    let output = std::process::Command::new("sh")
        .args(["-c", &script, "sh", "pack", "--manifest", "d/gap.json", "-o", "o.img"])
        .current_dir(room.path("."))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let expected = format!(
        "kbt: error: d/gap.json: there is no memory for a gap of {} bytes\n",
        u64::from(u32::MAX) - end
    );
    assert_eq!((output.status.code(), said), (Some(1), expected));
}
