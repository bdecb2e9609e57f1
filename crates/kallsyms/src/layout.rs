//! How a kernel lays its table out: which arrays, in which order, how wide, how aligned.
//!
//! The kernel finds the arrays by their symbols, so the order is a matter of the generator and of tools that guess;
//! what the arrays hold is a matter of kernel/kallsyms.c of the same tree.

use std::fmt;

pub use kbt_elf::{Class, Endianness};

/// The arrays, each named by the symbol at its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Array {
    /// `kallsyms_addresses`: a word a symbol.
    Addresses,
    /// `kallsyms_offsets`: 32 bits a symbol.
    Offsets,
    /// `kallsyms_relative_base`: the word that offsets count from.
    RelativeBase,
    /// `kallsyms_num_syms`: 32 bits.
    NumSyms,
    /// `kallsyms_names`: a length and codes a symbol.
    Names,
    /// `kallsyms_markers`: 32 bits for every 256th symbol, its byte offset in the names.
    Markers,
    /// `kallsyms_token_table`: 256 strings, each ended by a NUL.
    TokenTable,
    /// `kallsyms_token_index`: 16 bits a code, the byte offset of its string.
    TokenIndex,
    /// `kallsyms_seqs_of_names`: three bytes a symbol, its place in the table, in the order of the names.
    SeqsOfNames,
}

impl Array {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Addresses,
        Self::Offsets,
        Self::RelativeBase,
        Self::NumSyms,
        Self::Names,
        Self::Markers,
        Self::TokenTable,
        Self::TokenIndex,
        Self::SeqsOfNames,
    ];

    /// The symbol at its start.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Addresses => "kallsyms_addresses",
            Self::Offsets => "kallsyms_offsets",
            Self::RelativeBase => "kallsyms_relative_base",
            Self::NumSyms => "kallsyms_num_syms",
            Self::Names => "kallsyms_names",
            Self::Markers => "kallsyms_markers",
            Self::TokenTable => "kallsyms_token_table",
            Self::TokenIndex => "kallsyms_token_index",
            Self::SeqsOfNames => "kallsyms_seqs_of_names",
        }
    }

    /// The array of that symbol.
    pub fn from_symbol(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|array| array.symbol().as_bytes() == name)
    }
}

impl fmt::Display for Array {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.symbol())
    }
}

/// How addresses are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressTable {
    /// The address itself, a word wide (`CONFIG_KALLSYMS_BASE_RELATIVE` off, before 6.12).
    Absolute,
    /// 32 bits above `kallsyms_relative_base` (4.6 to 6.19, without per-cpu symbols among them).
    BaseRelative,
    /// As that, but a value of 0 and more is an absolute one, and below it is `base - 1 - address`
    /// (`CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, before 6.15).
    BaseRelativePercpu,
    /// 32 bits from the entry's own place (7.0 and later, 64-bit or relocatable kernels).
    PlaceRelative,
    /// The address itself in 32 bits (7.0 and later, 32-bit kernels that are not relocatable).
    Absolute32,
}

impl AddressTable {
    /// The array that holds them.
    pub fn array(self) -> Array {
        match self {
            Self::Absolute => Array::Addresses,
            _ => Array::Offsets,
        }
    }

    /// Whether they count from `kallsyms_relative_base`.
    pub fn has_base(self) -> bool {
        matches!(self, Self::BaseRelative | Self::BaseRelativePercpu)
    }

    /// Name for options and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Absolute => "absolute",
            Self::BaseRelative => "base-relative",
            Self::BaseRelativePercpu => "base-relative-percpu",
            Self::PlaceRelative => "place-relative",
            Self::Absolute32 => "absolute32",
        }
    }
}

/// The order of the arrays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArrayOrder {
    /// Addresses, base, count, names, markers, sequence numbers, tokens (before 6.4).
    AddressesFirst,
    /// Count, names, markers, tokens, offsets, base, sequence numbers (6.4 and later).
    CountFirst,
}

