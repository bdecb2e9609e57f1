//! The token stream of `kbt-fdt` against that of the crate fdt-rs, and its flat tree against testkit's
//! reader, on each device tree of Debian's kernels.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;

use std::fs;
use std::path::Path;

use differential::files::Files;
use differential::parallel;
use kbt_fdt::{Blob, Tag};
use kbt_testkit::fdt_rs::{self, Token};
use kbt_testkit::tree::join;
use kbt_testkit::{peers, read, require};

#[test]
fn arm64_6_12() {
    compare_set("arm64-6.12", &require!(peers::trees("arm64-6.12")));
}

#[test]
fn arm64_6_1() {
    compare_set("arm64-6.1", &require!(peers::trees("arm64-6.1")));
}

#[test]
#[ignore = "of the long comparison: cargo xtask differential --all"]
fn armmp_6_1() {
    compare_set("armmp-6.1", &require!(peers::trees("armmp-6.1")));
}

fn compare_set(set: &str, directory: &Path) {
    let files = Files::list(directory);
    let names: Vec<_> = files.bases.iter().chain(&files.overlays).collect();
    let accepted = parallel::map(&names, |_, name| {
        let bytes = fs::read(directory.join(name)).unwrap();
        same_nodes(name, &bytes);
        same_tokens(name, &bytes)
    });
    let accepted = accepted.into_iter().filter(|accepted| *accepted).count();
    eprintln!("{set}: {} files, {accepted} of them accepted by fdt-rs, all the same", names.len());
    assert!(accepted > names.len() / 2, "{set}: fdt-rs accepts only {accepted}");
}

/// Compares the streams; `false` where fdt-rs does not accept the file.
fn same_tokens(name: &str, bytes: &[u8]) -> bool {
    let Some(theirs) = fdt_rs::tokens(bytes) else { return false };
    let blob = Blob::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let mut tokens: Vec<_> = blob.structure().tokens().map(|(_, token)| token).collect();
    assert_eq!(tokens.pop(), Some(kbt_fdt::Token::End), "{name}");
    let ours = tokens.into_iter().map(|token| match token {
        kbt_fdt::Token::BeginNode(name) => Token::BeginNode(name.to_vec()),
        kbt_fdt::Token::EndNode => Token::EndNode,
        kbt_fdt::Token::Prop(property, value) => {
            Token::Prop(blob.strings().get(property.name).unwrap().to_vec(), value.to_vec())
        }
        kbt_fdt::Token::Nop => Token::Nop,
        kbt_fdt::Token::End => panic!("{name}: two ends"),
    });
    for (index, (ours, theirs)) in ours.clone().zip(&theirs).enumerate() {
        assert_eq!(ours, *theirs, "{name}: token {index}");
    }
    assert_eq!(ours.count(), theirs.len(), "{name}");
    true
}

/// Compares the names, parents and properties of the flat tree with those of the owned one.
fn same_nodes(name: &str, bytes: &[u8]) {
    let blob = Blob::parse(bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let tree = blob.tree().unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let structure = blob.structure();
    let mut paths: Vec<String> = Vec::new();
    let mut ours = Vec::new();
    for node in tree.nodes() {
        let own = std::str::from_utf8(structure.name(node)).unwrap();
        let path = paths.get(node.parent.index()).map_or_else(|| "/".to_owned(), |parent| join(parent, own));
        let properties = structure.properties(node).map(|property| {
            let name = blob.strings().get(property.name).unwrap();
            (String::from_utf8(name.to_vec()).unwrap(), structure.value(&property).to_vec())
        });
        assert_eq!(structure.word(node.begin), Some(Tag::BEGIN_NODE), "{name}: {path}");
        ours.push((path.clone(), properties.collect::<Vec<_>>()));
        paths.push(path);
    }
    let read = read(bytes).unwrap();
    let mut theirs: Vec<_> =
        read.root.walk().into_iter().map(|(path, node)| (path, node.properties.clone())).collect();
    ours.sort();
    theirs.sort();
    assert!(ours == theirs, "{name}: the flat tree differs from the reader's");
    let reservations: Vec<_> = blob.reservations().iter().map(|entry| (entry.address, entry.size)).collect();
    assert_eq!((reservations, blob.header().boot_cpuid_phys), (read.reservations, read.boot_cpuid), "{name}");
}
