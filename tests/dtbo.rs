//! `kbt dtbo`: images packed, told of, taken apart and joined again.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dtbo_cli;

use std::fs;

use dtbo_cli::{Ended, Room, fixture, words};

/// Command lines that make the fixtures' images.
const PACKS: [(&str, &str); 8] = [
    ("create-v0.img", "--id=0x1000 board0.dtbo board1.dtbo,rev=7 board2.dtbo,custom0=1,custom3=0xff"),
    ("create-v0-shared.img", "board3.dtbo board3.dtbo,id=2"),
    (
        "create-v1-mixed.img",
        "--version 1 board0.dtbo board1.dtbo,flags=1 board2.dtbo,flags=2 board3.dtbo,compression=zlib,id=0x33",
    ),
    (
        "create-v1-shared.img",
        "--compression zlib board3.dtbo,compression=none board3.dtbo board3.dtbo board3.dtbo,compression=gzip",
    ),
    ("create-acpi.img", "--type acpi acpi.aml,id=4"),
    ("create-page.img", "--page-size 4096 board1.dtbo,id=010"),
    ("cfg-v0.img", "--config v0.cfg"),
    ("cfg-v1.img", "--config v1.cfg --dtb-dir ."),
];

fn pack(room: &Room, line: &str) -> Ended {
    room.kbt(&words(&format!("dtbo pack {line}")))
}

/// A room with the fixture's image as `a.img`.
fn with_image(name: &str) -> Room {
    let room = Room::with_inputs();
    room.write("a.img", fs::read(fixture(name)).unwrap());
    room
}

#[test]
fn packs_the_very_bytes_of_mkdtboimg() {
    let room = Room::with_inputs();
    for (image, line) in PACKS {
        assert_eq!(pack(&room, &format!("-o o.img {line}")), Ended::quiet(""), "{line}");
        assert!(room.read("o.img") == fs::read(fixture(image)).unwrap(), "{line}");
    }
}

#[test]
fn dumps_the_very_text_of_mkdtboimg() {
    for (image, _) in PACKS {
        let room = with_image(image);
        let dump = fs::read_to_string(fixture(&image.replace(".img", ".dump.txt"))).unwrap();
        assert_eq!(room.kbt(&["dtbo", "dump", "a.img"]), Ended::quiet(&dump));
    }
}

#[test]
fn unpacks_and_packs_without_loss() {
    for (image, _) in PACKS {
        let room = with_image(image);
        assert_eq!(room.kbt(&["dtbo", "unpack", "a.img", "d"]), Ended::quiet(""));
        assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
        assert!(room.read("b.img") == room.read("a.img"), "{image}");
    }
}

