//! ELF files as kernels and modules have them: sections and symbols, borrowed and checked.
//!
//! 32 and 64 bits, both byte orders, any machine, on any host. The byte layout comes from the `object` crate; here
//! are one type for all four layouts, offsets that are checked before use, and errors with a place.
//!
//! [`Image`] is a view of a file: of all its bytes, or of the few ranges of it that were read into [`Pieces`].
//! A module of which only some sections are wanted is read like this:
//!
//! 1. [`Pieces::fetch`] the front of the file, [`Image::parse`] gives the [`Header`];
//! 2. fetch [`Header::section_table_range`], and the section names;
//! 3. fetch the sections that are wanted, all at once: what lies close together becomes one read.
//!
//! ```
//! # fn main() -> Result<(), kbt_elf::Error> {
//! # let bytes = [&b"\x7fELF\x02\x01\x01"[..], &[0; 57]].concat();
//! let image = kbt_elf::Image::parse(&bytes[..])?;
//! for (index, section) in image.sections()?.iter().enumerate() {
//!     println!("{index}: {} bytes at {:#x}", section.size, section.offset);
//! }
//! # Ok(())
//! # }
//! ```

mod edit;
mod emit;
mod error;
mod image;
mod layout;
mod pieces;
mod relocation;
mod sections;
mod strings;
mod symbols;

pub use edit::{Edit, apply};
pub use emit::{DefinedSymbol, EmitError, ReadOnlySection, Relocation, Target, relocatable};
pub use error::{Error, ErrorKind, Part};
pub use image::{Class, Header, Image, file_type, machine};
pub use object::{Endianness, ReadRef};
pub use pieces::{Pieces, ReadAt};
pub use relocation::RelocationKind;
pub use sections::{Section, SectionTable, section_flag, section_type};
pub use strings::StringTable;
pub use symbols::{Binding, Symbol, SymbolTable, section_index, symbol_type};
