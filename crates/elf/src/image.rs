//! A file: its header, and the ways to sections and symbols.

use object::elf::{FileHeader32, FileHeader64};
use object::read::elf::FileHeader;
use object::{Endianness, ReadRef, pod};

use crate::sections::{Section, SectionTable, section_type};
use crate::symbols::section_index;
use crate::{Error, ErrorKind, Part, StringTable, SymbolTable};

/// Types of files (`e_type`).
pub mod file_type {
    /// To be linked, `ET_REL`.
    pub const REL: u16 = 1;
}

/// Machines (`e_machine`), by their `EM_` names.
pub mod machine {
    /// `EM_SPARC`.
    pub const SPARC: u16 = 2;
    /// `EM_386`.
    pub const I386: u16 = 3;
    /// `EM_S390`.
    pub const S390: u16 = 22;
    /// `EM_ARM`.
    pub const ARM: u16 = 40;
    /// `EM_SPARCV9`.
    pub const SPARCV9: u16 = 43;
    /// `EM_X86_64`.
    pub const X86_64: u16 = 62;
    /// `EM_AARCH64`.
    pub const AARCH64: u16 = 183;
    /// `EM_RISCV`.
    pub const RISCV: u16 = 243;
}

/// How wide addresses are (`EI_CLASS`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 32 bits.
    Elf32,
    /// 64 bits.
    Elf64,
}

impl Class {
    /// Size of a file header in bytes.
    pub fn header_size(self) -> u64 {
        match self {
            Self::Elf32 => 52,
            Self::Elf64 => 64,
        }
    }

    /// Size of a section header in bytes.
    pub fn section_header_size(self) -> u64 {
        match self {
            Self::Elf32 => 40,
            Self::Elf64 => 64,
        }
    }

    /// Size of a symbol in bytes.
    pub fn symbol_size(self) -> u64 {
        match self {
            Self::Elf32 => 16,
            Self::Elf64 => 24,
        }
    }
}

/// The file header, as stated: only class and byte order were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How wide addresses are.
    pub class: Class,
    /// The byte order of all numbers.
    pub endian: Endianness,
    /// `e_type`: 1 a relocatable file (a module), 2 an executable, 3 a shared object.
    pub file_type: u16,
    /// `e_machine`.
    pub machine: u16,
    /// `e_flags`: on some machines the ABI.
    pub flags: u32,
    /// `e_shoff`: where the section headers lie, in bytes from the start of the file.
    pub section_offset: u64,
    /// `e_shnum`: 0 also where there are more than 65279 sections.
    pub section_count: u16,
    /// `e_shentsize`, in bytes.
    pub section_entry_size: u16,
    /// `e_shstrndx`: the section of the sections' names; 0xffff where the index stands in section 0.
    pub section_names_index: u16,
}

/// Bytes of the file that must be there to tell what it is.
const IDENT_SIZE: u64 = 16;

impl Header {
    /// Most bytes that a header takes.
    pub const MAX_SIZE: u64 = 64;

    /// Reads the header at the start of `data`.
    ///
    /// # Errors
    ///
    /// No ELF magic, an unknown class or byte order, or fewer bytes than the class has.
    pub fn parse<'data, R: ReadRef<'data>>(data: R) -> Result<Self, Error> {
        let truncated = |size| Error::out_of_bounds(Part::Header, 0, size);
        let ident = match data.read_bytes_at(0, IDENT_SIZE) {
            Ok(ident) => ident,
            // What is shorter may still begin like a truncated file.
            Err(()) => {
                let magic = data.read_bytes_at(0, 4).unwrap_or_default();
                return Err(match magic {
                    b"\x7fELF" => truncated(IDENT_SIZE),
                    _ => Error::new(ErrorKind::BadMagic, 0),
                });
            }
        };
        let [0x7f, b'E', b'L', b'F', class, order, ..] = *ident else {
            return Err(Error::new(ErrorKind::BadMagic, 0));
        };
        let class = match class {
            1 => Class::Elf32,
            2 => Class::Elf64,
            _ => return Err(Error::new(ErrorKind::BadClass(class), 4)),
        };
        let endian = match order {
            1 => Endianness::Little,
            2 => Endianness::Big,
            _ => return Err(Error::new(ErrorKind::BadByteOrder(order), 5)),
        };
        let size = class.header_size();
        let bytes = data.read_bytes_at(0, size).map_err(|()| truncated(size))?;
        match class {
            Class::Elf32 => Self::decode::<FileHeader32<Endianness>>(bytes, class, endian),
            Class::Elf64 => Self::decode::<FileHeader64<Endianness>>(bytes, class, endian),
        }
        .ok_or_else(|| truncated(size))
    }

    fn decode<H: FileHeader<Endian = Endianness>>(
        bytes: &[u8],
        class: Class,
        endian: Endianness,
    ) -> Option<Self> {
        let (header, _) = pod::from_bytes::<H>(bytes).ok()?;
        Some(Self {
            class,
            endian,
            file_type: header.e_type(endian).0,
            machine: header.e_machine(endian).0,
            flags: header.e_flags(endian).0,
            section_offset: header.e_shoff(endian).into(),
            section_count: header.e_shnum(endian),
            section_entry_size: header.e_shentsize(endian),
            section_names_index: header.e_shstrndx(endian).0,
        })
    }

