//! Writes a relocatable object of one read-only section, ready for ld: the kind that carries a table.
//!
//! Made directly, since the detour over an assembler's text costs a table of a few megabytes seconds and hundreds of
//! megabytes. All ranges are reserved first and written in the same order.

use core::fmt;

use object::Endianness;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, Rel, SectionHeader, SectionIndex, Sym, SymbolIndex, Writer};

use crate::Class;
use crate::relocation::RelocationKind;

/// For what machine an object is. It must agree with the objects that it is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// How wide addresses are.
    pub class: Class,
    /// The byte order of all numbers.
    pub endian: Endianness,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`: on some machines the ABI, which the linker compares.
    pub flags: u32,
}

/// A symbol that the object defines: global, without type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DefinedSymbol<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Where in the section it lies, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
}

/// A place in the section that the linker fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relocation<'a> {
    /// What is to be written.
    pub kind: RelocationKind,
    /// Where in the section, in bytes.
    pub offset: u64,
    /// The symbol whose address is meant; where the object does not define it, another one must.
    pub symbol: &'a [u8],
    /// What is added to the address.
    pub addend: i64,
}

/// The one section.
#[derive(Debug, Clone, Copy)]
pub struct ReadOnlySection<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// What it holds.
    pub bytes: &'a [u8],
    /// Its alignment in bytes, a power of two.
    pub alignment: u64,
    /// The symbols in it.
    pub symbols: &'a [DefinedSymbol<'a>],
    /// The places to fill, in any order.
    pub relocations: &'a [Relocation<'a>],
}

/// Why no object can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmitError {
    /// A relocation is asked for, and its number on this machine is not known.
    UnknownMachine(u16),
    /// A relocation lies outside of the section, at this offset.
    Outside(u64),
    /// Larger than the class can state.
    TooLarge,
}

impl fmt::Display for EmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownMachine(machine) => {
                write!(f, "the relocations of ELF machine {machine} are not known")
            }
            Self::Outside(offset) => write!(f, "a relocation at byte {offset} lies outside of its section"),
            Self::TooLarge => f.write_str("the object would be larger than its ELF class can state"),
        }
    }
}

impl core::error::Error for EmitError {}

impl From<object::write::Error> for EmitError {
    fn from(_: object::write::Error) -> Self {
        // The writer has no other error: whatever is counted here comes from one reservation.
        Self::TooLarge
    }
}

/// Writes the object: `.note.GNU-stack`, so that no stack becomes executable, the section, its relocations, symbols.
///
/// # Errors
///
/// A relocation outside of the section, or of a machine whose relocations are not known; an object of 4 GiB in 32 bits.
pub fn relocatable(target: &Target, section: &ReadOnlySection<'_>) -> Result<Vec<u8>, EmitError> {
    let relocations = Relocations::new(target, section)?;
    let undefined = undefined(section);
    let mut out = Vec::new();
    let is_64 = target.class == Class::Elf64;
    let mut writer = Writer::new(target.endian, is_64, &mut out);

    writer.reserve_null_section_index();
    let stack_name = writer.add_section_name(b".note.GNU-stack");
    writer.reserve_section_index();
    let name = writer.add_section_name(section.name);
    let index = writer.reserve_section_index();
    let relocations_name = writer.add_section_name(&relocations.section_name);
    if !relocations.is_empty() {
        writer.reserve_section_index();
    }
    let names = reserve_symbols(&mut writer, section, &undefined, index);
    writer.reserve_symtab_section_index();
    writer.reserve_strtab_section_index();
    writer.reserve_shstrtab_section_index();

    writer.reserve_file_header();
    let offset = writer.reserve(section.bytes.len() as u64, section.alignment);
    let relocations_offset = writer.reserve_relocations(relocations.entries.len(), relocations.is_rela);
    writer.reserve_symtab();
    writer.reserve_strtab()?;
    writer.reserve_shstrtab()?;
    writer.reserve_section_headers();

    writer.write_file_header(&header(target))?;
    writer.write_align(section.alignment);
    relocations.write_section(&mut writer, section.bytes);
    relocations.write(&mut writer, section, &undefined);
    write_symbols(&mut writer, section, &names, index);
    writer.write_strtab();
    writer.write_shstrtab();

    writer.write_null_section_header();
    let stack = SectionHeader { sh_type: elf::SHT_PROGBITS, sh_addralign: 1, ..SectionHeader::default() };
    write_section_header(&mut writer, stack_name, stack);
    let table = SectionHeader {
        sh_type: elf::SHT_PROGBITS,
        sh_flags: elf::SHF_ALLOC,
        sh_offset: offset,
        sh_size: section.bytes.len() as u64,
        sh_addralign: section.alignment,
        ..SectionHeader::default()
    };
    write_section_header(&mut writer, name, table);
    if !relocations.is_empty() {
        let symtab = writer.symtab_index();
        let (count, is_rela) = (relocations.entries.len(), relocations.is_rela);
        writer.write_relocation_section_header(
            relocations_name,
            index,
            symtab,
            relocations_offset,
            count,
            is_rela,
        );
    }
    // The null symbol is the only local one.
    writer.write_symtab_section_header(1);
    writer.write_strtab_section_header();
    writer.write_shstrtab_section_header();
    drop(writer);
    Ok(out)
}

fn header(target: &Target) -> FileHeader {
    FileHeader {
        os_abi: elf::ELFOSABI_NONE,
        abi_version: 0,
        e_type: elf::ET_REL,
        e_machine: elf::Machine(target.machine),
        e_entry: 0,
        e_flags: elf::FileFlags(target.flags),
    }
}

fn write_section_header(writer: &mut Writer<'_>, name: StringId, header: SectionHeader) {
    let sh_name = writer.section_name_offset(Some(name));
    writer.write_section_header(&SectionHeader { sh_name, ..header });
}

/// The symbols that relocations name and the section does not define, each once, in order of their first use.
fn undefined<'a>(section: &ReadOnlySection<'a>) -> Vec<&'a [u8]> {
    let mut undefined: Vec<&[u8]> = Vec::new();
    for relocation in section.relocations {
        let name = relocation.symbol;
        let is_defined = section.symbols.iter().any(|symbol| symbol.name == name);
        if !is_defined && !undefined.contains(&name) {
            undefined.push(name);
        }
    }
    undefined
}

fn reserve_symbols<'a>(
    writer: &mut Writer<'a>,
    section: &ReadOnlySection<'a>,
    undefined: &[&'a [u8]],
    index: SectionIndex,
) -> Vec<StringId> {
    writer.reserve_null_symbol_index();
    let mut names = Vec::new();
    for symbol in section.symbols {
        names.push(writer.add_string(symbol.name));
        writer.reserve_symbol_index(Some(index));
    }
    for name in undefined {
        names.push(writer.add_string(name));
        writer.reserve_symbol_index(None);
    }
    names
}

fn write_symbols(
    writer: &mut Writer<'_>,
    section: &ReadOnlySection<'_>,
    names: &[StringId],
    index: SectionIndex,
) {
    writer.write_null_symbol();
    for (position, name) in names.iter().enumerate() {
        let defined = section.symbols.get(position);
        let symbol = Sym {
            section: defined.map(|_| index.0),
            st_name: writer.string_offset(Some(*name)),
            st_info: elf::SymbolInfo::new(elf::STB_GLOBAL, elf::STT_NOTYPE),
            st_other: elf::SymbolOther(0),
            st_shndx: elf::SHN_UNDEF,
            st_value: defined.map_or(0, |symbol| symbol.offset),
            st_size: defined.map_or(0, |symbol| symbol.size),
        };
        writer.write_symbol(&symbol);
    }
}

/// The relocations in the form of the machine.
struct Relocations {
    is_rela: bool,
    section_name: Vec<u8>,
    entries: Vec<Entry>,
}

/// One of them.
struct Entry {
    number: elf::RelocationType,
    /// Where the machine has addends in place: where in the section, and the addend's bytes.
    in_place: Option<(usize, Vec<u8>)>,
}

impl Relocations {
    fn new(target: &Target, section: &ReadOnlySection<'_>) -> Result<Self, EmitError> {
        let is_rela = crate::relocation::has_addends(target.machine, target.class);
        let section_name = [if is_rela { &b".rela"[..] } else { b".rel" }, section.name].concat();
        let mut entries = Vec::with_capacity(section.relocations.len());
        for relocation in section.relocations {
            let number = relocation.kind.number(target.machine, target.class);
            let number = number.ok_or(EmitError::UnknownMachine(target.machine))?;
            let outside = EmitError::Outside(relocation.offset);
            let start = usize::try_from(relocation.offset).map_err(|_| outside.clone())?;
            let size = relocation.kind.size(target.class);
            if start.checked_add(size).is_none_or(|end| end > section.bytes.len()) {
                return Err(outside);
            }
            let in_place = (!is_rela).then(|| (start, addend_bytes(relocation.addend, size, target.endian)));
            entries.push(Entry { number: elf::RelocationType(number), in_place });
        }
        Ok(Self { is_rela, section_name, entries })
    }

    fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Writes the section's bytes, with the addends that belong into them.
    fn write_section(&self, writer: &mut Writer<'_>, bytes: &[u8]) {
        if self.is_rela {
            writer.write(bytes);
            return;
        }
        let mut bytes = bytes.to_vec();
        for (start, addend) in self.entries.iter().filter_map(|entry| entry.in_place.as_ref()) {
            if let Some(place) = bytes.get_mut(*start..*start + addend.len()) {
                place.copy_from_slice(addend);
            }
        }
        writer.write(&bytes);
    }

    fn write(&self, writer: &mut Writer<'_>, section: &ReadOnlySection<'_>, undefined: &[&[u8]]) {
        if self.is_empty() {
            return;
        }
        writer.write_align_relocation();
        for (relocation, entry) in section.relocations.iter().zip(&self.entries) {
            let symbol = symbol_index(section, undefined, relocation.symbol);
            let rel = Rel {
                r_offset: relocation.offset,
                r_sym: symbol.0,
                r_type: entry.number,
                r_addend: relocation.addend,
            };
            writer.write_relocation(self.is_rela, &rel);
        }
    }
}

/// The index in the symbol table: the null symbol, those that are defined, those that are not.
fn symbol_index(section: &ReadOnlySection<'_>, undefined: &[&[u8]], name: &[u8]) -> SymbolIndex {
    let names = section.symbols.iter().map(|symbol| symbol.name).chain(undefined.iter().copied());
    let position = names.into_iter().position(|known| known == name);
    SymbolIndex(position.and_then(|position| u32::try_from(position + 1).ok()).unwrap_or(0))
}

/// The low bytes of an addend.
fn addend_bytes(addend: i64, size: usize, endian: Endianness) -> Vec<u8> {
    match endian {
        Endianness::Little => addend.to_le_bytes().get(..size).unwrap_or_default().to_vec(),
        Endianness::Big => addend.to_be_bytes().get(8 - size..).unwrap_or_default().to_vec(),
    }
}
