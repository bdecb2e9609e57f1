//! The Android DTBO partition image: table, pack, unpack, mkdtboimg configuration.
//!
//! An image is a header, a table of entries and the device trees (or ACPI tables) that the entries point at,
//! stored as they are or compressed. Layout: AOSP `system/libufdt`, `utils/src/dt_table.h`; the project's
//! docs/formats/dtbo.md says where kbt differs from AOSP's packer.
//!
//! The crate is pure and does not compress: it deals in *stored* bytes. Who packs compresses each blob first (one
//! pure step an entry), then calls [`pack()`] (one pure step that joins).
//!
//! ```
//! use kbt_dtbo_image::{DEFAULT_PAGE_SIZE, DtTable, Layout, PackEntry, TableKind, TableVersion, pack};
//!
//! # fn main() -> Result<(), kbt_dtbo_image::Error> {
//! let layout =
//!     Layout { kind: TableKind::Dtb, version: TableVersion::V1, page_size: DEFAULT_PAGE_SIZE, alignment: 1 };
//! // Two entries that share one blob.
//! let entries = [7, 8].map(|id| PackEntry { id, ..PackEntry::default() });
//! let image = pack(&layout, &entries, &[b"a device tree"])?;
//! let table = DtTable::parse(&image)?;
//! assert_eq!(table.entries().iter().map(|entry| entry.id).collect::<Vec<_>>(), [7, 8]);
//! assert_eq!(table.stored(1), Some(&b"a device tree"[..]));
//! # Ok(())
//! # }
//! ```

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
