//! Labels of many siblings: whether siblings and labels are in order, partly in order, or not, each leads to the first
//! node of its path, and a name that stands twice is told of.

#![allow(clippy::unwrap_used)]

use kbt_dto::{Options, WarningKind};
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::random::Random;
use kbt_testkit::read::read;
use kbt_testkit::tree::Node;
use kbt_testkit::write::write;

/// A bus of devices with these names, a label each in the order of `labels`.
fn base(names: &[String], labels: &[usize]) -> Vec<u8> {
    let devices =
        names.iter().enumerate().map(|(n, name)| Node::new(name.clone()).cells("index", &[cell(n)]));
    let devices: Vec<Node> = devices.collect();
    let symbols = labels.iter().fold(Node::new("__symbols__"), |symbols, &n| {
        symbols.text(&format!("label{n}"), &format!("/bus/{}", names[n]))
    });
    write(&Node::new("").child(Node::new("bus").children(devices)).child(symbols).into())
}

fn cell(n: usize) -> u32 {
    u32::try_from(n).unwrap()
}

/// An overlay that notes in the node of each label which one it is.
fn overlay(labels: &[usize]) -> Vec<u8> {
    let mut overlay = Overlay::new();
    for &n in labels {
        overlay.fragment(Target::label(format!("label{n}")), Node::default().cells("wanted", &[cell(n)]));
    }
    write(&overlay.finish())
}

/// Merges, and checks of each label that it led to the first device of its name.
fn check(names: &[String], labels: &[usize], wanted: &[usize]) -> Vec<kbt_dto::Warning> {
    let merged = kbt_dto::apply(&base(names, labels), &[&overlay(wanted)], &Options::default()).unwrap();
    let tree = read(&merged.bytes).unwrap();
    let bus = tree.root.at("/bus").unwrap();
    for &n in wanted {
        let first = names.iter().position(|name| *name == names[n]).unwrap();
        let last = wanted.iter().rfind(|&&other| names[other] == names[n]).unwrap();
        assert_eq!(
            bus.children[first].property_cell("wanted"),
            Some(cell(*last)),
            "{names:?} {labels:?} {n}"
        );
    }
    let changed = bus.children.iter().filter(|child| child.property_cell("wanted").is_some()).count();
    let distinct: std::collections::HashSet<_> = wanted.iter().map(|&n| &names[n]).collect();
    assert_eq!(changed, distinct.len(), "{names:?} {labels:?}");
    merged.warnings
}

fn shuffle<T>(random: &mut Random, list: &mut [T]) {
    for at in (1..list.len()).rev() {
        list.swap(at, random.below(at + 1));
    }
}

#[test]
fn each_label_leads_to_the_first_node_of_its_path() {
    let mut random = Random::new(5);
    for round in 0..600 {
        let count = 10 + random.below(60);
        let mut address = 0;
        let mut names: Vec<String> = (0..count)
            .map(|_| {
                address += 1 + random.below(1 << [2, 6, 24][round % 3]);
                let name = ["d", "device", "a-device-with-a-long-name"][random.below(3)];
                format!("{name}@{address:x}")
            })
            .collect();
        // Some stand elsewhere, have no unit address, or another one's name.
        for _ in 0..[0, 0, 1, 3][random.below(4)] {
            let (at, other) = (random.below(count), random.below(count));
            match random.below(4) {
                0 => names.swap(at, other),
                1 => names[at] = format!("no-address-{at}"),
                2 => names[at] = format!("d@{at:x},{other:x}"),
                _ => names[at] = names[other].clone(),
            }
        }
        let mut labels: Vec<usize> = (0..count).filter(|_| random.below(3) > 0).collect();
        if random.below(2) == 0 {
            shuffle(&mut random, &mut labels);
        }
        let mut wanted: Vec<usize> = labels.iter().copied().filter(|_| random.below(3) > 0).collect();
        shuffle(&mut random, &mut wanted);
        check(&names, &labels, &wanted);
    }
}

#[test]
fn a_name_that_stands_twice_is_told_of() {
    let mut names: Vec<String> = (0..40).map(|n| format!("device@{n:x}")).collect();
    let all: Vec<usize> = (0..40).collect();
    assert_eq!(check(&names, &all, &[3, 4, 5]), []);
    // Behind all that is wanted, and in between.
    for at in [39, 4] {
        names[at] = "device@3".to_owned();
        let warnings = check(&names, &all, &[2, 3, 5]);
        let told =
            |kind: &WarningKind| matches!(kind, WarningKind::DuplicateNode { name } if name == "device@3");
        assert!(warnings.iter().any(|warning| told(&warning.kind)), "{warnings:?}");
    }
}

