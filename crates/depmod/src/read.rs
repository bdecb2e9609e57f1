//! The first step: what one module says of itself, read as libkmod reads it.
//!
//! Which sections count, and what each defect in them means, is kmod's behaviour (`libkmod-elf.c`, seen in 34.2):
//!
//! - `.modinfo`: strings between NULs, `key=value`; one without `=` has an empty value.
//! - Exports: symbols of `.symtab` that are called `__crc_NAME`. Where there is none, or the table is broken (a name outside
//!   `.strtab`, a size that is no multiple of a symbol's), the strings of `__ksymtab_strings`.
//! - Imports: undefined symbols of `.symtab`, then the names of `__versions` that are not among them. Where the table
//!   is missing or broken, or a name of `__versions` has no end, there are none, and that is no error.
//!
//! A section is the first one of its name that lies inside the file. An error is a file that is no ELF file, or whose section
//! headers or their names cannot be read; and exports that have no end, which leave the other facts standing
//! ([`ModuleReader::salvage`]).
//!
//! Limits: the sections that are fetched ([`MAX_SECTIONS`]) and the text of all facts ([`crate::MAX_TEXT`]); time is linear in the size of the sections.

mod exports;
mod imports;
mod versions;

use core::fmt;

use kbt_elf::{
    Class, Error as ElfError, ErrorKind as ElfErrorKind, Header, Image, Part, Pieces, ReadAt, ReadRef,
    Section, SectionTable, StringTable, SymbolTable,
};

use crate::{FactsBuilder, ModuleFacts};
use exports::CrcSymbol;
use versions::Versions;

/// Why a module was refused: what is wrong, and at which byte of the (decompressed) module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadError {
    /// What is wrong.
    pub kind: ReadErrorKind,
    /// Byte offset in the module.
    pub offset: u64,
}

/// The kinds of [`ReadError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadErrorKind {
    /// Not a readable ELF file.
    Elf(ElfErrorKind),
    /// There is no table of the sections' names where the header says.
    NoSectionNames,
    /// The table of the sections' names does not end with a NUL.
    UnterminatedSectionNames,
    /// The strings of `__ksymtab_strings` do not end with a NUL.
    UnterminatedExports,
    /// The sections that are needed pass [`MAX_SECTIONS`].
    TooLarge,
    /// The names and values pass [`crate::MAX_TEXT`].
    TooMuchText,
}

impl ReadError {
    fn new(kind: ReadErrorKind, offset: u64) -> Self {
        Self { kind, offset }
    }

    /// Whether the file does not even begin like an ELF file; it may be compressed.
    pub fn is_bad_magic(&self) -> bool {
        self.kind == ReadErrorKind::Elf(ElfErrorKind::BadMagic)
    }

    /// What kmod says of such a file: the system's text for ENOEXEC or EINVAL.
    pub fn kmod_text(&self) -> &'static str {
        match self.kind {
            ReadErrorKind::Elf(ElfErrorKind::BadMagic) => "Exec format error",
            _ => "Invalid argument",
        }
    }
}

impl From<ElfError> for ReadError {
    fn from(error: ElfError) -> Self {
        Self::new(ReadErrorKind::Elf(error.kind), error.offset)
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ReadErrorKind::Elf(kind) => write!(f, "{kind}")?,
            ReadErrorKind::NoSectionNames => f.write_str("the section name table is missing")?,
            ReadErrorKind::UnterminatedSectionNames => {
                f.write_str("the section name table does not end with a NUL")?;
            }
            ReadErrorKind::UnterminatedExports => {
                f.write_str("the names of the exported symbols do not end with a NUL")?;
            }
            ReadErrorKind::TooLarge => {
                write!(f, "the sections that depmod reads pass {} MiB", MAX_SECTIONS >> 20)?;
            }
            ReadErrorKind::TooMuchText => write!(f, "{}", crate::TooMuchText)?,
        }
        write!(f, " (at byte {})", self.offset)
    }
}

impl core::error::Error for ReadError {}

/// Why a module that is read piece by piece has no facts.
#[derive(Debug)]
pub enum SourceError<E> {
    /// Reading failed.
    Source(E),
    /// What was read is no module.
    Module(ReadError),
}

impl<E> From<ReadError> for SourceError<E> {
    fn from(error: ReadError) -> Self {
        Self::Module(error)
    }
}

/// Reads the facts of a module whose bytes are all there. For many modules, keep a [`ModuleReader`].
///
/// # Errors
///
/// The file is no ELF file or its section headers cannot be read.
pub fn read_module(bytes: &[u8]) -> Result<ModuleFacts, ReadError> {
    ModuleReader::new().read(bytes)
}

/// Reads one module after the other and keeps its buffers.
#[derive(Debug, Default)]
pub struct ModuleReader {
    facts: FactsBuilder,
    pieces: Pieces,
    scratch: Scratch,
}

