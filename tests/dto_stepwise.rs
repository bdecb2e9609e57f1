//! Random trees and overlays with wide nodes, labels without phandles, references both ways, and fragments on
//! `/__symbols__`: merging at once gives what merging one after the other gives, and the result is in order.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use std::collections::HashSet;

use kbt_dto::{Base, Merger, Options};
use kbt_testkit::compare::assert_same;
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::random::Random;
use kbt_testkit::read::read;
use kbt_testkit::tree::{Node, Tree};
use kbt_testkit::write::write;

const ROUNDS: usize = 400;

/// A base: buses of few and of many devices; some devices have a phandle, some a label, some both.
fn base(random: &mut Random) -> (Node, Vec<String>) {
    let mut symbols = Node::new("__symbols__");
    let mut labels = Vec::new();
    let mut next_phandle = 1;
    let buses = (0..1 + random.below(4)).map(|bus| {
        let devices = (0..random.below(50)).map(|n| {
            let mut device = Node::new(format!("d@{n:x}")).cells("reg", &[n as u32]);
            if random.below(3) == 0 {
                next_phandle += 1 + random.below(3) as u32;
                device = device.phandle(next_phandle);
            }
            if random.below(4) == 0 {
                let label = format!("b{bus}d{n}");
                symbols = std::mem::take(&mut symbols).text(&label, &format!("/bus@{bus}/d@{n:x}"));
                labels.push(label);
            }
            device
        });
        let devices: Vec<Node> = devices.collect();
        let label = format!("b{bus}");
        symbols = std::mem::take(&mut symbols).text(&label, &format!("/bus@{bus}"));
        labels.push(label);
        Node::new(format!("bus@{bus}")).children(devices)
    });
    let buses: Vec<Node> = buses.collect();
    symbols.name = "__symbols__".to_owned();
    (Node::new("").children(buses).child(symbols), labels)
}

/// New nodes, few or many, nested or not, with references to labels and to each other.
struct Content<'r> {
    random: &'r mut Random,
    overlay: Overlay,
    labels: Vec<String>,
    /// What the overlay refers to: (path, property, label or nothing).
    references: Vec<(String, String, Option<String>)>,
    phandles: u32,
}

impl Content<'_> {
    /// Below `few`, or below `many` one time out of `times`.
    fn few_or_many(&mut self, times: usize, few: usize, many: usize) -> usize {
        let limit = if self.random.below(times) == 0 { many } else { few };
        self.random.below(limit)
    }

    fn node(&mut self, name: String, path: &str, depth: usize) -> Node {
        let mut node = Node::new(name);
        for n in 0..self.few_or_many(8, 3, 30) {
            let property = format!("p{n}");
            let label = (self.random.below(2) == 0)
                .then(|| self.labels[self.random.below(self.labels.len())].clone());
            if label.is_some() || self.phandles > 0 {
                let cell = if label.is_some() {
                    u32::MAX
                } else {
                    1 + self.random.below(self.phandles as usize) as u32
                };
                node = node.cells(&property, &[7, cell]);
                self.references.push((path.to_owned(), property, label));
            }
        }
        if self.random.below(3) == 0 {
            self.phandles += 1;
            node = node.phandle(self.phandles);
        }
        let children = if depth == 0 { 0 } else { self.few_or_many(6, 4, 40) };
        for n in 0..children {
            let name = format!("d@{n:x}");
            let child = self.node(name.clone(), &format!("{path}/{name}"), depth - 1);
            node = node.child(child);
        }
        node
    }
}

