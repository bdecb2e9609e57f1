//! What depmod makes of a directory of kernel modules.
//!
//! Two pure steps: [`read_module`] takes the [`ModuleFacts`] out of one module's bytes, and [`build()`] joins the facts of all
//! into the files that modprobe reads. No file is opened here, nothing is printed, no thread is made.
//!
//! [`Modules`] says which files are modules and in which order, [`Config`] which of two files of one name wins. Order and
//! bytes are those of kmod's depmod.
//!
//! ```
//! use kbt_depmod::{Config, FactsBuilder, Messages, Modules, Options, Output, build};
//!
//! # fn main() -> Result<(), kbt_depmod::TooMuchText> {
//! let mut modules = Modules::new(b"/lib/modules/6.1");
//! for path in [b"/lib/modules/6.1/kernel/disk.ko", b"/lib/modules/6.1/kernel/core.ko"] {
//!     modules.offer(path, 0, &Config::default());
//! }
//! modules.sort();
//! // Of files they come from `read_module`.
//! let mut facts = Vec::new();
//! for module in modules.iter() {
//!     let mut builder = FactsBuilder::new();
//!     match module.name {
//!         b"core" => builder.push_export(b"start_disk", 0),
//!         _ => builder.push_import(b"start_disk", 0, false),
//!     }
//!     facts.push(builder.finish()?);
//! }
//! let facts: Vec<_> = facts.iter().map(|facts| facts.view()).collect();
//! let built = build(&modules, &facts, &Options::default(), &mut Messages::default());
//! let text = built.outputs.as_ref().and_then(|outputs| outputs.get(Output::Dep)).unwrap_or_default();
//! assert!(text.split(|&byte| byte == b'\n').any(|line| line == b"kernel/disk.ko: kernel/core.ko"));
//! # Ok(())
//! # }
//! ```

mod build;
mod builtin;
mod cache;
mod config;
mod cycles;
mod dependencies;
mod device_node;
mod digest;
mod facts;
mod hash;
mod index;
mod kernel;
mod lines;
mod message;
mod modules;
mod name_hash;
mod names;
mod options;
mod order;
mod outputs;
mod pattern;
mod read;
mod resolution;
mod symbols;
mod wants;

pub use build::{Built, build, dependencies};
pub use cache::{
    CACHE_HEAD, Cache, CacheEntry, FileIdentity, KnownFile, REGIONS, Region, WANTS, write_cache,
};
pub use config::Config;
pub use dependencies::Dependencies;
pub use digest::Digest;
pub use facts::{
    Checksums, Export, Facts, FactsBuilder, Import, KINDS, Kind, MAX_TEXT, ModuleFacts, TooMuchText,
};
pub use index::{
    Duplicate, Entries, Entry, Index, IndexBuilder, Layout, ReadError as IndexError, WriteError,
};
pub use kernel::KernelSymbols;
pub use message::{Level, Messages};
pub use modules::{MAX_MODULES, ModuleFile, Modules, Offer};
pub use names::{base_name, has_module_extension, normalize_alias, push_module_name};
pub use options::{Options, Reuse};
pub use outputs::{InputChecksums, Output, Outputs};
pub use read::{MAX_SECTIONS, ModuleReader, ReadError, ReadErrorKind, SourceError, read_module};
pub use resolution::{Carried, Drift, Resolution};
pub use wants::Exported;
