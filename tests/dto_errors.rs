//! What `kbt dto apply` says of every class of refusal, to the letter, and that it then writes nothing.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::tree::{Node, Tree};
use kbt_testkit::write::write;

fn board() -> Node {
    let uart = Node::new("uart@1000").phandle(2);
    let symbols = Node::new("__symbols__").text("uart0", "/soc/uart@1000").text("soc", "/soc");
    Node::new("").child(Node::new("soc").child(uart)).child(symbols)
}

fn overlay(target: Target, content: Node) -> Overlay {
    let mut overlay = Overlay::new();
    overlay.fragment(target, content);
    overlay
}

fn run(room: &Path, base: &[u8], overlay: &[u8], options: &[&str]) -> Output {
    fs::write(room.join("base.dtb"), base).unwrap();
    fs::write(room.join("over.dtbo"), overlay).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(["dto", "apply", "base.dtb", "over.dtbo", "-o", "out.dtb"]).args(options);
    command.current_dir(room).output().unwrap()
}

/// Runs on these inputs, compares what is said, and looks that nothing was written.
#[track_caller]
fn refuses(base: &[u8], overlay: &[u8], options: &[&str], expected: &str) {
    let room = tempfile::tempdir().unwrap();
    let output = run(room.path(), base, overlay, options);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(output.stdout, b"");
    assert_eq!(fs::read_dir(room.path()).unwrap().count(), 2, "only the inputs are there");
    assert_eq!(fs::read(room.path().join("base.dtb")).unwrap(), base);
}

#[track_caller]
fn refuses_overlay(overlay: Overlay, options: &[&str], expected: &str) {
    refuses(&write(&board().into()), &write(&overlay.finish()), options, expected);
}

fn plain() -> Vec<u8> {
    write(&overlay(Target::label("soc"), Node::default().flag("x")).finish())
}

#[test]
fn a_label_that_does_not_exist_with_its_neighbours() {
    refuses_overlay(
        overlay(Target::label("uart1"), Node::default()),
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target': label 'uart1' is not in the base tree (at byte 136)\n\
         \x20 hint: did you mean uart0?\n",
    );
}

#[test]
fn a_label_that_does_not_exist_and_has_no_neighbours() {
    let mut overlay = overlay(Target::label("soc"), Node::default());
    let path = overlay.fragment(Target::label("soc"), Node::default().cells("clocks", &[u32::MAX]));
    overlay.reference(&path, "clocks", 0, "a_very_different_label");
    refuses_overlay(
        overlay,
        &[],
        "kbt: error: over.dtbo: fragment@1: property 'clocks': label 'a_very_different_label' is not in the base tree \
         (at byte 264)\n  hint: is this the right base, or does another overlay that defines the label have to come first?\n",
    );
}

#[test]
fn a_base_without_symbols() {
    let mut base = board();
    base.children.retain(|node| node.name != "__symbols__");
    refuses(
        &write(&base.into()),
        &plain(),
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target': label 'soc' cannot be resolved: the base has no \
         __symbols__ (at byte 148)\n  hint: build the base with 'dtc -@' so that it keeps its labels\n",
    );
}

#[test]
fn a_symbol_that_leads_nowhere() {
    let mut base = board();
    base.node_mut("__symbols__").properties.push(("gone".into(), b"/soc/gone@1\0".to_vec()));
    refuses(
        &write(&base.into()),
        &write(&overlay(Target::label("gone"), Node::default()).finish()),
        &[],
        "kbt: error: over.dtbo: property 'gone': the symbol of label 'gone' leads to /soc/gone@1, which does not exist \
         (at byte 136)\n  hint: the symbols do not fit the tree: build the base again with 'dtc -@'\n",
    );
}

#[test]
fn a_symbol_that_is_no_path() {
    let mut base = board();
    base.node_mut("__symbols__").properties.push(("odd".into(), b"\0\0\0\x01".to_vec()));
    refuses(
        &write(&base.into()),
        &write(&overlay(Target::label("odd"), Node::default()).finish()),
        &[],
        "kbt: error: over.dtbo: property 'odd': the symbol of label 'odd' is not a path (at byte 136)\n\
         \x20 hint: the symbols do not fit the tree: build the base again with 'dtc -@'\n",
    );
}

#[test]
fn a_target_path_that_does_not_exist() {
    refuses_overlay(
        overlay(Target::path("/soc/spi@3000"), Node::default()),
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target-path': target path /soc/spi@3000 does not exist (at byte 80)\n\
         \x20 hint: target a label of the base instead of a path\n",
    );
}

