//! The C library against everything there is to give it: real pairs, made ones that ask for much memory, damaged
//! ones, and what the fuzzers kept. Of every call: the answer of `kbt_dto::apply` to the byte, no input changed,
//! nothing leaked, and no more than two blocks of the host, so that [running out of memory](every_call) is an error.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod c_library;
#[path = "../fuzz/capi_call.rs"]
mod capi_call;
#[path = "../fuzz/trees.rs"]
mod trees;

use std::fs;
use std::path::Path;

use c_library::host::{Call, Host, Request};
use kbt_compress::{Compression, compress, decompress};
use kbt_dto::Options;
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::random::Random;
use kbt_testkit::{Node, cases, peers, require, write};

/// Holds a call against the crate, and its blocks against the bound.
fn every_call(host: &mut Host, what: &str, base: &[u8], overlays: &[&[u8]]) {
    let answer = host.apply(base, overlays);
    match kbt_dto::apply(base, overlays, &Options::default()) {
        Ok(merged) => {
            assert_eq!(answer.mallocs, 2, "{what}: a block to work in and the result, and no other");
            assert!(answer.result == Some(merged.bytes), "{what}: {}", answer.text);
        }
        Err(error) => {
            assert!(answer.mallocs <= 2, "{what}: {} blocks", answer.mallocs);
            assert_eq!(answer.result, None, "{what}: {error}");
            let offset = error.place.offset.map_or(u64::MAX, |offset| offset as u64);
            assert_eq!(answer.offset, offset, "{what}: {error}: {}", answer.text);
            assert!(answer.code != 2, "{what}: {}", answer.text);
        }
    }
}

#[test]
fn real_pairs() {
    let trees = require!(peers::trees("arm64-6.12"));
    let mut host = Host::start();
    let mut pairs = 0;
    for vendor in fs::read_dir(trees).unwrap() {
        let vendor = vendor.unwrap().path();
        let mut files: Vec<_> = fs::read_dir(&vendor).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let of = |wanted: &'static str| {
            let files =
                files.iter().filter(move |path| path.extension().is_some_and(|found| found == wanted));
            files.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect::<Vec<_>>()
        };
        let overlays = of("dtbo");
        for (number, (name, base)) in of("dtb").iter().enumerate() {
            // Every base once, so that each is counted; with each overlay in turn.
            if let Some((overlay, bytes)) = overlays.get(number % overlays.len().max(1)) {
                every_call(&mut host, &format!("{name} + {overlay}"), base, &[bytes]);
            } else {
                every_call(&mut host, name, base, &[base]);
            }
            pairs += 1;
        }
    }
    assert!(pairs > 100, "{pairs}");
}

#[test]
fn trees_that_ask_for_memory() {
    let mut host = Host::start();
    for case in cases::named() {
        let overlays: Vec<&[u8]> = case.overlays.iter().map(Vec::as_slice).collect();
        every_call(&mut host, &case.name, &case.base, &overlays);
    }
    let overlays = greedy_overlays();
    for (base_name, base) in &greedy_bases() {
        for (name, overlay) in &overlays {
            for count in [1, 3] {
                let stack: Vec<&[u8]> = (0..count).map(|_| overlay.as_slice()).collect();
                every_call(&mut host, &format!("{base_name} + {count} {name}"), base, &stack);
            }
        }
    }
}

const MANY: u32 = 4000;

fn many(make: impl Fn(u32) -> Node) -> Vec<Node> {
    (0..MANY).map(make).collect()
}

/// Bases of whose records each kind is many.
fn greedy_bases() -> Vec<(&'static str, Vec<u8>)> {
    let symbols = || Node::new("__symbols__").text("a", "/a").text("b", "/b");
    let tree = |children: Vec<Node>| write(&Node::new("").children(children).into());
    let below_a = |children| tree(vec![Node::new("a").children(children), symbols()]);
    let (mut deep, mut path) = (Node::new("z").phandle(3), "/z".to_owned());
    for level in 0..400 {
        deep = Node::new(format!("n{level}")).child(deep);
        path = format!("/n{level}{path}");
    }
    let labels = (0..MANY).fold(symbols(), |node, n| node.text(&format!("l{n}"), "/a"));
    let properties = (0..MANY).fold(Node::new("a"), |node, n| node.cells(&format!("p{n}"), &[]));
    let rooted = [many(|n| Node::new(format!("{n:x}"))), vec![Node::new("a").phandle(1), symbols()]].concat();
    vec![
        ("small", tree(vec![Node::new("a").phandle(1), Node::new("b"), symbols()])),
        ("root's children", tree(rooted)),
        ("children", below_a(many(|n| Node::new(format!("{n:x}"))))),
        ("phandles", below_a(many(|n| Node::new(format!("{n:x}")).phandle(n + 1)))),
        ("sparse phandles", below_a(many(|n| Node::new(format!("{n:x}")).phandle(n * 400_000 + 1)))),
        ("properties", tree(vec![properties, symbols()])),
        ("labels", tree(vec![Node::new("a"), labels])),
        ("long names", below_a((0..40).map(|_| Node::new("x".repeat(20_000))).collect())),
        ("deep", tree(vec![deep, Node::new("a"), symbols().text("z", &path)])),
    ]
}