/// An overlay that fits a tree with these labels; labels that it defines are added to them.
fn overlay(random: &mut Random, labels: &mut Vec<String>, number: usize) -> Overlay {
    let known = labels.clone();
    let mut content =
        Content { random, overlay: Overlay::new(), labels: known, references: Vec::new(), phandles: 0 };
    for fragment in 0..1 + content.random.below(4) {
        let label = content.labels[content.random.below(content.labels.len())].clone();
        let path = format!("/fragment@{fragment}/__overlay__");
        match content.random.below(8) {
            0 => {
                let path = format!("/bus@0/{}", if content.random.below(2) == 0 { "" } else { "x" });
                let made = Node::default()
                    .text(&format!("made{number}"), path.trim_end_matches("x").trim_end_matches('/'));
                content.overlay.fragment(Target::path("/__symbols__"), made);
                labels.push(format!("made{number}"));
            }
            1 => {
                let bus = content.node(format!("bus@n{number}"), &format!("{path}/bus@n{number}"), 2);
                content.overlay.fragment(Target::path("/"), Node::default().child(bus));
                let label = format!("n{number}f{fragment}");
                content.overlay.symbol(&label, &format!("{path}/bus@n{number}"));
                labels.push(label);
            }
            _ => {
                let node = content.node(String::new(), &path, 2);
                content.overlay.fragment(Target::label(label), node);
            }
        }
    }
    let Content { mut overlay, references, .. } = content;
    for (path, property, label) in references {
        match label {
            Some(label) => overlay.reference(&path, &property, 4, &label),
            None => overlay.local_reference(&path, &property, 4),
        }
    }
    overlay
}

/// Nothing stands twice: no sibling, no property, no phandle.
#[track_caller]
fn in_order(tree: &Tree) {
    let mut phandles = HashSet::new();
    for (path, node) in tree.root.walk() {
        let mut names = HashSet::new();
        assert!(node.children.iter().all(|child| names.insert(&child.name)), "siblings in {path}");
        let mut names = HashSet::new();
        assert!(node.properties.iter().all(|(name, _)| names.insert(name)), "properties in {path}");
        if let Some(phandle) = node.property_cell("phandle") {
            assert!(phandles.insert(phandle), "phandle {phandle} of {path}");
        }
    }
    for (path, node) in tree.root.walk() {
        for (name, value) in
            node.properties.iter().filter(|(name, _)| name.starts_with('p') && name != "phandle")
        {
            let phandle = u32::from_be_bytes(value[4..8].try_into().unwrap());
            assert!(phandles.contains(&phandle), "{path}:{name} refers to {phandle}, which no node has");
        }
    }
}

#[test]
fn at_once_and_one_after_the_other() {
    let options = Options::default();
    let mut merger = Merger::default();
    for seed in 0..ROUNDS {
        let mut random = Random::new(seed as u64);
        let (root, mut labels) = base(&mut random);
        let base = write(&root.clone().into());
        let overlays: Vec<Vec<u8>> = (0..1 + random.below(4))
            .map(|number| write(&overlay(&mut random, &mut labels, number).finish()))
            .collect();
        let all: Vec<&[u8]> = overlays.iter().map(Vec::as_slice).collect();
        let merged = kbt_dto::apply(&base, &all, &options).unwrap_or_else(|error| panic!("{seed}: {error}"));
        let again = merger.apply(&base, &all, &options).unwrap();
        assert_eq!(merged.bytes, again.bytes, "{seed}: in the memory of other merges");
        let again = merger.apply_to(&Base::parse(&base).unwrap(), &all, &options).unwrap();
        assert_eq!(merged.bytes, again.bytes, "{seed}: into a base that is read");
        let merged = read(&merged.bytes).unwrap();
        let stepwise = all.iter().fold(base.clone(), |tree, overlay| {
            kbt_dto::apply(&tree, &[overlay], &options)
                .unwrap_or_else(|error| panic!("{seed}: {error}"))
                .bytes
        });
        assert_same(&merged, &read(&stepwise).unwrap());
        in_order(&merged);
        for (path, node) in root.walk() {
            let now = merged.root.at(&path).unwrap_or_else(|| panic!("{seed}: {path} is lost"));
            if let Some(phandle) = node.property_cell("phandle") {
                assert_eq!(now.property_cell("phandle"), Some(phandle), "{seed}: {path}");
            }
        }
    }
}