#[test]
fn a_target_path_that_lacks_a_unit_address() {
    refuses_overlay(
        overlay(Target::path("/soc/uart"), Node::default()),
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target-path': target path /soc/uart does not exist (at byte 80)\n\
         \x20 hint: there is /soc/uart@1000; write the unit address, or use --loose-names\n",
    );
}

#[test]
fn a_target_phandle_that_no_node_has() {
    let mut overlay = overlay(Target::path("/soc"), Node::default());
    overlay.root.children[0].properties = vec![("target".into(), vec![0, 0, 0, 99])];
    refuses_overlay(
        overlay,
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target': no node has the target's phandle 0x63 (at byte 80)\n\
         \x20 hint: target a label; phandles are numbered anew by every build\n",
    );
}

#[test]
fn a_fragment_without_a_target() {
    let mut overlay = overlay(Target::path("/soc"), Node::default());
    overlay.root.children[0].properties.clear();
    refuses_overlay(
        overlay,
        &[],
        "kbt: error: over.dtbo: fragment@0: the fragment has neither target nor target-path (at byte 64)\n\
         \x20 hint: compile the overlay with '/plugin/' and 'dtc -@'\n",
    );
}

#[test]
fn a_target_that_is_neither_phandle_nor_path() {
    for (name, value) in
        [("target", vec![1, 2]), ("target", vec![0xff; 4]), ("target-path", b"/soc".to_vec())]
    {
        let mut overlay = overlay(Target::path("/soc"), Node::default());
        overlay.root.children[0].properties = vec![(name.into(), value)];
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: fragment@0: property '{name}': the fragment's target is neither a phandle nor a \
                 path (at byte 80)\n  hint: compile the overlay with '/plugin/' and 'dtc -@'\n"
            ),
        );
    }
}

#[test]
fn the_root_node_where_it_is_forbidden() {
    refuses_overlay(
        overlay(Target::path("/"), Node::default().flag("x")),
        &["--forbid-root"],
        "kbt: error: over.dtbo: fragment@0: the overlay changes the root node, which is forbidden (at byte 64)\n\
         \x20 hint: an overlay needs a label to hang on and the root node has none: give the base a labelled node such as \
         'odm: odm {}' or 'soc: soc {}' at the root and let the overlay add to &odm or &soc\n",
    );
}

#[test]
fn a_path_where_only_labels_are_allowed() {
    refuses_overlay(
        overlay(Target::path("/soc"), Node::default().flag("x")),
        &["--labels-only"],
        "kbt: error: over.dtbo: fragment@0: property 'target-path': the target is the path /soc, only labels are allowed \
         (at byte 80)\n  hint: give the node a label in the base and target that\n",
    );
}

#[test]
fn the_phandle_space_used_up() {
    let base = Node::new("").child(Node::new("last").phandle(0xffff_fffe));
    refuses(
        &write(&base.into()),
        &write(&overlay(Target::path("/"), Node::default().child(Node::new("x").phandle(1))).finish()),
        &[],
        "kbt: error: over.dtbo: the phandle space is used up (at byte 120)\n\
         \x20 hint: a phandle in the base or the overlay is far too large; number them from 1\n",
    );
}

#[test]
fn a_value_that_cannot_be_a_phandle() {
    refuses_overlay(
        overlay(Target::path("/"), Node::default().child(Node::new("x").phandle(0))),
        &[],
        "kbt: error: over.dtbo: 0x0 cannot be a phandle (at byte 120)\n\
         \x20 hint: phandles are numbers from 1 to 0xfffffffe\n",
    );
}

#[test]
fn a_fixup_outside_its_property() {
    for at in [1, 4, u32::MAX] {
        let mut overlay = overlay(Target::label("soc"), Node::default().cells("clocks", &[0]));
        overlay.reference("/fragment@0/__overlay__", "clocks", at, "uart0");
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: fragment@0: property 'clocks': a fixup at byte {at} is outside its property of 4 \
                 bytes (at byte 112)\n  hint: the overlay was changed after dtc wrote it; compile it again\n"
            ),
        );
    }
}

#[test]
fn a_fixup_that_is_none() {
    for entry in
        ["", "soc", "/fragment@0:target", "/fragment@0:target:x", "/fragment@0:target:4294967296", "a:b:0"]
    {
        let mut overlay = overlay(Target::path("/soc"), Node::default());
        overlay.root.children.push(Node::new("__fixups__").text("soc", entry));
        let fragment = if entry.starts_with('/') { "fragment@0: " } else { "" };
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: {fragment}property 'soc': fixup '{entry}' is not path:property:offset (at byte \
                 140)\n  hint: the overlay was changed after dtc wrote it; compile it again\n"
            ),
        );
    }
}

