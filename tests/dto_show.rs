//! `kbt dto show`: its text compiled by `dtc -@` is the tree again; the forms that labels and references take.
//!
//! The default run takes a sample of Debian's trees; `cargo xtask differential --all` takes all.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use differential::files::Files;
use differential::parallel;
use kbt_testkit::{Node, Overlay, Target, Tree, differences, peers, read, require};

fn kbt(words: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    run(command.args(words), input)
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // What is refused at once is not read to its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// The text of a tree, without a warning.
#[track_caller]
fn show(tree: &[u8]) -> String {
    let output = kbt(&["dto", "show", "-"], tree);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

fn compile(dtc: &Path, text: &str) -> Result<Vec<u8>, String> {
    let mut command = Command::new(dtc);
    command.args(["-@", "-q", "-q", "-I", "dts", "-O", "dtb"]);
    if let Some((_, cpu)) = text.split_once("/* compile with dtc -b ") {
        command.args(["-b", cpu.split_once(' ').unwrap().0]);
    }
    let output = run(&mut command, text.as_bytes());
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// Shows and compiles a tree and compares what comes of it by two judges: the testkit's and `kbt dto diff`.
fn comes_back(dtc: &Path, name: &str, tree: &[u8]) -> Result<(), String> {
    let output = kbt(&["dto", "show", "-"], tree);
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() != Some(0) || said.lines().any(|line| !line.contains("names boot CPU")) {
        return Err(format!("{name}: {said}"));
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let again = compile(dtc, &text).map_err(|error| format!("{name}: {error}"))?;
    let sorted = |bytes: &[u8]| read(bytes).map(sort_fixups);
    let found = differences(&sorted(tree)?, &sorted(&again)?);
    if let Some(first) = found.first() {
        return Err(format!("{name}: {} differences, the first: {first}", found.len()));
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), again).unwrap();
    let diff = kbt(&["dto", "diff", "-", file.path().to_str().unwrap()], tree);
    if diff.status.code() != Some(0) || !diff.stdout.is_empty() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&diff.stdout)));
    }
    Ok(())
}

/// In which order dtc lists the places of one label says nothing.
fn sort_fixups(mut tree: Tree) -> Tree {
    for node in tree.root.children.iter_mut().filter(|node| node.name == "__fixups__") {
        for (_, value) in &mut node.properties {
            let mut entries: Vec<_> = value.split_inclusive(|&byte| byte == 0).collect();
            entries.sort_unstable();
            *value = entries.concat();
        }
    }
    tree
}

/// Every tree of a set, or every `step`th base of it and all overlays.
fn all_come_back(set: &str, step: usize) {
    let dtc = require!(peers::tool("dtc"));
    let directory = require!(peers::trees(set));
    let files = Files::list(&directory);
    let names: Vec<_> = files.bases.iter().step_by(step).chain(&files.overlays).collect();
    let results =
        parallel::map(&names, |_, name| comes_back(&dtc, name, &fs::read(directory.join(name)).unwrap()));
    let failed: Vec<_> =
        results.iter().filter_map(|result| result.as_ref().err()).take(20).cloned().collect();
    assert!(failed.is_empty(), "of {}:\n{}", names.len(), failed.join("\n"));
    eprintln!("{set}: {} trees come back", names.len());
}

#[test]
fn a_sample_of_real_trees_comes_back() {
    all_come_back("arm64-6.12", 25);
}

#[test]
#[ignore = "of the long comparison: cargo xtask differential --all"]
fn all_real_trees_come_back() {
    for set in ["arm64-6.12", "arm64-6.1", "armmp-6.1"] {
        all_come_back(set, 1);
    }
}

