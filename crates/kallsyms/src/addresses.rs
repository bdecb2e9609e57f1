//! The addresses: `kallsyms_addresses`, or `kallsyms_offsets` with or without `kallsyms_relative_base`.
//!
//! What the linker decides is kept as a distance from `_text`, so that one table serves an object file (a relocation
//! each) and a linked image (the number itself).

use crate::error::{Error, ErrorKind};
use crate::layout::{AddressTable, Class, Layout};
use crate::symbol::SymbolEntry;

/// A number that is known only when the place of `_text` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
    /// So many bytes behind `_text`.
    Text(i64),
    /// The number itself.
    Constant(u64),
}

/// What one array holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Bytes that no link changes.
    Bytes(Vec<u8>),
    /// A word each: the value itself.
    Words(Vec<Value>),
    /// 32 bits each: the value less the entry's own address.
    Distances(Vec<Value>),
}

impl Content {
    /// Its size in bytes.
    pub fn size(&self, layout: &Layout) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Words(values) => values.len() * layout.word(),
            Self::Distances(values) => values.len() * 4,
        }
    }

    /// Its bytes in an image where `_text` is at `text` and the array at `place`.
    ///
    /// # Errors
    ///
    /// A distance of more than 31 bits.
    pub fn link(self, text: u64, place: u64, layout: &Layout) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(self.size(layout));
        let (values, are_words) = match self {
            Self::Bytes(bytes) => return Ok(bytes),
            Self::Words(values) => (values, true),
            Self::Distances(values) => (values, false),
        };
        for value in values {
            let address = match value {
                Value::Text(distance) => text.wrapping_add_signed(distance),
                Value::Constant(value) => value,
            };
            if are_words {
                layout.push_word(&mut bytes, address);
                continue;
            }
            let own = place.wrapping_add(bytes.len() as u64);
            let distance = signed(address.wrapping_sub(own), layout.class);
            let distance = i32::try_from(distance).map_err(|_| out_of_range(address, "a symbol"))?;
            bytes.extend_from_slice(&layout.u32(distance.cast_unsigned()));
        }
        Ok(bytes)
    }
}

/// The arrays of addresses for symbols in the table's order: that of the addresses, and `kallsyms_relative_base`
/// where the layout has it. `text` is the address of `_text`, `base` what offsets count from.
///
/// # Errors
///
/// An address that the layout cannot say, with the symbol's name.
pub fn encode(
    symbols: &[SymbolEntry<'_>],
    layout: &Layout,
    text: u64,
    base: u64,
) -> Result<(Content, Option<Content>), Error> {
    let range =
        |symbol: &SymbolEntry<'_>| out_of_range(symbol.address, &String::from_utf8_lossy(symbol.name));
    let distance = |address: u64| address.wrapping_sub(text).cast_signed();
    match layout.addresses {
        AddressTable::Absolute => {
            let value = |symbol: &SymbolEntry<'_>| match symbol.absolute {
                true => Value::Constant(symbol.address),
                false => Value::Text(distance(symbol.address)),
            };
            Ok((Content::Words(symbols.iter().map(value).collect()), None))
        }
        AddressTable::PlaceRelative => {
            let values = symbols.iter().map(|symbol| {
                let value = i32::try_from(distance(symbol.address)).map_err(|_| range(symbol))?;
                Ok(Value::Text(value.into()))
            });
            Ok((Content::Distances(values.collect::<Result<_, Error>>()?), None))
        }
        AddressTable::Absolute32 | AddressTable::BaseRelative | AddressTable::BaseRelativePercpu => {
            let mut bytes = Vec::with_capacity(4 * symbols.len());
            for symbol in symbols {
                let offset = offset(symbol, layout.addresses, base).ok_or_else(|| range(symbol))?;
                bytes.extend_from_slice(&layout.u32(offset));
            }
            let has_base = layout.addresses.has_base();
            let base = has_base.then(|| Content::Words(vec![Value::Text(distance(base))]));
            Ok((Content::Bytes(bytes), base))
        }
    }
}

/// What offsets count from where nothing else decides: the lowest address that is not absolute. The symbols are in the
/// table's order.
pub fn relative_base(symbols: &[SymbolEntry<'_>]) -> u64 {
    symbols.iter().find(|symbol| !symbol.absolute).map_or(0, |symbol| symbol.address)
}

/// The 32 bits of a symbol that take no link; `None` where they do not reach.
pub fn offset(symbol: &SymbolEntry<'_>, addresses: AddressTable, base: u64) -> Option<u32> {
    match addresses {
        AddressTable::BaseRelative => u32::try_from(symbol.address.checked_sub(base)?).ok(),
        AddressTable::BaseRelativePercpu if symbol.absolute => {
            i32::try_from(symbol.address).ok().map(i32::cast_unsigned)
        }
        AddressTable::BaseRelativePercpu => {
            let distance = i32::try_from(symbol.address.checked_sub(base)?).ok()?;
            Some((-1 - distance).cast_unsigned())
        }
        // The lower half, as scripts/kallsyms of 7.0 takes it.
        _ => Some((symbol.address & u64::from(u32::MAX)).try_into().unwrap_or(0)),
    }
}

fn out_of_range(address: u64, name: &str) -> Error {
    ErrorKind::AddressOutOfRange { address, name: name.to_owned() }.into()
}

/// The addresses that linked arrays hold, each with whether it is an absolute one. `place` is the address of the array;
/// `base` what `kallsyms_relative_base` holds, 0 where there is none.
pub fn decode(bytes: &[u8], layout: &Layout, place: u64, base: u64) -> impl Iterator<Item = (u64, bool)> {
    let word = if layout.addresses == AddressTable::Absolute { layout.word() } else { 4 };
    let layout = *layout;
    bytes.chunks_exact(word).zip(0_u64..).map(move |(bytes, index)| {
        let stored = layout.read_word(bytes).unwrap_or_else(|| u64::from(read_offset(bytes, &layout)));
        if layout.addresses == AddressTable::Absolute {
            return (stored, false);
        }
        let offset = read_offset(bytes, &layout);
        let distance = i64::from(offset.cast_signed());
        let own = place.wrapping_add(4 * index);
        let (address, absolute) = match layout.addresses {
            AddressTable::BaseRelative => (base.wrapping_add(offset.into()), false),
            AddressTable::BaseRelativePercpu if distance >= 0 => (offset.into(), true),
            AddressTable::BaseRelativePercpu => (base.wrapping_sub(1).wrapping_add_signed(-distance), false),
            AddressTable::PlaceRelative => (own.wrapping_add_signed(distance), false),
            AddressTable::Absolute | AddressTable::Absolute32 => (offset.into(), false),
        };
        match layout.class {
            Class::Elf32 => (address & u64::from(u32::MAX), absolute),
            Class::Elf64 => (address, absolute),
        }
    })
}

fn read_offset(bytes: &[u8], layout: &Layout) -> u32 {
    bytes.first_chunk().map_or(0, |&bytes| layout.read_u32(bytes))
}

/// A difference as a number of the class's width.
fn signed(difference: u64, class: Class) -> i64 {
    let difference = difference.cast_signed();
    match class {
        Class::Elf64 => difference,
        // The upper half is what wrapped around.
        Class::Elf32 => difference << 32 >> 32,
    }
}
