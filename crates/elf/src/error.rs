//! Why a file is refused: a kind and the byte offset in the file.

use core::fmt;

/// A part of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The file header, 52 bytes (32 bits) or 64 bytes (64 bits).
    Header,
    /// The section headers.
    SectionTable,
    /// The names of the sections.
    SectionNames,
    /// What a section holds.
    Section,
    /// The symbol table.
    SymbolTable,
    /// The names of the symbols.
    SymbolNames,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "file header",
            Self::SectionTable => "section header table",
            Self::SectionNames => "section name table",
            Self::Section => "section",
            Self::SymbolTable => "symbol table",
            Self::SymbolNames => "symbol name table",
        })
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The first four bytes are not `7f 45 4c 46`.
    BadMagic,
    /// `EI_CLASS` is neither 1 (32 bits) nor 2 (64 bits).
    BadClass(u8),
    /// `EI_DATA` is neither 1 (little-endian) nor 2 (big-endian).
    BadByteOrder(u8),
    /// The part reaches behind the end of the file.
    OutOfBounds {
        /// The part.
        part: Part,
        /// Its size in bytes, as stated.
        size: u64,
    },
    /// Entries of another size than the class has.
    BadEntrySize {
        /// The table.
        part: Part,
        /// The stated size of an entry in bytes.
        stated: u64,
    },
    /// The size of the table is no multiple of the size of its entries.
    PartialEntry(Part),
    /// There is no section of that index.
    NoSuchSection(u32),
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMagic => f.write_str("not an ELF file"),
            Self::BadClass(class) => write!(f, "ELF class {class} is neither 32 nor 64 bits"),
            Self::BadByteOrder(order) => write!(f, "ELF byte order {order} is neither little nor big"),
            Self::OutOfBounds { part, size } => {
                write!(f, "truncated: the {part} of {size} bytes reaches behind the end of the file")
            }
            Self::BadEntrySize { part, stated } => {
                write!(f, "the {part} has entries of {stated} bytes, which this ELF class does not have")
            }
            Self::PartialEntry(part) => write!(f, "the {part} ends inside an entry"),
            Self::NoSuchSection(index) => write!(f, "there is no section {index}"),
        }
    }
}

/// Why a file is refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the file.
    pub offset: u64,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }

    pub(crate) fn out_of_bounds(part: Part, offset: u64, size: u64) -> Self {
        Self::new(ErrorKind::OutOfBounds { part, size }, offset)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl core::error::Error for Error {}
