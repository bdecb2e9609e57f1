//! Why a table was refused, and where.

use std::fmt;

use crate::layout::Array;

/// A table that cannot be read or made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the input, where the trouble has a place.
    pub offset: Option<u64>,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// An ELF file that cannot be read.
    Elf(kbt_elf::ErrorKind),
    /// An object that cannot be written.
    Emit(kbt_elf::EmitError),
    /// An ELF file without a symbol table (stripped).
    NoSymbolTable,
    /// A symbol's name lies outside the table of names.
    NameOutside {
        /// Index of the symbol.
        index: usize,
    },
    /// A line of a map that is not `address type name`; scripts/kallsyms of 6.2 and later stops there.
    BadLine {
        /// The line, from 1.
        line: usize,
    },
    /// No symbol is left for the table.
    NoSymbols,
    /// More symbols than the three bytes of a sequence number count.
    TooManySymbols {
        /// How many there are.
        count: usize,
    },
    /// More bytes of names than 32-bit offsets reach.
    TooMuchText {
        /// Bytes of all names.
        len: usize,
    },
    /// A compressed name longer than its length field can say.
    LongName {
        /// Codes of the compressed name.
        codes: usize,
        /// The most that the layout can say.
        most: usize,
    },
    /// A byte of a name has no code in the table of tokens.
    NoCode {
        /// The byte.
        byte: u8,
    },
    /// The strings of the tokens are longer than 16-bit offsets reach.
    LongTokens {
        /// Bytes of all strings.
        len: usize,
    },
    /// An address that the layout cannot say.
    AddressOutOfRange {
        /// The address.
        address: u64,
        /// The symbol's name.
        name: String,
    },
    /// No table was found.
    NoTable,
    /// An array of the table reaches out of the file or its section.
    ArrayOutside {
        /// The array.
        array: Array,
    },
    /// A symbol of the table is missing.
    MissingArray {
        /// The array.
        array: Array,
    },
    /// The token table and its index do not fit each other.
    BadTokenTable {
        /// The code that is wrong.
        code: u8,
    },
    /// A name that ends behind the array, or is empty.
    BadName {
        /// The symbol's place in the table.
        index: usize,
    },
    /// No object asks for a table (`CONFIG_KALLSYMS` is off, or the one that does is not among them).
    NotAsked,
    /// The objects bring a table of their own.
    HasTable,
    /// Objects for two machines.
    MixedMachines,
    /// The image is for another word size or byte order than was recorded.
    OtherMachine,
    /// The tokens of the image are not those that were recorded.
    OtherTokens,
    /// An array of another size than was recorded.
    OtherSize {
        /// The array.
        array: Array,
        /// Its size in the image, in bytes.
        found: u64,
        /// The size that was recorded, in bytes.
        recorded: u64,
    },
    /// An array shares bytes of the file with something else.
    Overlap {
        /// The array.
        array: Array,
        /// What lies there, too.
        other: String,
    },
    /// Whether offsets of a 32-bit kernel count from their own place shows neither in the image nor elsewhere.
    UnknownAddresses,
    /// A name that expands to more bytes than any kernel's.
    Expansion {
        /// The symbol's place in the table.
        index: usize,
        /// The most that is read, in bytes.
        most: usize,
    },
}

impl Error {
    /// An error at a byte of the input.
    pub fn at(kind: ErrorKind, offset: u64) -> Self {
        Self { kind, offset: Some(offset) }
    }

    /// An error of no one place.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind, offset: None }
    }
}

impl From<kbt_elf::Error> for Error {
    fn from(error: kbt_elf::Error) -> Self {
        Self::at(ErrorKind::Elf(error.kind), error.offset)
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::new(kind)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf(kind) => kind.fmt(f),
            Self::NoSymbolTable => f.write_str("there is no symbol table"),
            Self::NameOutside { index } => {
                write!(f, "the name of symbol {index} lies outside the table of names")
            }
            Self::BadLine { line } => write!(f, "line {line} is not 'address type name'"),
            Self::NoSymbols => f.write_str("no symbol is left for the table"),
            Self::TooManySymbols { count } => {
                write!(f, "{count} symbols are more than the table's three-byte numbers count")
            }
            Self::TooMuchText { len } => write!(f, "{len} bytes of names are more than 32 bits address"),
            Self::LongName { codes, most } => {
                write!(f, "a name takes {codes} codes, the length field says at most {most}")
            }
            Self::NoCode { byte } => write!(f, "byte {byte:#04x} of a name has no code in the token table"),
            Self::LongTokens { len } => write!(f, "the tokens take {len} bytes, their index reaches 65535"),
            Self::AddressOutOfRange { address, name } => {
                write!(f, "the address {address:#x} of {name} is out of the table's range")
            }
            Self::NoTable => f.write_str("there is no symbol table of a kernel (kallsyms)"),
            Self::ArrayOutside { array } => write!(f, "{array} reaches out of the file"),
            Self::MissingArray { array } => write!(f, "there is no {array}"),
            Self::BadTokenTable { code } => {
                write!(f, "the token of code {code} is not where kallsyms_token_index says")
            }
            Self::BadName { index } => write!(f, "name {index} of the table is empty or cut off"),
            Self::NotAsked => f.write_str("no object asks for a table of symbols (kallsyms_names)"),
            Self::HasTable => {
                f.write_str("the objects bring a table of symbols (kallsyms_names) of their own")
            }
            Self::MixedMachines => f.write_str("this object is for another machine than those before it"),
            Self::OtherMachine => f.write_str("word size or byte order are not those of the pad file"),
            Self::Emit(error) => error.fmt(f),
            Self::OtherTokens => f.write_str("the tokens in it are not those of the pad file"),
            Self::OtherSize { array, found, recorded } => {
                write!(f, "{array} has {found} bytes, the pad file says {recorded}")
            }
            Self::Overlap { array, other } => {
                write!(f, "{array} and {other} lie in the same bytes of the file")
            }
            Self::UnknownAddresses => {
                f.write_str("nothing in it says whether kallsyms_offsets count from their own places")
            }
            Self::Expansion { index, most } => {
                write!(f, "name {index} of the table expands to more than {most} bytes")
            }
        }
    }
}

impl std::error::Error for Error {}
