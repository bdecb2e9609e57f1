//! What the writer writes, the reader reads: in the usual form and in each odd one.

use kbt_testkit::write::write_with;
use kbt_testkit::{BlockOrder, Node, Overlay, StringSharing, Target, Tree, WriteOptions, read};

fn sample() -> Tree {
    let root = Node::new("")
        .cells("#size-cells", &[1])
        .text("size-cells", "a suffix of the other name")
        .child(Node::new("a-node-whose-name-is-longer-than-thirty-one@1").phandle(1).flag("ranges"))
        .child(Node::new("b").bytes("odd", [1, 2, 3]).child(Node::new("c").cells("size-cells", &[2])));
    Tree { root, reservations: vec![(0x1_0000_0000, 0x1000), (7, 8)], boot_cpuid: 3 }
}

#[test]
fn every_form_reads_as_the_same_tree() {
    for version in [16, 17] {
        for sharing in [StringSharing::Once, StringSharing::Suffix, StringSharing::Never] {
            for order in [BlockOrder::Usual, BlockOrder::Reversed, BlockOrder::StructureFirst] {
                for (nops, gap, padding) in [(false, 0, 0), (true, 3, 5)] {
                    let options = WriteOptions { version, sharing, order, nops, gap, padding };
                    assert_eq!(read(&write_with(&sample(), &options)), Ok(sample()), "{options:?}");
                }
            }
        }
    }
}

#[test]
fn suffix_sharing_shortens_and_copies_lengthen() {
    let size = |sharing| write_with(&sample(), &WriteOptions { sharing, ..WriteOptions::default() }).len();
    assert_eq!(size(StringSharing::Once) - size(StringSharing::Suffix), "size-cells".len() + 1);
    assert_eq!(size(StringSharing::Never) - size(StringSharing::Once), "size-cells".len() + 1);
}

#[test]
fn every_truncation_is_refused() {
    let file = kbt_testkit::write(&sample());
    for end in 0..file.len() {
        assert!(read(&file[..end]).is_err(), "{end}");
    }
}

#[test]
fn an_overlay_has_its_metadata() {
    let mut overlay = Overlay::new();
    let path = overlay.fragment(Target::label("uart"), Node::default().cells("clocks", &[u32::MAX, 1]));
    overlay.reference(&path, "clocks", 0, "uart");
    overlay.local_reference(&path, "clocks", 4);
    overlay.fragment(Target::path("/soc"), Node::default().child(Node::new("new")));
    overlay.symbol("fresh", "/fragment@1/__overlay__/new");
    let root = overlay.finish().root;
    let places = b"/fragment@0:target:0\0/fragment@0/__overlay__:clocks:0\0";
    assert_eq!(root.at("/__fixups__").unwrap().property("uart"), Some(&places[..]));
    assert_eq!(root.at("/__local_fixups__/fragment@0/__overlay__").unwrap().property_cell("clocks"), Some(4));
    assert_eq!(root.at("/fragment@1").unwrap().property_text("target-path"), Some("/soc"));
    assert_eq!(root.at("/__symbols__").unwrap().property_text("fresh"), Some("/fragment@1/__overlay__/new"));
}
