//! Reading a tree and writing it again keeps every token, name and value.

use kbt_fdt::{Blob, NodeIndex};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(blob) = Blob::parse(bytes) else { return };
    let Ok(tree) = blob.tree() else { return };
    let merged = kbt_dto::apply(bytes, &[], &kbt_dto::Options::default()).expect("nothing is to be merged");
    let again = Blob::parse(&merged.bytes).expect("what was written is a device tree");
    // What stands in front of the root node is not written.
    let root = tree.node(NodeIndex::ROOT).begin.index();
    let structure = &blob.structure().bytes()[root..tree.size() as usize];
    assert_eq!(again.structure().bytes(), structure);
    assert_eq!(again.strings().bytes(), blob.strings().bytes());
    assert_eq!(again.reservations().bytes(), blob.reservations().bytes());
    assert_eq!(again.header().boot_cpuid_phys, blob.header().boot_cpuid_phys);
    let again = again.tree().expect("it was sound before");
    assert_eq!(again.nodes().len(), tree.nodes().len());
    assert!(root != 0 || again.nodes() == tree.nodes());
}
