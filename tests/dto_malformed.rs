//! What `kbt dto apply` says of every way in which a file is no device tree, and of what is odd, to the letter.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::process::Command;

use kbt_testkit::overlay::{Overlay, Target};
use kbt_testkit::tree::Node;
use kbt_testkit::write::write;

/// A version 17 tree of these words, with the strings block `p`.
fn tree(words: &[u32]) -> Vec<u8> {
    let structure = u32::try_from(words.len() * 4).unwrap();
    let header = [0xd00d_feed, 58 + structure, 56, 56 + structure, 40, 17, 16, 0, 2, structure, 0, 0, 0, 0];
    let mut file: Vec<u8> = header.iter().chain(words).flat_map(|word| word.to_be_bytes()).collect();
    file.extend(*b"p\0");
    file
}

fn stderr(base: &[u8], overlay: &[u8], code: i32) -> String {
    let room = tempfile::tempdir().unwrap();
    fs::write(room.path().join("base.dtb"), base).unwrap();
    fs::write(room.path().join("over.dtbo"), overlay).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(["dto", "apply", "base.dtb", "over.dtbo", "-o", "out.dtb"]).current_dir(room.path());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(code));
    assert_eq!(room.path().join("out.dtb").exists(), code == 0);
    String::from_utf8(output.stderr).unwrap()
}

fn plain() -> Overlay {
    let mut overlay = Overlay::new();
    overlay.fragment(Target::path("/"), Node::default().flag("x"));
    overlay
}

#[test]
fn a_base_that_is_no_sound_tree() {
    const BEGIN: u32 = 1;
    const END: u32 = 2;
    const PROP: u32 = 3;
    const NAME: u32 = 0x6100_0000;
    let structure: [(&[u32], &str); 12] = [
        (&[BEGIN, 0, 7, END, 9], "0x7 is no token of a structure block (at byte 64)"),
        (&[BEGIN, 0, BEGIN, 0x6161_6161], "a node's name has no end (at byte 64)"),
        (
            &[BEGIN, 0, PROP, 100, 0, END, 9],
            "a property of 100 bytes reaches out of the structure block (at byte 64)",
        ),
        (
            &[BEGIN, 0, PROP, 0, 2, END, 9],
            "a property's name at 0x2 is no string of the strings block (at byte 64)",
        ),
        (&[PROP, 0, 0, BEGIN, 0, END, 9], "a property outside the root node (at byte 56)"),
        (&[BEGIN, 0, END, PROP, 0, 0, 9], "a property outside the root node (at byte 68)"),
        (&[END, 9], "a node is closed where none is open (at byte 56)"),
        (&[BEGIN, 0, END, END, 9], "a node is closed where none is open (at byte 68)"),
        (&[BEGIN, 0, BEGIN, NAME, END, 9], "the structure block ends inside a node (at byte 76)"),
        (&[BEGIN, 0, END], "the structure block has no end token (at byte 68)"),
        (&[9], "there is no root node (at byte 56)"),
        (&[BEGIN, 0, END, BEGIN, 0, END, 9], "there is a second root node (at byte 68)"),
    ];
    let overlay = write(&plain().finish());
    for (words, message) in structure {
        assert_eq!(stderr(&tree(words), &overlay, 1), format!("kbt: error: base.dtb: {message}\n"));
    }
    let sound = tree(&[BEGIN, 0, END, 9]);
    let header: [(usize, u32, &str); 3] = [
        (8, 58, "the structure block is not aligned to 4 bytes (at byte 58)"),
        (16, 48, "the memory reservation block has no end entry (at byte 48)"),
        (
            16,
            1000,
            "the memory reservation block reaches out of the device tree (at byte 1000)\n  hint: the file is damaged; build it again",
        ),
    ];
    for (field, value, message) in header {
        let mut base = sound.clone();
        base[field..field + 4].copy_from_slice(&value.to_be_bytes());
        assert_eq!(stderr(&base, &overlay, 1), format!("kbt: error: base.dtb: {message}\n"));
    }
}

#[test]
fn an_overlay_with_a_target_or_a_phandle_that_cannot_be() {
    let board = write(&Node::new("").child(Node::new("a").phandle(1)).into());
    let fragment = |fragment: Node| {
        let mut overlay = Overlay::new();
        overlay.root = Node::default().child(fragment.child(Node::new("__overlay__").flag("x")));
        write(&overlay.finish())
    };
    let target = "kbt: error: over.dtbo: f: property 'target': the fragment's target is neither a phandle nor a path \
                  (at byte 72)\n  hint: compile the overlay with '/plugin/' and 'dtc -@'\n";
    assert_eq!(stderr(&board, &fragment(Node::new("f").bytes("target", vec![0, 1])), 1), target);
    let mut overlay = Overlay::new();
    let short = Node::default().child(Node::new("n").bytes("phandle", vec![0, 1]));
    overlay.fragment(Target::path("/"), short);
    assert_eq!(
        stderr(&board, &write(&overlay.finish()), 1),
        "kbt: error: over.dtbo: property 'phandle': a phandle has 4 bytes, not 2 (at byte 120)\n\
         \x20 hint: phandles are numbers from 1 to 0xfffffffe\n"
    );
}

#[test]
fn what_is_odd_is_warned_of() {
    let overlay = write(&plain().finish());
    let base = write(&Node::new("").child(Node::new("__fixups__")).into());
    assert_eq!(
        stderr(&base, &overlay, 0),
        "kbt: warning: base.dtb: the base has __fixups__: it is an overlay with unresolved labels\n"
    );
    let mut twice = Overlay::new();
    twice.fragment(Target::path("/"), Node::default().flag("x").cells("x", &[1]));
    assert_eq!(
        stderr(&write(&Node::new("").into()), &write(&twice.finish()), 0),
        "kbt: warning: over.dtbo: property 'x': a node has the property twice; the last is taken (at byte 124)\n"
    );
    let mut both = plain();
    both.root.children[0].properties.push(("target".into(), vec![0, 0, 0, 1]));
    let labelled = Node::new("").child(Node::new("a").phandle(1));
    assert_eq!(
        stderr(&write(&labelled.into()), &write(&both.finish()), 0),
        "kbt: warning: over.dtbo: fragment@0: property 'target-path': the fragment has target and target-path; \
         target-path is ignored (at byte 64)\n"
    );
}
