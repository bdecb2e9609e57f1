//! Linked kernels as files, of which only what is wanted is read: of a vmlinux with 600 MB of debug information, the
//! headers, the symbols and the table.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::fs::FileTypeExt as _;

use kbt_elf::{ErrorKind, Header, Image, Pieces, ReadAt, Section, section_index, section_type};
use kbt_kallsyms::{Error, Located};

use super::refusal;
use crate::input;
use crate::module_file::Positional;
use crate::report::Failure;

/// A kernel that is read in pieces.
pub struct KernelFile {
    name: String,
    source: Source,
    /// What was read of it.
    pub pieces: Pieces,
}

enum Source {
    File(File),
    /// All of standard input.
    Memory(Vec<u8>),
}

impl ReadAt for Source {
    type Error = std::io::Error;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => Positional(file).read_at(offset, buffer),
            Self::Memory(bytes) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..));
                let mut rest = rest.unwrap_or_default();
                std::io::Read::read(&mut rest, buffer)
            }
        }
    }
}

impl KernelFile {
    /// Opens an ELF file. Standard input and what is no regular file is read whole; of what does not begin as an ELF file
    /// does, no more than its start.
    pub fn open(word: &OsStr) -> Result<Self, Failure> {
        Self::open_as(word, |head| if head.starts_with(b"\x7fELF") { input::MAX_FILE } else { 0 })
    }

    /// Opens whatever a kernel may be in. Standard input and what is no regular file is read whole, up to 4 GiB.
    pub fn open_image(word: &OsStr) -> Result<Self, Failure> {
        Self::open_as(word, |_| input::MAX_FILE)
    }

    /// A regular file that is open already.
    pub fn opened(word: &OsStr, file: File) -> Result<Self, Failure> {
        let name = input::name(word);
        let metadata = file.metadata().map_err(|error| Failure::io("read", &name, &error))?;
        let mut pieces = Pieces::default();
        pieces.clear(metadata.len());
        Ok(Self { name, source: Source::File(file), pieces })
    }

    fn open_as(word: &OsStr, most: impl FnOnce(&[u8]) -> u64) -> Result<Self, Failure> {
        let name = input::name(word);
        let failed = |error: std::io::Error| Failure::io("read", &name, &error);
        let (mut source, mut size) = (Source::Memory(Vec::new()), 0);
        if word != "-" {
            let file = File::open(word).map_err(failed)?;
            let metadata = file.metadata().map_err(failed)?;
            if metadata.is_file() {
                (source, size) = (Source::File(file), metadata.len());
            } else if metadata.file_type().is_char_device() {
                // /dev/zero has no end.
                let message = "this is a device, and no file that a kernel could be in";
                return Err(Failure::new("not-a-file", message).at_file(name));
            }
        }
        if let Source::Memory(bytes) = &mut source {
            *bytes = input::read_headed(word, most)?;
            size = bytes.len() as u64;
        }
        let mut pieces = Pieces::default();
        pieces.clear(size);
        Ok(Self { name, source, pieces })
    }

    /// What messages call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads ranges of the file: offset and size.
    pub fn fetch(&mut self, ranges: impl IntoIterator<Item = (u64, u64)>) -> Result<(), Failure> {
        let read = self.pieces.fetch(&mut self.source, ranges);
        read.map_err(|error| Failure::io("read", &self.name, &error))
    }

    /// All bytes of the file; of one that is larger than 4 GiB not one is read.
    pub fn read_all(self) -> Result<Vec<u8>, Failure> {
        match self.source {
            Source::Memory(bytes) => Ok(bytes),
            Source::File(file) => {
                let is_large = file.metadata().is_ok_and(|file| file.len() > input::MAX_FILE);
                input::read_opened(file).map_err(|error| {
                    let failure = Failure::io("read", &self.name, &error);
                    match is_large {
                        true => failure.hint("of what is larger, a vmlinux that has symbols is read"),
                        false => failure,
                    }
                })
            }
        }
    }

    /// Reads header, section headers and symbols.
    pub fn fetch_symbols(&mut self) -> Result<(), Failure> {
        self.fetch([(0, Header::MAX_SIZE)])?;
        let header = *self.elf()?.header();
        // The first has the count where it does not fit into the header.
        self.fetch([header.section_table_range(1)])?;
        let first = header.section_table_range(1);
        let count = match header.section_count {
            0 => self.extended_count(&header, first),
            count => count.into(),
        };
        self.fetch([header.section_table_range(count)])?;
        // Unnamed, as the names are not there yet.
        let sections = self.elf()?.sections().map_err(|error| self.refused(&error.into()))?;
        let names = usize::from(header.section_names_index);
        let names = if names == usize::from(section_index::EXTENDED) {
            sections.get(0).map_or(0, |first| first.link as usize)
        } else {
            names
        };
        let mut wanted: Vec<Section> = sections.get(names).into_iter().collect();
        let table = sections.of_type(section_type::SYMTAB);
        if let Some((_, table)) = table {
            wanted.push(table);
            wanted.extend(sections.get(table.link as usize));
            wanted.extend(sections.iter().filter(|section| section.kind == section_type::SYMTAB_SHNDX));
        }
        self.fetch(wanted.into_iter().map(|section| (section.offset, section.size)))
    }

    fn extended_count(&self, header: &Header, (offset, size): (u64, u64)) -> u64 {
        let bytes = Image::parse(&self.pieces).ok().and_then(|image| image.bytes_at(offset, size));
        let table = bytes.map(|bytes| {
            kbt_elf::SectionTable::new(header.class, header.endian, bytes, kbt_elf::StringTable::default())
        });
        table.and_then(|table| table.get(0)).map_or(0, |first| first.size)
    }

    /// The view of what was read.
    pub fn elf(&self) -> Result<Image<&Pieces>, Failure> {
        Image::parse(&self.pieces).map_err(|error| {
            let failure = self.refused(&error.into());
            match error.kind {
                ErrorKind::BadMagic => {
                    failure.hint("a vmlinux is wanted; 'kbt kallsyms dump' reads images, too")
                }
                _ => failure,
            }
        })
    }

    /// Reads the arrays of the table that was located.
    pub fn fetch_table(&mut self, located: &Located) -> Result<(), Failure> {
        let slot = located.slot(kbt_kallsyms::Array::NumSyms).map_err(|error| self.refused(&error))?;
        self.fetch([(slot.offset, 4)])?;
        let count = located.count(&self.pieces).map_err(|error| self.refused(&error))?;
        // Of a count that cannot be, the reader of the table tells.
        self.fetch(located.ranges(count.min(1 << 24)))
    }

    /// An error of the library, about this file.
    pub fn refused(&self, error: &Error) -> Failure {
        refusal(error).at_file(&self.name)
    }
}
