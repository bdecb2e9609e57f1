//! What a merge does, on trees made here: each rule of docs/formats/overlay.md.

#![allow(clippy::unwrap_used, clippy::panic, clippy::cast_possible_truncation)]

use kbt_dto::{Input, Merged, Options, WarningKind};
use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::read::read;
use kbt_testkit::tree::{Node, Tree};
use kbt_testkit::write::{WriteOptions, write, write_with};

/// A board: `&soc` and `&uart` are labels; the uart has phandle 2, soc none, gpio 7 and no label.
fn board() -> Node {
    let uart = Node::new("uart@1000").text("status", "disabled").cells("reg", &[0x1000]).phandle(2);
    let gpio = Node::new("gpio@2000").cells("reg", &[0x2000]).phandle(7);
    let soc = Node::new("soc").text("compatible", "simple-bus").child(uart).child(gpio);
    let aliases = Node::new("aliases").text("serial0", "/soc/uart@1000");
    let chosen = Node::new("chosen").text("bootargs", "quiet");
    let symbols = Node::new("__symbols__").text("soc", "/soc").text("uart", "/soc/uart@1000");
    Node::new("").text("model", "board").child(aliases).child(chosen).child(soc).child(symbols)
}

fn one(target: Target, content: Node) -> Overlay {
    let mut overlay = Overlay::new();
    overlay.fragment(target, content);
    overlay
}

fn merge(base: Node, overlays: Vec<Overlay>, options: &Options) -> (Tree, Merged) {
    let overlays: Vec<Vec<u8>> = overlays.into_iter().map(|overlay| write(&overlay.finish())).collect();
    let overlays: Vec<&[u8]> = overlays.iter().map(Vec::as_slice).collect();
    let merged = kbt_dto::apply(&write(&base.into()), &overlays, options).unwrap();
    (read(&merged.bytes).unwrap(), merged)
}

fn apply(base: Node, overlays: Vec<Overlay>) -> Tree {
    let (tree, merged) = merge(base, overlays, &Options::default());
    assert_eq!(merged.warnings, []);
    tree
}

fn at<'t>(tree: &'t Tree, path: &str) -> &'t Node {
    tree.root.at(path).unwrap_or_else(|| panic!("no {path} in {tree:#?}"))
}

#[test]
fn properties_are_replaced_in_place_and_appended_behind() {
    let overlay = one(Target::label("uart"), Node::default().text("status", "okay").flag("new"));
    let tree = apply(board(), vec![overlay]);
    let names: Vec<&str> =
        at(&tree, "/soc/uart@1000").properties.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["status", "reg", "phandle", "new"]);
    assert_eq!(at(&tree, "/soc/uart@1000").property_text("status"), Some("okay"));
}

#[test]
fn of_many_properties_each_is_replaced_again_and_again() {
    let wide =
        |value: u32| (0..60).fold(Node::default(), |node, n| node.cells(&format!("p{n}"), &[value + n]));
    let base = board().child(Node { name: "wide".into(), ..wide(0) });
    let overlays = [100, 200, 300].map(|value| {
        let mut overlay = one(Target::path("/wide"), wide(value));
        overlay.fragment(Target::path("/wide"), Node::default().cells("p59", &[value]).cells("p1", &[value]));
        overlay
    });
    let tree = apply(base, overlays.into());
    let wide = at(&tree, "/wide");
    assert_eq!(wide.properties.len(), 60);
    for (n, (name, _)) in (0..).zip(&wide.properties) {
        assert_eq!(name, &format!("p{n}"));
        let expected = if n == 1 || n == 59 { 300 } else { 300 + n };
        assert_eq!(wide.property_cell(name), Some(expected), "{name}");
    }
}

#[test]
fn a_label_leads_to_its_own_node_where_two_have_one_phandle() {
    let twin = |name: &str| Node::new(name).phandle(9);
    let symbols = Node::new("__symbols__").text("second", "/second");
    let base = Node::new("").child(twin("first")).child(twin("second")).child(symbols);
    let tree = apply(base, vec![one(Target::label("second"), Node::default().flag("new"))]);
    assert!(at(&tree, "/second").property("new").is_some());
    assert!(at(&tree, "/first").property("new").is_none());
}

