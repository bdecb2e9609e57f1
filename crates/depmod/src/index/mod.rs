//! The binary indexes: a trie of keys, each with values of a priority, which modprobe reads in place.
//!
//! Source of the layout: kmod's `libkmod/libkmod-index.c`; docs/formats/modules-index.md has it in full.

mod read;
mod sort;
mod trie;
mod write;

pub use read::{Entries, Entry, Index, ReadError};
pub use write::{Duplicate, IndexBuilder, Layout, WriteError};

/// The first word of an index: `BOOTFAST`, nearly.
const MAGIC: u32 = 0xB007_F457;

/// Major version 2, minor version 1.
const VERSION: u32 = 0x0002_0001;

/// Bytes in front of the first node: magic, version, root.
const HEADER: usize = 12;

/// A node's offset is followed by what the node has.
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// The bits of a node's offset.
const OFFSET: u32 = 0x0FFF_FFFF;

/// Bytes of keys and values are below this: a node has a child for each.
const CHARACTERS: u8 = 128;
