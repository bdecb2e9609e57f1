//! Damaged and crafted input: an answer or an error, never a panic, and never more time or memory than the input's
//! size explains.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kbt_dto::{Merger, Options};
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::peers;
use kbt_testkit::random::Random;
use kbt_testkit::tree::Node;
use kbt_testkit::write::write;

/// Mutated pairs in all; half of them where the real trees could not be had.
const MUTATIONS: usize = 100_000;

/// A base and an overlay that fit each other.
struct Pair {
    base: Vec<u8>,
    overlay: Vec<u8>,
}

fn made() -> Pair {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    let read = |name| fs::read(fixtures.join(name)).unwrap();
    Pair { base: read("base.dtb"), overlay: read("overlay1.dtbo") }
}

/// Real pairs, the small ones: a mutation of a small file hits something that matters more often.
fn real() -> Result<Vec<Pair>, peers::Missing> {
    let vendor = peers::trees("arm64-6.12")?.join("ti");
    let files = |extension: &str| {
        let paths = fs::read_dir(&vendor).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|found| found == extension)).collect();
        paths.sort_by_key(|path| (fs::metadata(path).unwrap().len(), path.clone()));
        paths
    };
    let mut pairs = Vec::new();
    for overlay in files("dtbo") {
        let overlay = fs::read(overlay).unwrap();
        let fits = |base: &Vec<u8>| kbt_dto::apply(base, &[&overlay], &Options::default()).is_ok();
        let base = files("dtb").iter().map(|path| fs::read(path).unwrap()).find(fits);
        pairs.extend(base.map(|base| Pair { base, overlay }));
    }
    Ok(pairs)
}

/// Changes a few bytes, mostly the words that the format turns on.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    const WORDS: [u32; 12] =
        [0, 1, 2, 3, 4, 9, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0xffff_fffe, 0x10, 0x100];
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            return;
        }
        let at = random.below(bytes.len());
        match random.below(8) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at] = random.below(256) as u8,
            3 => {
                // Somewhere in the header.
                let word = random.below(10) * 4;
                if let Some(field) = bytes.get_mut(word..word + 4) {
                    field.copy_from_slice(&(random.below(2000) as u32).to_be_bytes());
                }
            }
            4 => {
                let from = random.below(bytes.len());
                let length = random.below(64).min(bytes.len() - at).min(bytes.len() - from);
                bytes.copy_within(from..from + length, at);
            }
            _ => {
                let word = at & !3;
                if let Some(field) = bytes.get_mut(word..word + 4) {
                    field.copy_from_slice(&WORDS[random.below(WORDS.len())].to_be_bytes());
                }
            }
        }
    }
}

/// What is merged is a sound tree, and what was merged before in the same memory makes no difference.
fn check(merger: &mut Merger, base: &[u8], overlay: &[u8], options: &Options) {
    let (merged, again) =
        (kbt_dto::apply(base, &[overlay], options), merger.apply(base, &[overlay], options));
    let merged = match (merged, again) {
        (Ok(merged), Ok(again)) => {
            assert!(merged.bytes == again.bytes && merged.warnings == again.warnings);
            merged
        }
        (merged, again) => {
            assert_eq!(merged.map(|merged| merged.bytes), again.map(|merged| merged.bytes));
            return;
        }
    };
    let blob = kbt_fdt::Blob::parse(&merged.bytes).unwrap();
    blob.tree().unwrap();
    assert!(merged.bytes.len() <= 2 * (base.len() + overlay.len()) + 4096 + 600 * overlay.len());
}

fn mutations(pairs: &[Pair], count: usize, seed: u64) {
    let mut random = Random::new(seed);
    let mut merger = Merger::default();
    let options = [
        Options::default(),
        Options { loose_names: true, ..Options::default() },
        Options { concat_bootargs: true, padding: 7, ..Options::default() },
    ];
    for round in 0..count {
        let pair = &pairs[round % pairs.len()];
        let (mut base, mut overlay) = (pair.base.clone(), pair.overlay.clone());
        // The overlay is the part that says what to do.
        if round % 4 == 0 {
            mutate(&mut random, &mut base);
        } else {
            mutate(&mut random, &mut overlay);
        }
        check(&mut merger, &base, &overlay, &options[round % options.len()]);
    }
}

#[test]
fn mutated_made_trees() {
    mutations(&[made()], MUTATIONS / 2, 1);
}

