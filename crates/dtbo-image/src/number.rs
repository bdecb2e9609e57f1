//! Numbers as mkdtboimg reads them.

use alloc::borrow::ToOwned as _;
use alloc::string::String;

/// The value of an entry's field as written: a number, or a property of the entry's device tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `7`, `0x7`, `07`.
    Number(u32),
    /// `/board:id`: the first cell of a property, read from the entry's own device tree.
    Property {
        /// Path of the node, from `/`; a closing `/` is dropped.
        node: String,
        /// Name of the property.
        property: String,
    },
}

impl Value {
    /// Reads `/node:property` or a number; `None` where it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if !text.starts_with('/') {
            return parse_number(text).map(Self::Number);
        }
        let (node, property) = text.split_once(':')?;
        let node = match node.trim_end_matches('/') {
            "" => "/",
            node => node,
        };
        (!property.is_empty())
            .then(|| Self::Property { node: node.to_owned(), property: property.to_owned() })
    }
}

/// An entry's number: `0x` is hexadecimal, a leading `0` is octal, the rest decimal. `None` where it is no such
/// number or does not fit 32 bits.
pub fn parse_number(text: &str) -> Option<u32> {
    if let Some(digits) = hexadecimal(text) {
        return digits_in(digits, 16);
    }
    match text.strip_prefix('0') {
        Some(digits) if !digits.is_empty() => digits_in(digits.strip_prefix(['o', 'O']).unwrap_or(digits), 8),
        _ => digits_in(text, 10),
    }
}

/// A size or version of the whole image: `0x` is hexadecimal, anything else decimal, leading zeros included.
/// (mkdtboimg reads these two by another rule than the fields of entries.)
pub fn parse_size(text: &str) -> Option<u32> {
    match hexadecimal(text) {
        Some(digits) => digits_in(digits, 16),
        None => digits_in(text, 10),
    }
}

fn hexadecimal(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

/// `from_str_radix` alone would take a sign.
fn digits_in(digits: &str, radix: u32) -> Option<u32> {
    if digits.starts_with(['+', '-']) {
        return None;
    }
    u32::from_str_radix(digits, radix).ok()
}