    /// Where `count` section headers lie: offset and size in bytes.
    pub fn section_table_range(&self, count: u64) -> (u64, u64) {
        (self.section_offset, count.saturating_mul(self.class.section_header_size()))
    }
}

/// A view of an ELF file, of all its bytes (`&[u8]`) or of some ([`&Pieces`](crate::Pieces)).
#[derive(Debug, Clone, Copy)]
pub struct Image<R> {
    header: Header,
    data: R,
}

impl<'data, R: ReadRef<'data>> Image<R> {
    /// Reads the header.
    ///
    /// # Errors
    ///
    /// Those of [`Header::parse`].
    pub fn parse(data: R) -> Result<Self, Error> {
        Ok(Self { header: Header::parse(data)?, data })
    }

    /// The file header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// `size` bytes at `offset`, if the file has them.
    pub fn bytes_at(&self, offset: u64, size: u64) -> Option<&'data [u8]> {
        self.data.read_bytes_at(offset, size).ok()
    }

    /// The section headers; more than 65279 sections and a name table behind them included.
    ///
    /// # Errors
    ///
    /// Section headers of another size than the class has, or outside the file. The table of names may be missing or
    /// broken: then no section has a name.
    pub fn sections(&self) -> Result<SectionTable<'data>, Error> {
        let Header { class, endian, section_offset, .. } = self.header;
        if section_offset == 0 {
            return Ok(SectionTable::new(class, endian, &[], StringTable::default()));
        }
        let stated = u64::from(self.header.section_entry_size);
        if stated != class.section_header_size() {
            let kind = ErrorKind::BadEntrySize { part: Part::SectionTable, stated };
            return Err(Error::new(kind, section_offset));
        }
        let (count, names) = self.extent()?;
        let headers = self.section_headers(count)?;
        let table = SectionTable::new(class, endian, headers, StringTable::default());
        let names = table.get(names as usize).and_then(|section| self.data(&section).ok());
        Ok(SectionTable::new(class, endian, headers, StringTable::new(names.unwrap_or_default())))
    }

    /// How many sections there are, and which has their names.
    fn extent(&self) -> Result<(u64, u32), Error> {
        let (count, names) = (self.header.section_count, self.header.section_names_index);
        if count != 0 && names != section_index::EXTENDED {
            return Ok((u64::from(count), u32::from(names)));
        }
        let first = SectionTable::new(
            self.header.class,
            self.header.endian,
            self.section_headers(1)?,
            StringTable::default(),
        );
        let first = first.get(0).unwrap_or_default();
        let names = if names == section_index::EXTENDED { first.link } else { u32::from(names) };
        Ok((if count == 0 { first.size } else { u64::from(count) }, names))
    }

    fn section_headers(&self, count: u64) -> Result<&'data [u8], Error> {
        let (offset, size) = self.header.section_table_range(count);
        self.bytes_at(offset, size).ok_or_else(|| Error::out_of_bounds(Part::SectionTable, offset, size))
    }

    /// What a section holds; nothing for one that takes no room in the file.
    ///
    /// # Errors
    ///
    /// The section reaches behind the end of the file.
    pub fn data(&self, section: &Section) -> Result<&'data [u8], Error> {
        if section.kind == section_type::NOBITS {
            return Ok(&[]);
        }
        self.bytes_at(section.offset, section.size)
            .ok_or_else(|| Error::out_of_bounds(Part::Section, section.offset, section.size))
    }

    /// The symbol table of `section` (one of type `SYMTAB` or `DYNSYM`), with the names that it links to.
    ///
    /// # Errors
    ///
    /// A table or names outside the file, entries of another size than the class has, a link to no section.
    pub fn symbols(
        &self,
        sections: &SectionTable<'data>,
        section: &Section,
    ) -> Result<SymbolTable<'data>, Error> {
        let size = self.header.class.symbol_size();
        if section.entry_size != size {
            let kind = ErrorKind::BadEntrySize { part: Part::SymbolTable, stated: section.entry_size };
            return Err(Error::new(kind, section.offset));
        }
        if !section.size.is_multiple_of(size) {
            return Err(Error::new(ErrorKind::PartialEntry(Part::SymbolTable), section.offset));
        }
        let entries = self.bytes_at(section.offset, section.size);
        let entries =
            entries.ok_or_else(|| Error::out_of_bounds(Part::SymbolTable, section.offset, section.size))?;
        let names = sections
            .get(section.link as usize)
            .ok_or_else(|| Error::new(ErrorKind::NoSuchSection(section.link), section.offset))?;
        let strings = self.bytes_at(names.offset, names.size);
        let strings =
            strings.ok_or_else(|| Error::out_of_bounds(Part::SymbolNames, names.offset, names.size))?;
        let Header { class, endian, .. } = self.header;
        Ok(SymbolTable::new(class, endian, entries, StringTable::new(strings)))
    }
}
