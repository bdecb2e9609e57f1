//! Why an image was refused, and where.

use core::fmt;

use crate::TableVersion;

/// An image that cannot be read or made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the image of the field that is wrong.
    pub offset: usize,
}

/// The kinds of [`Error`]. Sizes and offsets are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The file holds no whole header.
    ShorterThanHeader {
        /// Length of the file.
        len: usize,
    },
    /// The first word is neither magic.
    BadMagic {
        /// The word found.
        found: u32,
    },
    /// A version that kbt does not know.
    UnknownVersion {
        /// The version found.
        found: u32,
    },
    /// `header_size` is not 32.
    HeaderSize {
        /// The size found.
        found: u32,
    },
    /// `dt_entry_size` is not that of the version.
    EntrySize {
        /// The size found.
        found: u32,
        /// The image's version.
        version: TableVersion,
    },
    /// `total_size` is larger than the file.
    Truncated {
        /// The size that the header states.
        total_size: u32,
        /// Length of the file.
        len: usize,
    },
    /// The table starts inside the header or ends past `total_size`.
    TableOutside {
        /// Where the table starts.
        offset: u32,
        /// How many entries it has.
        count: u32,
    },
    /// An entry's data ends past `total_size`.
    EntryOutside {
        /// The entry, from 0.
        index: u32,
        /// Where its data starts.
        offset: u32,
        /// Its size.
        size: u32,
    },
    /// The image would not fit 32-bit offsets.
    TooLarge,
    /// There is no memory for the image.
    NoMemory,
    /// Nothing to pack.
    NoEntries,
    /// An entry names a blob that is not there.
    NoSuchBlob {
        /// The entry, from 0.
        index: usize,
    },
    /// An entry sets what its table's version cannot hold.
    NotInVersion {
        /// The entry, from 0.
        index: usize,
        /// `flags` or `custom`.
        field: &'static str,
        /// The image's version.
        version: TableVersion,
    },
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    /// An error about what is to be written, which has no place in any file.
    pub(crate) fn packing(kind: ErrorKind) -> Self {
        Self { kind, offset: 0 }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ErrorKind::ShorterThanHeader { len } => {
                write!(f, "{len} bytes are too few for the 32-byte header of a DTBO image")
            }
            ErrorKind::BadMagic { found } => {
                write!(
                    f,
                    "this is no DTBO image: it starts with {found:08x} instead of d7b7ab1e (or 41435049, ACPI)"
                )
            }
            ErrorKind::UnknownVersion { found } => {
                write!(f, "table version {found} is not known (0, 1 and 2 are)")
            }
            ErrorKind::HeaderSize { found } => write!(f, "header_size is {found} instead of 32"),
            ErrorKind::EntrySize { found, version } => {
                let expected = version.entry_size();
                write!(f, "dt_entry_size is {found} instead of {expected}, that of version {version}")
            }
            ErrorKind::Truncated { total_size, len } => {
                write!(f, "the image is cut short: it states {total_size} bytes and has {len}")
            }
            ErrorKind::TableOutside { offset, count } => {
                write!(
                    f,
                    "a table of {count} entries at byte {offset} does not lie between header and total_size"
                )
            }
            ErrorKind::EntryOutside { index, offset, size } => {
                write!(f, "entry {index} ({size} bytes at byte {offset}) ends past total_size")
            }
            ErrorKind::TooLarge => f.write_str("the image would be larger than 4 GiB"),
            ErrorKind::NoMemory => f.write_str("there is no memory for the image"),
            ErrorKind::NoEntries => f.write_str("there is nothing to pack"),
            ErrorKind::NoSuchBlob { index } => write!(f, "entry {index} names a blob that is not there"),
            ErrorKind::NotInVersion { index, field, version } => {
                write!(f, "entry {index} sets {field}, which an image of version {version} cannot hold")
            }
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    /// What no input of a test's size, or none that the command lets through, can meet: 4 GiB of entries, no memory for
    /// them, none at all (the command wants one), an entry without its blob.
    #[test]
    fn the_sentences_of_what_commands_cannot_meet() {
        let cases = [
            (ErrorKind::TooLarge, "the image would be larger than 4 GiB"),
            (ErrorKind::NoMemory, "there is no memory for the image"),
            (ErrorKind::NoEntries, "there is nothing to pack"),
            (ErrorKind::NoSuchBlob { index: 3 }, "entry 3 names a blob that is not there"),
        ];
        for (kind, sentence) in cases {
            assert_eq!(Error::packing(kind).to_string(), sentence);
        }
    }
}
