//! The symbols of an ELF file as `nm -n` lists them: which, by which letter, in which order.
//!
//! Of the file only the section headers with their names, the symbol table and its names are touched.
//!
//! The letters are those of GNU nm 2.35 and later, which goes by the flags of sections alone (`tests/kallsyms_nm.rs`
//! compares).

use kbt_elf::{Binding, Class, Endianness, Image, Section, SectionTable, Symbol};
use kbt_elf::{ReadRef, machine, section_flag, section_index, section_type, symbol_type};

use crate::error::{Error, ErrorKind};
use crate::symbol::{SymbolEntry, sort_as_nm};

/// The symbols that a file defines, sorted as `nm -n` does: by value, then by name, then as they stand in the file.
///
/// # Errors
///
/// No symbol table, or one that cannot be read; a name outside of the names.
pub fn read_symbols<'data, R: ReadRef<'data>>(image: &Image<R>) -> Result<Vec<SymbolEntry<'data>>, Error> {
    read_symbols_where(image, |_, _| true)
}

/// Those of [`read_symbols`] whose letter and name are wanted; what is not is not sorted either.
///
/// # Errors
///
/// As there.
pub fn read_symbols_where<'data, R: ReadRef<'data>>(
    image: &Image<R>,
    is_wanted: impl Fn(u8, &[u8]) -> bool,
) -> Result<Vec<SymbolEntry<'data>>, Error> {
    let mut symbols = list_symbols(image, is_wanted)?;
    sort_as_nm(&mut symbols);
    Ok(symbols)
}

/// Those of [`read_symbols_where`] as they stand in the file.
pub(crate) fn list_symbols<'data, R: ReadRef<'data>>(
    image: &Image<R>,
    is_wanted: impl Fn(u8, &[u8]) -> bool,
) -> Result<Vec<SymbolEntry<'data>>, Error> {
    let sections = image.sections()?;
    let (index, section) = sections.of_type(section_type::SYMTAB).ok_or(ErrorKind::NoSymbolTable)?;
    let table = image.symbols(&sections, &section)?;
    let letters = Letters::new(image, &sections, index)?;
    let mut symbols = Vec::with_capacity(table.len());
    for (index, symbol) in table.iter().enumerate().skip(1) {
        if symbol.is_undefined() || matches!(symbol.kind(), symbol_type::SECTION | symbol_type::FILE) {
            continue;
        }
        let at = section.offset.saturating_add(index as u64 * section.entry_size);
        let name = table.name(&symbol).ok_or(Error::at(ErrorKind::NameOutside { index }, at))?;
        // Left behind by the assembler for relocations, and hidden by nm.
        if name.is_empty() || (image.header().machine == machine::RISCV && name.starts_with(b".L")) {
            continue;
        }
        let letter = letters.of(&symbol, index);
        if !is_wanted(letter, name) {
            continue;
        }
        let thumb = image.header().machine == machine::ARM
            && matches!(symbol.kind(), symbol_type::FUNC | symbol_type::GNU_IFUNC);
        let address = if thumb { symbol.value & !1 } else { symbol.value };
        symbols.push(SymbolEntry::new(address, letter, name));
    }
    Ok(symbols)
}

/// What nm calls symbols of each section.
struct Letters<'data> {
    /// In lower case.
    sections: Vec<u8>,
    /// 32-bit indices of sections, one a symbol.
    extended: &'data [u8],
    endian: Endianness,
}

impl<'data> Letters<'data> {
    fn new<R: ReadRef<'data>>(
        image: &Image<R>,
        sections: &SectionTable<'data>,
        table: usize,
    ) -> Result<Self, Error> {
        let is_extended =
            |section: &Section| section.kind == section_type::SYMTAB_SHNDX && section.link as usize == table;
        let extended = match sections.iter().find(is_extended) {
            Some(section) => image.data(&section)?,
            None => &[],
        };
        let letters =
            sections.iter().map(|section| of_section(&section, sections.name(&section).unwrap_or_default()));
        Ok(Self { sections: letters.collect(), extended, endian: image.header().endian })
    }

    fn of(&self, symbol: &Symbol, index: usize) -> u8 {
        match (symbol.section, symbol.kind(), symbol.binding()) {
            (section_index::COMMON, ..) => b'C',
            (_, symbol_type::GNU_IFUNC, _) => b'i',
            (_, symbol_type::OBJECT, Binding::Weak) => b'V',
            (_, _, Binding::Weak) => b'W',
            (_, _, Binding::GNU_UNIQUE) => b'u',
            (_, _, Binding::Other(_)) => b'?',
            (_, _, Binding::Global) => self.of_place(symbol, index).to_ascii_uppercase(),
            (_, _, Binding::Local) => self.of_place(symbol, index),
        }
    }

    fn of_place(&self, symbol: &Symbol, index: usize) -> u8 {
        let section = match symbol.section {
            section_index::EXTENDED => self.extended(index).unwrap_or(usize::MAX),
            reserved if reserved >= section_index::FIRST_RESERVED => return b'a',
            section => section.into(),
        };
        self.sections.get(section).copied().unwrap_or(b'a')
    }

    fn extended(&self, index: usize) -> Option<usize> {
        let bytes = *self.extended.get(4 * index..)?.first_chunk()?;
        let index = match self.endian {
            Endianness::Little => u32::from_le_bytes(bytes),
            Endianness::Big => u32::from_be_bytes(bytes),
        };
        usize::try_from(index).ok()
    }
}

/// The letter of local symbols in a section.
fn of_section(section: &Section, name: &[u8]) -> u8 {
    const DEBUGGING: [&[u8]; 7] = [
        b".debug",
        b".gnu.debuglto_.debug_",
        b".gnu.linkonce.wi.",
        b".zdebug",
        b".line",
        b".stab",
        b".gdb_index",
    ];
    let has = |flag| section.flags & flag != 0;
    match section.kind {
        _ if has(section_flag::EXECINSTR) => b't',
        section_type::NOBITS => b'b',
        _ if has(section_flag::ALLOC) && has(section_flag::WRITE) => b'd',
        _ if has(section_flag::ALLOC) => b'r',
        _ if DEBUGGING.iter().any(|prefix| name.starts_with(prefix)) => b'N',
        _ if has(section_flag::WRITE) => b'?',
        _ => b'n',
    }
}

/// How many digits nm gives an address.
pub fn address_digits(class: Class) -> usize {
    match class {
        Class::Elf32 => 8,
        Class::Elf64 => 16,
    }
}
