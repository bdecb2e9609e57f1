//! Why a blob is refused: a kind and the byte offset in the blob.

use core::fmt;

/// A part of a flattened device tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// The header, 36 bytes in version 16 and 40 in version 17.
    Header,
    /// The memory reservation block.
    Reservations,
    /// The structure block.
    Structure,
    /// The strings block.
    Strings,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Reservations => "memory reservation block",
            Self::Structure => "structure block",
            Self::Strings => "strings block",
        })
    }
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Fewer bytes than a header has.
    TruncatedHeader,
    /// The first word is not `d00dfeed`.
    BadMagic(u32),
    /// A version that is older than 16, or not readable by a version 17 reader.
    UnsupportedVersion {
        /// The header's `version`.
        version: u32,
        /// The header's `last_comp_version`.
        last_compatible: u32,
    },
    /// The header states more bytes than there are.
    Truncated {
        /// The header's `totalsize`.
        stated: u32,
        /// How many bytes there are.
        present: usize,
    },
    /// A block reaches out of the tree.
    BlockOutOfBounds(Block),
    /// Two blocks share bytes.
    OverlappingBlocks(Block, Block),
    /// The structure block does not start at a multiple of four bytes.
    MisalignedStructure,
    /// The memory reservation block has no end entry.
    UnterminatedReservations,
    /// A word that is no token.
    BadToken(u32),
    /// A node's name has no end.
    UnterminatedName,
    /// A property reaches out of the structure block.
    PropertyOutOfBounds {
        /// The stated length of the value in bytes.
        length: u32,
    },
    /// A property's name lies outside the strings block or has no end.
    BadNameOffset(u32),
    /// A property before the root node or behind it.
    PropertyOutsideNode,
    /// `FDT_END_NODE` where no node is open.
    UnopenedEnd,
    /// `FDT_END` where nodes are open.
    UnclosedNode,
    /// The structure block has no `FDT_END`.
    MissingEnd,
    /// There is no root node.
    MissingRoot,
    /// There is a second node beside the root node.
    SecondRoot,
    /// Nodes are nested deeper than [`MAX_DEPTH`](crate::MAX_DEPTH).
    TooDeep,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TruncatedHeader => f.write_str("truncated: shorter than a device tree's header"),
            Self::BadMagic(magic) => write!(f, "not a device tree: bad magic {magic:08x}, expected d00dfeed"),
            Self::UnsupportedVersion { version, last_compatible } => write!(
                f,
                "device tree version {version} (compatible with {last_compatible}) is not supported, 16 and 17 are"
            ),
            Self::Truncated { stated, present } => {
                write!(f, "truncated: the header states {stated} bytes, {present} are there")
            }
            Self::BlockOutOfBounds(block) => write!(f, "the {block} reaches out of the device tree"),
            Self::OverlappingBlocks(a, b) => write!(f, "the {a} and the {b} overlap"),
            Self::MisalignedStructure => f.write_str("the structure block is not aligned to 4 bytes"),
            Self::UnterminatedReservations => f.write_str("the memory reservation block has no end entry"),
            Self::BadToken(token) => write!(f, "{token:#x} is no token of a structure block"),
            Self::UnterminatedName => f.write_str("a node's name has no end"),
            Self::PropertyOutOfBounds { length } => {
                write!(f, "a property of {length} bytes reaches out of the structure block")
            }
            Self::BadNameOffset(offset) => {
                write!(f, "a property's name at {offset:#x} is no string of the strings block")
            }
            Self::PropertyOutsideNode => f.write_str("a property outside the root node"),
            Self::UnopenedEnd => f.write_str("a node is closed where none is open"),
            Self::UnclosedNode => f.write_str("the structure block ends inside a node"),
            Self::MissingEnd => f.write_str("the structure block has no end token"),
            Self::MissingRoot => f.write_str("there is no root node"),
            Self::SecondRoot => f.write_str("there is a second root node"),
            Self::TooDeep => write!(f, "nodes are nested deeper than {} levels", crate::MAX_DEPTH),
        }
    }
}

/// Why a blob is refused, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the blob.
    pub offset: usize,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl core::error::Error for Error {}