#[test]
fn a_fixup_of_a_node_or_a_property_that_is_not_there() {
    for (entry, message) in [
        ("/gone:target:0", "gone: property 'soc': a fixup names the node /gone, which does not exist"),
        (
            "/fragment@0:gone:0",
            "fragment@0: property 'soc': a fixup names a property that /fragment@0 does not have",
        ),
    ] {
        let mut overlay = overlay(Target::path("/soc"), Node::default());
        overlay.root.children.push(Node::new("__fixups__").text("soc", entry));
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: {message} (at byte 140)\n  hint: the overlay was changed after dtc wrote it; \
                 compile it again\n"
            ),
        );
    }
}

#[test]
fn local_fixups_that_do_not_fit() {
    let cases: [(Node, &str); 4] = [
        (
            Node::new("__local_fixups__").child(Node::new("gone")),
            "a fixup names the node /gone, which does not exist (at byte 148)",
        ),
        (
            Node::new("__local_fixups__").child(Node::new("fragment@0").cells("gone", &[0])),
            "fragment@0: property 'gone': a fixup names a property that fragment@0 does not have (at byte 164)",
        ),
        (
            Node::new("__local_fixups__").child(Node::new("fragment@0").bytes("target-path", vec![0, 0])),
            "fragment@0: property 'target-path': a local fixup is not a list of cells (at byte 164)",
        ),
        (
            Node::new("__local_fixups__").child(Node::new("fragment@0").cells("target-path", &[2])),
            "fragment@0: property 'target-path': a fixup at byte 2 is outside its property of 5 bytes (at byte 164)",
        ),
    ];
    for (local_fixups, message) in cases {
        let mut overlay = overlay(Target::path("/soc"), Node::default());
        overlay.root.children.push(local_fixups);
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: {message}\n  hint: the overlay was changed after dtc wrote it; compile it again\n"
            ),
        );
    }
}

#[test]
fn symbols_of_the_overlay_that_do_not_fit() {
    for (path, message) in [
        ("relative", "a symbol of the overlay is not an absolute path"),
        (
            "/gone/__overlay__/x",
            "a symbol of the overlay leads to /gone/__overlay__/x, which is not in a fragment",
        ),
    ] {
        let mut overlay = overlay(Target::path("/soc"), Node::default());
        overlay.symbol("label", path);
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: property 'label': {message} (at byte 140)\n  hint: the overlay was changed after \
                 dtc wrote it; compile it again\n"
            ),
        );
    }
}

#[test]
fn what_is_no_device_tree() {
    refuses(
        b"/dts-v1/; this is source, and longer than a header is",
        &plain(),
        &[],
        "kbt: error: base.dtb: not a device tree: bad magic 2f647473, expected d00dfeed (at byte 0)\n\
         \x20 hint: a flattened device tree (.dtb) is wanted; compile a .dts with 'dtc -@'\n",
    );
    refuses(
        &write(&board().into()),
        b"/dts-v1/; /plugin/; this is source, and longer than a header is",
        &[],
        "kbt: error: over.dtbo: not a device tree: bad magic 2f647473, expected d00dfeed (at byte 0)\n\
         \x20 hint: a compiled overlay (.dtbo) is wanted; an entry of a DTBO image is named IMAGE#INDEX\n",
    );
}

#[test]
fn a_truncated_tree() {
    let base = write(&board().into());
    refuses(
        &base[..100],
        &plain(),
        &[],
        &format!(
            "kbt: error: base.dtb: truncated: the header states {} bytes, 100 are there (at byte 4)\n\
             \x20 hint: the file was cut short; copy or build it again\n",
            base.len()
        ),
    );
    refuses(
        &base[..10],
        &plain(),
        &[],
        "kbt: error: base.dtb: truncated: shorter than a device tree's header (at byte 10)\n\
         \x20 hint: the file was cut short; copy or build it again\n",
    );
}

#[test]
fn blocks_that_overlap_or_reach_out() {
    const OFF_DT_STRINGS: usize = 12;
    let mut base = write(&board().into());
    base[OFF_DT_STRINGS..OFF_DT_STRINGS + 4].copy_from_slice(&60_u32.to_be_bytes());
    refuses(
        &base,
        &plain(),
        &[],
        "kbt: error: base.dtb: the structure block and the strings block overlap (at byte 60)\n  hint: the file is damaged; build it again\n",
    );
    base[OFF_DT_STRINGS..OFF_DT_STRINGS + 4].copy_from_slice(&0x00ff_0000_u32.to_be_bytes());
    refuses(
        &base,
        &plain(),
        &[],
        "kbt: error: base.dtb: the strings block reaches out of the device tree (at byte 16711680)\n\
         \x20 hint: the file is damaged; build it again\n",
    );
}