#[test]
fn nodes_are_appended_behind_the_others_and_properties_before_children() {
    let content = Node::default().flag("late").child(Node::new("spi@3000").child(Node::new("flash@0")));
    let tree = apply(board(), vec![one(Target::label("soc"), content)]);
    let soc = at(&tree, "/soc");
    let names: Vec<&str> = soc.children.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["uart@1000", "gpio@2000", "spi@3000"]);
    assert!(soc.property("late").is_some());
    at(&tree, "/soc/spi@3000/flash@0");
}

#[test]
fn the_base_keeps_its_phandle_and_references_of_the_overlay_follow() {
    let mut overlay = Overlay::new();
    // The overlay numbers the uart 1 for itself; in the base it is 2.
    let path = overlay.fragment(
        Target::label("soc"),
        Node::default().child(Node::new("uart@1000").phandle(1)).child(Node::new("user").cells("uart", &[1])),
    );
    overlay.local_reference(&format!("{path}/user"), "uart", 0);
    let tree = apply(board(), vec![overlay]);
    assert_eq!(at(&tree, "/soc/uart@1000").property_cell("phandle"), Some(2));
    assert_eq!(at(&tree, "/soc/user").property_cell("uart"), Some(2));
}

#[test]
fn phandles_are_shifted_with_their_references_the_older_name_too() {
    let mut overlay = Overlay::new();
    let node = Node::new("dma@4000").phandle(1).cells("linux,phandle", &[1]);
    let path = overlay.fragment(
        Target::label("soc"),
        Node::default().child(node).child(Node::new("user").cells("dmas", &[9, 1, 5])),
    );
    overlay.local_reference(&format!("{path}/user"), "dmas", 4);
    let tree = apply(board(), vec![overlay]);
    assert_eq!(at(&tree, "/soc/dma@4000").property_cell("phandle"), Some(8));
    assert_eq!(at(&tree, "/soc/dma@4000").property_cell("linux,phandle"), Some(8));
    assert_eq!(at(&tree, "/soc/user").property("dmas"), Some(&[0, 0, 0, 9, 0, 0, 0, 8, 0, 0, 0, 5][..]));
}

#[test]
fn a_labelled_node_without_a_phandle_is_given_one() {
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::label("uart"), Node::default().cells("bus", &[u32::MAX]));
    overlay.reference(&path, "bus", 0, "soc");
    let tree = apply(board(), vec![overlay]);
    assert_eq!(at(&tree, "/soc").property_cell("phandle"), Some(8));
    assert_eq!(at(&tree, "/soc/uart@1000").property_cell("bus"), Some(8));
}

#[test]
fn a_reference_may_stand_at_any_byte() {
    let mut overlay = Overlay::new();
    let path =
        overlay.fragment(Target::label("soc"), Node::default().bytes("odd", vec![1, 2, 0, 0, 0, 0, 3]));
    overlay.reference(&path, "odd", 2, "uart");
    let tree = apply(board(), vec![overlay]);
    assert_eq!(at(&tree, "/soc").property("odd"), Some(&[1, 2, 0, 0, 0, 2, 3][..]));
}

#[test]
fn symbols_are_merged_and_the_next_overlay_can_use_them() {
    let mut first = Overlay::new();
    let path = first.fragment(Target::label("soc"), Node::default().child(Node::new("i2c@5000")));
    first.symbol("i2c", &format!("{path}/i2c@5000"));
    first.symbol("bus", &path);
    let second = one(Target::label("i2c"), Node::default().child(Node::new("rtc@68")));
    let third = one(Target::label("bus"), Node::default().flag("third"));
    let tree = apply(board(), vec![first, second, third]);
    let symbols = at(&tree, "/__symbols__");
    assert_eq!(symbols.property_text("i2c"), Some("/soc/i2c@5000"));
    assert_eq!(symbols.property_text("bus"), Some("/soc"));
    at(&tree, "/soc/i2c@5000/rtc@68");
    assert!(at(&tree, "/soc").property("third").is_some());
}

