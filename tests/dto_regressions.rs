//! Merges that a review or a fuzzer found wrong, each as small as it could be made.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use kbt_dto::{Error, ErrorKind, Merged, Options};
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::read::read;
use kbt_testkit::tree::{Node, Tree};
use kbt_testkit::write::write;

fn try_merge(base: &Node, overlays: Vec<Overlay>, options: &Options) -> Result<Merged, Error> {
    let overlays: Vec<Vec<u8>> = overlays.into_iter().map(|overlay| write(&overlay.finish())).collect();
    let overlays: Vec<&[u8]> = overlays.iter().map(Vec::as_slice).collect();
    kbt_dto::apply(&write(&base.clone().into()), &overlays, options)
}

#[track_caller]
fn apply(base: &Node, overlays: Vec<Overlay>) -> Tree {
    let merged = try_merge(base, overlays, &Options::default()).unwrap();
    assert_eq!(merged.warnings, []);
    read(&merged.bytes).unwrap()
}

fn at<'t>(tree: &'t Tree, path: &str) -> &'t Node {
    tree.root.at(path).unwrap_or_else(|| panic!("no {path} in {tree:#?}"))
}

fn labels(labels: &[(&str, &str)]) -> Node {
    labels.iter().fold(Node::new("__symbols__"), |node, (label, path)| node.text(label, path))
}

#[test]
fn a_wide_new_subtree_with_references_keeps_its_children() {
    let base = Node::new("").child(Node::new("a").phandle(1)).child(labels(&[("a", "/a")]));
    for local in [false, true] {
        let mut overlay = Overlay::new();
        let devices =
            (0..40).map(|n| Node::new(format!("d@{n:x}")).cells("r", &[if local { 1 } else { u32::MAX }]));
        let bus = Node::new("bus").child(Node::new("own").phandle(1)).children(devices.collect::<Vec<_>>());
        let path = overlay.fragment(Target::path("/"), Node::default().child(bus));
        for n in 0..40 {
            let device = format!("{path}/bus/d@{n:x}");
            if local {
                overlay.local_reference(&device, "r", 0);
            } else {
                overlay.reference(&device, "r", 0, "a");
            }
        }
        let tree = apply(&base, vec![overlay]);
        assert_eq!(at(&tree, "/bus").children.len(), 41);
        let expected = if local { 2 } else { 1 };
        assert!((0..40).all(|n| at(&tree, &format!("/bus/d@{n:x}")).property_cell("r") == Some(expected)));
    }
}

#[test]
fn a_new_phandle_of_the_base_is_none_of_the_overlays() {
    let base =
        Node::new("").child(Node::new("a")).child(Node::new("b").phandle(1)).child(labels(&[("a", "/a")]));
    let mut overlay = Overlay::new();
    let content = Node::default().child(Node::new("n").phandle(1)).cells("ra", &[u32::MAX]).cells("rn", &[1]);
    let path = overlay.fragment(Target::path("/b"), content);
    overlay.reference(&path, "ra", 0, "a");
    overlay.local_reference(&path, "rn", 0);
    let tree = apply(&base, vec![overlay]);
    let (a, n) = (at(&tree, "/a").property_cell("phandle"), at(&tree, "/b/n").property_cell("phandle"));
    assert_ne!(a, n);
    assert_eq!((at(&tree, "/b").property_cell("ra"), at(&tree, "/b").property_cell("rn")), (a, n));
}

/// `/a` and `/b`, and a label of `/a`.
fn two() -> Node {
    Node::new("").child(Node::new("a")).child(Node::new("b")).child(labels(&[("a", "/a")]))
}

fn into_symbols(label: &str, path: &str) -> Overlay {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/__symbols__"), Node::default().text(label, path));
    overlay
}

fn mark(label: &str) -> Overlay {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label(label), Node::default().flag("marked"));
    overlay
}

#[test]
fn a_label_that_a_fragment_changes_or_adds_is_seen_by_the_next_overlay() {
    let tree = apply(&two(), vec![into_symbols("a", "/b"), mark("a")]);
    assert!(at(&tree, "/b").property("marked").is_some() && at(&tree, "/a").property("marked").is_none());
    let tree = apply(&two(), vec![into_symbols("z", "/b"), mark("z")]);
    assert!(at(&tree, "/b").property("marked").is_some());
}

#[test]
fn a_label_that_a_fragment_adds_and_the_overlay_has_too_stands_once() {
    let mut overlay = into_symbols("z", "/a");
    let path = overlay.fragment(Target::path("/b"), Node::default().child(Node::new("c")));
    overlay.symbol("z", &format!("{path}/c"));
    let tree = apply(&two(), vec![into_symbols("z", "/b"), overlay]);
    let z: Vec<_> = at(&tree, "/__symbols__").properties.iter().filter(|(name, _)| name == "z").collect();
    assert_eq!(z.len(), 1);
    assert_eq!(z[0].1, b"/b/c\0");
}

#[test]
fn there_is_one_node_for_symbols_however_it_comes() {
    let base = Node::new("").child(Node::new("a"));
    let mut overlay = Overlay::new();
    let symbols = Node::new("__symbols__").text("by-hand", "/a");
    let path = overlay.fragment(Target::path("/"), Node::default().child(symbols).child(Node::new("c")));
    overlay.symbol("c", &format!("{path}/c"));
    let tree = apply(&base, vec![overlay, mark("by-hand"), mark("c")]);
    assert_eq!(tree.root.children.iter().filter(|node| node.name == "__symbols__").count(), 1);
    assert!(at(&tree, "/a").property("marked").is_some() && at(&tree, "/c").property("marked").is_some());
}

