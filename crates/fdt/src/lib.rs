//! Flattened device trees (DTB, DTBO), borrowed and checked.
//!
//! [`Blob::parse`] checks the header and finds the blocks; [`Blob::tree`] checks every token once and gives
//! a [`Tree`]: one flat record a node, with offsets into the structure block and no copy of a name or value.
//! What passed both can be read without a further check that fails.
//!
//! The format is the Devicetree Specification's (v0.4, chapter 5), versions 16 and 17. All numbers in it are
//! big-endian.
//!
//! ```
//! # fn main() -> Result<(), kbt_fdt::Error> {
//! # let structure = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9];
//! # let bytes = kbt_fdt::write::assemble(&kbt_fdt::write::Parts { structure: &structure, ..Default::default() }).unwrap();
//! let blob = kbt_fdt::Blob::parse(&bytes)?;
//! let tree = blob.tree()?;
//! for node in tree.nodes() {
//!     println!("{}", String::from_utf8_lossy(blob.structure().name(node)));
//! }
//! # Ok(())
//! # }
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod blob;
mod error;
mod header;
mod reservations;
mod scan;
mod search;
mod strings;
mod structure;
mod tree;
mod words;
pub mod write;

pub use blob::Blob;
pub use error::{Block, Error, ErrorKind};
pub use header::{Header, LAST_COMPATIBLE_VERSION, MAGIC, OLDEST_VERSION, VERSION};
pub use reservations::{MemoryReservation, MemoryReservations};
pub use search::{find_byte, first_nul, same, unit_address};
pub use strings::{StringsBlock, StringsOffset, is_string};
pub use structure::{
    Properties, PropertiesBelow, Property, StructureBlock, StructureOffset, Tag, Token, Tokens, padded,
};
pub use tree::{MAX_DEPTH, Node, NodeIndex, PhandleProperty, Tree, TreeMemory};
