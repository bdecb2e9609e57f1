//! Why a tree cannot be shown: a kind and the byte offset in the blob.

use core::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The blob is no sound device tree.
    Malformed(kbt_fdt::ErrorKind),
    /// A property's name is longer than [`MAX_PROPERTY_NAME`](crate::MAX_PROPERTY_NAME) bytes.
    PropertyNameTooLong,
    /// The text would be out of proportion to the blob.
    TooLarge,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(kind) => kind.fmt(f),
            Self::PropertyNameTooLong => {
                write!(f, "a property's name is longer than {} bytes", crate::MAX_PROPERTY_NAME)
            }
            Self::TooLarge => f.write_str("the text would be out of all proportion to the tree"),
        }
    }
}

/// Why a tree cannot be shown, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the blob.
    pub offset: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl core::error::Error for Error {}

impl From<kbt_fdt::Error> for Error {
    fn from(error: kbt_fdt::Error) -> Self {
        Self { kind: ErrorKind::Malformed(error.kind), offset: error.offset }
    }
}
