//! kallsyms: the table by which a Linux kernel knows the names of its own addresses.
//!
//! The way of a table, each step in a module of its own:
//!
//! 1. symbols ([`SymbolEntry`]) of an ELF file or of nm's text, filtered and sorted ([`sort_symbols`]);
//! 2. [`learn`]: the token table ([`TokenTable`]) and the compressed names; or [`Greedy`] or [`Optimal`] with a table that
//!    was learned before;
//! 3. [`Tables::encode`]: the arrays of a [`Layout`]; what only a link decides is kept as a distance from `_text`
//!    ([`Content::link`]).
//!
//! Nothing here opens a file, prints, or makes a thread.
//!
//! ```
//! # fn main() -> Result<(), kbt_kallsyms::Error> {
//! let text = b"ffffffff81000010 t vfs_read\nvmlinux.o:\nffffffff81000000 T vfs_open\n";
//! let mut symbols: Vec<_> = kbt_kallsyms::parse_nm(text).collect();
//! kbt_kallsyms::sort_symbols(&mut symbols);
//! let learned = kbt_kallsyms::learn(&symbols, b"")?;
//! let mut name = Vec::new();
//! for codes in learned.names.iter().take(1) {
//!     learned.tokens.expand(codes, &mut name);
//! }
//! assert_eq!(name, b"Tvfs_open");
//! # Ok(())
//! # }
//! ```

pub mod addresses;
mod compression;
mod elf_symbols;
mod error;
mod greedy;
mod kernel;
mod layout;
pub mod linker_script;
mod locate;
mod names;
mod nm;
mod object;
mod optimal;
mod order;
mod pad;
mod pad_file;
mod patch;
mod search;
mod select;
pub mod seqs;
pub mod source;
mod superset;
mod symbol;
mod table;
mod tables;
mod token;
mod verify;
mod waiting;

pub use addresses::{Content, Value};
pub use compression::{Learned, learn};
pub use elf_symbols::{address_digits, read_symbols, read_symbols_where};
pub use error::{Error, ErrorKind};
pub use greedy::Greedy;
pub use kernel::Kernel;
pub use layout::{AddressTable, Array, ArrayOrder, Class, Endianness, Layout};
pub use linker_script::LinkerScript;
pub use locate::{Located, Slot};
pub use names::{MARKER_STEP, Names, NamesReader};
pub use nm::{parse_line, parse_map, parse_nm};
pub use optimal::Optimal;
pub use pad::{Pad, PadOptions, pad};
pub use pad_file::{PadFile, PadFileError, PadFileErrorKind};
pub use patch::{Patch, PatchError, PatchOptions, Size, patch, wanted};
pub use search::{lacks_seqs, search};
pub use select::{Choice, Selection, select};
pub use superset::Superset;
pub use symbol::{SymbolEntry, sort_symbols};
pub use table::{Entry, Table};
pub use tables::{Origin, TableArray, Tables};
pub use token::{Code, CompressedNames, TokenTable};
pub use verify::{Difference, verify};
