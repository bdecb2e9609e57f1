//! The C library: AOSP's sample program, what the library is linked from, and what its calls give.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod c_library;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use c_library::host::{Call, Host, Request};
use c_library::{compile, library, program, scratch, source, succeed};
use kbt_dto::Options;
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::{Node, peers, require, write};

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example").join(name)
}

/// The sample, linked with libfdt as a boot loader is.
fn sample() -> Result<PathBuf, peers::Missing> {
    let libfdt = peers::libfdt()?;
    let source = source().join("samples/apply_overlay.c");
    let words = ["-I".as_ref(), libfdt.include.as_path(), &source, library(), &libfdt.archive];
    Ok(compile("apply_overlay", words))
}

/// A base of real size and an overlay for it.
fn real_pair() -> Result<[PathBuf; 2], peers::Missing> {
    let trees = peers::trees("arm64-6.12")?.join("ti");
    Ok(["k3-am625-sk.dtb", "k3-am62x-sk-csi2-ov5640.dtbo"].map(|name| trees.join(name)))
}

#[test]
fn the_sample_gives_the_bytes_of_kbt_dto_apply() {
    let sample = require!(sample());
    let pairs = [[example("base.dtb"), example("overlay1.dtbo")], require!(real_pair())];
    for [base, overlay] in pairs {
        let [theirs, ours] = ["sample.dtb", "kbt.dtb"].map(|name| scratch().join(name));
        succeed(Command::new(&sample).args([&base, &overlay, &theirs]));
        let mut kbt = Command::new(env!("CARGO_BIN_EXE_kbt"));
        succeed(kbt.args(["dto", "apply"]).args([&base, &overlay]).arg("-o").arg(&ours));
        assert_eq!(fs::read(&theirs).unwrap(), fs::read(&ours).unwrap(), "{}", overlay.display());
    }
}

