//! Header and entries of the table: the one place that knows their layout, for the reader and the writer.
//!
//! Every field is a big-endian `u32`. Source: AOSP `system/libufdt`, `utils/src/dt_table.h` (versions 0 and 1)
//! and AOSP's mkdtboimg of 2025 (version 2).

use alloc::vec::Vec;
use core::fmt;

use crate::{Error, ErrorKind};

/// Size of the header in bytes, the same in every version.
pub const HEADER_SIZE: u32 = 32;
/// The page size of an image that states none, in bytes. It is informational: nothing is aligned by it.
pub const DEFAULT_PAGE_SIZE: u32 = 2048;
/// The most `custom` words that an entry of any version has.
pub const MAX_CUSTOM: usize = 11;
/// The bits of [`DtTableEntry::flags`] that name the compression.
pub(crate) const COMPRESSION_MASK: u32 = 0x0f;

/// What the entries hold, stated by the magic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableKind {
    /// Device trees or overlays: magic `d7b7ab1e`.
    Dtb,
    /// ACPI tables: magic `41435049`, the letters `ACPI`.
    Acpi,
}

impl TableKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Dtb, Self::Acpi];

    /// The first word of the image.
    pub fn magic(self) -> u32 {
        match self {
            Self::Dtb => 0xd7b7_ab1e,
            Self::Acpi => 0x4143_5049,
        }
    }

    /// The kind of the image that starts with these bytes.
    pub fn detect(bytes: &[u8]) -> Option<Self> {
        let magic = u32::from_be_bytes(*bytes.first_chunk()?);
        Self::ALL.into_iter().find(|kind| kind.magic() == magic)
    }

    /// mkdtboimg's name of it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dtb => "dtb",
            Self::Acpi => "acpi",
        }
    }

    /// The kind of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// The version of the table, which decides the layout of its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TableVersion {
    /// Four custom words, nothing compressed.
    V0,
    /// Flags, of which four bits name the compression, and three custom words.
    V1,
    /// Flags and eleven custom words.
    V2,
}

impl TableVersion {
    /// Every version, in order.
    pub const ALL: [Self; 3] = [Self::V0, Self::V1, Self::V2];

    /// The version of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.number() == number)
    }

    /// As the header states it.
    pub fn number(self) -> u32 {
        match self {
            Self::V0 => 0,
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// Size of one entry in bytes.
    pub fn entry_size(self) -> u32 {
        match self {
            Self::V0 | Self::V1 => 32,
            Self::V2 => 64,
        }
    }

    /// How many custom words an entry has.
    pub fn custom_count(self) -> usize {
        match self {
            Self::V0 => 4,
            Self::V1 => 3,
            Self::V2 => MAX_CUSTOM,
        }
    }

    /// Whether an entry has flags, and so can be compressed.
    pub fn has_flags(self) -> bool {
        self != Self::V0
    }
}

impl fmt::Display for TableVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number())
    }
}

/// The compression that an entry's flags name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CompressionFormat {
    /// 0
    None,
    /// 1
    Zlib,
    /// 2
    Gzip,
    /// 3, an LZ4 frame
    Lz4,
    /// Any other value of the four bits.
    Unknown(u8),
}

impl CompressionFormat {
    /// The format that the low four bits of `flags` name.
    pub fn of_flags(flags: u32) -> Self {
        match flags & COMPRESSION_MASK {
            0 => Self::None,
            1 => Self::Zlib,
            2 => Self::Gzip,
            3 => Self::Lz4,
            // Masked to four bits above.
            #[expect(clippy::cast_possible_truncation)]
            other => Self::Unknown(other as u8),
        }
    }

    /// `flags` with the low four bits set to this format.
    pub fn in_flags(self, flags: u32) -> u32 {
        let bits = match self {
            Self::None => 0,
            Self::Zlib => 1,
            Self::Gzip => 2,
            Self::Lz4 => 3,
            Self::Unknown(bits) => u32::from(bits) & COMPRESSION_MASK,
        };
        flags & !COMPRESSION_MASK | bits
    }
}

/// The header, 32 bytes. `header_size` and `dt_entry_size` follow from the version and are not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DtTableHeader {
    /// Stated by the magic.
    pub kind: TableKind,
    /// Bytes of the image from its first to the end of its last entry's data.
    pub total_size: u32,
    /// How many entries the table has.
    pub dt_entry_count: u32,
    /// Byte offset of the first entry.
    pub dt_entries_offset: u32,
    /// Page size of the flash, in bytes; informational.
    pub page_size: u32,
    /// Decides the layout of the entries.
    pub version: TableVersion,
}