#[test]
fn symbols_are_created_where_the_base_has_none() {
    let mut base = board();
    base.children.retain(|node| node.name != "__symbols__");
    let mut first = Overlay::new();
    let path = first.fragment(Target::path("/soc"), Node::default().child(Node::new("i2c@5000")));
    first.symbol("i2c", &format!("{path}/i2c@5000"));
    let second = one(Target::label("i2c"), Node::default().flag("found"));
    let tree = apply(base, vec![first, second]);
    assert_eq!(at(&tree, "/__symbols__").property_text("i2c"), Some("/soc/i2c@5000"));
    assert!(at(&tree, "/soc/i2c@5000").property("found").is_some());
}

#[test]
fn a_symbol_that_leads_out_of_the_fragments_is_left_out() {
    let mut overlay = one(Target::label("soc"), Node::default());
    overlay.symbol("fragment", "/fragment@0");
    overlay.symbol("content", "/fragment@0/elsewhere/x");
    let tree = apply(board(), vec![overlay]);
    let symbols = at(&tree, "/__symbols__");
    assert_eq!(symbols.property("fragment"), None);
    assert_eq!(symbols.property("content"), None);
}

#[test]
fn a_symbol_of_an_overlay_on_the_root_node_is_an_absolute_path() {
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::path("/"), Node::default().child(Node::new("odm")));
    overlay.symbol("odm", &format!("{path}/odm"));
    overlay.symbol("top", &path);
    let tree = apply(board(), vec![overlay]);
    let symbols = at(&tree, "/__symbols__");
    assert_eq!(symbols.property_text("odm"), Some("/odm"));
    assert_eq!(symbols.property_text("top"), Some("/"));
}

#[test]
fn a_later_symbol_of_the_same_name_replaces_the_earlier() {
    let overlay = |name: &str| {
        let mut overlay = Overlay::new();
        let path = overlay.fragment(Target::label("soc"), Node::default().child(Node::new(name)));
        overlay.symbol("uart", &format!("{path}/{name}"));
        overlay
    };
    let last = one(Target::label("uart"), Node::default().flag("last"));
    let tree = apply(board(), vec![overlay("uart@8000"), overlay("uart@9000"), last]);
    assert_eq!(at(&tree, "/__symbols__").property_text("uart"), Some("/soc/uart@9000"));
    assert!(at(&tree, "/soc/uart@9000").property("last").is_some());
}

#[test]
fn a_fragment_may_target_what_an_earlier_one_added() {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::label("soc"), Node::default().child(Node::new("bus@6000").phandle(1)));
    overlay.fragment(Target::path("/soc/bus@6000"), Node::default().flag("by-path"));
    overlay.fragment(Target::Local(1), Node::default().flag("by-phandle").child(Node::new("leaf")));
    let tree = apply(board(), vec![overlay]);
    let bus = at(&tree, "/soc/bus@6000");
    assert!(bus.property("by-path").is_some() && bus.property("by-phandle").is_some());
    at(&tree, "/soc/bus@6000/leaf");
}

#[test]
fn a_target_path_may_be_the_root_node_or_start_with_an_alias() {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/"), Node::default().text("model", "changed"));
    overlay.fragment(Target::path("serial0"), Node::default().child(Node::new("modem")));
    overlay.fragment(Target::path("serial0/modem"), Node::default().flag("deep"));
    let tree = apply(board(), vec![overlay]);
    assert_eq!(tree.root.property_text("model"), Some("changed"));
    assert!(at(&tree, "/soc/uart@1000/modem").property("deep").is_some());
}

#[test]
fn where_both_targets_are_given_the_phandle_counts_with_a_warning() {
    let mut overlay = one(Target::label("uart"), Node::default().flag("here"));
    let fragment = overlay.root.children.first_mut().unwrap();
    fragment.properties.push(("target-path".into(), b"/soc\0".to_vec()));
    let (tree, merged) = merge(board(), vec![overlay], &Options::default());
    assert!(at(&tree, "/soc/uart@1000").property("here").is_some());
    assert_eq!(at(&tree, "/soc").property("here"), None);
    assert_eq!(merged.warnings[0].kind, WarningKind::TwoTargets);
}

