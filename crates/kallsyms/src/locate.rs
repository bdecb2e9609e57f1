//! Where the arrays of a linked kernel lie, by their symbols.

use kbt_elf::{Endianness, Image, ReadRef, Section, SectionTable, Symbol, section_index, section_type};

use crate::error::{Error, ErrorKind};
use crate::layout::{AddressTable, Array, ArrayOrder, Class, Layout};
use crate::names::MARKER_STEP;

/// The place of one array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    /// Which.
    pub array: Array,
    /// Byte offset in the file.
    pub offset: u64,
    /// Address at run time.
    pub address: u64,
    /// Bytes to the next array, or to the end of what surrounds them; not more than [`Self::stated`] has.
    pub room: u64,
    /// Its size as the symbol says it; 0 where it says nothing, as in kernels before 7.0.
    pub stated: u64,
}

/// A table's place in a file, and its layout as far as the symbols tell: what only the data tell is decided by
/// [`crate::Table::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// How it is laid out.
    pub layout: Layout,
    /// The arrays, by their offsets.
    pub slots: Vec<Slot>,
    /// The address of `_text`, where it is known.
    pub text: Option<u64>,
}

impl Located {
    /// The place of an array.
    ///
    /// # Errors
    ///
    /// The table does not have it.
    pub fn slot(&self, array: Array) -> Result<Slot, Error> {
        let slot = self.slots.iter().find(|slot| slot.array == array).copied();
        slot.ok_or_else(|| ErrorKind::MissingArray { array }.into())
    }

    /// How many symbols the table has.
    ///
    /// # Errors
    ///
    /// No count, or one outside of the file.
    pub fn count<'data, R: ReadRef<'data>>(&self, data: R) -> Result<usize, Error> {
        let slot = self.slot(Array::NumSyms)?;
        let bytes = data.read_bytes_at(slot.offset, 4).ok().and_then(<[u8]>::first_chunk);
        let outside = Error::at(ErrorKind::ArrayOutside { array: Array::NumSyms }, slot.offset);
        usize::try_from(self.layout.read_u32(*bytes.ok_or_else(|| outside.clone())?)).map_err(|_| outside)
    }

    /// What of the file the table takes: offset and size of each array.
    pub fn ranges(&self, count: usize) -> impl Iterator<Item = (u64, u64)> {
        self.slots.iter().map(move |slot| (slot.offset, self.size(slot, count)))
    }

    /// Bytes of an array, as far as the count tells; else all to the next.
    pub(crate) fn size(&self, slot: &Slot, count: usize) -> u64 {
        let count = count as u64;
        match slot.array {
            Array::Addresses => count.saturating_mul(self.layout.word() as u64),
            Array::Offsets => count * 4,
            Array::RelativeBase => self.layout.word() as u64,
            Array::NumSyms => 4,
            Array::Markers => count.div_ceil(MARKER_STEP as u64) * 4,
            Array::TokenIndex => 512,
            Array::SeqsOfNames => count * 3,
            Array::Names | Array::TokenTable => slot.room,
        }
    }

    /// Finds the arrays by the symbols of a linked ELF file. Of the file only section headers, symbols and their names
    /// are read.
    ///
    /// # Errors
    ///
    /// No symbol table, or one that cannot be read; no table, or one of which an array is missing.
    pub fn by_symbols<'data, R: ReadRef<'data>>(image: &Image<R>) -> Result<Self, Error> {
        let sections = image.sections()?;
        let (_, table) = sections.of_type(section_type::SYMTAB).ok_or(ErrorKind::NoSymbolTable)?;
        let symbols = image.symbols(&sections, &table)?;
        let (mut slots, mut text) = (Vec::new(), None);
        let extended = sections.iter().find(|section| section.kind == section_type::SYMTAB_SHNDX);
        let extended = extended.and_then(|section| image.data(&section).ok()).unwrap_or_default();
        for (index, symbol) in symbols.iter().enumerate().filter(|(_, symbol)| !symbol.is_undefined()) {
            // Of most names the start says enough.
            let rest = symbols.strings().bytes().get(symbol.name as usize..).unwrap_or_default();
            if !rest.starts_with(b"kallsyms_") && !rest.starts_with(b"_text") {
                continue;
            }
            let Some(name) = symbols.name(&symbol) else { continue };
            if name == b"_text" {
                text = Some(symbol.value);
            } else if let Some(array) = Array::from_symbol(name) {
                let section = match symbol.section {
                    section_index::EXTENDED => number_at(extended, index, image.header().endian),
                    section => Some(section.into()),
                };
                let slot = section.and_then(|section| place(array, &symbol, section, &sections));
                slots.push(slot.ok_or(ErrorKind::ArrayOutside { array })?);
            }
        }
        if slots.is_empty() {
            return Err(ErrorKind::NoTable.into());
        }
        slots.sort_by_key(|slot| slot.offset);
        let starts: Vec<u64> = slots.iter().map(|slot| slot.offset).skip(1).collect();
        for (slot, next) in slots.iter_mut().zip(starts) {
            slot.room = slot.room.min(next - slot.offset);
        }
        let header = image.header();
        let layout = layout(&slots, header.class, header.endian)?;
        Ok(Self { layout, slots, text })
    }
}

/// A number of an array of 32-bit numbers.
fn number_at(bytes: &[u8], index: usize, endian: Endianness) -> Option<usize> {
    let bytes = *bytes.get(index.checked_mul(4)?..)?.first_chunk()?;
    let number = match endian {
        Endianness::Little => u32::from_le_bytes(bytes),
        Endianness::Big => u32::from_be_bytes(bytes),
    };
    usize::try_from(number).ok()
}

/// The place of an array's symbol in its section; `None` where it lies outside.
fn place(array: Array, symbol: &Symbol, section: usize, sections: &SectionTable<'_>) -> Option<Slot> {
    let section: Section = sections.get(section)?;
    let within = symbol.value.checked_sub(section.address)?;
    let room = section.size.checked_sub(within).filter(|_| section.kind != section_type::NOBITS)?;
    let stated = symbol.size;
    let room = if stated > 0 { room.min(stated) } else { room };
    Some(Slot { array, offset: section.offset.checked_add(within)?, address: symbol.value, room, stated })
}

fn layout(slots: &[Slot], class: Class, endian: kbt_elf::Endianness) -> Result<Layout, Error> {
    let get = |array| slots.iter().find(|slot| slot.array == array);
    let missing = |array| Error::new(ErrorKind::MissingArray { array });
    for array in [Array::NumSyms, Array::Names, Array::Markers, Array::TokenTable, Array::TokenIndex] {
        get(array).ok_or_else(|| missing(array))?;
    }
    let addresses = match (get(Array::Addresses), get(Array::Offsets), get(Array::RelativeBase)) {
        (Some(_), ..) => AddressTable::Absolute,
        (None, Some(_), Some(_)) => AddressTable::BaseRelative,
        (None, Some(_), None) => AddressTable::PlaceRelative,
        (None, None, _) => return Err(missing(Array::Offsets)),
    };
    let start = |array| get(array).map_or(0, |slot| slot.offset);
    let first = start(addresses.array()) < start(Array::NumSyms);
    let wide = class == Class::Elf64 && slots.iter().all(|slot| slot.address % 8 == 0);
    let seqs = get(Array::SeqsOfNames).is_some();
    Ok(Layout {
        class,
        endian,
        addresses,
        order: if first { ArrayOrder::AddressesFirst } else { ArrayOrder::CountFirst },
        alignment: if wide && addresses != AddressTable::PlaceRelative { 8 } else { 4 },
        long_lengths: seqs,
        seqs,
    })
}