#[test]
fn a_phandle_of_0_in_the_base_is_none() {
    let base = Node::new("").child(Node::new("a").phandle(0)).child(labels(&[("a", "/a"), ("alias", "/a")]));
    let mut overlay = Overlay::new();
    let path = overlay
        .fragment(Target::path("/"), Node::default().child(Node::new("a").phandle(1)).cells("r", &[1]));
    overlay.local_reference(&path, "r", 0);
    let tree = apply(&base, vec![overlay]);
    assert_eq!(at(&tree, "/a").property_cell("phandle"), tree.root.property_cell("r"));
    assert_ne!(tree.root.property_cell("r"), Some(0));

    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::path("/"), Node::default().cells("r", &[u32::MAX, u32::MAX]));
    overlay.reference(&path, "r", 0, "a");
    overlay.reference(&path, "r", 4, "alias");
    let tree = apply(&base, vec![overlay]);
    let phandle = at(&tree, "/a").property("phandle").unwrap();
    assert_eq!(tree.root.property("r").unwrap(), [phandle, phandle].concat());
}

#[test]
fn a_phandle_of_an_overlay_is_one_cell() {
    for name in ["phandle", "linux,phandle"] {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::path("/a"), Node::default().bytes(name, vec![0, 1]));
        let error = try_merge(&two(), vec![overlay], &Options::default()).unwrap_err();
        assert_eq!(error.kind, ErrorKind::BadPhandleLength { length: 2 }, "{name}");
    }
}

#[test]
fn of_a_property_that_stands_twice_the_one_that_stays_gets_the_references() {
    let mut overlay = Overlay::new();
    let content = Node::default().child(Node::new("n").phandle(1)).cells("r", &[7]).cells("r", &[1]);
    let path = overlay.fragment(Target::path("/a"), content);
    overlay.local_reference(&path, "r", 0);
    let merged = try_merge(&two(), vec![overlay], &Options::default()).unwrap();
    let tree = read(&merged.bytes).unwrap();
    assert_eq!(at(&tree, "/a").property("r"), at(&tree, "/a/n").property("phandle"));
}

#[test]
fn deep_trees_are_refused_for_their_own_depth_only() {
    let nested = |levels: usize| (0..levels).fold(Node::new("n"), |inner, _| Node::new("n").child(inner));
    let base = Node::new("").child(nested(200));
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/"), Node::default().child(Node::new("x").child(nested(300))));
    overlay.fragment(Target::path("/n".repeat(201)), Node::default().child(Node::new("leaf")));
    apply(&base, vec![overlay]);
}

#[test]
fn padding_that_no_memory_holds_is_refused() {
    let options = Options { padding: u32::MAX, ..Options::default() };
    let error = try_merge(&two(), vec![mark("a")], &options).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
}

#[test]
fn only_labels_means_no_target_path_even_beside_a_target() {
    let mut overlay = mark("a");
    overlay.root.children[0].properties.push(("target-path".into(), b"/b\0".to_vec()));
    let options = Options { labels_only: true, ..Options::default() };
    let error = try_merge(&two(), vec![overlay], &options).unwrap_err();
    assert_eq!(error.kind, ErrorKind::PathForbidden { path: "/b".into() });
}

#[test]
fn symbols_cannot_blow_the_output_up() {
    let long = "n".repeat(50_000);
    let base = Node::new("").child(Node::new(&long));
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::path(format!("/{long}")), Node::default());
    for n in 0..20_000 {
        overlay.symbol(&format!("l{n}"), &path);
    }
    let error = try_merge(&base, vec![overlay], &Options::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TooLarge);
}

#[test]
fn nothing_stands_in_front_of_the_root_node() {
    let options = kbt_testkit::write::WriteOptions { nops: true, ..Default::default() };
    let mut base = kbt_testkit::write::write_with(&two().into(), &options);
    // One NOP more, in front: the structure block grows by a word.
    let offset = u32::from_be_bytes(base[8..12].try_into().unwrap()) as usize;
    base.splice(offset..offset, [0, 0, 0, 4]);
    for (field, more) in [(4, 4), (12, 4), (36, 4)] {
        let value = u32::from_be_bytes(base[field..field + 4].try_into().unwrap()) + more;
        base[field..field + 4].copy_from_slice(&value.to_be_bytes());
    }
    let overlay = write(&mark("a").finish());
    let merged = kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap().bytes;
    let structure = u32::from_be_bytes(merged[8..12].try_into().unwrap()) as usize;
    assert_eq!(merged[structure..structure + 4], [0, 0, 0, 1]);
    assert!(at(&read(&merged).unwrap(), "/a").property("marked").is_some());
}

#[test]
fn paths_that_are_walked_again_and_again_are_short() {
    let alias = format!("{}/a", "/".repeat(70_000));
    let base = two().child(Node::new("aliases").text("x", &alias));
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("x"), Node::default());
    let error = try_merge(&base, vec![overlay], &Options::default()).unwrap_err();
    assert!(matches!(error.kind, ErrorKind::TargetPathMissing { .. }), "{error}");
}
