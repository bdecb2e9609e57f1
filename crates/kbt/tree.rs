//! Reading a device tree, from wherever a command may be given one.

use std::ffi::OsStr;

use kbt_fdt::Header;

use crate::dtbo::image;
use crate::dtbo::select::EntryRef;
use crate::input;
use crate::report::Failure;

/// Reads a device tree: a file, standard input for `-`, or an entry of a DTBO image (`IMAGE#SELECTOR`), decompressed
/// to at most [`image::DEFAULT_MAX_SIZE`] bytes.
///
/// What follows the tree's stated size is no part of it and is not read.
pub fn read(word: &OsStr) -> Result<Vec<u8>, Failure> {
    match EntryRef::parse(word) {
        Some(reference) => image::read_entry(&reference, image::DEFAULT_MAX_SIZE),
        None => input::read_headed(word, |head| match Header::parse(head) {
            Ok(header) => u64::from(header.totalsize),
            Err(_) => 0,
        }),
    }
}