/// What is collected while one module is read.
#[derive(Debug, Default)]
struct Scratch {
    versions: Versions,
    crc_symbols: Vec<CrcSymbol>,
}

/// Bytes that a module's sections may have that depmod reads; those of the largest real modules have a hundredth.
pub const MAX_SECTIONS: u64 = 256 << 20;

/// A file up to this size is read in one go: that is cheaper than to ask for its parts.
const WHOLE: u64 = 16 << 10;

/// How much before the section headers is read with them: their names lie there, as linkers write them.
const BEFORE_TABLE: u64 = 1 << 10;

impl ModuleReader {
    /// One with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the facts of a module whose bytes are all there.
    ///
    /// # Errors
    ///
    /// Those of [`read_module`].
    pub fn read(&mut self, bytes: &[u8]) -> Result<ModuleFacts, ReadError> {
        self.facts.clear();
        let module = Module { data: bytes, layout: Layout::locate(bytes)? };
        module.read_tables(&mut self.facts, &mut self.scratch);
        module.read_exports(&mut self.facts, &self.scratch.crc_symbols)?;
        self.finish()
    }

    /// What was read of the module that gave the last error, as kmod goes on with it: nothing, but where only the exports
    /// are broken.
    pub fn salvage(&mut self) -> ModuleFacts {
        self.facts.finish().unwrap_or_default()
    }

    /// Reads the facts of a module of `size` bytes and fetches no more of it than is needed: four or five reads.
    ///
    /// # Errors
    ///
    /// What `source` says, and those of [`read_module`].
    pub fn read_from<S: ReadAt>(
        &mut self,
        source: &mut S,
        size: u64,
    ) -> Result<ModuleFacts, SourceError<S::Error>> {
        self.facts.clear();
        self.fetch_headers(source, size)?;
        let layout = Layout::locate(&self.pieces)?;
        let wanted = [layout.modinfo, layout.versions, layout.symtab, layout.strtab];
        let wanted = wanted.map(|section| section.map_or((0, 0), |section| (section.offset, section.size)));
        self.fetch(source, &wanted)?;
        let module = Module { data: &self.pieces, layout };
        module.read_tables(&mut self.facts, &mut self.scratch);
        let late = module.late_ranges(&self.scratch.crc_symbols);
        if !late.is_empty() {
            self.fetch(source, &late)?;
        }
        let module = Module { data: &self.pieces, layout };
        module.read_exports(&mut self.facts, &self.scratch.crc_symbols)?;
        Ok(self.finish()?)
    }

    fn fetch_headers<S: ReadAt>(&mut self, source: &mut S, size: u64) -> Result<(), SourceError<S::Error>> {
        self.pieces.clear(size);
        let front = if size <= WHOLE { size } else { Header::MAX_SIZE };
        self.fetch(source, &[(0, front)])?;
        if size <= WHOLE {
            return Ok(());
        }
        let header = Header::parse(&self.pieces).map_err(ReadError::from)?;
        let (offset, table) = header.section_table_range(u64::from(header.section_count));
        let before = offset.min(BEFORE_TABLE);
        self.fetch(source, &[(offset - before, table.saturating_add(before))])?;
        if let Some(names) = section_names(&header, &self.pieces) {
            self.fetch(source, &[(names.offset, names.size)])?;
        }
        Ok(())
    }

    fn fetch<S: ReadAt>(
        &mut self,
        source: &mut S,
        ranges: &[(u64, u64)],
    ) -> Result<(), SourceError<S::Error>> {
        let size = self.pieces.size();
        let total: u64 = ranges.iter().map(|&(offset, bytes)| bytes.min(size.saturating_sub(offset))).sum();
        if total > MAX_SECTIONS {
            return Err(ReadError::new(ReadErrorKind::TooLarge, 0).into());
        }
        self.pieces.fetch(source, ranges.iter().copied()).map_err(SourceError::Source)
    }

    fn finish(&mut self) -> Result<ModuleFacts, ReadError> {
        self.facts.finish().map_err(|_| ReadError::new(ReadErrorKind::TooMuchText, 0))
    }
}

/// The header of the section that has the sections' names.
fn section_names<'data, R: ReadRef<'data>>(header: &Header, data: R) -> Option<Section> {
    let index = u64::from(header.section_names_index);
    let entry = header.class.section_header_size();
    let offset = header.section_offset.checked_add(index.checked_mul(entry)?)?;
    let bytes = data.read_bytes_at(offset, entry).ok()?;
    SectionTable::new(header.class, header.endian, bytes, StringTable::default()).get(0)
}

/// Where the sections lie that count.
#[derive(Debug, Clone, Copy)]
struct Layout {
    header: Header,
    modinfo: Option<Section>,
    strtab: Option<Section>,
    symtab: Option<Section>,
    versions: Option<Section>,
    ksymtab_strings: Option<Section>,
}