#[test]
fn symbols_that_are_no_absolute_paths_change_nothing() {
    let bus =
        Node::new("bus").children((0..40).map(|n| Node::new(format!("device@{n:x}"))).collect::<Vec<_>>());
    let aliases = Node::new("aliases").text("first", "/bus/device@0");
    let odd = ["first", "/bus/", "/", "//", "/bus/device@1", "/bus/device@1/", "/bus//device@2", "first/"];
    let symbols = (0..)
        .zip(odd)
        .fold(Node::new("__symbols__"), |symbols, (n, path)| symbols.text(&format!("label{n}"), path));
    let base = write(&Node::new("").children([aliases, bus, symbols]).into());
    let led = |n: usize| {
        let merged = kbt_dto::apply(&base, &[&overlay(&[n])], &Options::default()).unwrap();
        let tree = read(&merged.bytes).unwrap();
        let walk = tree.root.walk();
        let found: Vec<String> = walk
            .into_iter()
            .filter(|(_, node)| node.property_cell("wanted").is_some())
            .map(|(path, _)| path)
            .collect();
        assert_eq!(found.len(), 1, "{}", odd[n]);
        found[0].clone()
    };
    let paths: Vec<String> = (0..odd.len()).map(led).collect();
    let first = "/bus/device@0";
    assert_eq!(paths, [first, "/bus", "/", "/", "/bus/device@1", "/bus/device@1", "/bus/device@2", first]);
}

/// Symbols that start with an alias lead where the alias does, even if the root node has a child of its name.
#[test]
fn an_alias_is_no_name_of_a_bus() {
    let names: Vec<String> = (16..76).map(|n| format!("uart@{n:x}")).collect();
    let bus = |name: &str| Node::new(name).children(names.iter().map(|name| Node::new(name.clone())));
    let aliases = Node::new("aliases").text("bus", "/other");
    let all: Vec<usize> = (0..names.len()).collect();
    // All of them, and some between absolute paths.
    for every in [1, 2, 7] {
        let start = |n: usize| if n.is_multiple_of(every) { "" } else { "/" };
        let symbols = all.iter().fold(Node::new("__symbols__"), |symbols, &n| {
            symbols.text(&format!("label{n}"), &format!("{}bus/{}", start(n), names[n]))
        });
        let root = Node::new("").children([aliases.clone(), bus("bus"), bus("other"), symbols]);
        let merged = kbt_dto::apply(&write(&root.into()), &[&overlay(&all)], &Options::default()).unwrap();
        let root = read(&merged.bytes).unwrap().root;
        for &n in &all {
            let (there, elsewhere) = if start(n) == "/" { ("/bus", "/other") } else { ("/other", "/bus") };
            let wanted = |bus: &str| root.at(bus).unwrap().children[n].property_cell("wanted");
            assert_eq!((wanted(there), wanted(elsewhere)), (Some(cell(n)), None), "{every}: {}", names[n]);
        }
    }
}

/// As for libfdt, to which they are C strings.
#[test]
fn a_path_ends_at_its_first_nul() {
    let names: Vec<String> = (16..76).map(|n| format!("uart@{n:x}")).collect();
    let all: Vec<usize> = (0..names.len()).collect();
    let aliases = Node::new("aliases").bytes("bus", b"/bus\0\0".to_vec());
    let bus = Node::new("bus").children(names.iter().map(|name| Node::new(name.clone())));
    // Hashes have another seed each time.
    for round in 0..200 {
        let symbols = all.iter().fold(Node::new("__symbols__"), |symbols, &n| {
            let name = &names[n];
            let path = match (n + round) % 9 {
                0 => format!("/bus/{name}\0\0"),
                1 => format!("/bus/{name}\0\0\0\0"),
                2 => format!("/bus/{name}\0/x"),
                3 => format!("bus/{name}\0x\0"),
                _ => format!("/bus/{name}\0"),
            };
            symbols.bytes(&format!("label{n}"), path.into_bytes())
        });
        let root = Node::new("").children([aliases.clone(), bus.clone(), symbols]);
        let merged = kbt_dto::apply(&write(&root.into()), &[&overlay(&all)], &Options::default()).unwrap();
        let bus = read(&merged.bytes).unwrap().root.at("/bus").unwrap().clone();
        assert!(all.iter().all(|&n| bus.children[n].property_cell("wanted") == Some(cell(n))), "{round}");
    }
}