#[test]
fn unpacked_files_and_their_names() {
    let room = with_image("cfg-v1.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    let names = ["0.dtbo", "0.dtbo.zlib", "1.dtbo", "1.dtbo.gz", "2.dtbo", "manifest.json"];
    assert_eq!(room.names("d"), names);
    for (name, board) in [("d/0.dtbo", 1), ("d/1.dtbo", 2), ("d/2.dtbo", 1)] {
        assert!(room.read(name) == room.read(&format!("board{board}.dtbo")), "{name}");
    }
    assert!(room.read("d/0.dtbo.zlib") == room.read("a.img")[160..814]);
}

#[test]
fn a_changed_entry_is_compressed_as_it_was() {
    let room = with_image("cfg-v1.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    // The configuration's image with board3 where board1 was, but for the copy that is not compressed.
    room.write("d/0.dtbo", room.read("board3.dtbo"));
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    let same = "-o c.img --version 1 board3.dtbo,flags=1,id=0x100 board2.dtbo,flags=2,custom2=9 board3.dtbo,flags=1 board1.dtbo";
    assert_eq!(pack(&room, same), Ended::quiet(""));
    assert!(room.read("b.img") == room.read("c.img"));
}

#[test]
fn fields_of_the_manifest_can_be_changed() {
    let room = with_image("create-v1-mixed.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    let manifest = String::from_utf8(room.read("d/manifest.json")).unwrap();
    room.write("d/manifest.json", manifest.replace("0x00000033", "52"));
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    let (old, mut new) = (room.read("a.img"), room.read("b.img"));
    let at = 32 + 3 * 32 + 8;
    assert_eq!(new[at..at + 4], [0, 0, 0, 52]);
    new[at + 3] = 0x33;
    assert!(old == new, "nothing else changed");
}

/// The image with what a partition has behind it: padding, vbmeta, and the footer in the last 64 bytes.
fn partition(image: &[u8]) -> Vec<u8> {
    let mut bytes = image.to_vec();
    bytes.resize(16384, 0);
    bytes[12288..12292].copy_from_slice(b"AVB0");
    let footer = bytes.len() - 64;
    bytes[footer..footer + 12].copy_from_slice(b"AVBf\0\0\0\x01\0\0\0\0");
    let quads = [image.len() as u64, 12288, 1984];
    for (index, quad) in quads.into_iter().enumerate() {
        bytes[footer + 12 + index * 8..][..8].copy_from_slice(&quad.to_be_bytes());
    }
    bytes
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
fn a_change_under_an_avb_footer_is_told() {
    let room = with_image("create-v0.img");
    room.write("p.img", partition(&room.read("a.img")));
    room.kbt(&["dtbo", "unpack", "p.img", "d"]);
    let hint = "  hint: sign the image anew (avbtool add_hash_footer)\n";
    let mut board = room.read("d/1.dtbo");
    *board.last_mut().unwrap() ^= 1;
    room.write("d/1.dtbo", &board);
    let ended = pack(&room, "--manifest d/manifest.json -o b.img");
    let warning = "kbt: warning: d/manifest.json: the AVB footer no longer fits the image\n";
    assert_eq!((ended.code, ended.stderr), (0, format!("{warning}{hint}")));
    assert_eq!(room.read("b.img").len(), 16384);
    room.write("d/1.dtbo", room.read("board3.dtbo"));
    let ended = pack(&room, "--manifest d/manifest.json -o b.img");
    let warning = "kbt: warning: d/manifest.json: the AVB footer was left out\n";
    assert_eq!((ended.code, ended.stderr), (0, format!("{warning}{hint}")));
}

#[test]
fn odd_images_come_back() {
    let mut random = kbt_testkit::random::Random::new(21);
    let room = Room::new();
    for round in 0..60 {
        room.write("a.img", kbt_testkit::dtbo_image::odd(&mut random));
        let ended = room.kbt(&["dtbo", "unpack", "-q", "a.img", &format!("d{round}")]);
        assert_eq!(ended, Ended::quiet(""), "round {round}");
        let manifest = format!("--manifest d{round}/manifest.json -o b.img");
        assert_eq!(pack(&room, &manifest), Ended::quiet(""), "round {round}");
        assert!(room.read("b.img") == room.read("a.img"), "round {round}");
    }
}

#[test]
fn the_lowest_version_that_holds_everything() {
    let room = Room::with_inputs();
    for (line, version, entry_size) in [
        ("board0.dtbo,custom3=1", 0, 32),
        ("board0.dtbo,compression=gzip", 1, 32),
        ("board0.dtbo,flags=0x10", 1, 32),
        ("board0.dtbo,custom4=1", 2, 64),
        ("board0.dtbo,custom3=1,compression=lz4", 2, 64),
    ] {
        assert_eq!(pack(&room, &format!("-o o.img {line}")), Ended::quiet(""), "{line}");
        let dump = room.kbt(&["dtbo", "dump", "o.img"]).stdout;
        assert!(dump.contains(&format!("             version = {version}\n")), "{line}: {dump}");
        assert!(dump.contains(&format!("       dt_entry_size = {entry_size}\n")), "{line}: {dump}");
    }
}

#[test]
fn every_compression_comes_back() {
    let room = Room::with_inputs();
    for (name, bits) in [("none", 0), ("zlib", 1), ("gzip", 2), ("lz4", 3)] {
        let line = format!("-o o.img --version 1 --compression {name} board3.dtbo,flags=0xab0");
        assert_eq!(pack(&room, &line), Ended::quiet(""));
        let dump = room.kbt(&["dtbo", "dump", "o.img"]).stdout;
        assert!(dump.contains(&format!("               flags = 00000ab{bits}\n")), "{dump}");
        assert_eq!(room.kbt(&["dtbo", "extract", "o.img", "0", "-o", "e"]), Ended::quiet(""));
        assert!(room.read("e") == room.read("board3.dtbo"), "{name}");
        room.kbt(&["dtbo", "extract", "o.img", "0", "--stored", "-o", "s"]);
        assert!(room.read("s") == room.read("o.img")[64..], "{name}");
    }
}

#[test]
fn sharing() {
    let room = Room::with_inputs();
    fs::copy(room.path("board1.dtbo"), room.path("copy.dtbo")).unwrap();
    std::os::unix::fs::symlink("board1.dtbo", room.path("link.dtbo")).unwrap();
    let size = room.read("board1.dtbo").len();
    for (share, copies) in [("path", 2), ("content", 1), ("none", 3)] {
        let line = format!("-o o.img --share {share} board1.dtbo copy.dtbo link.dtbo");
        assert_eq!(pack(&room, &line), Ended::quiet(""));
        assert_eq!(room.read("o.img").len(), 32 + 3 * 32 + copies * size, "{share}");
    }
}

#[test]
fn alignment_and_pages() {
    let room = Room::with_inputs();
    assert_eq!(pack(&room, "-o o.img --align 8 --pad-to-page board0.dtbo board1.dtbo"), Ended::quiet(""));
    let json = room.kbt(&["dtbo", "dump", "o.img", "--json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["entries"][1]["dt_offset"], 96_u32 + 504);
    assert_eq!(json["header"]["total_size"], 600 + 2791);
    assert_eq!(room.read("o.img").len(), 4096);
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

fn refuses(room: &Room, line: &str, code: i32, expected: &str) {
    let ended = room.kbt(&words(&format!("dtbo {line}")));
    assert_eq!((ended.stderr.as_str(), ended.stdout.as_str()), (expected, ""), "{line}");
    assert_eq!(ended.code, code, "{line}");
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
fn refusals_of_pack() {
    let room = Room::with_inputs();
    room.write("o.img", "old");
    for (line, code, expected) in [
        (
            "--version 0 board0.dtbo,compression=zlib",
            1,
            "board0.dtbo: an image of version 0 has no flags\n  hint: zlib needs version 1 or 2: leave --version out\n",
        ),
        (
            "--version 1 board0.dtbo,custom3=1",
            1,
            "board0.dtbo: an image of version 1 has no custom3\n  hint: leave --version out, or leave the field out\n",
        ),
        (
            "board0.dtbo,flags=2,compression=zlib",
            2,
            "board0.dtbo: compression=zlib contradicts flags 0x2, which say gzip\n  hint: leave the low four bits of the flags 0\n",
        ),
        (
            "board0.dtbo,ids=2",
            2,
            "an entry has no option 'ids'\n  hint: options are id, rev, flags, custom0 to custom10 and compression; \
             if this is part of the file's name, end it with a comma\n",
        ),
        (
            "board0.dtbo,compression=xz",
            2,
            "'xz' is no compression\n  hint: there are none, zlib, gzip and lz4\n",
        ),
        (
            "board0.dtbo,id=1x",
            2,
            "'1x' is no value for id\n  hint: give a 32-bit number (7, 0x7, 07) or /node:property\n",
        ),
        ("board0.dtbo,id=1,", 1, "board0.dtbo,id=1: cannot read: No such file or directory\n"),
        (
            "--page-size 0x2000000 --pad-to-page board0.dtbo",
            2,
            "an image is not padded to pages of 33554432 bytes\n  hint: give a --page-size of at most 16777216\n",
        ),
        ("--manifest v0.cfg", 1, "v0.cfg: expected value at line 1 column 1\n"),
    ] {
        refuses(&room, &format!("pack -o o.img {line}"), code, &format!("kbt: error: {expected}"));
        assert_eq!(room.read("o.img"), b"old", "{line}");
    }
    for line in [
        "board0.dtbo --config v0.cfg",
        "--config v0.cfg --id 3",
        "--config v0.cfg --custom5 3",
        "--config v0.cfg --version 1",
        "--config v0.cfg --compression gzip",
        "",
        "--version 3 board0.dtbo",
        "--align 3 board0.dtbo",
    ] {
        assert_eq!(pack(&room, &format!("-o o.img {line}")).code, 2, "{line}");
    }
    let ended = pack(&room, "-o o.img acpi.aml");
    assert_eq!(ended.stderr, "kbt: warning: acpi.aml: this is no device tree\n");
}

#[test]
fn manifests_that_are_not_followed() {
    let room = with_image("create-v1-mixed.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    room.write("outside", "secret");
    let manifest = String::from_utf8(room.read("d/manifest.json")).unwrap();
    let beside = "\n  hint: give the plain name of a file beside the manifest\n";
    for (old, new, expected) in [
        (
            "\"0.dtbo\"",
            "\"../outside\"",
            format!("the manifest names '../outside', which does not lie in its own directory{beside}"),
        ),
        (
            "\"0.dtbo\"",
            "\"/etc/hostname\"",
            format!("the manifest names '/etc/hostname', which does not lie in its own directory{beside}"),
        ),
        (
            "\"0.dtbo\"",
            "\"..\"",
            format!("the manifest names '..', which does not lie in its own directory{beside}"),
        ),
        (
            "\"0.dtbo\"",
            "\"./0.dtbo\"",
            format!("the manifest names './0.dtbo', which does not lie in its own directory{beside}"),
        ),
        (
            "kbt-dtbo-1",
            "kbt-dtbo-2",
            "this manifest is of format 'kbt-dtbo-2', not 'kbt-dtbo-1'\n".to_owned(),
        ),
        (
            "\"blob\": 3",
            "\"blob\": 9",
            "entry 3 names a blob that is not there\n  hint: name a blob of the manifest\n".to_owned(),
        ),
        ("0x00000033", "-5", "'-5' is no value for id in the manifest\n".to_owned()),
        ("\"dtb\"", "\"dts\"", "'dts' is no value for type in the manifest\n".to_owned()),
        ("\"version\": 1", "\"version\": 4", "'4' is no value for version in the manifest\n".to_owned()),
    ] {
        assert!(manifest.contains(old), "{old}");
        room.write("d/manifest.json", manifest.replacen(old, new, 1));
        refuses(
            &room,
            "pack --manifest d/manifest.json -o o.img",
            1,
            &format!("kbt: error: d/manifest.json: {expected}"),
        );
        assert!(!room.path("o.img").exists());
    }
    let huge = manifest.replace("\"total_size\": 3768", "\"total_size\": 4294967295");
    room.write("d/manifest.json", huge);
    assert_eq!(pack(&room, "--manifest d/manifest.json -o o.img").code, 0);
    assert_eq!(room.read("o.img").len(), 3768, "a size that the parts do not have is not believed");
}

#[test]
fn what_cannot_be_decompressed_is_still_unpacked() {
    let room = with_image("create-v1-mixed.img");
    let mut image = room.read("a.img");
    image[32 + 32 + 19] = 9;
    image[1400] ^= 0x10;
    room.write("a.img", &image);
    let ended = room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    assert_eq!(ended.code, 0);
    assert_eq!(ended.stderr.matches("warning").count(), 2, "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("hint: its bytes are kept as they are stored").count(),
        2,
        "{}",
        ended.stderr
    );
    let names = ["0.dtbo", "1.dtbo.stored", "2.dtbo.stored", "3.dtbo", "3.dtbo.zlib", "manifest.json"];
    assert_eq!(room.names("d"), names);
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    assert!(room.read("b.img") == image);
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

#[test]
fn many_entries_of_one_bomb_are_an_error() {
    let room = Room::new();
    let stream = kbt_compress::compress(kbt_compress::Compression::Gzip, &vec![0; 1 << 20]).unwrap();
    // Every entry is another range, so none can be skipped as a copy: each takes in one byte more behind the stream.
    let count = 100;
    let data = 32 + 32 * count;
    let total = data + u32::try_from(stream.len()).unwrap() + count;
    let mut words = vec![0xd7b7_ab1e, total, 32, 32, count, 32, 2048, 1];
    for index in 0..count {
        words.extend([total - count - data + index, data, index, 0, 2, 0, 0, 0]);
    }
    let mut image: Vec<u8> = words.into_iter().flat_map(u32::to_be_bytes).collect();
    image.extend(stream);
    image.resize(total as usize, 0);
    room.write("a.img", &image);
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
    fs::copy(room.path("base.dtb"), room.path("b#0")).unwrap();
    assert_eq!(apply("b#0 overlay1.dtbo -o other.dtb").code, 0, "a file of that name is that file");
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
        assert_eq!(json["error"]["message"], "--json and '-o -' both want standard output");
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
