//! Device trees as dts source shows them: labels on nodes, references instead of phandle numbers.
//!
//! - [`IndexedTree`]: a checked tree whose nodes are found by path, name and phandle;
//! - [`Dts`]: the tree with its labels and references restored, [`Dts::show`] prints it as source that `dtc -@`
//!   compiles to the same tree;
//! - [`compare`](compare()): what two trees mean differently, whatever their phandle numbers and order;
//! - [`fragments`]: what an overlay's fragments are merged into;
//! - [`bindings`]: which properties hold phandles, by their names.
//!
//! What is borrowed stays borrowed: an index holds numbers, names and values are read from the blob.
//!
//! ```
//! # fn main() -> Result<(), kbt_dts::Error> {
//! # let structure = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 9];
//! # let bytes = kbt_fdt::write::assemble(&kbt_fdt::write::Parts { structure: &structure, ..Default::default() }).unwrap();
//! let dts = kbt_dts::Dts::parse(&bytes)?;
//! assert_eq!(dts.show()?.text, b"/dts-v1/;\n\n/ {\n};\n");
//! # Ok(())
//! # }
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod bindings;
mod compare;
mod dts;
mod error;
mod fixups;
pub mod fragments;
mod index;
mod labels;
mod references;
mod show;
mod text;
mod value;

pub use compare::{Difference, NodeDifference, Side, compare};
pub use dts::Dts;
pub use error::{Error, ErrorKind};
pub use fixups::{Fixups, ParsedFixup, parse_fixup};
pub use index::{IndexedTree, MAX_PROPERTY_NAME};
pub use labels::Labels;
pub use references::{Reference, Referent};
pub use show::{Oddity, Shown};
pub use text::{is_label, path_components};
