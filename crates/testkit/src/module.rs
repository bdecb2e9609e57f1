//! Kernel modules: real in what depmod reads of them, and odd where a test wants it.
//!
//! The bytes are laid out by `object`'s writer, which none of the crates under test reads with.

use object::Endianness;
use object::elf;
use object::write::StringId;
use object::write::elf::{FileHeader, SectionHeader, SectionIndex, Sym, Writer};

/// What depmod writes.
pub const OUTPUTS: [&str; 11] = [
    "modules.dep",
    "modules.dep.bin",
    "modules.alias",
    "modules.alias.bin",
    "modules.softdep",
    "modules.weakdep",
    "modules.symbols",
    "modules.symbols.bin",
    "modules.builtin.bin",
    "modules.builtin.alias.bin",
    "modules.devname",
];

/// Width, byte order and machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// 64 bits, else 32.
    pub is_64: bool,
    /// Big-endian, else little.
    pub is_big: bool,
    /// `e_machine`.
    pub machine: u16,
}

impl Encoding {
    /// x86-64.
    pub const X86_64: Self = Self { is_64: true, is_big: false, machine: 62 };
    /// One of each width and byte order: x86-64, s390, Arm, 32-bit PowerPC.
    pub const ALL: [Self; 4] = [
        Self::X86_64,
        Self { is_64: true, is_big: true, machine: 22 },
        Self { is_64: false, is_big: false, machine: 40 },
        Self { is_64: false, is_big: true, machine: 20 },
    ];

    /// A word of the class.
    fn word(self, value: u64) -> Vec<u8> {
        let bytes = if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() };
        match (self.is_64, self.is_big) {
            (true, _) => bytes.to_vec(),
            (false, true) => bytes[4..].to_vec(),
            (false, false) => bytes[..4].to_vec(),
        }
    }

    fn half(self, value: u32) -> [u8; 4] {
        if self.is_big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// Where a symbol lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is wanted.
    Undefined,
    /// Its value is no address.
    Absolute,
    /// In the section of that name, which must be there.
    Section(String),
    /// Whatever this number says.
    Raw(u16),
}

/// A symbol.
#[derive(Debug, Clone)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// Where it lies.
    pub place: Place,
    /// Its value.
    pub value: u64,
    /// Binding (high four bits) and type.
    pub info: u8,
}

/// `STB_LOCAL`, `STB_GLOBAL` and `STB_WEAK` as the high bits of [`Symbol::info`].
pub const LOCAL: u8 = 0;
/// See [`LOCAL`].
pub const GLOBAL: u8 = 0x10;
/// See [`LOCAL`].
pub const WEAK: u8 = 0x20;

/// A module in the making. Every section can be replaced by other bytes, or left out.
#[derive(Debug, Clone)]
pub struct Module {
    /// How it is written.
    pub encoding: Encoding,
    /// `.modinfo`.
    pub modinfo: Option<Vec<u8>>,
    /// `.symtab` without its symbol 0; neither it nor `.strtab` is there without.
    pub symbols: Option<Vec<Symbol>>,
    /// `__versions`.
    pub versions: Option<Vec<u8>>,
    /// `__ksymtab_strings`.
    pub ksymtab_strings: Option<Vec<u8>>,
    /// `__kcrctab`, into which exports put their checksums.
    pub crcs: Vec<u8>,
    /// Further sections, name and bytes.
    pub sections: Vec<(String, Vec<u8>)>,
}

impl Module {
    /// One that wants and has nothing, but says its licence.
    pub fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            modinfo: Some(b"license=GPL\0".to_vec()),
            symbols: Some(Vec::new()),
            versions: None,
            ksymtab_strings: None,
            crcs: Vec::new(),
            sections: vec![(".text".to_owned(), vec![0xc3; 64])],
        }
    }

    /// Adds `key=value` to `.modinfo`.
    #[must_use]
    pub fn info(mut self, key: &str, value: &str) -> Self {
        self.modinfo.get_or_insert_default().extend_from_slice(format!("{key}={value}\0").as_bytes());
        self
    }

    /// Adds a symbol.
    #[must_use]
    pub fn symbol(mut self, name: &str, place: Place, value: u64, info: u8) -> Self {
        let symbol = Symbol { name: name.to_owned(), place, value, info };
        self.symbols.get_or_insert_default().push(symbol);
        self
    }

    /// Adds a wanted symbol.
    #[must_use]
    pub fn import(self, name: &str) -> Self {
        self.symbol(name, Place::Undefined, 0, GLOBAL)
    }

    /// Adds an entry to `__versions`.
    #[must_use]
    pub fn version(mut self, crc: u32, name: &str) -> Self {
        let mut entry = self.encoding.word(u64::from(crc));
        entry.extend_from_slice(name.as_bytes());
        entry.resize(64, 0);
        self.versions.get_or_insert_default().extend_from_slice(&entry);
        self
    }

    /// Adds entries in the form that Linux 6.14 has beside: checksums and names in sections of their own, names of any length.
    #[must_use]
    pub fn extended_versions(mut self, entries: &[(u32, &str)]) -> Self {
        let crcs = entries.iter().flat_map(|(crc, _)| self.encoding.half(*crc)).collect();
        let names = entries.iter().flat_map(|(_, name)| [name.as_bytes(), b"\0"].concat()).collect();
        self.sections.push(("__version_ext_crcs".to_owned(), crcs));
        self.sections.push(("__version_ext_names".to_owned(), names));
        self
    }

    /// Exports a symbol as a kernel with modversions does: with its checksum in `__kcrctab`.
    #[must_use]
    pub fn export(mut self, name: &str, crc: u32) -> Self {
        let at = self.crcs.len() as u64;
        let bytes = self.encoding.half(crc);
        self.crcs.extend_from_slice(&bytes);
        self.export_unversioned(name)
            .symbol(&format!("__crc_{name}"), Place::Section("__kcrctab".to_owned()), at, LOCAL)
            .symbol(name, Place::Section(".text".to_owned()), 0, GLOBAL | 2)
    }

    /// Exports a symbol as a kernel without modversions does: only its name.
    #[must_use]
    pub fn export_unversioned(mut self, name: &str) -> Self {
        self.ksymtab_strings.get_or_insert_default().extend_from_slice(format!("{name}\0").as_bytes());
        self
    }

    /// The file.
    ///
    /// # Panics
    /// Where a symbol lies in a section that is not there.
    pub fn write(&self) -> Vec<u8> {
        let mut sections: Vec<(&str, &[u8])> =
            self.sections.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        let optional = [
            (".modinfo", &self.modinfo),
            ("__versions", &self.versions),
            ("__ksymtab_strings", &self.ksymtab_strings),
        ];
        sections.extend(optional.iter().filter_map(|(name, bytes)| Some((*name, bytes.as_deref()?))));
        if !self.crcs.is_empty() {
            sections.push(("__kcrctab", &self.crcs));
        }
        Layout { module: self, sections }.write().expect("a small file")
    }
}

