//! A property's value as dts source: strings, cells or bytes, as dtc guesses where nothing tells the type, and
//! references in their places.

use alloc::vec::Vec;

use crate::text::{push_byte, push_cell};

/// Something to write in place of four bytes of a value.
#[derive(Debug, Clone)]
pub(crate) struct Written {
    /// Where it stands in the value, in bytes.
    pub(crate) offset: usize,
    /// `&label` or `&{/path}`.
    pub(crate) text: Vec<u8>,
}

/// Appends a value that is not empty; `references` are in order and share no byte.
pub(crate) fn push_value(out: &mut Vec<u8>, value: &[u8], references: &[Written]) {
    if references.is_empty() {
        return push_guessed(out, value);
    }
    let in_cells = value.len().is_multiple_of(4) && references.iter().all(|it| it.offset.is_multiple_of(4));
    if in_cells {
        push_cells(out, value, references);
    } else {
        push_pieces(out, value, references);
    }
}

fn push_guessed(out: &mut Vec<u8>, value: &[u8]) {
    if is_strings(value) {
        push_strings(out, value);
    } else if value.len().is_multiple_of(4) {
        push_cells(out, value, &[]);
    } else {
        push_bytes(out, value);
    }
}

/// Whether dtc takes a value for strings: it ends in NUL, has nothing else that cannot be printed, and no more NULs than
/// other bytes.
pub(crate) fn is_strings(value: &[u8]) -> bool {
    let printable = |byte: &u8| matches!(*byte, b' '..=b'~' | 0x07..=0x0d | 0);
    let nuls = value.iter().filter(|byte| **byte == 0).count();
    value.last() == Some(&0) && value.iter().all(printable) && nuls <= value.len() - nuls
}

fn push_strings(out: &mut Vec<u8>, value: &[u8]) {
    let text = value.strip_suffix(b"\0").unwrap_or(value);
    for (index, string) in text.split(|&byte| byte == 0).enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_string(out, string);
    }
}

/// Appends a string in quotes.
pub(crate) fn push_string(out: &mut Vec<u8>, string: &[u8]) {
    out.push(b'"');
    for &byte in string {
        match byte {
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0b => out.extend_from_slice(b"\\v"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => {
                out.extend_from_slice(b"\\x");
                push_byte(out, byte);
            }
        }
    }
    out.push(b'"');
}

fn push_cells(out: &mut Vec<u8>, value: &[u8], references: &[Written]) {
    let mut references = references.iter().peekable();
    out.push(b'<');
    for (index, cell) in value.as_chunks::<4>().0.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        match references.next_if(|reference| reference.offset == index * 4) {
            Some(reference) => out.extend_from_slice(&reference.text),
            None => push_cell(out, u32::from_be_bytes(*cell)),
        }
    }
    out.push(b'>');
}

fn push_bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.push(b'[');
    for (index, &byte) in value.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        push_byte(out, byte);
    }
    out.push(b']');
}

/// References at odd places: pieces with commas between.
fn push_pieces(out: &mut Vec<u8>, value: &[u8], references: &[Written]) {
    let mut at = 0;
    let mut comma = false;
    let mut separate = |out: &mut Vec<u8>| {
        if core::mem::replace(&mut comma, true) {
            out.extend_from_slice(b", ");
        }
    };
    for reference in references {
        let gap = value.get(at..reference.offset).unwrap_or_default();
        if !gap.is_empty() {
            separate(out);
            push_bytes(out, gap);
        }
        separate(out);
        out.push(b'<');
        out.extend_from_slice(&reference.text);
        out.push(b'>');
        at = reference.offset + 4;
    }
    let rest = value.get(at..).unwrap_or_default();
    if !rest.is_empty() {
        separate(out);
        push_bytes(out, rest);
    }
}

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    fn shown(value: &[u8], references: &[Written]) -> String {
        let mut out = Vec::new();
        push_value(&mut out, value, references);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn types_are_guessed() {
        assert_eq!(shown(b"okay\0", &[]), "\"okay\"");
        assert_eq!(shown(b"a\0b\0", &[]), "\"a\", \"b\"");
        assert_eq!(shown(b"a\0\0", &[]), "[61 00 00]");
        assert_eq!(shown(b"ab\0\0", &[]), "\"ab\", \"\"");
        assert_eq!(shown(b"\0", &[]), "[00]");
        assert_eq!(shown(b"a\"\\\n\0", &[]), "\"a\\\"\\\\\\n\"");
        assert_eq!(shown(&[0, 0, 0, 1, 0, 0, 1, 0], &[]), "<0x01 0x100>");
        assert_eq!(shown(&[1, 2, 3], &[]), "[01 02 03]");
        assert_eq!(shown(b"abcd", &[]), "<0x61626364>");
    }

    #[test]
    fn references_stand_in_their_places() {
        let at = |offset| Written { offset, text: b"&a".to_vec() };
        assert_eq!(shown(&[0, 0, 0, 9, 0, 0, 0, 1], &[at(0)]), "<&a 0x01>");
        assert_eq!(shown(b"abc\0", &[at(0)]), "<&a>");
        assert_eq!(shown(&[7, 0, 0, 0, 0, 8], &[at(1)]), "[07], <&a>, [08]");
        assert_eq!(shown(&[0, 0, 0, 0, 7], &[at(0)]), "<&a>, [07]");
    }
}
