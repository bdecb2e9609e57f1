//! Damaged and crafted trees through show, diff, lint and verify: an answer or an error, never a panic, and never more
//! time or text than the input's size explains.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use kbt_dto::Options;
use kbt_dto_check::{lint, verify};
use kbt_dts::{Dts, compare};
use kbt_testkit::random::Random;
use kbt_testkit::{Node, Overlay, Target, write};

/// Mutated trees in all.
const MUTATIONS: usize = 20_000;

/// Many times what each case takes, and a small part of what a quadratic search would.
const LONGEST: Duration = Duration::from_secs(20);

fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dto/example");
    fs::read(fixtures.join(name)).unwrap()
}

/// Everything at once.
fn look(base: &[u8], overlay: &[u8]) {
    if let (Ok(left), Ok(right)) = (Dts::parse(base), Dts::parse(overlay)) {
        for (dts, bytes) in [(&left, base), (&right, overlay)] {
            if let Ok(shown) = dts.show() {
                assert!(shown.text.len() <= (1 << 20) + 200 * bytes.len(), "{} bytes", shown.text.len());
            }
        }
        assert_eq!(compare(&left, &left), []);
        for difference in compare(&left, &right) {
            for (dts, node) in [(&left, difference.left), (&right, difference.right)] {
                let Some(node) = node else { continue };
                let _ = dts.show_subtree(node, 0);
                for property in dts.tree().properties(node).take(1) {
                    let _ = dts.show_property(node, &property, 0);
                }
            }
        }
    }
    let _ = lint(base, &[overlay], &Options::default());
    let _ = verify(base, None, &[overlay], &kbt_dto::Options::default());
}

fn mutate(random: &mut Random, bytes: &mut [u8]) {
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            _ => {
                let word = at & !3;
                let value = [0, 1, 2, 3, 4, 9, u32::MAX][random.below(7)];
                bytes.get_mut(word..word + 4).into_iter().for_each(|field| {
                    field.copy_from_slice(&value.to_be_bytes());
                });
            }
        }
    }
}

#[test]
fn mutated_trees() {
    let (base, overlays) = (fixture("base.dtb"), ["overlay1.dtbo", "overlay2.dtbo"].map(fixture));
    let mut random = Random::new(6);
    for round in 0..MUTATIONS {
        let (mut base, mut overlay) = (base.clone(), overlays[round % 2].clone());
        mutate(&mut random, if round % 3 == 0 { &mut base } else { &mut overlay });
        look(&base, &overlay);
    }
}

#[track_caller]
fn in_time(base: &Node, overlay: Overlay) {
    let (base, overlay) = (write(&base.clone().into()), write(&overlay.finish()));
    let start = Instant::now();
    look(&base, &overlay);
    look(&overlay, &base);
    let took = start.elapsed();
    assert!(took < LONGEST, "{took:?} for {} and {} bytes", base.len(), overlay.len());
}

const MANY: u32 = 60_000;

#[test]
fn many_siblings_symbols_and_references() {
    let children = (0..MANY).map(|n| Node::new(format!("n{n}")).phandle(n + 1));
    let mut symbols = Node::new("__symbols__");
    let mut overlay = Overlay::new();
    let cells: Vec<u32> = (1..=MANY).collect();
    let path = overlay.fragment(Target::path("/"), Node::new("").cells("interrupts-extended", &cells));
    for n in 0..MANY {
        symbols = symbols.text(&format!("l{n}"), &format!("/n{n}"));
    }
    for n in 0..MANY / 20 {
        overlay.reference(&path, "interrupts-extended", n * 4, &format!("l{n}"));
        overlay.symbol(&format!("l{n}"), &path);
    }
    let base = Node::new("").cells("pinctrl-0", &cells).children(children).child(symbols);
    in_time(&base, overlay);
}

#[test]
fn many_properties() {
    let wide = |name: &str| {
        let node = Node::new(name).cells("#clock-cells", &[0]).phandle(1);
        (0..MANY).fold(node, |node, n| node.flag(&format!("p{n}")))
    };
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/wide"), wide(""));
    let base = Node::new("").child(wide("wide")).child(Node::new("u").cells("clocks", &[1; MANY as usize]));
    in_time(&base, overlay);
}

#[test]
fn many_phandles_that_one_tree_alone_has() {
    let base = Node::new("").children((0..5 * MANY).map(|n| Node::new(format!("n{n}")).phandle(n + 1)));
    in_time(&base, Overlay::new());
}

#[test]
fn many_overlays_with_labels() {
    let base = write(&Node::new("").into());
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::path("/"), Node::new(""));
    overlay.symbol("label", &path);
    let overlay = write(&overlay.finish());
    let start = Instant::now();
    let overlays = vec![&overlay[..]; MANY as usize / 3];
    let _ = lint(&base, &overlays, &Options::default());
    let took = start.elapsed();
    assert!(took < LONGEST, "{took:?} for {} overlays", overlays.len());
}

#[test]
fn the_same_names_again_and_again() {
    let twice = |name: &str| {
        let node = (0..MANY / 4).fold(Node::new(name), |node, _| node.flag("p"));
        node.children((0..MANY / 4).map(|_| Node::new("c").phandle(7)))
    };
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/a"), twice(""));
    in_time(&Node::new("").child(twice("a")), overlay);
}

#[test]
fn deep_nodes_and_long_paths() {
    let deep = |depth: usize| {
        let last = Node::new("last").phandle(1).cells("pinctrl-0", &vec![1; 20_000]);
        (0..depth).fold(last, |node, _| Node::new("x".repeat(500)).child(node))
    };
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::path("/"), deep(500));
    overlay.symbol("far", &format!("{path}{}/last", format!("/{}", "x".repeat(500)).repeat(500)));
    in_time(&Node::new("").child(deep(500)), overlay);
}

#[test]
fn local_references_to_a_far_node() {
    // Each reference of four bytes would be a path of 50 KB.
    let far = (0..100).fold(Node::new("far").phandle(1), |node, _| Node::new("x".repeat(500)).child(node));
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::path("/"), Node::new("").cells("a", &vec![1; 30_000]).child(far));
    for n in 0..30_000 {
        overlay.local_reference(&path, "a", n * 4);
    }
    in_time(&Node::new(""), overlay);
}