/// A table's layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// How wide a word is.
    pub class: Class,
    /// The byte order of all numbers but the sequence numbers, which are always big-endian.
    pub endian: Endianness,
    /// How addresses are kept.
    pub addresses: AddressTable,
    /// The order of the arrays.
    pub order: ArrayOrder,
    /// What each array's start is a multiple of, in bytes.
    pub alignment: u32,
    /// Whether a length of 128 and more takes two bytes (6.1 and later); else it is one byte.
    pub long_lengths: bool,
    /// Whether there are sequence numbers by name.
    pub seqs: bool,
}

impl Layout {
    /// The arrays in their order.
    pub fn arrays(&self) -> Vec<Array> {
        use Array::{Markers, Names, NumSyms, RelativeBase, SeqsOfNames, TokenIndex, TokenTable};
        let addresses = self.addresses.array();
        let mut arrays = match self.order {
            ArrayOrder::AddressesFirst => {
                vec![addresses, RelativeBase, NumSyms, Names, Markers, SeqsOfNames, TokenTable, TokenIndex]
            }
            ArrayOrder::CountFirst => {
                vec![NumSyms, Names, Markers, TokenTable, TokenIndex, addresses, RelativeBase, SeqsOfNames]
            }
        };
        arrays.retain(|array| match array {
            RelativeBase => self.addresses.has_base(),
            SeqsOfNames => self.seqs,
            _ => true,
        });
        arrays
    }

    /// Bytes of a word.
    pub fn word(&self) -> usize {
        match self.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        }
    }

    /// The longest that a compressed name can be, in codes.
    pub fn longest_name(&self) -> usize {
        if self.long_lengths { 0x3fff } else { 0xff }
    }

    /// The bytes of a number in this layout's order.
    pub fn u16(&self, value: u16) -> [u8; 2] {
        if self.endian == Endianness::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// The bytes of a number in this layout's order.
    pub fn u32(&self, value: u32) -> [u8; 4] {
        if self.endian == Endianness::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    /// Appends a word in this layout's order; a 32-bit one drops the upper half.
    pub fn push_word(&self, bytes: &mut Vec<u8>, value: u64) {
        let big = self.endian == Endianness::Big;
        let all = if big { value.to_be_bytes() } else { value.to_le_bytes() };
        let word = self.word();
        bytes.extend_from_slice(if big { &all[8 - word..] } else { &all[..word] });
    }

    /// Reads a number of this layout's order.
    pub fn read_u16(&self, bytes: [u8; 2]) -> u16 {
        if self.endian == Endianness::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }

    /// Reads a number of this layout's order.
    pub fn read_u32(&self, bytes: [u8; 4]) -> u32 {
        if self.endian == Endianness::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    /// Reads a word of this layout's order; `None` where there are fewer bytes.
    pub fn read_word(&self, bytes: &[u8]) -> Option<u64> {
        let bytes = bytes.get(..self.word())?;
        let fold = |value: u64, &byte: &u8| value << 8 | u64::from(byte);
        Some(match self.endian {
            Endianness::Big => bytes.iter().fold(0, fold),
            Endianness::Little => bytes.iter().rev().fold(0, fold),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_name_arrays() {
        for array in Array::ALL {
            assert_eq!(Array::from_symbol(array.symbol().as_bytes()), Some(array));
        }
        assert_eq!(Array::from_symbol(b"kallsyms"), None);
    }

    #[test]
    fn words_follow_class_and_order() {
        let mut layout = Layout {
            class: Class::Elf32,
            endian: Endianness::Big,
            addresses: AddressTable::Absolute,
            order: ArrayOrder::CountFirst,
            alignment: 4,
            long_lengths: true,
            seqs: true,
        };
        let mut bytes = Vec::new();
        layout.push_word(&mut bytes, 0x1_8000_0001);
        assert_eq!(bytes, [0x80, 0, 0, 1]);
        assert_eq!(layout.read_word(&bytes), Some(0x8000_0001));
        assert_eq!(layout.read_word(&bytes[1..]), None);
        layout.class = Class::Elf64;
        layout.endian = Endianness::Little;
        bytes.clear();
        layout.push_word(&mut bytes, 0x1_8000_0001);
        assert_eq!(bytes, [1, 0, 0, 0x80, 1, 0, 0, 0]);
        assert_eq!(layout.read_word(&bytes), Some(0x1_8000_0001));
    }
}