/// Overlays of which each makes the merge keep much of one kind.
fn greedy_overlays() -> Vec<(&'static str, Vec<u8>)> {
    let below_a = |content| {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::label("a"), content);
        write(&overlay.finish())
    };
    let fragments = |make: &dyn Fn(u32) -> (Target, Node)| {
        let mut overlay = Overlay::new();
        for n in 0..MANY {
            let (target, content) = make(n);
            overlay.fragment(target, content);
        }
        write(&overlay.finish())
    };
    let symbols = |label: &str| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(Target::label(label), Node::default().child(Node::new("k")));
        for n in 0..MANY {
            overlay.symbol(&format!("s{n}"), &format!("{path}/k"));
        }
        write(&overlay.finish())
    };
    let named = |n: u32| Node::new(format!("{n:x}"));
    let properties = (0..MANY).fold(Node::default(), |node, n| node.cells(&format!("p{n}"), &[]));
    let property = (0..MANY).fold(Node::default(), |node, _| node.cells("p", &[]));
    vec![
        ("nodes", below_a(Node::default().children(many(named)))),
        ("nodes of one name", below_a(Node::default().children(many(|_| Node::new("s"))))),
        ("nodes with a property", below_a(Node::default().children(many(|n| named(n).cells("p", &[]))))),
        ("nodes with phandles", below_a(Node::default().children(many(|n| named(n).phandle(n + 1))))),
        ("properties", below_a(properties)),
        ("one property", below_a(property)),
        (
            "fragments",
            fragments(&|n| (Target::label("a"), Node::default().cells(&format!("q{}", n % 7), &[n]))),
        ),
        ("paths", fragments(&|n| (Target::path("/a"), Node::default().child(named(n))))),
        ("labels", fragments(&|n| (Target::label(format!("l{n}")), Node::default()))),
        ("a label that is near many", {
            let mut overlay = Overlay::new();
            overlay.fragment(Target::label("lxxxx"), Node::default());
            write(&overlay.finish())
        }),
        ("symbols", symbols("a")),
        ("symbols far down", symbols("z")),
    ]
}

#[test]
fn damaged_pairs() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    let read = |name| fs::read(fixtures.join(name)).unwrap();
    let (base, overlay) = (read("base.dtb"), read("overlay1.dtbo"));
    let mut host = Host::start();
    let mut random = Random::new(6);
    for round in 0..4000 {
        let mut pair = [base.clone(), overlay.clone()];
        let damaged = &mut pair[random.below(2)];
        for _ in 0..=random.below(3) {
            let at = random.below(damaged.len() / 4) * 4;
            let words = [0, 1, 2, 3, 4, 9, 0x7fff_ffff, 0xffff_ffff, 0x10, 0x100];
            let word: u32 = words[random.below(words.len())];
            damaged[at..at + 4].copy_from_slice(&word.to_be_bytes());
        }
        if random.below(8) == 0 {
            let length = random.below(damaged.len());
            damaged.truncate(length);
        }
        every_call(&mut host, &format!("round {round}"), &pair[0], &[&pair[1]]);
    }
}

#[test]
fn what_the_fuzzer_kept() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut host = Host::start();
    for entry in fs::read_dir(corpus.join("dto_apply")).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // As the target splits them.
        let Some((&[_, count], mut rest)) = bytes.split_first_chunk() else { continue };
        let mut trees = Vec::new();
        for _ in 0..count % 4 {
            let Some((length, behind)) = rest.split_first_chunk() else { break };
            let length = usize::from(u16::from_be_bytes(*length)).min(behind.len());
            trees.push(&behind[..length]);
            rest = &behind[length..];
        }
        trees.push(rest);
        every_call(&mut host, &path.display().to_string(), trees[0], &trees[1..]);
    }
    for entry in fs::read_dir(corpus.join("dtbo_image")).unwrap() {
        let image = fs::read(entry.unwrap().path()).unwrap();
        for end in (0..image.len()).step_by(11).chain([image.len()]) {
            for call in [Call::Count, Call::Find, Call::Entry, Call::Load] {
                for index in 0..3 {
                    let inputs: [&[u8]; 1] = [&image[..end]];
                    host.ask(&Request { call, fail_at: 0, arguments: [index, 0, 0, 0], inputs: &inputs });
                }
            }
        }
    }
}

