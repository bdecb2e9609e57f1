//! `kbt dtbo pack` and `unpack`: mkdtboimg's bytes, and images that come back without loss.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dtbo_cli;

use std::fs;

use dtbo_cli::{Ended, Room, fixture, pack, partition, refuses, with_image};

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

#[test]
fn packs_the_very_bytes_of_mkdtboimg() {
    let room = Room::with_inputs();
    for (image, line) in PACKS {
        assert_eq!(pack(&room, &format!("-o o.img {line}")), Ended::quiet(""), "{line}");
        assert!(room.read("o.img") == fs::read(fixture(image)).unwrap(), "{line}");
    }
}

#[test]
fn unpacks_and_packs_without_loss() {
    for image in dtbo_cli::IMAGES {
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

/// No packer makes one, `kbt dtbo pack` neither; but who has one gets it back.
#[test]
fn an_image_without_entries_comes_back() {
    let room = Room::new();
    let image = [0xd7b7_ab1e_u32, 32, 32, 32, 0, 32, 2048, 0].map(u32::to_be_bytes);
    room.write("a.img", image.as_flattened());
    assert_eq!(room.kbt(&["dtbo", "unpack", "-q", "a.img", "d"]), Ended::quiet(""));
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    assert!(room.read("b.img") == image.as_flattened());
    room.write("empty.cfg", "");
    let ended = pack(&room, "--config empty.cfg -o c.img");
    let expected = "kbt: error: empty.cfg: line 0: the configuration names no file (at byte 0)\n  \
                    hint: name at least one file, at the margin\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (1, expected));
    assert_eq!(pack(&room, "-o c.img").code, 2);
    assert!(!room.path("c.img").exists());
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
        (
            "\"gaps\": []",
            "\"gaps\": [{\"offset\": 0, \"size\": 4294967295}]",
            "the gaps have 4294967295 bytes, more than the image\n".to_owned(),
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
fn only_a_deleted_content_is_done_without() {
    let room = with_image("create-v1-mixed.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    let line = "--manifest d/manifest.json -o b.img";
    fs::remove_file(room.path("d/1.dtbo")).unwrap();
    assert_eq!(pack(&room, line), Ended::quiet(""));
    assert!(room.read("b.img") == room.read("a.img"));
    fs::create_dir(room.path("d/1.dtbo")).unwrap();
    let ended = pack(&room, line);
    assert!(ended.stderr.starts_with("kbt: error: d/1.dtbo: "), "{}", ended.stderr);
    assert_eq!(ended.code, 1);
    fs::remove_dir(room.path("d/1.dtbo")).unwrap();
    let manifest = String::from_utf8(room.read("d/manifest.json")).unwrap();
    room.write("d/manifest.json", manifest.replace("\"1.dtbo\"", "\"../board1.dtbo\""));
    let ended = pack(&room, line);
    assert!(ended.stderr.contains("the manifest names '../board1.dtbo'"), "{}", ended.stderr);
    room.write("d/manifest.json", manifest);
    fs::remove_file(room.path("d/1.dtbo.zlib")).unwrap();
    let ended = pack(&room, line);
    assert_eq!(ended.stderr, "kbt: error: d/1.dtbo.zlib: cannot read: No such file or directory\n");
    room.write("d/1.dtbo", room.read("board1.dtbo"));
    assert_eq!(pack(&room, line), Ended::quiet(""));
}

#[test]
fn the_manifest_converts_entries() {
    let room = with_image("create-v1-mixed.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    let manifest = String::from_utf8(room.read("d/manifest.json")).unwrap();
    let line = "--manifest d/manifest.json -o b.img";
    // The blobs stand in the order of the entries: none, zlib, gzip, zlib.
    let edit = |blob: usize, compression: &str, flags: Option<&str>| {
        let mut json: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        json["blobs"][blob]["compression"] = compression.into();
        if let Some(flags) = flags {
            json["entries"][blob]["flags"] = flags.into();
        }
        room.write("d/manifest.json", json.to_string());
    };
    for (blob, compression, flags) in
        [(1, "lz4", "3"), (1, "none", "0"), (1, "gzip", "2"), (2, "zlib", "1"), (3, "gzip", "2")]
    {
        edit(blob, compression, Some(flags));
        assert_eq!(pack(&room, line), Ended::quiet(""), "{blob} {compression}");
        let listed = room.kbt(&["dtbo", "list", "b.img", "--json"]).stdout;
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        assert_eq!(listed["entries"][blob]["compression"], compression);
        let index = blob.to_string();
        assert_eq!(room.kbt(&["dtbo", "extract", "b.img", &index, "-o", "e"]), Ended::quiet(""));
        assert!(room.read("e") == room.read(&format!("board{blob}.dtbo")), "{blob} {compression}");
        room.kbt(&["dtbo", "extract", "b.img", &index, "--stored", "-o", "s"]);
        let magic: &[u8] = match compression {
            "zlib" => b"\x78\x9c",
            "gzip" => b"\x1f\x8b",
            "lz4" => b"\x04\x22\x4d\x18",
            _ => b"\xd0\x0d\xfe\xed",
        };
        assert!(room.read("s").starts_with(magic), "{blob} {compression}");
    }
    let both = "\n  hint: change both: the low four bits of the flags are 0 none, 1 zlib, 2 gzip or 3 lz4\n";
    let named = "\n  hint: to have it compressed, name its device tree as content\n";
    for (blob, compression, flags, expected) in [
        (
            1,
            "none",
            None,
            format!("d/manifest.json: the flags of entry 1 (0x1) say zlib, and its blob 1 says none{both}"),
        ),
        (
            1,
            "lz4",
            None,
            format!("d/manifest.json: the flags of entry 1 (0x1) say zlib, and its blob 1 says lz4{both}"),
        ),
        (
            1,
            "zlib",
            Some("9"),
            format!(
                "d/manifest.json: the flags of entry 1 (0x9) say compression 9, which is not known, and its blob 1 says zlib{both}"
            ),
        ),
        (
            3,
            "zlib",
            Some("0x10"),
            format!("d/manifest.json: the flags of entry 3 (0x10) say none, and its blob 3 says zlib{both}"),
        ),
        (
            0,
            "lz4",
            Some("3"),
            format!(
                "0.dtbo: the manifest says lz4, but the compressed stream is corrupt: no LZ4 frame starts here{named}"
            ),
        ),
    ] {
        edit(blob, compression, flags);
        refuses(&room, &format!("pack {line}"), 1, &format!("kbt: error: {expected}"));
    }
}

#[test]
fn entries_of_one_range_and_two_compressions_come_back() {
    let room = Room::with_inputs();
    assert_eq!(pack(&room, "-o a.img --compression zlib board1.dtbo board1.dtbo,id=0x77"), Ended::quiet(""));
    let mut image = room.read("a.img");
    assert_eq!(image[32..40], image[64..72], "the entries share their bytes");
    image[64 + 19] = 0;
    room.write("a.img", &image);
    assert_eq!(room.kbt(&["dtbo", "unpack", "a.img", "d"]), Ended::quiet(""));
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    assert!(room.read("b.img") == image);
    let manifest = String::from_utf8(room.read("d/manifest.json")).unwrap();
    room.write("d/manifest.json", manifest.replace("0x00000077", "0x78"));
    assert_eq!(pack(&room, "--manifest d/manifest.json -o b.img"), Ended::quiet(""));
    image[64 + 11] = 0x78;
    assert!(room.read("b.img") == image);
}

#[test]
fn links_in_an_unpacked_directory_are_not_followed() {
    use std::os::unix::fs::symlink;
    let room = with_image("create-v1-mixed.img");
    room.write("outside", "secret");
    fs::create_dir(room.path("d")).unwrap();
    for name in ["d/0.dtbo", "d/1.dtbo", "d/1.dtbo.zlib", "d/manifest.json"] {
        symlink("../outside", room.path(name)).unwrap();
    }
    symlink("../nowhere", room.path("d/2.dtbo")).unwrap();
    assert_eq!(room.kbt(&["dtbo", "unpack", "a.img", "d"]), Ended::quiet(""));
    assert_eq!(room.read("outside"), b"secret");
    assert!(!room.path("nowhere").exists());
    let line = "--manifest d/manifest.json -o b.img";
    assert_eq!(pack(&room, line), Ended::quiet(""));
    assert!(room.read("b.img") == room.read("a.img"));

    let fifo = |path: &std::path::Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    for name in ["d/0.dtbo", "d/1.dtbo", "d/1.dtbo.zlib", "d/manifest.json"] {
        let old = room.read(name);
        fs::remove_file(room.path(name)).unwrap();
        symlink(room.path("outside"), room.path(name)).unwrap();
        let link = "cannot read: this is a symbolic link, which is not followed here\n";
        refuses(&room, &format!("pack {line}"), 1, &format!("kbt: error: {name}: {link}"));
        fs::remove_file(room.path(name)).unwrap();
        fifo(&room.path(name));
        let what = "cannot read: this is no regular file\n";
        refuses(&room, &format!("pack {line}"), 1, &format!("kbt: error: {name}: {what}"));
        fs::remove_file(room.path(name)).unwrap();
        room.write(name, old);
    }
    // The directory itself may be named by a link.
    symlink("d", room.path("link")).unwrap();
    assert_eq!(pack(&room, "--manifest link/manifest.json -o b.img"), Ended::quiet(""));
    let huge = fs::File::create(room.path("d/0.dtbo")).unwrap();
    huge.set_len(5 << 30).unwrap();
    refuses(&room, &format!("pack {line}"), 1, "kbt: error: d/0.dtbo: cannot read: larger than 4 GiB\n");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let room = with_image("create-v1-mixed.img");
    room.kbt(&["dtbo", "unpack", "a.img", "d"]);
    for (line, clash) in [
        ("pack --dtb-dir . board0.dtbo -o o.img", "'--dtb-dir <DIR>' cannot be used with"),
        ("pack --dtb-dir . --manifest d/manifest.json -o o.img", "'--dtb-dir <DIR>' cannot be used with"),
        ("pack --max-size 1M board0.dtbo -o o.img", "'--max-size <N>' cannot be used with"),
        ("pack --max-size 1M --config v0.cfg -o o.img", "'--max-size <N>' cannot be used with"),
        ("dump a.img --decompress", "the following required arguments were not provided: --dtb <PREFIX>"),
    ] {
        let ended = room.kbt(&dtbo_cli::words(&format!("dtbo {line}")));
        assert!(ended.stderr.contains(clash), "{line}: {}", ended.stderr);
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{line}");
    }
    assert!(!room.path("o.img").exists());
    let line = "--max-size 1 --manifest d/manifest.json -o o.img";
    assert_eq!(pack(&room, line).code, 0);
    fs::remove_file(room.path("d/1.dtbo")).unwrap();
    let ended = pack(&room, line);
    assert!(ended.stderr.contains("1.dtbo.zlib: more than 1 bytes would come out"), "{}", ended.stderr);
}

#[test]
fn configurations_come_from_standard_input_and_end() {
    let room = Room::with_inputs();
    let piped = format!("{} dtbo pack --config - -o o.img < v1.cfg", env!("CARGO_BIN_EXE_kbt"));
    let status = std::process::Command::new("sh").args(["-c", &piped]).current_dir(room.path(".")).status();
    assert!(status.unwrap().success());
    assert!(room.read("o.img") == fs::read(fixture("cfg-v1.img")).unwrap());
    fs::File::create(room.path("long.cfg")).unwrap().set_len((16 << 20) + 1).unwrap();
    let too_long = "long.cfg: a configuration has at most 16777216 bytes, and this one has more\n  \
                    hint: give it a text, not an image\n";
    refuses(&room, "pack --config long.cfg -o p.img", 1, &format!("kbt: error: {too_long}"));
    let endless = "/dev/zero: cannot read: a character device that gives more than 1 MiB has no end\n";
    refuses(&room, "pack --config /dev/zero -o p.img", 1, &format!("kbt: error: {endless}"));
}
