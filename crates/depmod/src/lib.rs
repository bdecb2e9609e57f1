//! What depmod makes of a directory of kernel modules.
//!
//! Two pure steps: [`read_module`] takes the [`ModuleFacts`] out of one module's bytes, and [`build()`] joins the facts of all
//! into the files that modprobe reads. No file is opened here, nothing is printed, no thread is made.
//!
//! [`Modules`] says which files are modules and in which order, [`Config`] which of two files of one name wins. Order and
//! bytes are those of kmod's depmod.

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
mod order;
mod outputs;
mod pattern;
mod read;
mod symbols;

pub use build::{Built, Options, Reuse, build, dependencies};
pub use cache::{CACHE_HEAD, Cache, CacheEntry, FileIdentity, KnownFile, Region, Resolution, write_cache};
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
pub use outputs::{InputChecksums, Output, Outputs};
pub use read::{MAX_SECTIONS, ModuleReader, ReadError, ReadErrorKind, SourceError, read_module};