#[test]
fn the_sample_is_clean_under_valgrind() {
    let valgrind = require!(program("valgrind"));
    let sample = require!(sample());
    let out = scratch().join("valgrind.dtb");
    let mut command = Command::new(valgrind);
    command.args(["--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"]);
    command.arg("--errors-for-leak-kinds=all").arg(sample);
    let [base, overlay] = require!(real_pair());
    let output = succeed(command.args([&base, &overlay, &out]));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn calls_are_clean_under_valgrind() {
    let valgrind = require!(program("valgrind"));
    let words = ["--quiet", "--error-exitcode=9", "--leak-check=full", "--errors-for-leak-kinds=all"];
    let words: Vec<&str> = [valgrind.to_str().unwrap()].into_iter().chain(words).collect();
    let mut host = Host::start_under(&words);
    let (base, overlay) =
        (fs::read(example("base.dtb")).unwrap(), fs::read(example("overlay1.dtbo")).unwrap());
    for fail_at in 0..3 {
        host.apply_failing(&base, &[&overlay], fail_at);
    }
    // Refused at ever another place.
    for end in (0..overlay.len()).step_by(7) {
        host.apply(&base, &[&overlay[..end]]);
    }
    for image in images() {
        for index in 0..3 {
            for call in [Call::Count, Call::Entry, Call::Load] {
                host.ask(&Request { call, fail_at: 0, arguments: [index, 0, 0, 0], inputs: &[&image] });
            }
        }
    }
    host.finish();
}

/// Links without any library of the system, as a boot loader does; gives the program.
fn bare() -> PathBuf {
    let bare = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_library/bare.c");
    let words = [
        "-nostdlib",
        "-static",
        "-ffreestanding",
        "-fno-builtin",
        "-Wl,--gc-sections",
        "-Wl,--fatal-warnings",
    ];
    compile("bare", words.map(Path::new).into_iter().chain([bare.as_path(), library()]))
}

#[test]
fn it_links_with_two_hooks_and_four_functions_alone() {
    let object = scratch().join("whole.o");
    let mut ld = Command::new("ld");
    ld.args(["-r", "--gc-sections", "-o"]).arg(&object);
    let header = fs::read_to_string(source().join("include/ufdt_overlay.h")).unwrap();
    let mut entries = 0;
    for word in header.split(|letter: char| !letter.is_alphanumeric() && letter != '_') {
        let is_function = header.contains(&format!("{word}(")) || header.contains(&format!("*{word}("));
        if is_function && (word.starts_with("ufdt_") || word.starts_with("kbt_")) {
            ld.args(["-u", word]);
            entries += 1;
        }
    }
    assert!(entries >= 7, "{entries} entry points in the header");
    succeed(ld.arg(library()));
    let wanted = succeed(Command::new("nm").arg("-u").arg(&object)).stdout;
    let wanted = String::from_utf8(wanted).unwrap();
    let mut wanted: Vec<&str> = wanted.lines().filter_map(|line| line.split_whitespace().last()).collect();
    wanted.sort_unstable();
    assert_eq!(wanted, ["dto_free", "dto_malloc", "memcmp", "memcpy", "memmove", "memset"]);
}

#[test]
fn a_program_of_its_own_start_runs() {
    let output = Command::new(bare()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn what_is_linked_is_small_and_prints_no_panic() {
    let program = bare();
    let sizes = succeed(Command::new("size").arg(&program)).stdout;
    let sizes = String::from_utf8(sizes).unwrap();
    let text: usize = sizes.lines().nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    println!("text: {text}");
    assert!(text < 200 << 10, "{text} bytes of text; docs/capi.md says less than 200 KiB");
    let bytes = fs::read(&program).unwrap();
    for words in
        ["panicked", "out of bounds", "unwrap()", "out of range for slice", "capacity overflow", "attempt to"]
    {
        let found = bytes.windows(words.len()).any(|window| window == words.as_bytes());
        assert!(!found, "'{words}' of a panic's message is linked");
    }
}

#[test]
fn the_header_suits_cplusplus_and_old_c() {
    let header = source().join("include/ufdt_overlay.h");
    for (compiler, standard) in [("gcc", "-std=c99"), ("gcc", "-std=gnu89"), ("g++", "-std=c++11")] {
        let language = if compiler == "g++" { "c++" } else { "c" };
        let Ok(compiler) = program(compiler) else { continue };
        let mut command = Command::new(compiler);
        command.args([standard, "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", language]);
        succeed(command.arg("-include").arg(&header).arg("/dev/null"));
    }
}

#[test]
fn every_failing_malloc_is_an_error_and_nothing_else() {
    let mut host = Host::start();
    let (base, overlay) =
        (fs::read(example("base.dtb")).unwrap(), fs::read(example("overlay1.dtbo")).unwrap());
    let all = host.apply(&base, &[&overlay]);
    assert_eq!(all.mallocs, 2, "a block to work in, and the result");
    for fail_at in 1..=all.mallocs {
        let answer = host.apply_failing(&base, &[&overlay], fail_at);
        assert_eq!((answer.code, answer.text.as_str()), (2, "dto_malloc has no memory"));
        assert!(answer.result.is_none());
    }
    let inputs: [&[u8]; 2] = [&base, &overlay];
    for fail_at in 1..=2 {
        let request = Request { call: Call::UfdtApply, fail_at, arguments: [0; 4], inputs: &inputs };
        // Without an error to look at it is told apart by null alone.
        let mut host = Host::start();
        let answer = host.ask_unchecked(&request);
        assert!(answer.result.is_none() && answer.leaks == 0);
    }
    let image = &images()[1];
    let loaded = host.ask(&Request { call: Call::Load, fail_at: 0, arguments: [0; 4], inputs: &[image] });
    assert!(loaded.result.is_some(), "{}", loaded.text);
    for fail_at in 1..=loaded.mallocs {
        let request = Request { call: Call::Load, fail_at, arguments: [0; 4], inputs: &[image] };
        assert_eq!(host.ask(&request).code, 2, "call {fail_at} of {}", loaded.mallocs);
    }
}

#[test]
fn installing_checks_and_copies_nothing() {
    let mut host = Host::start();
    let base = fs::read(example("base.dtb")).unwrap();
    let mut install = |bytes: &[u8]| {
        let request = Request { call: Call::Install, fail_at: 1, arguments: [0; 4], inputs: &[bytes] };
        let answer = host.ask(&request);
        assert_eq!(answer.mallocs, 0);
        answer.number == 1
    };
    assert!(install(&base));
    assert!(install(&[&base[..], b"more"].concat()));
    assert!(!install(&base[..base.len() - 1]));
    assert!(!install(&base[..20]));
    assert!(!install(b"\xd0\x0d\xfe\xed"));
    assert!(!install(&[]));
}

#[test]
fn an_error_has_its_place_in_one_sentence() {
    let mut host = Host::start();
    let soc = Node::new("soc").phandle(1);
    let base = write(&Node::new("").child(soc).child(Node::new("__symbols__").text("soc", "/soc")).into());
    let overlay = |target| {
        let mut overlay = Overlay::new();
        overlay.fragment(target, Node::default().text("status", "okay"));
        write(&overlay.finish())
    };
    let (good, bad) = (overlay(Target::label("soc")), overlay(Target::label("sox")));
    let answer = host.apply(&base, &[&good, &bad]);
    assert_eq!((answer.code, answer.overlay), (4, 1));
    let sentence = "overlay 1: fragment@0: property 'target': label 'sox' is not in the base tree (at byte ";
    assert!(answer.text.starts_with(sentence), "{}", answer.text);
    assert!(
        answer.text.ends_with(&format!("(at byte {}); did you mean soc?", answer.offset)),
        "{}",
        answer.text
    );

    let answer = host.apply(&base, &[&good[..50]]);
    assert_eq!((answer.code, answer.overlay, answer.offset), (3, 0, 4));
    let answer = host.apply(b"no", &[&good]);
    assert_eq!((answer.code, answer.overlay, answer.offset), (3, u32::MAX, 2));
    assert_eq!(answer.text, "base: truncated: shorter than a device tree's header (at byte 2)");

    // What would steer a terminal, and what does not fit.
    let long = overlay(Target::label("\u{1b}[2J\u{e9}".to_owned() + &"x".repeat(400)));
    let answer = host.apply(&base, &[&long]);
    assert!(answer.text.contains("'?[2J?xxx") && answer.text.ends_with("xx..."), "{}", answer.text);
    assert_eq!(answer.text.len(), 255);
}

#[test]
fn options_are_those_of_the_command() {
    let mut host = Host::start();
    let chosen = Node::new("chosen").text("bootargs", "quiet").phandle(1);
    let port = Node::new("spi@1").phandle(2);
    let symbols = Node::new("__symbols__").text("chosen", "/chosen");
    let base = write(&Node::new("").child(chosen).child(port).child(symbols).into());
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label("chosen"), Node::default().text("bootargs_ext", "debug"));
    overlay.fragment(Target::path("/"), Node::default().child(Node::new("spi").text("a", "b")));
    let overlay = write(&overlay.finish());
    let inputs: [&[u8]; 2] = [&base, &overlay];
    let same = |flags: u32, padding: u32| Options {
        concat_bootargs: flags & 1 != 0,
        loose_names: flags & 2 != 0,
        forbid_root: flags & 4 != 0,
        labels_only: flags & 8 != 0,
        padding,
    };
    for flags in 0..16 {
        for padding in [0, 100] {
            let request =
                Request { call: Call::Apply, fail_at: 0, arguments: [padding, flags, 0, 0], inputs: &inputs };
            let answer = host.ask(&request);
            let expected = kbt_dto::apply(&base, &[&overlay], &same(flags, padding));
            assert_eq!(
                answer.result,
                expected.ok().map(|merged| merged.bytes),
                "flags {flags}: {}",
                answer.text
            );
        }
    }
    let request = Request { call: Call::Apply, fail_at: 0, arguments: [0, 16, 0, 0], inputs: &inputs };
    assert_eq!(host.ask(&request).code, 1);
}

/// Images of the fixtures: version 0, version 1 with every compression, a partition's.
fn images() -> Vec<Vec<u8>> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mkdtboimg");
    let names = ["create-v0.img", "create-v1-mixed.img", "cfg-v1.img"];
    names.map(|name| fs::read(fixtures.join(name)).unwrap()).into()
}

#[test]
fn entries_are_found_and_loaded() {
    let mut host = Host::start();
    let mut formats = [false; 3];
    for image in images() {
        let table = kbt_dtbo_image::DtTable::parse(&image).unwrap();
        let mut ask = |call, arguments| host.ask(&Request { call, fail_at: 0, arguments, inputs: &[&image] });
        let count = u32::try_from(table.entries().len()).unwrap();
        assert_eq!(ask(Call::Count, [0; 4]).number, count);
        for (index, entry) in (0..).zip(table.entries()) {
            let words = ask(Call::Entry, [index, 0, 0, 0]).result.unwrap();
            let words: Vec<u32> = words.as_chunks().0.iter().map(|word| u32::from_ne_bytes(*word)).collect();
            let fixed = [entry.dt_offset, entry.dt_size, entry.id, entry.rev, entry.flags, entry.flags & 15];
            assert_eq!(words, [&fixed[..], &entry.custom].concat());
            formats[(entry.flags & 15) as usize] = true;

            let stored = table.stored(index as usize).unwrap();
            let compression = kbt_compress::Compression::detect(stored);
            let content = kbt_compress::decompress(compression, stored, 1 << 20).unwrap().bytes;
            assert_eq!(ask(Call::Load, [index, 0, 0, 0]).result.as_ref(), Some(&content));
            // The limit is what may come out, to the byte.
            let size = u32::try_from(content.len()).unwrap();
            assert_eq!(ask(Call::Load, [index, size, 0, 0]).result.as_ref(), Some(&content));
            assert_eq!(ask(Call::Load, [index, size - 1, 0, 0]).code, 8);
            // The first of that id from there on is this one.
            assert_eq!(ask(Call::Find, [entry.id, index, 0, 0]).number, index);
        }
        assert_eq!(ask(Call::Find, [0x7777_7777, 0, 0, 0]).code, 6);
        assert_eq!(ask(Call::Find, [table.entries()[0].id, count, 0, 0]).code, 6);
        let past = ask(Call::Load, [count, 0, 0, 0]);
        assert_eq!((past.code, past.result), (6, None));
        assert_eq!(past.text, format!("there is no entry {count}, the image has {count}"));
    }
    assert_eq!(formats, [true; 3], "a compression that no fixture has");
}

#[test]
fn two_threads_wait_for_each_other() {
    let program = compile(
        "threads",
        [
            "-pthread".as_ref(),
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_library/threads.c").as_path(),
            library(),
        ],
    );
    succeed(Command::new(program).arg(example("base.dtb")).arg(example("overlay1.dtbo")));
}

#[test]
fn the_stack_stays_shallow() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/c_library/stack.c");
    let program = compile("stack", [source.as_path(), library()]);
    let labels = (0..200).fold(Node::new("__symbols__"), |node, n| node.text(&format!("label{n}"), "/a"));
    let base = write(&Node::new("").child(Node::new("a")).child(labels).into());
    let overlay = |label: &str| {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::label(label), Node::default().child(Node::new("b")));
        write(&overlay.finish())
    };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/mkdtboimg/create-v1-mixed.img");
    let files = [base, overlay("label7"), overlay("lavel"), fs::read(fixture).unwrap()];
    let paths =
        ["base.dtb", "good.dtbo", "bad.dtbo", "image"].map(|name| scratch().join(format!("stack-{name}")));
    for (path, bytes) in paths.iter().zip(&files) {
        fs::write(path, bytes).unwrap();
    }
    let mut codes = Vec::new();
    for (third, entry) in [(2, "0"), (3, "0"), (3, "1"), (3, "2")] {
        let mut command = Command::new(&program);
        let output = succeed(command.args([&paths[0], &paths[1], &paths[third]]).arg(entry)).stdout;
        for line in String::from_utf8(output).unwrap().lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let [step, depth, code] = words[..] else { panic!("{line}") };
            println!("{line}");
            assert!(depth.parse::<usize>().unwrap() < 16 << 10, "{line}; docs/capi.md says less than 16 KiB");
            codes.push(format!("{step} {code}"));
        }
    }
    // Every way was taken: merged, refused for its label and for its header, loaded plainly and inflated.
    for step in ["merge 0", "refuse 4", "refuse 3", "load 0"] {
        assert!(codes.iter().any(|code| code == step), "{codes:?}");
    }
}