#[test]
fn mutated_real_trees() {
    match real() {
        Ok(pairs) => {
            assert!(pairs.len() > 3, "{} pairs", pairs.len());
            mutations(&pairs, MUTATIONS, 2);
        }
        Err(missing) => peers::skip("mutated_real_trees", &missing),
    }
}

#[test]
fn every_truncation_and_every_flipped_bit_of_an_overlay() {
    let Pair { base, overlay } = made();
    for length in 0..overlay.len() {
        assert!(kbt_dto::apply(&base, &[&overlay[..length]], &Options::default()).is_err());
    }
    for bit in 0..overlay.len() * 8 {
        let mut overlay = overlay.clone();
        overlay[bit / 8] ^= 1 << (bit % 8);
        check(&mut Merger::default(), &base, &overlay, &Options::default());
    }
}

/// Runs in time that a quadratic algorithm could not keep by orders of magnitude, even on a loaded machine.
#[track_caller]
fn in_time(base: &Node, overlay: Overlay, options: &Options) -> Vec<u8> {
    let (base, overlay) = (write(&base.clone().into()), write(&overlay.finish()));
    let started = Instant::now();
    let merged = kbt_dto::apply(&base, &[&overlay], options).unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    merged.bytes
}

const MANY: u32 = 60_000;

#[test]
fn many_fragments_on_one_wide_node() {
    let children = (0..MANY).map(|n| Node::new(format!("d@{n:x}")));
    let base = Node::new("").child(Node::new("bus").children(children));
    let mut overlay = Overlay::new();
    for n in 0..MANY {
        overlay.fragment(Target::path(format!("/bus/d@{n:x}")), Node::default().flag("x"));
        overlay.fragment(Target::path("/bus"), Node::default().child(Node::new(format!("e@{n:x}"))));
    }
    in_time(&base, overlay.clone(), &Options::default());
    in_time(&base, overlay, &Options { loose_names: true, ..Options::default() });
}

#[test]
fn many_properties_of_one_node() {
    let wide = (0..MANY).fold(Node::new("wide"), |node, n| node.cells(&format!("p{n}"), &[n]));
    let more = (0..MANY).fold(Node::default(), |node, n| {
        let node = node.cells(&format!("p{n}"), &[n + 1]);
        node.cells(&format!("q{n}"), &[n])
    });
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/wide"), more);
    in_time(&Node::new("").child(wide), overlay, &Options::default());
}

#[test]
fn many_siblings_of_one_name() {
    let twins = || (0..MANY).map(|n| Node::new("twin").cells("n", &[n]));
    let base = Node::new("").child(Node::new("bus").children(twins()));
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/"), Node::default().child(Node::new("new").children(twins())));
    overlay.fragment(Target::path("/bus"), Node::default().children(twins()));
    in_time(&base, overlay, &Options::default());
}

#[test]
fn a_chain_of_fragments_that_each_build_on_the_last() {
    let mut overlay = Overlay::new();
    let mut path = String::new();
    for _ in 0..400 {
        overlay.fragment(
            Target::path(if path.is_empty() { "/" } else { &path }),
            Node::default().child(Node::new("n")),
        );
        path.push_str("/n");
    }
    in_time(&Node::new(""), overlay, &Options::default());
}

#[test]
fn references_that_many_superseded_phandles_follow() {
    let children = (0..MANY / 4).map(|n| Node::new(format!("d@{n:x}")).phandle(n + 1));
    let base = Node::new("").child(Node::new("bus").children(children));
    let mut overlay = Overlay::new();
    let content = (0..MANY / 4).map(|n| Node::new(format!("d@{n:x}")).phandle(n + 1).cells("self", &[n + 1]));
    let path = overlay.fragment(Target::path("/bus"), Node::default().children(content));
    // The testkit's builder looks nodes up one by one; here they are in order.
    let mirrors = (0..MANY / 4).map(|n| Node::new(format!("d@{n:x}")).cells("self", &[0]));
    let [fragment, content] = [&path[1..11], "__overlay__"];
    let mirror = Node::new(fragment).child(Node::new(content).children(mirrors));
    overlay.root.children.push(Node::new("__local_fixups__").child(mirror));
    let merged = in_time(&base, overlay, &Options::default());
    let tree = kbt_testkit::read::read(&merged).unwrap();
    for (n, node) in tree.root.at("/bus").unwrap().children.iter().enumerate() {
        assert_eq!(node.property_cell("self"), Some(n as u32 + 1));
    }
}
