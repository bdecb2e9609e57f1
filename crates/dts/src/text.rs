//! What dts source can spell: names, labels, paths.

use alloc::vec::Vec;

/// Whether `dtc` takes these bytes as a label.
pub fn is_label(bytes: &[u8]) -> bool {
    let starts = bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_');
    starts && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Whether source can spell these bytes as the name of a node or property.
pub(crate) fn is_name(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_name_byte(byte))
}

/// Whether `dtc` takes the name of a node without `-f` (its check `node_name_chars`).
pub(crate) fn is_node_name(bytes: &[u8]) -> bool {
    is_name(bytes) && !bytes.iter().any(|byte| NOT_IN_NODES.contains(byte))
}

/// Whether `dtc` takes the name of a property without `-f` (its check `property_name_chars`).
pub(crate) fn is_property_name(bytes: &[u8]) -> bool {
    is_name(bytes) && !bytes.contains(&b'@')
}

/// What the lexer of dtc takes in names, and its check of nodes does not.
const NOT_IN_NODES: &[u8] = b"*#?";

/// Whether `dtc` takes these bytes as a path in `&{...}`.
pub(crate) fn is_path(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'/') && bytes.iter().all(|&byte| byte == b'/' || is_name_byte(byte))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b",._+*#?@-".contains(&byte)
}

/// The names in an absolute path; `/` has none.
pub fn path_components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'/').filter(|component| !component.is_empty())
}

/// Appends a number as dtc writes cells: hexadecimal, two digits at least.
pub(crate) fn push_cell(out: &mut Vec<u8>, cell: u32) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"0x");
    let digits = (8 - cell.leading_zeros() / 4).clamp(2, 8);
    for place in (0..digits).rev() {
        out.push(DIGITS[(cell >> (place * 4) & 15) as usize]);
    }
}

/// Appends a byte as two hexadecimal digits.
pub(crate) fn push_byte(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push(DIGITS[usize::from(byte >> 4)]);
    out.push(DIGITS[usize::from(byte & 15)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(cell: u32) -> Vec<u8> {
        let mut out = Vec::new();
        push_cell(&mut out, cell);
        out
    }

    #[test]
    fn cells_have_two_digits_at_least() {
        assert_eq!(cell(0), b"0x00");
        assert_eq!(cell(0x10), b"0x10");
        assert_eq!(cell(0x100), b"0x100");
        assert_eq!(cell(u32::MAX), b"0xffffffff");
    }

    #[test]
    fn what_dtc_takes() {
        assert!(is_label(b"_a1") && !is_label(b"1a") && !is_label(b"") && !is_label(b"a-b"));
        assert!(is_name(b"#size-cells") && is_name(b"serial@fe001000") && !is_name(b"a b") && !is_name(b""));
        assert!(is_path(b"/") && is_path(b"/soc/a@1,2") && !is_path(b"soc") && !is_path(b"/a b"));
    }
}