#[test]
fn a_base_keeps_its_phandles_beside_the_references() {
    let tree = Node::new("")
        .child(Node::new("gic").flag("interrupt-controller").cells("#interrupt-cells", &[3]).phandle(1))
        .child(Node::new("osc").cells("#clock-cells", &[1]).phandle(2))
        .child(
            Node::new("uart@10")
                .cells("interrupt-parent", &[1])
                .cells("clocks", &[2, 7])
                .cells("clocks-of-mine", &[2, 7])
                .cells("assigned-clocks", &[2]),
        )
        .child(
            Node::new("__symbols__").text("osc_label", "/osc").text("u1", "/uart@10").text("u2", "/uart@10"),
        );
    let text = show(&kbt_testkit::write(&tree.into()));
    let expected = "/dts-v1/;

/ {

	gic {
		interrupt-controller;
		#interrupt-cells = <0x03>;
		phandle = <0x01>;
	};

	osc_label: osc {
		#clock-cells = <0x01>;
		phandle = <0x02>;
	};

	u1: u2: uart@10 {
		interrupt-parent = <&{/gic}>;
		clocks = <&osc_label 0x07>;
		clocks-of-mine = <0x02 0x07>;
		assigned-clocks = <0x02>;
	};
};
";
    assert_eq!(text, expected);
}

/// An overlay whose fragments have the short form, but for the second.
fn overlay() -> Overlay {
    let mut overlay = Overlay::new();
    let content = Node::new("").text("status", "okay").child(
        Node::new("sensor@40")
            .cells("reg", &[0x40])
            .cells("clocks", &[u32::MAX, 3])
            .cells("other", &[5])
            .phandle(4),
    );
    let path = overlay.fragment(Target::label("i2c0"), content);
    overlay.reference(&format!("{path}/sensor@40"), "clocks", 0, "osc");
    overlay.local_reference(&format!("{path}/sensor@40"), "other", 0);
    overlay.symbol("sensor", &format!("{path}/sensor@40"));
    overlay.fragment(Target::Local(4), Node::new("").flag("late"));
    let path = overlay.fragment(Target::path("/soc"), Node::new("").child(Node::new("x").phandle(5)));
    overlay.local_reference(&path, "none", 0);
    overlay
}

#[test]
fn an_overlay_reads_as_it_was_written() {
    let mut overlay = overlay();
    overlay.root.children[2].children[0].properties.push(("none".to_owned(), 5_u32.to_be_bytes().to_vec()));
    let bytes = kbt_testkit::write(&overlay.finish());
    let expected = "/dts-v1/;
/plugin/;

&i2c0 {
	status = \"okay\";

	sensor: sensor@40 {
		reg = <0x40>;
		clocks = <&osc 0x03>;
		other = <&{/fragment@2/__overlay__/x}>;
	};
};

/ {

	fragment@1 {
		target = <&sensor>;

		__overlay__ {
			late;
		};
	};

	fragment@2 {
		target-path = \"/soc\";

		__overlay__ {
			none = <&{/fragment@2/__overlay__/x}>;

			x {
			};
		};
	};
};
";
    assert_eq!(show(&bytes), expected);
    comes_back(&require!(peers::tool("dtc")), "overlay", &bytes).unwrap();
}

#[test]
fn what_leads_nowhere_stays_in_its_node() {
    // `none` is missing: its local fixup leads nowhere.
    let mut overlay = overlay();
    overlay.symbol("gone", "/fragment@9/__overlay__");
    overlay.reference("/fragment@9", "target", 0, "lost");
    overlay.reference("/fragment@8", "target", 0, "lost");
    let bytes = kbt_testkit::write(&overlay.finish());
    let text = show(&bytes);
    assert!(text.contains("\tgone = \"/fragment@9/__overlay__\";\n"), "{text}");
    assert!(text.contains("\tlost = \"/fragment@9:target:0\", \"/fragment@8:target:0\";\n"), "{text}");
    assert!(text.contains("\tnone = <0x00>;\n") && text.contains("\tphandle = <0x04>;\n"), "{text}");
    comes_back(&require!(peers::tool("dtc")), "overlay", &bytes).unwrap();
}

#[test]
fn a_label_of_the_overlay_does_not_catch_the_base_s() {
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::label("uart"), Node::new("").child(Node::new("x").phandle(1)));
    overlay.symbol("uart", &format!("{path}/x"));
    let bytes = kbt_testkit::write(&overlay.finish());
    let text = show(&bytes);
    assert!(text.contains("&uart {") && text.contains("uart = \"/fragment@0/__overlay__/x\";"), "{text}");
    // dtc 1.7.2 makes a label of the symbol only after the references are settled.
    comes_back(&require!(peers::tool("dtc")), "overlay", &bytes).unwrap();
}

