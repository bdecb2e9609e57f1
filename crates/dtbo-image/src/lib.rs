//! The Android DTBO partition image: table, pack, unpack, mkdtboimg configuration.
//!
//! An image is a header, a table of entries and the device trees (or ACPI tables) that the entries point at,
//! stored as they are or compressed. Layout: AOSP `system/libufdt`, `utils/src/dt_table.h`; the project's
//! docs/formats/dtbo.md says where kbt differs from AOSP's packer.
//!
//! The crate is pure and does not compress: it deals in *stored* bytes. Who packs compresses each blob first (one
//! pure step an entry), then calls [`pack()`] (one pure step that joins).

#![no_std]

extern crate alloc;

mod config;
mod dump;
mod error;
mod number;
mod options;
mod pack;
mod read;
mod repack;
mod share;
mod table;
mod trailer;

pub use config::{Config, ConfigEntry, ConfigError, ConfigErrorKind};
pub use error::{Error, ErrorKind};
pub use number::{Value, parse_number, parse_size};
pub use options::{EntryOptions, Field};
pub use pack::{Layout, PackEntry, pack};
pub use read::{DtTable, Gap};
pub use repack::{Blob, Image, Repacked, repack};
pub use share::{Sharing, share_any, share_first};
pub use table::{
    CompressionFormat, DEFAULT_PAGE_SIZE, DtTableEntry, DtTableHeader, HEADER_SIZE, MAX_CUSTOM, TableKind,
    TableVersion,
};
pub use trailer::{AVB_FOOTER_SIZE, AvbFooter};