impl Layout {
    /// Checks header and section headers, and finds the sections.
    fn locate<'data, R: ReadRef<'data>>(data: R) -> Result<Self, ReadError> {
        let image = Image::parse(data)?;
        let sections = section_table(&image)?;
        let header = *image.header();
        let mut layout =
            Self { header, modinfo: None, strtab: None, symtab: None, versions: None, ksymtab_strings: None };
        let size = data.len().unwrap_or(0);
        for section in sections.iter().skip(1) {
            let name = sections.names().get(section.name as usize..).unwrap_or_default();
            if let Some(place) = layout.place(name)
                && place.is_none()
                && section.offset.checked_add(section.size).is_some_and(|end| end <= size)
            {
                *place = Some(section);
            }
        }
        for name in NAMES {
            if let Some(place) = layout.place(name) {
                // At 0 lies the file header.
                *place = place.filter(|section| section.offset != 0);
            }
        }
        Ok(layout)
    }

    /// The place of the section whose name, with its NUL, `name` begins with.
    fn place(&mut self, name: &[u8]) -> Option<&mut Option<Section>> {
        // Most names differ in their second byte.
        match name {
            [b'.', b'm', ..] if name.starts_with(NAMES[0]) => Some(&mut self.modinfo),
            [b'.', b's', b't', ..] if name.starts_with(NAMES[1]) => Some(&mut self.strtab),
            [b'.', b's', b'y', ..] if name.starts_with(NAMES[2]) => Some(&mut self.symtab),
            [b'_', _, b'v', ..] if name.starts_with(NAMES[3]) => Some(&mut self.versions),
            [b'_', _, b'k', ..] if name.starts_with(NAMES[4]) => Some(&mut self.ksymtab_strings),
            _ => None,
        }
    }
}

/// The sections that count.
const NAMES: [&[u8]; 5] =
    [b".modinfo\0", b".strtab\0", b".symtab\0", b"__versions\0", b"__ksymtab_strings\0"];

/// A module whose sections are found.
struct Module<R> {
    data: R,
    layout: Layout,
}

impl<'data, R: ReadRef<'data>> Module<R> {
    fn bytes(&self, section: Option<Section>) -> Option<&'data [u8]> {
        let section = section?;
        self.data.read_bytes_at(section.offset, section.size).ok()
    }

    /// All section headers.
    fn sections(&self) -> Option<SectionTable<'data>> {
        section_table(&Image::parse(self.data).ok()?).ok()
    }

    /// The symbols and their names, where both tables are there and whole.
    fn symbols(&self) -> Option<SymbolTable<'data>> {
        let Header { class, endian, .. } = self.layout.header;
        let names = StringTable::new(self.bytes(self.layout.strtab)?);
        let entries = self.bytes(self.layout.symtab)?;
        let whole = (entries.len() as u64).is_multiple_of(class.symbol_size());
        whole.then(|| SymbolTable::new(class, endian, entries, names))
    }

    /// Reads `.modinfo`, and of the symbols the imports and the `__crc_` ones.
    fn read_tables(&self, facts: &mut FactsBuilder, scratch: &mut Scratch) {
        read_modinfo(self.bytes(self.layout.modinfo).unwrap_or_default(), facts);
        scratch.crc_symbols.clear();
        let Some(symbols) = self.symbols() else { return };
        let class_word = match self.layout.header.class {
            Class::Elf32 => 4,
            Class::Elf64 => 8,
        };
        let versions = self.bytes(self.layout.versions).unwrap_or_default();
        if scratch.versions.index(versions, class_word, self.layout.header.endian) {
            imports::read(&symbols, self.layout.header.machine, versions, &mut scratch.versions, facts);
        }
        exports::collect(&symbols, &mut scratch.crc_symbols);
    }

    /// What [`read_exports`](Self::read_exports) wants beside.
    fn late_ranges(&self, crc_symbols: &[CrcSymbol]) -> Vec<(u64, u64)> {
        let strings = if crc_symbols.is_empty() { self.layout.ksymtab_strings } else { None };
        let strings = strings.map(|section| (section.offset, section.size));
        let sections = if crc_symbols.is_empty() { None } else { self.sections() };
        let crcs =
            crc_symbols.iter().filter_map(move |symbol| exports::crc_range(symbol, sections.as_ref()?));
        strings.into_iter().chain(crcs).collect()
    }

    fn read_exports(&self, facts: &mut FactsBuilder, crc_symbols: &[CrcSymbol]) -> Result<(), ReadError> {
        if !crc_symbols.is_empty()
            && let (Some(symbols), Some(sections)) = (self.symbols(), self.sections())
        {
            exports::read(&symbols, crc_symbols, &sections, self.data, self.layout.header.endian, facts);
            return Ok(());
        }
        let whole = exports::read_strings(self.bytes(self.layout.ksymtab_strings).unwrap_or_default(), facts);
        let offset = self.layout.ksymtab_strings.map_or(0, |section| section.offset);
        whole.ok_or_else(|| ReadError::new(ReadErrorKind::UnterminatedExports, offset))
    }
}