#[test]
fn odd_values_and_places_come_back() {
    let dtc = require!(peers::tool("dtc"));
    let mut overlay = Overlay::new();
    let odd = Node::new("")
        .bytes("seven", [1, 2, 0xff, 0xff, 0xff, 0xff, 9])
        .bytes("text", *b"a\"b\\c\n\t\x7f\0")
        .bytes("text2", *b"a\"b\\c\n\t\0\0x\0")
        .bytes("nuls", [0, 0, 0])
        .bytes("high", [0xc3, 0xa4, 0]);
    let path = overlay.fragment(Target::label("a"), odd);
    overlay.reference(&path, "seven", 2, "b");
    comes_back(&dtc, "odd", &kbt_testkit::write(&overlay.finish())).unwrap();
    let mut tree = Tree::from(Node::new("").text("compatible", "x"));
    tree.reservations.push((0x1000, 0x20));
    tree.reservations.push((u64::MAX - 1, 1));
    comes_back(&dtc, "reservations", &kbt_testkit::write(&tree)).unwrap();
}

#[test]
fn what_source_cannot_say_is_warned_of() {
    let mut tree = Tree::from(
        Node::new("")
            .child(Node::new("a b").flag("x y"))
            .child(Node::new("c").flag("p").flag("p"))
            .child(Node::new("d"))
            .child(Node::new("d")),
    );
    tree.boot_cpuid = 2;
    let output = kbt(&["dto", "show", "-"], &kbt_testkit::write(&tree));
    assert_eq!(output.status.code(), Some(0));
    let expected = "\
kbt: warning: standard input: the header names boot CPU 2, which is not the first of /cpus: use 'dtc -b 2'
kbt: warning: standard input: /: dtc takes no node of the name 'a b'
kbt: warning: standard input: /a b: dtc takes no property of the name 'x y'
kbt: warning: standard input: /c has the property 'p' twice; dtc takes no such source
kbt: warning: standard input: there are several nodes /d; dtc takes no such source
";
    assert_eq!(String::from_utf8_lossy(&output.stderr), expected);
}

#[test]
fn of_each_kind_some_are_told() {
    let odd = (0..150).map(|number| Node::new(format!("odd name {number}")));
    let root = Node::new("").children(odd).child(Node::new("d")).child(Node::new("d"));
    let output = kbt(&["--json", "dto", "show", "-"], &kbt_testkit::write(&root.into()));
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let warnings = value["warnings"].as_array().unwrap();
    let count = |code: &str| warnings.iter().filter(|warning| warning["code"] == code).count();
    assert_eq!((count("odd-name"), count("duplicate-node")), (100, 1));
}

#[test]
fn json_holds_the_text_unless_a_file_does() {
    let tree = kbt_testkit::write(&Node::new("").flag("x").into());
    let output = kbt(&["--json", "dto", "show", "-"], &tree);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(value["dts"], "/dts-v1/;\n\n/ {\n\tx;\n};\n");
    let output = kbt(&["dto", "show", "-"], b"no tree");
    assert_eq!(output.status.code(), Some(1));
    let expected =
        "kbt: error: standard input: not a device tree: bad magic 6e6f2074, expected d00dfeed (at byte 0)";
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(expected), "{output:?}");
}

/// What dtc's checks of names refuse is told; with `-f` it makes the same tree.
#[test]
fn names_that_dtc_takes_only_by_force_are_told() {
    let dtc = require!(peers::tool("dtc"));
    for letter in ",._+*#?@-".chars() {
        let name = format!("a{letter}b");
        for tree in [Node::new("").child(Node::new(&name)), Node::new("").flag(&name)] {
            let output = kbt(&["dto", "show", "-"], &kbt_testkit::write(&tree.into()));
            let text = String::from_utf8(output.stdout).unwrap();
            let made = compile(&dtc, &text);
            assert_eq!(made.is_ok(), output.stderr.is_empty(), "{text}: {made:?}");
        }
    }
}

#[test]
fn a_label_of_the_root_is_kept() {
    let dtc = require!(peers::tool("dtc"));
    let symbols = Node::new("__symbols__").text("top", "/").text("n1", "/n");
    let tree = kbt_testkit::write(&Node::new("").child(Node::new("n").phandle(1)).child(symbols).into());
    comes_back(&dtc, "a label of the root", &tree).unwrap();
}
