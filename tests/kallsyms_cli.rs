//! `kbt kallsyms generate`, `dump`, `verify` and `kallsyms` as programs: help, refusals, damaged kernels.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

mod kernel;

use std::fs;
use std::os::unix::process::CommandExt as _;

use kbt_kallsyms::{Array, Located};
use kbt_testkit::golden;
use kernel::{Machine, Tree, kallsyms, kbt};

#[test]
fn help() {
    for name in ["generate", "dump", "verify"] {
        let output = kbt().args(["kallsyms", name, "--help"]).output().unwrap();
        golden::compare(&format!("kbt-kallsyms-{name}.txt"), &output.stdout);
    }
    let output = kbt().arg0("kallsyms").arg("--help").output().unwrap();
    golden::compare("kallsyms.txt", &output.stdout);
}

/// A kernel of x86_64 with a table of 6.12.
fn kernel_tree() -> Tree {
    let tree = Tree::new(Machine::named("x86_64"), false, 300).unwrap();
    tree.link(&[], "vmlinux").unwrap();
    for _ in 0..3 {
        let words = ["generate", "--kernel", "6.12", "--all-symbols", "vmlinux", "-o", "table.o"];
        tree.kallsyms(&words);
        tree.link(&["table.o"], "vmlinux").unwrap();
    }
    tree
}

/// Runs a command that must be refused; gives what it says.
#[track_caller]
fn refused(tree: &Tree, words: &[&str]) -> String {
    let output = kallsyms(words, tree.directory());
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{words:?}: {text}");
    assert!(text.starts_with("kbt: error: ") && output.stdout.is_empty(), "{words:?}: {text}");
    text
}

#[test]
fn what_is_no_kernel_is_refused() {
    let tree = kernel_tree();
    fs::write(tree.path("text"), "no ELF file at all, but a few words").unwrap();
    let file = tree.read("vmlinux");
    fs::write(tree.path("cut"), &file[..file.len() / 2]).unwrap();
    kernel::run(
        std::process::Command::new("strip").args(["-o", "stripped", "vmlinux"]).current_dir(tree.directory()),
    );
    tree.link(&[], "bare").unwrap();
    for command in ["verify", "generate"] {
        let words = |file| match command {
            "generate" => vec!["generate", "--kernel", "6.1", file, "-o", "out.o"],
            _ => vec![command, file],
        };
        assert!(refused(&tree, &words("text")).contains("text: "), "{command}");
        assert!(refused(&tree, &words("cut")).contains("cut: "), "{command}");
        let text = refused(&tree, &words("stripped"));
        assert!(
            text.contains("there is no symbol table") && text.contains("before it was stripped"),
            "{text}"
        );
        assert!(!tree.path("out.o").exists());
    }
    let text = refused(&tree, &["verify", "bare"]);
    assert!(text.contains("CONFIG_KALLSYMS"), "{text}");
    assert!(refused(&tree, &["dump", "text"]).contains("no symbol table of a kernel"));
    assert!(refused(&tree, &["dump", "bare"]).contains("no symbol table of a kernel"));
    // The stripped one is searched.
    assert_eq!(tree.kallsyms(&["dump", "stripped"]), tree.kallsyms(&["dump", "vmlinux"]));
}

#[test]
fn a_difference_is_told_with_its_place() {
    let tree = kernel_tree();
    tree.kallsyms(&["verify", "vmlinux"]);
    let file = tree.read("vmlinux");
    let located = Located::by_symbols(&kbt_elf::Image::parse(&file[..]).unwrap()).unwrap();
    for array in [Array::Offsets, Array::Markers, Array::SeqsOfNames, Array::Names, Array::TokenTable] {
        let slot = located.slot(array).unwrap();
        let mut broken = file.clone();
        // Behind the first entry, which every array has more than one of.
        let at = usize::try_from(slot.offset).unwrap() + 5;
        broken[at] ^= 0x15;
        fs::write(tree.path("broken"), &broken).unwrap();
        let text = refused(&tree, &["verify", "broken"]);
        assert!(text.contains("broken: ") && text.contains("(at byte "), "{array}: {text}");
    }
}

#[test]
fn odd_lists_of_symbols() {
    let tree = kernel_tree();
    let write = |text: &str| fs::write(tree.path("map"), text).unwrap();
    let generate = ["generate", "--kernel", "6.1", "--all-symbols", "--from-nm", "map"];
    write("vmlinux.o:\n                 U printk\n\nthree words here\n");
    assert!(refused(&tree, &generate).contains("no symbol is left"));
    // An empty table is what later kernels begin with.
    tree.kallsyms(&["generate", "--kernel", "6.12", "--all-symbols", "--from-nm", "map"]);
    write(&format!("0000000000001000 T _text\n0000000000001000 T {}\n", "n".repeat(600)));
    let output = kallsyms(&generate, tree.directory());
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && text.contains("600 bytes") && text.contains("left out"), "{text}");
    assert!(String::from_utf8(output.stdout).unwrap().contains("\t.long\t1\n"));
    write("0000000000001000 T _text\nffffffffffffffff T far\n");
    let text = refused(&tree, &generate);
    assert!(text.contains("of far is out of the table's range"), "{text}");
    let unknown = kallsyms(&["generate", "--from-nm", "map"], tree.directory());
    assert_eq!(unknown.status.code(), Some(2));
    let unsaid = kallsyms(&[&generate[..], &["-o", "out.o"]].concat(), tree.directory());
    assert_eq!(unsaid.status.code(), Some(2));
    assert!(!tree.path("out.o").exists());
}

#[test]
fn json_is_what_the_lines_say() {
    let tree = kernel_tree();
    let lines = String::from_utf8(tree.kallsyms(&["dump", "vmlinux"])).unwrap();
    let json: serde_json::Value =
        serde_json::from_slice(&tree.kallsyms(&["dump", "--format", "json", "vmlinux"])).unwrap();
    let entries = json.as_array().unwrap();
    assert_eq!(entries.len(), lines.lines().count());
    for (entry, line) in entries.iter().zip(lines.lines()) {
        let address = entry["address"].as_u64().unwrap();
        let text =
            format!("{address:016x} {} {}", entry["type"].as_str().unwrap(), entry["name"].as_str().unwrap());
        assert_eq!(text, line);
    }
}
