//! kbt under the name of mkdtboimg: its command line gives its bytes and its text.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dtbo_cli;

use std::fs;

use dtbo_cli::{Ended, Room, fixture, words};

/// `(image's name, command line)` of the fixtures.
fn commands() -> Vec<(String, String)> {
    let text = fs::read_to_string(fixture("commands.txt")).unwrap();
    let commands: Vec<_> = text
        .lines()
        .map(|line| {
            let line = line.strip_prefix("mkdtboimg.py ").unwrap();
            let image = line.split_whitespace().nth(1).unwrap().strip_prefix("../").unwrap();
            (image.to_owned(), line.replace("../", ""))
        })
        .collect();
    assert_eq!(commands.len(), 8);
    commands
}

fn refuses(room: &Room, line: &str, expected: &str) {
    let ended = room.run("mkdtboimg", &words(line));
    assert_eq!(ended.stderr, expected, "{line}");
    assert_ne!(ended.code, 0, "{line}");
    assert_eq!(ended.stdout, "", "{line}");
}

#[test]
fn makes_the_very_images_and_dumps() {
    for name in ["mkdtboimg", "mkdtboimg.py", "/some/where/mkdtboimg.py"] {
        let room = Room::with_inputs();
        for (image, line) in commands() {
            assert_eq!(room.run(name, &words(&line)), Ended::quiet(""), "{line}");
            assert!(room.read(&image) == fs::read(fixture(&image)).unwrap(), "{name} {line}");
            let dump = fs::read_to_string(fixture(&image.replace(".img", ".dump.txt"))).unwrap();
            assert_eq!(room.run(name, &["dump", &image]), Ended::quiet(&dump));
        }
    }
}

#[test]
fn dump_writes_text_and_entries_to_files() {
    let room = Room::with_inputs();
    room.write("v1.img", fs::read(fixture("create-v1-mixed.img")).unwrap());
    let dump = fs::read(fixture("create-v1-mixed.dump.txt")).unwrap();
    for line in ["dump v1.img -o text -b e", "dump v1.img --output=text --dtb=e", "dump v1.img -otext -be"] {
        assert_eq!(room.run("mkdtboimg", &words(line)), Ended::quiet(""));
        assert!(room.read("text") == dump, "{line}");
        assert!(room.read("e.0") == room.read("board0.dtbo"), "{line}: stored as it is");
        assert!(room.read("e.1") == room.read("v1.img")[659..659 + 654], "{line}: stored compressed");
        fs::remove_file(room.path("text")).unwrap();
    }
    let ended = room.run("mkdtboimg", &words("dump v1.img --decompress -b d"));
    assert_eq!(ended.code, 0);
    for index in 0..4 {
        assert!(room.read(&format!("d.{index}")) == room.read(&format!("board{index}.dtbo")));
    }
}

#[test]
fn dump_of_a_partition_tells_no_more_than_the_table() {
    let room = Room::new();
    let mut image = fs::read(fixture("create-v0.img")).unwrap();
    image.extend([0; 5000]);
    room.write("partition.img", image);
    let dump = fs::read_to_string(fixture("create-v0.dump.txt")).unwrap();
    assert_eq!(room.run("mkdtboimg", &["dump", "partition.img"]), Ended::quiet(&dump));
}

#[test]
fn version_2_is_made_and_dumped() {
    let room = Room::with_inputs();
    let line = "create v2.img --version=2 --custom10=0x10 board0.dtbo --flags=1 --custom3=3 board1.dtbo";
    assert_eq!(room.run("mkdtboimg", &words(line)), Ended::quiet(""));
    let dump = room.run("mkdtboimg", &["dump", "v2.img"]).stdout;
    assert!(dump.contains("       dt_entry_size = 64\n"), "{dump}");
    assert!(dump.contains("           custom[3] = 00000003\n"), "{dump}");
    assert_eq!(dump.matches("          custom[10] = 00000010\n").count(), 2, "{dump}");
}

#[test]
fn help_goes_to_standard_output() {
    let room = Room::new();
    for topic in ["create", "cfg_create", "dump", "all"] {
        let ended = room.run("mkdtboimg", &["help", topic]);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
        assert!(ended.stdout.contains("IMAGE"), "{topic}");
    }
    let ended = room.run("mkdtboimg", &["help"]);
    assert!(ended.stdout.contains("help, dump, create, cfg_create"));
    assert_eq!(room.run("mkdtboimg", &["--help"]), ended);
}

