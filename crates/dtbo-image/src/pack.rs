//! A new image from blobs and entries: every range is reserved first, then written in the same order.

use alloc::vec::Vec;

use crate::table::{HEADER_SIZE, MAX_CUSTOM};
use crate::{DtTableEntry, DtTableHeader, Error, ErrorKind, TableKind, TableVersion};

/// What is the same for the whole image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Which magic the image gets.
    pub kind: TableKind,
    /// Which entries it gets.
    pub version: TableVersion,
    /// Bytes, told to the boot loader; nothing is aligned by it.
    pub page_size: u32,
    /// Every blob starts at a multiple of this many bytes; mkdtboimg's is 1.
    pub alignment: u32,
}

/// One entry to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PackEntry {
    /// The blob that it points at, an index into those given to [`pack()`].
    pub blob: usize,
    /// See [`DtTableEntry::id`].
    pub id: u32,
    /// See [`DtTableEntry::rev`].
    pub rev: u32,
    /// See [`DtTableEntry::flags`]; must be 0 in version 0.
    pub flags: u32,
    /// See [`DtTableEntry::custom`]; must be 0 where the version has no such word.
    pub custom: [u32; MAX_CUSTOM],
}

/// Joins header, table and blobs. `blobs` are the bytes as they are to be stored, in the order of the image.
///
/// # Errors
///
/// No entry at all, a blob that is not there, a field that the version cannot hold, more than 4 GiB.
pub fn pack(layout: &Layout, entries: &[PackEntry], blobs: &[&[u8]]) -> Result<Vec<u8>, Error> {
    if entries.is_empty() {
        return Err(Error::packing(ErrorKind::NoEntries));
    }
    let table_size = entries.len().saturating_mul(layout.version.entry_size() as usize);
    let mut places = Vec::with_capacity(blobs.len());
    let mut end = (HEADER_SIZE as usize).checked_add(table_size);
    for blob in blobs {
        let start = end.and_then(|end| end.checked_next_multiple_of(layout.alignment.max(1) as usize));
        end = start.and_then(|start| start.checked_add(blob.len()));
        places.push((offset(start)?, offset(Some(blob.len()))?));
    }
    let total_size = offset(end)?;
    let header = DtTableHeader {
        kind: layout.kind,
        total_size,
        dt_entry_count: offset(Some(entries.len()))?,
        dt_entries_offset: HEADER_SIZE,
        page_size: layout.page_size,
        version: layout.version,
    };

    let mut image = Vec::with_capacity(total_size as usize);
    image.extend_from_slice(&header.to_bytes());
    for (index, entry) in entries.iter().enumerate() {
        place(index, entry, layout.version, &places)?.write(layout.version, &mut image);
    }
    for (blob, (start, _)) in blobs.iter().zip(&places) {
        image.resize(*start as usize, 0);
        image.extend_from_slice(blob);
    }
    Ok(image)
}

/// The table's entry for a [`PackEntry`], checked against what its version has.
pub(crate) fn place(
    index: usize,
    entry: &PackEntry,
    version: TableVersion,
    places: &[(u32, u32)],
) -> Result<DtTableEntry, Error> {
    let lost = |field| Error::packing(ErrorKind::NotInVersion { index, field, version });
    if entry.flags != 0 && !version.has_flags() {
        return Err(lost("flags"));
    }
    if entry.custom.iter().skip(version.custom_count()).any(|&word| word != 0) {
        return Err(lost("a custom word"));
    }
    let place = places.get(entry.blob).ok_or(Error::packing(ErrorKind::NoSuchBlob { index }))?;
    let (dt_offset, dt_size) = *place;
    let PackEntry { id, rev, flags, custom, .. } = *entry;
    Ok(DtTableEntry { dt_size, dt_offset, id, rev, flags, custom })
}

/// A position as the format stores it; `None` is one that overflowed.
pub(crate) fn offset(position: Option<usize>) -> Result<u32, Error> {
    position.and_then(|position| u32::try_from(position).ok()).ok_or(Error::packing(ErrorKind::TooLarge))
}
