//! Section headers.

use object::Endianness;
use object::elf::{SectionHeader32, SectionHeader64};

use crate::layout::{Decode, Entries};
use crate::{Class, StringTable};

/// Types of sections that kbt looks at (`sh_type`).
pub mod section_type {
    /// A symbol table, `SHT_SYMTAB`.
    pub const SYMTAB: u32 = 2;
    /// A string table, `SHT_STRTAB`.
    pub const STRTAB: u32 = 3;
    /// Relocations with addends, `SHT_RELA`.
    pub const RELA: u32 = 4;
    /// Takes no room in the file, `SHT_NOBITS`.
    pub const NOBITS: u32 = 8;
    /// Relocations, `SHT_REL`.
    pub const REL: u32 = 9;
    /// The dynamic linker's symbol table, `SHT_DYNSYM`.
    pub const DYNSYM: u32 = 11;
    /// Section indices that do not fit into symbols, `SHT_SYMTAB_SHNDX`.
    pub const SYMTAB_SHNDX: u32 = 18;
}

/// Flags of sections.
pub mod section_flag {
    /// It may be written at run time, `SHF_WRITE`.
    pub const WRITE: u64 = 1;
    /// It has room at run time, `SHF_ALLOC`.
    pub const ALLOC: u64 = 2;
    /// It holds code, `SHF_EXECINSTR`.
    pub const EXECINSTR: u64 = 4;
}

/// A section header of either class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Section {
    /// `sh_name`: byte offset of the name in the table of names.
    pub name: u32,
    /// `sh_type`, of which [`section_type`] names some.
    pub kind: u32,
    /// `sh_flags`, of which [`section_flag`] names some.
    pub flags: u64,
    /// `sh_addr`: the address at run time.
    pub address: u64,
    /// `sh_offset`: byte offset in the file.
    pub offset: u64,
    /// `sh_size` in bytes.
    pub size: u64,
    /// `sh_link`: index of a section that belongs to this one.
    pub link: u32,
    /// `sh_info`.
    pub info: u32,
    /// `sh_addralign` in bytes.
    pub alignment: u64,
    /// `sh_entsize` in bytes, 0 where the section has no entries of one size.
    pub entry_size: u64,
}

/// The section headers of a file and their names.
#[derive(Debug, Clone, Copy)]
pub struct SectionTable<'data> {
    entries: Entries<'data, SectionHeader32<Endianness>, SectionHeader64<Endianness>>,
    endian: Endianness,
    names: StringTable<'data>,
}

impl<'data> SectionTable<'data> {
    /// The whole headers in `bytes`, and the table that has their names.
    pub fn new(class: Class, endian: Endianness, bytes: &'data [u8], names: StringTable<'data>) -> Self {
        Self { entries: Entries::new(class, bytes), endian, names }
    }

    /// How many there are, section 0 included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The section of that index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Section> {
        self.entries.get(index, self.endian)
    }

    /// All sections in order, section 0 first.
    pub fn iter(&self) -> impl Iterator<Item = Section> + use<'data> {
        let endian = self.endian;
        let (narrow, wide) = self.entries.slices();
        let narrow = narrow.iter().map(move |section| section.decode(endian));
        narrow.chain(wide.iter().map(move |section| section.decode(endian)))
    }

    /// The table of names: each ended by a NUL.
    pub fn names(&self) -> &'data [u8] {
        self.names.bytes()
    }

    /// The name of a section; `None` where it lies outside the table of names.
    pub fn name(&self, section: &Section) -> Option<&'data [u8]> {
        self.names.get(section.name)
    }

    /// The first section of that name, with its index.
    pub fn named(&self, name: &[u8]) -> Option<(usize, Section)> {
        self.iter().enumerate().find(|(_, section)| self.name(section) == Some(name))
    }

    /// The first section of that type ([`section_type`]), with its index.
    pub fn of_type(&self, kind: u32) -> Option<(usize, Section)> {
        self.iter().enumerate().find(|(_, section)| section.kind == kind)
    }
}

macro_rules! decode {
    ($header:ident) => {
        impl Decode for $header<Endianness> {
            type Output = Section;

            #[inline]
            fn decode(&self, endian: Endianness) -> Section {
                use object::read::elf::SectionHeader as _;
                Section {
                    name: self.sh_name(endian),
                    kind: self.sh_type(endian).0,
                    flags: self.sh_flags(endian).0.into(),
                    address: self.sh_addr(endian).into(),
                    offset: self.sh_offset(endian).into(),
                    size: self.sh_size(endian).into(),
                    link: self.sh_link(endian),
                    info: self.sh_info(endian),
                    alignment: self.sh_addralign(endian).into(),
                    entry_size: self.sh_entsize(endian).into(),
                }
            }
        }
    };
}

decode!(SectionHeader32);
decode!(SectionHeader64);