#[test]
fn any_root_child_with_an_overlay_node_is_a_fragment_and_nothing_else_is_merged() {
    let mut overlay = Overlay::new();
    let fragment = Node::new("whatever").text("target-path", "/soc");
    let fragment = fragment.child(Node::new("__overlay__").flag("merged"));
    overlay.root.children.push(fragment);
    overlay.root.children.push(Node::new("stray").flag("x"));
    overlay.root.properties.push(("compatible".into(), b"x\0".to_vec()));
    let tree = apply(board(), vec![overlay]);
    assert!(at(&tree, "/soc").property("merged").is_some());
    assert!(tree.root.at("/stray").is_none());
    assert_eq!(tree.root.property("compatible"), None);
    for node in ["/__fixups__", "/__local_fixups__", "/fragment@0"] {
        assert!(tree.root.at(node).is_none(), "{node}");
    }
}

#[test]
fn an_overlay_without_fragments_changes_nothing_and_is_told() {
    let (tree, merged) = merge(board(), vec![Overlay::new()], &Options::default());
    assert_eq!(tree, read(&write(&board().into())).unwrap());
    assert_eq!(merged.warnings[0].kind, WarningKind::NoFragments);
    assert_eq!(merged.warnings[0].place.input, Input::Overlay(0));
}

#[test]
fn names_are_exact_unless_loose_ones_are_allowed() {
    let overlay = || one(Target::label("soc"), Node::default().child(Node::new("uart").flag("x")));
    let tree = apply(board(), vec![overlay()]);
    assert!(at(&tree, "/soc/uart").property("x").is_some());
    let loose = Options { loose_names: true, ..Options::default() };
    let (tree, _) = merge(board(), vec![overlay()], &loose);
    assert!(at(&tree, "/soc/uart@1000").property("x").is_some());
    assert!(tree.root.at("/soc").unwrap().node("uart").is_none());
}

#[test]
fn names_may_be_longer_than_the_specification_allows() {
    let name = format!("{}@{}", "n".repeat(200), "0".repeat(60));
    let property = "p".repeat(100);
    let content = Node::default().child(Node::new(&name).cells(&property, &[1]));
    let tree = apply(board(), vec![one(Target::label("soc"), content)]);
    assert_eq!(at(&tree, &format!("/soc/{name}")).property_cell(&property), Some(1));
}

#[test]
fn reservations_and_boot_cpu_are_the_bases() {
    let base = Tree { root: board(), reservations: vec![(0x8000_0000, 0x1000), (1, 2)], boot_cpuid: 3 };
    let overlay = write(&one(Target::label("soc"), Node::default().flag("x")).finish());
    let merged = kbt_dto::apply(&write(&base), &[&overlay], &Options::default()).unwrap();
    let tree = read(&merged.bytes).unwrap();
    assert_eq!(tree.reservations, base.reservations);
    assert_eq!(tree.boot_cpuid, 3);
}

#[test]
fn version_16_is_read_and_17_written() {
    let old = WriteOptions { version: 16, ..WriteOptions::default() };
    let base = write_with(&board().into(), &old);
    let overlay = write_with(&one(Target::label("soc"), Node::default().flag("x")).finish(), &old);
    let merged = kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap();
    assert_eq!(merged.bytes[20..28], [0, 0, 0, 17, 0, 0, 0, 16]);
    assert!(at(&read(&merged.bytes).unwrap(), "/soc").property("x").is_some());
}

#[test]
fn padding_is_zero_and_part_of_the_tree() {
    let overlay = || one(Target::label("soc"), Node::default().flag("x"));
    let (_, plain) = merge(board(), vec![overlay()], &Options::default());
    let (_, padded) = merge(board(), vec![overlay()], &Options { padding: 100, ..Options::default() });
    assert_eq!(padded.bytes.len(), plain.bytes.len() + 100);
    assert!(padded.bytes[plain.bytes.len()..].iter().all(|&byte| byte == 0));
    let stated = u32::from_be_bytes(padded.bytes[4..8].try_into().unwrap());
    assert_eq!(stated as usize, padded.bytes.len());
}