/// What the fuzzer of the library itself kept, in a library that was built for hosts.
#[test]
fn what_the_fuzzer_of_the_library_kept() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/capi");
    let mut host = Host::start();
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        let Some((call, fail_at)) = capi_call::parse(&bytes) else { continue };
        let mut ask = |call, arguments, inputs: &[&[u8]]| {
            let answer = host.ask_unchecked(&Request { call, fail_at, arguments, inputs });
            assert!(!answer.inputs_changed && answer.leaks == 0, "{}: {answer:?}", path.display());
            assert!(answer.code != 2 || fail_at != 0, "{}: {answer:?}", path.display());
            answer
        };
        match call {
            capi_call::Call::Merge { flags, padding, trees } => {
                let answer = ask(Call::Apply, [padding, flags, 0, 0], &trees);
                let options = Options {
                    padding,
                    concat_bootargs: flags & 1 != 0,
                    loose_names: flags & 2 != 0,
                    forbid_root: flags & 4 != 0,
                    labels_only: flags & 8 != 0,
                };
                let expected =
                    kbt_dto::apply(trees[0], &trees[1..], &options).ok().map(|merged| merged.bytes);
                let refused = fail_at != 0 && answer.mallocs >= fail_at;
                assert!(
                    answer.result == expected.filter(|_| !refused),
                    "{}: {}",
                    path.display(),
                    answer.text
                );
            }
            capi_call::Call::Image { index, id, max_size, image } => {
                ask(Call::Count, [0; 4], &[image]);
                ask(Call::Find, [id, index, 0, 0], &[image]);
                ask(Call::Load, [index, u32::try_from(max_size).unwrap(), 0, 0], &[image]);
            }
        }
    }
}

/// An image of version 1 with one entry.
fn image(stored: &[u8], flags: u32) -> Vec<u8> {
    let size = u32::try_from(stored.len()).unwrap();
    let header = [0xd7b7_ab1e, 64 + size, 32, 32, 1, 32, 2048, 1];
    let entry = [size, 64, 0, 0, flags, 0, 0, 0];
    let words = header.into_iter().chain(entry).flat_map(u32::to_be_bytes);
    words.chain(stored.iter().copied()).collect()
}

/// What the library makes of a stream, against kbt's own decoder (zlib's).
fn same_stream(host: &mut Host, what: &str, stored: &[u8]) {
    const LIMIT: u32 = 1 << 20;
    let format = if stored.starts_with(&[0x1f, 0x8b]) { Compression::Gzip } else { Compression::Zlib };
    let expected = decompress(format, stored, LIMIT as usize).map(|stream| stream.bytes);
    let image = image(stored, 1);
    let request = Request { call: Call::Load, fail_at: 0, arguments: [0, LIMIT, 0, 0], inputs: &[&image] };
    let answer = host.ask(&request);
    let (result, error) = (expected.as_ref().ok(), expected.as_ref().err());
    assert!(answer.result.as_ref() == result, "{what}: zlib: {error:?}, the library: '{}'", answer.text);
    assert!(matches!(answer.code, 0 | 7 | 8), "{what}: {}", answer.text);
}

#[test]
fn streams_good_and_bad() {
    let mut host = Host::start();
    let mut random = Random::new(7);
    let mut text = Vec::new();
    for n in 0..20_000_u32 {
        text.extend(format!("{} ", n.wrapping_mul(2_654_435_761) % 300).into_bytes());
    }
    // More than a window, exactly one, and nothing.
    for content in [&text[..], &text[..32 << 10], &text[..1], &[], &vec![0; 1 << 20]] {
        for format in [Compression::Zlib, Compression::Gzip] {
            let stored = compress(format, content).unwrap();
            same_stream(&mut host, "whole", &stored);
            same_stream(&mut host, "with bytes behind", &[&stored[..], b"behind"].concat());
            for _ in 0..60 {
                let cut = random.below(stored.len());
                same_stream(&mut host, &format!("cut at {cut}"), &stored[..cut]);
                let (mut damaged, at) = (stored.clone(), random.below(stored.len()));
                damaged[at] ^= 1 << random.below(8);
                same_stream(&mut host, &format!("{format}: byte {at} of {}", stored.len()), &damaged);
            }
        }
    }
    // gzip's optional fields: extra, name, comment, the header's checksum.
    let stored = compress(Compression::Gzip, b"content").unwrap();
    for announced in 0..=255_u8 {
        let mut header = stored[..10].to_vec();
        header[3] = announced;
        let fields: [(u8, &[u8]); 4] = [(4, b"\x03\0abc"), (8, b"name\0"), (16, b"comment\0"), (2, b"\0\0")];
        for (bit, field) in fields {
            if announced & bit == 0 {
                continue;
            }
            if bit == 2 {
                let crc = kbt_compress::crc32(&header);
                header.extend(&crc.to_le_bytes()[..2]);
            } else {
                header.extend(field);
            }
        }
        let stream = [&header, &stored[10..]].concat();
        same_stream(&mut host, &format!("flags {announced:#x}"), &stream);
        for cut in 0..header.len() {
            same_stream(&mut host, &format!("flags {announced:#x} cut at {cut}"), &stream[..cut]);
        }
    }
    // A gigabyte of zeros in a megabyte is refused while it is counted.
    let bomb = compress(Compression::Zlib, &vec![0; 64 << 20]).unwrap();
    let image = image(&bomb, 2);
    let answer =
        host.ask(&Request { call: Call::Load, fail_at: 0, arguments: [0, 1 << 20, 0, 0], inputs: &[&image] });
    assert_eq!((answer.code, answer.result), (8, None));
    assert!(answer.peak < 100 << 10, "{} bytes", answer.peak);
}