/// The section headers and their names, as strictly as kmod takes them.
fn section_table<'data, R: ReadRef<'data>>(image: &Image<R>) -> Result<SectionTable<'data>, ReadError> {
    let header = image.header();
    let Header { class, endian, .. } = *header;
    let stated = u64::from(header.section_entry_size);
    if stated != class.section_header_size() {
        let kind = ElfErrorKind::BadEntrySize { part: Part::SectionTable, stated };
        return Err(ReadError::new(ReadErrorKind::Elf(kind), header.section_offset));
    }
    let (offset, size) = header.section_table_range(u64::from(header.section_count));
    let headers = image.bytes_at(offset, size).ok_or_else(|| {
        let kind = ElfErrorKind::OutOfBounds { part: Part::SectionTable, size };
        ReadError::new(ReadErrorKind::Elf(kind), offset)
    })?;
    let index = usize::from(header.section_names_index);
    let table = SectionTable::new(class, endian, headers, StringTable::default());
    let section = Some(index).filter(|&index| index != 0).and_then(|index| table.get(index));
    // Its own name must be one of its names.
    let section = section.filter(|section| u64::from(section.name) < section.size);
    let section = section.ok_or_else(|| ReadError::new(ReadErrorKind::NoSectionNames, offset))?;
    let names = image.bytes_at(section.offset, section.size).ok_or_else(|| {
        let kind = ElfErrorKind::OutOfBounds { part: Part::SectionNames, size: section.size };
        ReadError::new(ReadErrorKind::Elf(kind), section.offset)
    })?;
    if names.last() != Some(&0) {
        return Err(ReadError::new(ReadErrorKind::UnterminatedSectionNames, section.offset));
    }
    Ok(SectionTable::new(class, endian, headers, StringTable::new(names)))
}

/// A section of strings without the padding before them; nothing where no more than a byte is left.
fn unpadded(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
    bytes.get(start..).filter(|bytes| bytes.len() > 1).unwrap_or_default()
}

/// The strings that kmod finds in a section of strings: those between NULs.
fn strings(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = unpadded(bytes);
    std::iter::from_fn(move || {
        let end = memchr::memchr(0, rest).unwrap_or(rest.len());
        let string = rest.get(..end).filter(|_| !rest.is_empty())?;
        rest = rest.get(end + 1..).unwrap_or_default();
        Some(string)
    })
    .filter(|string| !string.is_empty())
}

fn read_modinfo(bytes: &[u8], facts: &mut FactsBuilder) {
    for string in strings(bytes) {
        let equals = memchr::memchr(b'=', string).unwrap_or(string.len());
        let value = string.get(equals + 1..).unwrap_or_default();
        match string.get(..equals) {
            Some(b"alias") => facts.push_alias(value),
            Some(b"softdep") => facts.push_softdep(value),
            Some(b"weakdep") => facts.push_weakdep(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_between_nuls() {
        let of = |bytes: &'static [u8]| strings(bytes).collect::<Vec<_>>();
        assert_eq!(of(b"\0\0a=1\0\0b\0c"), [&b"a=1"[..], b"b", b"c"]);
        assert_eq!(of(b"\0\0a"), [b""; 0]);
        assert_eq!(of(b"\0\0"), [b""; 0]);
        assert_eq!(of(b""), [b""; 0]);
    }

    #[test]
    fn modinfo_without_a_value() {
        let mut facts = FactsBuilder::new();
        read_modinfo(
            b"alias\0alias=\0alias=a=b\0aliasx=c\0softdep=pre: x\0weakdep=w\0license=GPL",
            &mut facts,
        );
        let facts = facts.finish().unwrap();
        assert_eq!(facts.aliases().collect::<Vec<_>>(), [&b""[..], b"", b"a=b"]);
        assert_eq!(facts.softdeps().collect::<Vec<_>>(), [b"pre: x"]);
        assert_eq!(facts.weakdeps().collect::<Vec<_>>(), [b"w"]);
    }

    #[test]
    fn what_is_no_elf_file_says_so() {
        let error = read_module(b"hello, I am a text file").unwrap_err();
        assert_eq!(error.to_string(), "not an ELF file (at byte 0)");
        assert_eq!(error.kmod_text(), "Exec format error");
        let error = read_module(b"\x7fELF\x02\x01\x01 and then it ends").unwrap_err();
        assert_eq!(error.kmod_text(), "Invalid argument");
    }
}
