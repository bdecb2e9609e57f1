//! Trees as source, and compared: the text is ASCII, the same each time, and a tree means the same as itself.
//!
//! The input is the length of the first tree in two big-endian bytes, that tree, and a second one.

use kbt_dts::{Dts, compare};

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((length, rest)) = bytes.split_first_chunk() else { return };
    let (left, right) = rest.split_at(usize::from(u16::from_be_bytes(*length)).min(rest.len()));
    let (Ok(left), right) = (Dts::parse(left), Dts::parse(right)) else { return };
    if let Ok(shown) = left.show() {
        assert!(shown.text.is_ascii());
        assert!(shown.text.ends_with(b"\n"));
        assert_eq!(left.show().expect("it was shown before").text, shown.text);
    }
    assert_eq!(compare(&left, &left), []);
    let Ok(right) = right else { return };
    let found = compare(&left, &right);
    assert_eq!(found.is_empty(), compare(&right, &left).is_empty());
    for difference in found {
        for (dts, node) in [(&left, difference.left), (&right, difference.right)] {
            let Some(node) = node else { continue };
            for property in &difference.properties {
                for property in [property.left, property.right].into_iter().flatten() {
                    let _ = dts.show_property(node, &property, 1);
                }
            }
            let _ = dts.show_subtree(node, 1);
        }
    }
}
