//! What the `kbt dtbo` commands and mkdtboimg's stand-in share.

pub mod build;
pub mod config;
pub mod entries;
pub mod entry_word;
pub mod image;
pub mod manifest;
pub mod property;
pub mod select;
