//! Merges that a review or a fuzzer found wrong, each as small as it could be made.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use std::io::Write as _;

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

/// What each overlay by itself gives, one behind the other.
fn one_by_one(base: &Node, overlays: &[Overlay], options: &Options) -> Result<Vec<u8>, Error> {
    overlays.iter().try_fold(write(&base.clone().into()), |tree, overlay| {
        let merged = kbt_dto::apply(&tree, &[&write(&overlay.clone().finish())], options);
        merged.map(|merged| merged.bytes)
    })
}

#[test]
fn a_phandle_that_gave_way_counts_no_more() {
    let add = |node: Node| {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::path("/"), Node::default().child(node));
        overlay
    };
    // The first overlay's phandle gives way to the base's, so the second's is the next one.
    let overlays = vec![add(Node::new("t").phandle(1)), add(Node::new("n").phandle(1))];
    for (last, next) in [(1, Some(2)), (0xffff_fffd, Some(0xffff_fffe)), (0xffff_fffe, None)] {
        let base = Node::new("").child(Node::new("t").phandle(last));
        let at_once = try_merge(&base, overlays.clone(), &Options::default());
        let tree = at_once.as_ref().ok().map(|merged| read(&merged.bytes).unwrap());
        assert_eq!(tree.map(|tree| at(&tree, "/n").property_cell("phandle").unwrap()), next);
        assert_eq!(at_once.map(|merged| merged.bytes), one_by_one(&base, &overlays, &Options::default()));
    }
}

#[test]
fn a_number_that_gave_way_leads_nowhere_for_the_next_overlay() {
    let base = Node::new("").child(Node::new("t").phandle(1));
    let mut first = Overlay::new();
    first.fragment(Target::path("/"), Node::default().child(Node::new("t").phandle(1)));
    // 2 with the base's largest phandle, 1, behind it would be what the first one's was.
    let mut second = Overlay::new();
    second.root =
        Node::default().child(Node::new("f").cells("target", &[2]).child(Node::new("__overlay__").flag("x")));
    let error = try_merge(&base, vec![first, second], &Options::default()).unwrap_err();
    assert_eq!(error.kind, ErrorKind::TargetPhandleMissing { phandle: 2 });
}

#[test]
fn a_node_of_an_overlay_has_one_phandle() {
    for name in ["phandle", "linux,phandle"] {
        let mut overlay = Overlay::new();
        let twice = Node::new("n").cells(name, &[1]).cells("x", &[0]).cells(name, &[2]);
        overlay.fragment(Target::path("/"), Node::default().child(twice));
        let error = try_merge(&two(), vec![overlay], &Options::default()).unwrap_err();
        assert_eq!((error.kind, error.place.property.as_deref()), (ErrorKind::PhandleTwice, Some(name)));
    }
}

#[test]
fn a_symbol_below_a_loose_target_has_the_names_of_the_nodes() {
    let base = Node::new("").child(Node::new("t@1").child(Node::new("c@2"))).child(Node::new("d"));
    let mut overlay = Overlay::new();
    let content = Node::default().child(Node::new("c").child(Node::new("new")));
    let path = overlay.fragment(Target::path("/t"), content);
    for below in ["", "/c", "/c/new", "/none"] {
        overlay.symbol(&format!("l{}", below.len()), &format!("{path}{below}"));
    }
    let options = Options { loose_names: true, ..Options::default() };
    let tree = read(&try_merge(&base, vec![overlay], &options).unwrap().bytes).unwrap();
    let symbol = |label: &str| at(&tree, "/__symbols__").property(label).unwrap().to_vec();
    assert_eq!(symbol("l0"), b"/t@1\0");
    assert_eq!(symbol("l2"), b"/t@1/c@2\0");
    assert_eq!(symbol("l6"), b"/t@1/c@2/new\0");
    assert_eq!(symbol("l5"), b"/t@1/none\0");
}

fn with_shared_ends(tree: &Tree) -> Vec<u8> {
    let sharing = kbt_testkit::write::StringSharing::Suffix;
    kbt_testkit::write::write_with(tree, &kbt_testkit::write::WriteOptions { sharing, ..Default::default() })
}

#[test]
fn names_that_are_ends_of_one_string_are_written_once() {
    let names: Vec<String> = (0..1000).map(|length| "n".repeat(1000 - length)).collect();
    let content = names.iter().zip(0..).fold(Node::default(), |node, (name, n)| node.cells(name, &[n]));
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/a"), content);
    let (base, overlay) = (write(&two().into()), with_shared_ends(&overlay.finish()));
    let merged = kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap().bytes;
    assert!(merged.len() < base.len() + overlay.len(), "{}", merged.len());
    let tree = read(&merged).unwrap();
    for (name, n) in names.iter().zip(0..) {
        assert_eq!(at(&tree, "/a").property_cell(name), Some(n), "{n}");
    }
}

#[test]
fn a_property_whose_name_is_the_end_of_another_is_found() {
    let node = Node::new("n").text("device_type", "x").text("type", "old").text("x-type", "y");
    let base = with_shared_ends(&Node::new("").child(node).into());
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/n"), Node::default().text("type", "new"));
    for overlay in [write(&overlay.clone().finish()), with_shared_ends(&overlay.finish())] {
        let tree = read(&kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap().bytes).unwrap();
        assert_eq!(at(&tree, "/n").property("type").unwrap(), b"new\0");
        assert_eq!(at(&tree, "/n").properties.len(), 3);
    }
}

#[test]
fn a_symbol_may_start_with_an_alias() {
    let soc = Node::new("soc").child(Node::new("hub").phandle(7));
    let base = |path| {
        let aliases = Node::new("aliases").text("bus", "/soc");
        Node::new("").child(soc.clone()).child(aliases).child(labels(&[("hub", path)]))
    };
    let mark = || {
        let mut overlay = Overlay::new();
        overlay.fragment(Target::label("hub"), Node::default().flag("marked"));
        vec![overlay]
    };
    assert!(at(&apply(&base("bus/hub"), mark()), "/soc/hub").property("marked").is_some());
    for (path, kind) in [
        ("other/hub", ErrorKind::SymbolPathMissing { label: "hub".into(), path: "other/hub".into() }),
        ("", ErrorKind::BadSymbol { label: "hub".into() }),
    ] {
        assert_eq!(try_merge(&base(path), mark(), &Options::default()).unwrap_err().kind, kind);
    }
}

#[test]
fn a_tree_written_in_pieces_is_the_same() {
    let base = two();
    let overlays = [mark("a"), mark("a")].map(|overlay| write(&overlay.finish()));
    let overlays = [&overlays[0][..], &overlays[1]];
    for padding in [0, 5000] {
        let options = Options { padding, ..Options::default() };
        let base = write(&base.clone().into());
        let whole = kbt_dto::apply(&base, &overlays, &options).unwrap().bytes;
        let merged = kbt_dto::merge(&base, overlays.iter().copied(), &options).unwrap();
        let mut pieces = Vec::new();
        merged.write(|piece| pieces.write_all(piece)).unwrap();
        assert_eq!((merged.size(), &pieces), (whole.len(), &whole));
        // The first error ends it.
        let mut asked = 0;
        let fail = |_: &[u8]| {
            asked += 1;
            if asked < 4 { Ok(()) } else { Err(asked) }
        };
        assert_eq!((merged.write(fail), asked), (Err(4), 4));
    }
}