#[test]
fn boot_arguments_are_joined_in_order_only_when_asked_for() {
    let overlay = |ext: &str| one(Target::path("/chosen"), Node::default().text("bootargs_ext", ext));
    let tree = apply(board(), vec![overlay("a=1"), overlay("b=2")]);
    assert_eq!(at(&tree, "/chosen").property_text("bootargs"), Some("quiet"));
    assert_eq!(at(&tree, "/chosen").property_text("bootargs_ext"), Some("b=2"));
    let concat = Options { concat_bootargs: true, ..Options::default() };
    let (tree, _) = merge(board(), vec![overlay("a=1"), overlay("b=2")], &concat);
    assert_eq!(at(&tree, "/chosen").property_text("bootargs"), Some("quiet a=1 b=2"));
    assert_eq!(at(&tree, "/chosen").property("bootargs_ext"), None);
}

#[test]
fn boot_arguments_are_joined_where_an_overlay_brings_chosen_and_two_fragments_extend() {
    let mut base = board();
    base.children.retain(|node| node.name != "chosen");
    let mut overlay = Overlay::new();
    let chosen = Node::new("chosen").text("bootargs", "base").text("bootargs_ext", "one");
    overlay.fragment(Target::path("/"), Node::default().child(chosen));
    overlay.fragment(Target::path("/chosen"), Node::default().text("bootargs_ext", "two"));
    let concat = Options { concat_bootargs: true, ..Options::default() };
    let (tree, _) = merge(base, vec![overlay], &concat);
    assert_eq!(at(&tree, "/chosen").property_text("bootargs"), Some("base one two"));
    assert_eq!(at(&tree, "/chosen").property("bootargs_ext"), None);
}

#[test]
fn of_duplicate_siblings_in_the_base_the_first_is_taken() {
    let twin = |mark: &str| Node::new("twin").flag(mark);
    let base = board().child(Node::new("bus").child(twin("first")).child(twin("second")));
    let overlay = one(Target::path("/bus/twin"), Node::default().flag("merged"));
    let (tree, merged) = merge(base, vec![overlay], &Options::default());
    let twins = &at(&tree, "/bus").children;
    assert!(twins[0].property("merged").is_some() && twins[1].property("merged").is_none());
    assert_eq!(merged.warnings[0].kind, WarningKind::DuplicateNode { name: "twin".into() });
    assert_eq!(merged.warnings[0].place.input, Input::Base);
}

#[test]
fn duplicate_siblings_of_an_overlay_become_one_node() {
    for count in [2_u32, 40] {
        let twins = (0..count).map(|n| Node::new("twin").cells("n", &[n]).child(Node::new(format!("c{n}"))));
        let content = Node::default().child(Node::new("bus").children(twins));
        let (tree, merged) = merge(board(), vec![one(Target::label("soc"), content)], &Options::default());
        let bus = at(&tree, "/soc/bus");
        assert_eq!(bus.children.len(), 1);
        assert_eq!(bus.children[0].property_cell("n"), Some(count - 1));
        assert_eq!(bus.children[0].children.len() as u32, count);
        assert_eq!(merged.warnings[0].kind, WarningKind::DuplicateNode { name: "twin".into() });
    }
}

#[test]
fn of_a_property_that_an_overlay_sets_twice_the_last_counts() {
    let content = Node::default().child(Node::new("x").cells("n", &[1]).flag("between").cells("n", &[2]));
    let (tree, merged) = merge(board(), vec![one(Target::label("soc"), content)], &Options::default());
    let numbers: Vec<_> =
        at(&tree, "/soc/x").properties.iter().filter(|(name, _)| name == "n").cloned().collect();
    assert_eq!(numbers, [("n".to_owned(), vec![0, 0, 0, 2])]);
    assert_eq!(merged.warnings[0].kind, WarningKind::DuplicateProperty);
}

