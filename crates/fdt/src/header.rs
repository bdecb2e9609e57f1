//! The header (Devicetree Specification v0.4, section 5.2).

use crate::error::{Error, ErrorKind};

/// The first word of every flattened device tree.
pub const MAGIC: u32 = 0xd00d_feed;
/// The version that is written.
pub const VERSION: u32 = 17;
/// The oldest version that is read.
pub const OLDEST_VERSION: u32 = 16;
/// The `last_comp_version` that is written.
pub const LAST_COMPATIBLE_VERSION: u32 = 16;

/// Bytes of a version 16 header, which lacks `size_dt_struct`.
pub(crate) const SIZE_V16: usize = 36;
/// Bytes of a version 17 header.
pub(crate) const SIZE_V17: usize = 40;

/// The fields of the header, in their order; sizes and offsets in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole tree.
    pub totalsize: u32,
    /// Where the structure block starts.
    pub off_dt_struct: u32,
    /// Where the strings block starts.
    pub off_dt_strings: u32,
    /// Where the memory reservation block starts.
    pub off_mem_rsvmap: u32,
    /// The format's version.
    pub version: u32,
    /// The oldest version that a reader may assume.
    pub last_comp_version: u32,
    /// The physical id of the boot processor.
    pub boot_cpuid_phys: u32,
    /// Bytes of the strings block.
    pub size_dt_strings: u32,
    /// Bytes of the structure block; absent in version 16.
    pub size_dt_struct: Option<u32>,
}

impl Header {
    /// Reads the header at the start of `bytes` and checks magic and version, nothing else.
    ///
    /// # Errors
    /// [`ErrorKind::TruncatedHeader`], [`ErrorKind::BadMagic`], [`ErrorKind::UnsupportedVersion`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (words, _) = bytes.as_chunks::<4>();
        let word = |index: usize| {
            let word = words.get(index).ok_or(Error::new(ErrorKind::TruncatedHeader, bytes.len()))?;
            Ok(u32::from_be_bytes(*word))
        };
        let magic = word(0)?;
        if magic != MAGIC {
            return Err(Error::new(ErrorKind::BadMagic(magic), 0));
        }
        let (version, last_comp_version) = (word(5)?, word(6)?);
        if version < OLDEST_VERSION || last_comp_version > VERSION {
            let kind = ErrorKind::UnsupportedVersion { version, last_compatible: last_comp_version };
            return Err(Error::new(kind, 20));
        }
        Ok(Self {
            totalsize: word(1)?,
            off_dt_struct: word(2)?,
            off_dt_strings: word(3)?,
            off_mem_rsvmap: word(4)?,
            version,
            last_comp_version,
            boot_cpuid_phys: word(7)?,
            size_dt_strings: word(8)?,
            size_dt_struct: if version > OLDEST_VERSION { Some(word(9)?) } else { None },
        })
    }

    /// Bytes of the header itself.
    pub fn size(&self) -> usize {
        if self.size_dt_struct.is_some() { SIZE_V17 } else { SIZE_V16 }
    }
}