impl DtTableHeader {
    /// The header at the start of `image`; nothing beyond its own words is checked.
    pub(crate) fn read(image: &[u8]) -> Result<Self, Error> {
        let short = || Error::new(ErrorKind::ShorterThanHeader { len: image.len() }, image.len());
        let words: &[u8; HEADER_SIZE as usize] = image.first_chunk().ok_or_else(short)?;
        let [magic, total_size, header_size, entry_size, count, entries_offset, page_size, version] =
            be_words(words);
        let kind = TableKind::ALL.into_iter().find(|kind| kind.magic() == magic);
        let kind = kind.ok_or(Error::new(ErrorKind::BadMagic { found: magic }, 0))?;
        let known = TableVersion::from_number(version);
        let version = known.ok_or(Error::new(ErrorKind::UnknownVersion { found: version }, 28))?;
        if header_size != HEADER_SIZE {
            return Err(Error::new(ErrorKind::HeaderSize { found: header_size }, 8));
        }
        if entry_size != version.entry_size() {
            return Err(Error::new(ErrorKind::EntrySize { found: entry_size, version }, 12));
        }
        Ok(Self {
            kind,
            total_size,
            dt_entry_count: count,
            dt_entries_offset: entries_offset,
            page_size,
            version,
        })
    }

    /// Its bytes.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_SIZE as usize] {
        be_bytes([
            self.kind.magic(),
            self.total_size,
            HEADER_SIZE,
            self.version.entry_size(),
            self.dt_entry_count,
            self.dt_entries_offset,
            self.page_size,
            self.version.number(),
        ])
    }
}

/// One entry of the table. What its version does not have is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DtTableEntry {
    /// Bytes stored: the compressed size where the entry is compressed. The other size is stored nowhere.
    pub dt_size: u32,
    /// Byte offset from the start of the image. It need not be aligned.
    pub dt_offset: u32,
    /// Chosen by the boot loader's vendor, 0 where unused.
    pub id: u32,
    /// Chosen by the boot loader's vendor, 0 where unused.
    pub rev: u32,
    /// From version 1 on; the low four bits are the compression.
    pub flags: u32,
    /// As many as [`TableVersion::custom_count`] says; the others are zero.
    pub custom: [u32; MAX_CUSTOM],
}

impl DtTableEntry {
    /// How its bytes are stored.
    pub fn compression(&self) -> CompressionFormat {
        CompressionFormat::of_flags(self.flags)
    }

    /// Reads an entry from exactly [`TableVersion::entry_size`] bytes; missing bytes count as zero.
    pub(crate) fn read(bytes: &[u8], version: TableVersion) -> Self {
        let mut words = bytes.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word));
        let mut next = || words.next().unwrap_or(0);
        let mut entry =
            Self { dt_size: next(), dt_offset: next(), id: next(), rev: next(), ..Self::default() };
        if version.has_flags() {
            entry.flags = next();
        }
        for custom in entry.custom.iter_mut().take(version.custom_count()) {
            *custom = next();
        }
        entry
    }

    /// Appends its bytes.
    pub(crate) fn write(&self, version: TableVersion, out: &mut Vec<u8>) {
        for word in [self.dt_size, self.dt_offset, self.id, self.rev] {
            out.extend_from_slice(&word.to_be_bytes());
        }
        if version.has_flags() {
            out.extend_from_slice(&self.flags.to_be_bytes());
        }
        for word in self.custom.iter().take(version.custom_count()) {
            out.extend_from_slice(&word.to_be_bytes());
        }
    }
}

fn be_words(bytes: &[u8; HEADER_SIZE as usize]) -> [u32; 8] {
    let mut words = [0; 8];
    for (word, chunk) in words.iter_mut().zip(bytes.as_chunks().0) {
        *word = u32::from_be_bytes(*chunk);
    }
    words
}

fn be_bytes(words: [u32; 8]) -> [u8; HEADER_SIZE as usize] {
    let mut bytes = [0; HEADER_SIZE as usize];
    for (chunk, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
        *chunk = word.to_be_bytes();
    }
    bytes
}
