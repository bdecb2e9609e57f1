//! Entries of an image as files.

use std::ffi::OsStr;
use std::path::PathBuf;

use kbt_dtbo_image::DtTable;

use crate::dtbo::image::{self, Budget};
use crate::output::Set;
use crate::report::Failure;

/// Adds each entry as `PREFIX.N`; with a limit decompressed to at most that many bytes.
pub fn add_entries(
    table: &DtTable<'_>,
    prefix: &OsStr,
    limit: Option<usize>,
    files: &mut Set<'_>,
) -> Result<(), Failure> {
    let mut budget = Budget::new(table, limit.unwrap_or(0));
    for index in 0..table.entries().len() {
        let path = entry_path(prefix, index);
        if limit.is_some() {
            files.add(&path, &image::content(table, index, &mut budget)?.bytes)?;
        } else {
            let stored = table.stored(index).unwrap_or_default();
            budget.take_plain(stored.len())?;
            files.add(&path, stored)?;
        }
    }
    Ok(())
}

/// The name of an entry's file.
pub fn entry_path(prefix: &OsStr, index: usize) -> PathBuf {
    let mut name = prefix.to_owned();
    name.push(format!(".{index}"));
    PathBuf::from(name)
}
