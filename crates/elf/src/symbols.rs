//! Symbols.

use object::Endianness;
use object::elf::{Sym32, Sym64};

use crate::layout::{Decode, Entries};
use crate::{Class, StringTable};

/// Types of symbols (the low four bits of `st_info`).
pub mod symbol_type {
    /// No type, `STT_NOTYPE`.
    pub const NOTYPE: u8 = 0;
    /// Data, `STT_OBJECT`.
    pub const OBJECT: u8 = 1;
    /// Code, `STT_FUNC`.
    pub const FUNC: u8 = 2;
    /// A section itself, `STT_SECTION`.
    pub const SECTION: u8 = 3;
    /// A source file's name, `STT_FILE`.
    pub const FILE: u8 = 4;
    /// Code that chooses the code, `STT_GNU_IFUNC`.
    pub const GNU_IFUNC: u8 = 10;
    /// SPARC's register that the program may use, `STT_SPARC_REGISTER`.
    pub const SPARC_REGISTER: u8 = 13;
}

/// Values of `st_shndx` that are no section.
pub mod section_index {
    /// Not defined here, `SHN_UNDEF`.
    pub const UNDEFINED: u16 = 0;
    /// From here on an index says something else, `SHN_LORESERVE`.
    pub const FIRST_RESERVED: u16 = 0xff00;
    /// The value is no address of a section, `SHN_ABS`.
    pub const ABSOLUTE: u16 = 0xfff1;
    /// Not yet placed, `SHN_COMMON`.
    pub const COMMON: u16 = 0xfff2;
    /// The index stands in a table of its own, `SHN_XINDEX`.
    pub const EXTENDED: u16 = 0xffff;
}

/// Who sees a symbol (the high four bits of `st_info`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Its own file only.
    Local,
    /// Every file.
    Global,
    /// Every file, but a global one of the same name wins, and none at all is no error.
    Weak,
    /// Anything else.
    Other(u8),
}

impl Binding {
    /// One of its name in a process, `STB_GNU_UNIQUE`.
    pub const GNU_UNIQUE: Self = Self::Other(10);
}

/// A symbol of either class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Symbol {
    /// `st_name`: byte offset of the name in the table of names.
    pub name: u32,
    /// `st_info`: binding and type.
    pub info: u8,
    /// `st_other`: visibility.
    pub other: u8,
    /// `st_shndx`: the section that defines it, or one of [`section_index`].
    pub section: u16,
    /// `st_value`: in a relocatable file an offset in the section, else an address.
    pub value: u64,
    /// `st_size` in bytes.
    pub size: u64,
}

impl Symbol {
    /// Who sees it.
    pub fn binding(&self) -> Binding {
        match self.info >> 4 {
            0 => Binding::Local,
            1 => Binding::Global,
            2 => Binding::Weak,
            other => Binding::Other(other),
        }
    }

    /// Its type, of which [`symbol_type`] names some.
    pub fn kind(&self) -> u8 {
        self.info & 0xf
    }

    /// Whether it is defined elsewhere.
    pub fn is_undefined(&self) -> bool {
        self.section == section_index::UNDEFINED
    }
}

/// The symbols of a file and their names.
#[derive(Debug, Clone, Copy)]
pub struct SymbolTable<'data> {
    entries: Entries<'data, Sym32<Endianness>, Sym64<Endianness>>,
    endian: Endianness,
    strings: StringTable<'data>,
}

impl<'data> SymbolTable<'data> {
    /// The whole symbols in `bytes`, and the table that has their names.
    pub fn new(class: Class, endian: Endianness, bytes: &'data [u8], strings: StringTable<'data>) -> Self {
        Self { entries: Entries::new(class, bytes), endian, strings }
    }

    /// How many there are, the empty symbol 0 included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The symbol of that index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Symbol> {
        self.entries.get(index, self.endian)
    }

    /// All symbols in order, the empty symbol 0 first.
    pub fn iter(&self) -> impl Iterator<Item = Symbol> + use<'data> {
        let endian = self.endian;
        let (narrow, wide) = self.entries.slices();
        let narrow = narrow.iter().map(move |symbol| symbol.decode(endian));
        narrow.chain(wide.iter().map(move |symbol| symbol.decode(endian)))
    }

    /// The table of names.
    pub fn strings(&self) -> &StringTable<'data> {
        &self.strings
    }

    /// The name of a symbol; `None` where it lies outside the table of names.
    pub fn name(&self, symbol: &Symbol) -> Option<&'data [u8]> {
        self.strings.get(symbol.name)
    }
}

macro_rules! decode {
    ($symbol:ident) => {
        impl Decode for $symbol<Endianness> {
            type Output = Symbol;

            #[inline]
            fn decode(&self, endian: Endianness) -> Symbol {
                use object::read::elf::Sym as _;
                Symbol {
                    name: self.st_name(endian),
                    info: self.st_info().0,
                    other: self.st_other().0,
                    section: self.st_shndx(endian).0,
                    value: self.st_value(endian).into(),
                    size: self.st_size(endian).into(),
                }
            }
        }
    };
}

decode!(Sym32);
decode!(Sym64);
