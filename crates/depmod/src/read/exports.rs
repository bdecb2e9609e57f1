//! The symbols that a module has for others.

use kbt_elf::{Endianness, ReadRef, Section, SectionTable, SymbolTable, section_index};

use super::{strings, unpadded};
use crate::FactsBuilder;

/// What the symbol of an export's checksum is called, before the export's name.
const PREFIX: &[u8] = b"__crc_";

/// A symbol `__crc_NAME`.
#[derive(Debug, Clone, Copy)]
pub struct CrcSymbol {
    /// Byte offset of the name, prefix included, in the table of names.
    name: u32,
    /// The section that holds the checksum, or one of [`section_index`].
    section: u16,
    /// The checksum's place in that section, or the checksum itself.
    value: u64,
}

/// Collects the `__crc_` symbols; none where any name of the table lies outside the table of names.
pub fn collect(symbols: &SymbolTable<'_>, found: &mut Vec<CrcSymbol>) {
    let names = symbols.strings().bytes();
    // Most modules export nothing.
    if memchr::memmem::find(names, PREFIX).is_none() {
        return;
    }
    for symbol in symbols.iter().skip(1) {
        let Some(name) = names.get(symbol.name as usize..).filter(|name| !name.is_empty()) else {
            found.clear();
            return;
        };
        if name.starts_with(PREFIX) {
            found.push(CrcSymbol { name: symbol.name, section: symbol.section, value: symbol.value });
        }
    }
}

/// Where the checksum lies in the file: offset and size in bytes.
pub fn crc_range(symbol: &CrcSymbol, sections: &SectionTable<'_>) -> Option<(u64, u64)> {
    if matches!(symbol.section, section_index::UNDEFINED | section_index::ABSOLUTE) {
        return None;
    }
    let section = sections.get(usize::from(symbol.section))?;
    // kmod takes no section without a name.
    sections.name(&section)?;
    let Section { offset, size, .. } = section;
    (symbol.value <= size.checked_sub(4)?).then_some((offset.checked_add(symbol.value)?, 4))
}

/// Pushes the exports of `found`. A checksum that cannot be read is `u64::MAX`.
pub fn read<'data, R: ReadRef<'data>>(
    symbols: &SymbolTable<'_>,
    found: &[CrcSymbol],
    sections: &SectionTable<'_>,
    data: R,
    endian: Endianness,
    facts: &mut FactsBuilder,
) {
    for symbol in found {
        let name = symbols.strings().get(symbol.name).and_then(|name| name.strip_prefix(PREFIX));
        let crc = match symbol.section {
            section_index::UNDEFINED | section_index::ABSOLUTE => Some(symbol.value),
            _ => crc_range(symbol, sections).and_then(|(offset, size)| {
                let word: [u8; 4] = data.read_bytes_at(offset, size).ok()?.try_into().ok()?;
                Some(u64::from(match endian {
                    Endianness::Little => u32::from_le_bytes(word),
                    Endianness::Big => u32::from_be_bytes(word),
                }))
            }),
        };
        facts.push_export(name.unwrap_or_default(), crc.unwrap_or(u64::MAX));
    }
}

/// Pushes the strings of `__ksymtab_strings`, which have no checksums; `None` where the last one has no end.
pub fn read_strings(bytes: &[u8], facts: &mut FactsBuilder) -> Option<()> {
    if unpadded(bytes).last().is_some_and(|&byte| byte != 0) {
        return None;
    }
    for name in strings(bytes) {
        facts.push_export(name, 0);
    }
    Some(())
}