#[test]
fn what_a_version_lacks_is_dropped_with_a_warning() {
    let room = Room::with_inputs();
    let plain = room.run("mkdtboimg", &words("create plain.img board0.dtbo --id=5"));
    assert_eq!(plain, Ended::quiet(""));
    let ended = room.run("mkdtboimg", &words("create flags.img board0.dtbo --id=5 --flags=1"));
    assert_eq!(
        ended.stderr,
        "mkdtboimg: warning: board0.dtbo: an image of version 0 has no flags\n  hint: the value of flags is dropped\n"
    );
    assert_eq!(ended.code, 0);
    assert!(room.read("flags.img") == room.read("plain.img"));
    let ended = room.run("mkdtboimg", &words("create c.img --version=1 --custom3=7 board0.dtbo"));
    assert_eq!(
        ended.stderr,
        "mkdtboimg: warning: board0.dtbo: an image of version 1 has no custom3\n  hint: the value of custom3 is dropped\n"
    );
    assert_eq!(ended.code, 0);
}

#[test]
fn refusals_where_the_tool_crashes() {
    let room = Room::with_inputs();
    let commands = "  hint: the commands are create, cfg_create, dump and help\n";
    let value = "  hint: give a 32-bit number (7, 0x7, 07) or /node:property\n";
    refuses(&room, "", &format!("mkdtboimg: error: no command is given\n{commands}"));
    refuses(&room, "pack", &format!("mkdtboimg: error: there is no command 'pack'\n{commands}"));
    refuses(
        &room,
        "create",
        "mkdtboimg: error: the image to write is not named\n  hint: see: mkdtboimg help create\n",
    );
    refuses(
        &room,
        "create o.img --id=1",
        "mkdtboimg: error: a file to pack is not named\n  hint: see: mkdtboimg help create\n",
    );
    refuses(
        &room,
        "create o.img nowhere.dtbo",
        "mkdtboimg: error: nowhere.dtbo: cannot read: No such file or directory\n",
    );
    refuses(
        &room,
        "create o.img board0.dtbo --id=08",
        &format!("mkdtboimg: error: '08' is no value for --id\n{value}"),
    );
    refuses(
        &room,
        "create o.img board0.dtbo --id=1=2",
        &format!("mkdtboimg: error: '1=2' is no value for --id\n{value}"),
    );
    refuses(
        &room,
        "create o.img board0.dtbo --id 5",
        "mkdtboimg: error: --id has no value\n  hint: join them: --id=VALUE (a value that stands apart is taken for a file)\n",
    );
    refuses(
        &room,
        "create o.img --version=3 board0.dtbo",
        "mkdtboimg: error: '3' is no value for --version\n  hint: give 0, 1 or 2\n",
    );
    refuses(
        &room,
        "create o.img --version=1 board0.dtbo --flags=7",
        "mkdtboimg: error: board0.dtbo: flags 0x7 name compression 7, which is not known\n  \
         hint: the low four bits are 0 none, 1 zlib, 2 gzip or 3 lz4\n",
    );
    let takes = "  hint: an entry takes --id, --rev, --flags and --custom0 to --custom10; --dt_type, --page_size and \
                 --version stand before the first file\n";
    refuses(
        &room,
        "create o.img board0.dtbo --version=1",
        &format!("mkdtboimg: error: --version stands behind a file\n{takes}"),
    );
    refuses(
        &room,
        "create o.img --ids=1 board0.dtbo",
        &format!("mkdtboimg: error: there is no option --ids\n{takes}"),
    );
    refuses(
        &room,
        "dump",
        "mkdtboimg: error: the image to read is not named\n  hint: see: mkdtboimg help dump\n",
    );
    refuses(&room, "dump a -x", "mkdtboimg: error: there is no option -x\n");
    refuses(&room, "dump a b", "mkdtboimg: error: 'b' is one word too many\n");
    refuses(&room, "dump a -o", "mkdtboimg: error: -o has no value\n");
    refuses(&room, "help me", &format!("mkdtboimg: error: there is no help on 'me'\n{commands}"));
}