#[test]
fn a_version_that_is_not_supported() {
    let mut base = write(&board().into());
    base[20..24].copy_from_slice(&3_u32.to_be_bytes());
    refuses(
        &base,
        &plain(),
        &[],
        "kbt: error: base.dtb: device tree version 3 (compatible with 16) is not supported, 16 and 17 are (at byte 20)\n\
         \x20 hint: versions 16 and 17 are read; build it again with a current dtc\n",
    );
}

#[test]
fn nodes_nested_too_deep() {
    let nested = |levels: usize| (0..levels).fold(Node::new("n"), |inner, _| Node::new("n").child(inner));
    refuses(
        &write(&Tree::from(Node::new("").child(nested(600)))),
        &plain(),
        &[],
        "kbt: error: base.dtb: nodes are nested deeper than 512 levels (at byte 4152)\n\
         \x20 hint: no tree for Linux is deeper than 64 nodes\n",
    );
    // Neither is too deep by itself.
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/soc"), Node::default().child(nested(300)));
    let path = format!("/soc{}", "/n".repeat(301));
    overlay.fragment(Target::path(&path), Node::default().child(nested(300)));
    let room = tempfile::tempdir().unwrap();
    let output = run(room.path(), &write(&board().into()), &write(&overlay.finish()), &[]);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("fragment@1: the merged tree would be nested deeper than 512 levels"),
        "{stderr}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn duplicate_nodes_are_a_warning_or_an_error_if_warnings_are_denied() {
    let bus = Node::new("bus").child(Node::new("twin")).child(Node::new("twin"));
    let base = write(&board().child(bus).into());
    let overlay = write(&overlay(Target::path("/bus/twin"), Node::default().flag("x")).finish());
    let room = tempfile::tempdir().unwrap();
    let output = run(room.path(), &base, &overlay, &[]);
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "kbt: warning: base.dtb: there are several nodes 'twin' beside each other; the first is taken (at byte 204)\n"
    );
    assert_eq!(output.status.code(), Some(0));
    refuses(
        &base,
        &overlay,
        &["--deny-warnings"],
        "kbt: error: base.dtb: there are several nodes 'twin' beside each other; the first is taken (at byte 204)\n\
         \x20 hint: leave --deny-warnings out to accept it\n",
    );
}

#[test]
fn what_would_steer_a_terminal_is_shown_as_an_escape() {
    refuses_overlay(
        overlay(Target::label("a\x1b]0;b\x07\nc"), Node::default()),
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target': label 'a\\u{1b}]0;b\\u{7}\\nc' is not in the base tree \
         (at byte 136)\n  hint: is this the right base, or does another overlay that defines the label have to come first?\n",
    );
    // Those of writing from right to left, and of lines, have no control character's class.
    refuses_overlay(
        overlay(Target::label("a\u{202e}b\u{2066}c\u{2028}\u{e4}\u{200d}"), Node::default()),
        &[],
        "kbt: error: over.dtbo: fragment@0: property 'target': label 'a\\u{202e}b\\u{2066}c\\u{2028}\u{e4}\u{200d}' is not in the \
         base tree (at byte 136)\n  hint: is this the right base, or does another overlay that defines the label have to come first?\n",
    );
}

#[test]
fn a_name_that_no_property_has() {
    let long = "n".repeat(1025);
    let mut labelled = overlay(Target::path("/soc"), Node::default());
    labelled.symbol(&long, "/fragment@0/__overlay__");
    let cases = [
        (overlay(Target::path("/soc"), Node::default().flag(&long)), 116),
        (overlay(Target::label(&long), Node::default()), 136),
        (labelled, 140),
    ];
    for (overlay, at) in cases {
        let name = &long[..64];
        refuses_overlay(
            overlay,
            &[],
            &format!(
                "kbt: error: over.dtbo: property '{name}': a name is longer than 1024 bytes (at byte {at})\n\
                 \x20 hint: names of properties and labels have a few dozen letters\n"
            ),
        );
    }
}

#[test]
fn two_phandles_in_one_node() {
    let twice = Node::new("n").cells("phandle", &[1]).cells("phandle", &[2]);
    refuses_overlay(
        overlay(Target::path("/soc"), Node::default().child(twice)),
        &[],
        "kbt: error: over.dtbo: property 'phandle': a node has the phandle twice (at byte 140)\n\
         \x20 hint: the overlay was changed after dtc wrote it; compile it again\n",
    );
}

#[test]
fn a_tree_that_its_format_cannot_state() {
    refuses(
        &write(&board().into()),
        &plain(),
        &["--padding", "4294967295"],
        "kbt: error: base.dtb: the merged tree would be too large\n\
         \x20 hint: a device tree is smaller than 4 GiB\n",
    );
}