#[test]
fn wide_nodes_are_merged_as_narrow_ones() {
    let many = 300_u32;
    let children = (0..many).map(|n| Node::new(format!("d@{n:x}")).cells("n", &[n]));
    let mut wide = Node::new("wide").children(children);
    for n in 0..many {
        wide = wide.cells(&format!("p{n}"), &[n]);
    }
    let base = board().child(wide);
    let mut overlay = Overlay::new();
    for n in (0..many).rev() {
        let child = Node::new(format!("d@{n:x}")).cells("n", &[n + 1000]).child(Node::new("new"));
        let content = Node::default().cells(&format!("p{n}"), &[n + 500]).child(child);
        overlay.fragment(Target::path("/wide"), content);
        overlay.fragment(Target::path("/wide"), Node::default().cells(&format!("q{n}"), &[n]));
        overlay.fragment(Target::path("/wide"), Node::default().child(Node::new(format!("e@{n:x}"))));
        overlay.fragment(Target::path(format!("/wide/e@{n:x}")), Node::default().cells("n", &[n]));
    }
    let tree = apply(base, vec![overlay]);
    let wide = at(&tree, "/wide");
    assert_eq!(wide.children.len() as u32, 2 * many);
    assert_eq!(wide.properties.len() as u32, 2 * many);
    for n in 0..many {
        assert_eq!(wide.property_cell(&format!("p{n}")), Some(n + 500));
        assert_eq!(wide.property_cell(&format!("q{n}")), Some(n));
        assert_eq!(wide.node(&format!("d@{n:x}")).unwrap().property_cell("n"), Some(n + 1000));
        assert_eq!(wide.node(&format!("e@{n:x}")).unwrap().property_cell("n"), Some(n));
    }
}

#[test]
fn a_base_that_is_an_overlay_itself_is_told() {
    let base = board().child(Node::new("__fixups__").text("gone", "/x:y:0"));
    let overlay = one(Target::label("soc"), Node::default().flag("x"));
    let (_, merged) = merge(base, vec![overlay], &Options::default());
    assert_eq!(merged.warnings[0].kind, WarningKind::BaseIsOverlay);
}

#[test]
fn inputs_are_left_as_they_were_and_the_same_inputs_give_the_same_bytes() {
    let base = write(&board().into());
    let overlay = write(&one(Target::label("uart"), Node::default().text("status", "okay")).finish());
    let (base_before, overlay_before) = (base.clone(), overlay.clone());
    let first = kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap().bytes;
    let second = kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap().bytes;
    assert_eq!((base, overlay), (base_before, overlay_before));
    assert_eq!(first, second);
}

#[test]
fn inputs_need_no_alignment() {
    let base = [&[0][..], &write(&board().into())].concat();
    let overlay = write(&one(Target::label("uart"), Node::default().flag("x")).finish());
    let overlay = [&[0; 3][..], &overlay].concat();
    let merged = kbt_dto::apply(&base[1..], &[&overlay[3..]], &Options::default()).unwrap();
    assert!(at(&read(&merged.bytes).unwrap(), "/soc/uart@1000").property("x").is_some());
}

#[test]
fn odd_layouts_mean_the_same() {
    use kbt_testkit::write::{BlockOrder, StringSharing};
    let plain = apply(board(), vec![one(Target::label("uart"), Node::default().flag("x"))]);
    for sharing in [StringSharing::Once, StringSharing::Suffix, StringSharing::Never] {
        for order in [BlockOrder::Usual, BlockOrder::Reversed, BlockOrder::StructureFirst] {
            let options =
                WriteOptions { sharing, order, nops: true, gap: 8, padding: 16, ..WriteOptions::default() };
            let base = write_with(&board().into(), &options);
            let overlay = one(Target::label("uart"), Node::default().flag("x")).finish();
            let overlay = write_with(&overlay, &options);
            let merged = kbt_dto::apply(&base, &[&overlay], &Options::default()).unwrap();
            assert_eq!(read(&merged.bytes).unwrap(), plain, "{sharing:?} {order:?}");
        }
    }
}