#[test]
fn refusals_of_configurations() {
    let room = Room::with_inputs();
    for (text, expected) in [
        (
            "board0.dtbo\n  id=1=2\n",
            "mkdtboimg: error: c.cfg: line 2: 'id=1=2' has more than one '=' (at byte 12)\n  hint: write one key=value a line\n",
        ),
        (
            "id=1\nboard0.dtbo\n",
            "mkdtboimg: error: c.cfg: line 1: the option 'id=1' stands before the first file and does not start with a blank (at byte 0)\n  \
             hint: start it with a blank to make it a default of all entries\n",
        ),
        ("nowhere.dtbo\n", "mkdtboimg: error: nowhere.dtbo: cannot read: No such file or directory\n"),
        (
            "# nothing\n",
            "mkdtboimg: error: c.cfg: line 1: the configuration names no file (at byte 10)\n  hint: name at least one file, at the margin\n",
        ),
    ] {
        room.write("c.cfg", text);
        refuses(&room, "cfg_create o.img c.cfg", expected);
    }
    room.write("hex.cfg", " page_size=0x1000\n id=010\nboard1.dtbo\n");
    assert_eq!(room.run("mkdtboimg", &words("cfg_create hex.img hex.cfg")), Ended::quiet(""));
    assert!(
        room.read("hex.img") == fs::read(fixture("create-page.img")).unwrap(),
        "hexadecimal page sizes are read"
    );
}

#[test]
fn a_configuration_s_files_are_found_below_the_directory() {
    let room = Room::with_inputs();
    fs::create_dir_all(room.path("out/deep/er")).unwrap();
    for index in 0..3 {
        let name = format!("board{index}.dtbo");
        fs::rename(room.path(&name), room.path("out/deep/er").join(&name)).unwrap();
    }
    for line in ["-d out", "-dout", "--dtb-dir out", "--dtb-dir=out", ""] {
        let line = format!("cfg_create o.img v1.cfg {line}");
        assert_eq!(room.run("mkdtboimg", &words(&line)), Ended::quiet(""), "{line}");
        assert!(room.read("o.img") == fs::read(fixture("cfg-v1.img")).unwrap(), "{line}");
    }
    fs::copy(room.path("out/deep/er/board1.dtbo"), room.path("out/board1.dtbo")).unwrap();
    assert_eq!(
        room.run("mkdtboimg", &words("cfg_create o.img v1.cfg -d out")),
        Ended::quiet(""),
        "equal copies"
    );
    room.write("out/board1.dtbo", "another");
    refuses(
        &room,
        "cfg_create o.img v1.cfg -d out",
        "mkdtboimg: error: 'board1.dtbo' is both out/board1.dtbo and out/deep/er/board1.dtbo, which differ\n  \
         hint: write ./ or the directory in front of the name, or point --dtb-dir at the right directory\n",
    );
    room.write("own.cfg", "deep/er/board1.dtbo\n");
    assert_eq!(room.run("mkdtboimg", &words("cfg_create own.img own.cfg -d out")), Ended::quiet(""));
    assert!(room.read("own.img")[64..] == room.read("out/deep/er/board1.dtbo"));
}

#[test]
fn a_refusal_leaves_the_old_output_alone() {
    let room = Room::with_inputs();
    room.write("o.img", "old");
    for line in [
        "create o.img board0.dtbo --id=x",
        "create o.img board0.dtbo nowhere.dtbo",
        "create o.img --version=9 board0.dtbo",
        "cfg_create o.img nowhere.cfg",
    ] {
        assert_ne!(room.run("mkdtboimg", &words(line)).code, 0, "{line}");
        assert_eq!(room.read("o.img"), b"old", "{line}");
    }
    let before = room.names(".");
    assert_eq!(before.iter().filter(|name| name.starts_with(".kbt-")).count(), 0, "{before:?}");
}

#[test]
fn values_are_read_from_the_tree() {
    let room = Room::with_inputs();
    let line = "create o.img --id=/:board_id board0.dtbo --custom0=/fragment@0/__overlay__/node1:reg board1.dtbo --id=7";
    assert_eq!(room.run("mkdtboimg", &words(line)), Ended::quiet(""));
    let dump = room.run("mkdtboimg", &["dump", "o.img"]).stdout;
    assert!(dump.contains("                  id = 00000010\n"), "{dump}");
    assert!(dump.contains("           custom[0] = 00000001\n"), "{dump}");
    assert!(dump.contains("                  id = 00000007\n"), "{dump}");

    let refuses_value = |value: &str, file: &str, expected: &str| {
        let line = format!("create o.img {file} --id={value}");
        refuses(&room, &line, &format!("mkdtboimg: error: {file}: {expected}\n"));
    };
    refuses_value("/:nothing", "board0.dtbo", "node / has no property nothing");
    refuses_value("/no/:x", "board0.dtbo", "there is no node /no to read x from");
    refuses_value(
        "/:x",
        "acpi.aml",
        "the value /:x cannot be read: not a device tree: bad magic 6e6f7420, expected d00dfeed (at byte 0)\n  \
         hint: give the value as a number",
    );
}