/// The sections in their order.
struct Layout<'a> {
    module: &'a Module,
    sections: Vec<(&'a str, &'a [u8])>,
}

impl Layout<'_> {
    fn write(&self) -> object::write::Result<Vec<u8>> {
        let Encoding { is_64, is_big, machine } = self.module.encoding;
        let mut out = Vec::new();
        let endian = if is_big { Endianness::Big } else { Endianness::Little };
        let mut writer = Writer::new(endian, is_64, &mut out);
        writer.reserve_file_header();
        writer.reserve_null_section_index();
        let mut placed = Vec::new();
        for (name, bytes) in &self.sections {
            let name = writer.add_section_name(name.as_bytes());
            placed.push((name, writer.reserve_section_index(), writer.reserve(bytes.len() as u64, 4)));
        }
        let names = self.reserve_symbols(&mut writer);
        if names.is_some() {
            writer.reserve_symtab_section_index();
            writer.reserve_symtab();
            writer.reserve_strtab_section_index();
            writer.reserve_strtab()?;
        }
        writer.reserve_shstrtab_section_index();
        writer.reserve_shstrtab()?;
        writer.reserve_section_headers();

        writer.write_file_header(&FileHeader {
            os_abi: elf::ELFOSABI_NONE,
            abi_version: 0,
            e_type: elf::ET_REL,
            e_machine: elf::Machine(machine),
            e_entry: 0,
            e_flags: elf::FileFlags(0),
        })?;
        for (_, bytes) in &self.sections {
            writer.write_align(4);
            writer.write(bytes);
        }
        if let Some(names) = &names {
            self.write_symbols(&mut writer, names, &placed);
            writer.write_strtab();
        }
        writer.write_shstrtab();
        writer.write_null_section_header();
        for ((name, _, offset), (_, bytes)) in placed.iter().zip(&self.sections) {
            let sh_name = writer.section_name_offset(Some(*name));
            writer.write_section_header(&SectionHeader {
                sh_name,
                sh_type: elf::SHT_PROGBITS,
                sh_flags: elf::SHF_ALLOC,
                sh_offset: *offset,
                sh_size: bytes.len() as u64,
                sh_addralign: 4,
                ..SectionHeader::default()
            });
        }
        if names.is_some() {
            writer.write_symtab_section_header(1);
            writer.write_strtab_section_header();
        }
        writer.write_shstrtab_section_header();
        drop(writer);
        Ok(out)
    }

    fn reserve_symbols<'w>(&'w self, writer: &mut Writer<'w>) -> Option<Vec<StringId>> {
        let symbols = self.module.symbols.as_ref()?;
        writer.reserve_null_symbol_index();
        writer.require_strtab();
        let names = symbols.iter().map(|symbol| {
            writer.reserve_symbol_index(None);
            writer.add_string(symbol.name.as_bytes())
        });
        Some(names.collect())
    }

    fn write_symbols(
        &self,
        writer: &mut Writer<'_>,
        names: &[StringId],
        placed: &[(StringId, SectionIndex, u64)],
    ) {
        writer.write_null_symbol();
        for (symbol, name) in self.module.symbols.iter().flatten().zip(names) {
            let index = |wanted: &str| {
                let position = self.sections.iter().position(|(name, _)| *name == wanted);
                placed[position.expect("the symbol's section")].1.0
            };
            let (section, number) = match &symbol.place {
                Place::Undefined => (None, elf::SHN_UNDEF),
                Place::Absolute => (None, elf::SHN_ABS),
                Place::Section(name) => (Some(index(name)), elf::SHN_UNDEF),
                Place::Raw(number) => (None, elf::SymbolSection(*number)),
            };
            writer.write_symbol(&Sym {
                section,
                st_name: writer.string_offset(Some(*name)),
                st_info: elf::SymbolInfo(symbol.info),
                st_other: elf::SymbolOther(0),
                st_shndx: number,
                st_value: symbol.value,
                st_size: 0,
            });
        }
    }
}
