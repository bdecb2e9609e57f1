//! An image taken apart and joined again: the very bytes while nothing changed size, a new layout otherwise.

use alloc::vec::Vec;

use crate::pack::{PackEntry, offset, place};
use crate::read::Gap;
use crate::table::{COMPRESSION_MASK, HEADER_SIZE};
use crate::{DtTable, DtTableHeader, Error, ErrorKind, Layout, share_any};

/// The largest alignment that is supposed behind the gaps of an image and kept, in bytes.
const MAX_ALIGNMENT: u32 = 4096;

/// The parts of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image<'a> {
    /// What the header states, and the alignment that the blobs show.
    pub layout: Layout,
    /// Where the table starts, in bytes.
    pub entries_offset: u32,
    /// What the header states, in bytes.
    pub total_size: u32,
    /// The table, its offsets and sizes left out.
    pub entries: Vec<PackEntry>,
    /// What the entries point at; entries of one range and compression share a blob.
    pub blobs: Vec<Blob<'a>>,
    /// Bytes that belong to nothing.
    pub gaps: Vec<Gap<'a>>,
    /// What follows `total_size`.
    pub trailing: &'a [u8],
}

/// Stored bytes, and where they lay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a> {
    /// Byte offset in the old image; `None` for a blob that it did not have.
    pub offset: Option<u32>,
    /// What is to be stored.
    pub bytes: &'a [u8],
}

/// What [`repack`] made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repacked {
    /// The image with what follows it.
    pub bytes: Vec<u8>,
    /// Whether offsets had to be computed anew.
    pub moved: bool,
    /// Whether what followed `total_size` was left out: it described a layout that is gone.
    pub trailing_dropped: bool,
}

impl<'a> Image<'a> {
    /// Takes an image apart.
    pub fn of(table: &DtTable<'a>) -> Self {
        let header = table.header();
        let places = table.entries().iter();
        let places = places.map(|entry| (entry.dt_offset, entry.dt_size, entry.flags & COMPRESSION_MASK));
        let sharing = share_any(places);
        let entries = table.entries().iter().zip(&sharing.blob_of);
        let entries = entries.map(|(entry, &blob)| PackEntry {
            blob,
            id: entry.id,
            rev: entry.rev,
            flags: entry.flags,
            custom: entry.custom,
        });
        let entries = entries.collect();
        let blobs: Vec<_> = sharing.first_entry.iter().map(|&entry| blob(table, entry)).collect();
        let gaps = table.gaps();
        Self {
            layout: Layout {
                kind: header.kind,
                version: header.version,
                page_size: header.page_size,
                alignment: alignment(&blobs, &gaps, header.dt_entries_offset),
            },
            entries_offset: header.dt_entries_offset,
            total_size: header.total_size,
            entries,
            blobs,
            gaps,
            trailing: table.trailing(),
        }
    }

    fn header(&self, total_size: usize, entries_offset: usize) -> Result<DtTableHeader, Error> {
        Ok(DtTableHeader {
            kind: self.layout.kind,
            total_size: offset(Some(total_size))?,
            dt_entry_count: offset(Some(self.entries.len()))?,
            dt_entries_offset: offset(Some(entries_offset))?,
            page_size: self.layout.page_size,
            version: self.layout.version,
        })
    }

    fn table(&self, places: &[(u32, u32)]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(self.table_size());
        for (index, entry) in self.entries.iter().enumerate() {
            let version = self.layout.version;
            place(index, entry, version, places)?.write(version, &mut bytes);
        }
        Ok(bytes)
    }

    fn table_size(&self) -> usize {
        self.entries.len() * self.layout.version.entry_size() as usize
    }
}

/// Joins the parts.
///
/// Where every part fits the place it had, the result is the old image with the parts' bytes, whatever its
/// layout was: gaps, shared, overlapping and unaligned data. Otherwise (a blob changed its size, parts that
/// overlap no longer agree, an entry came or went) the blobs keep their order and alignment and move together:
/// gaps of zeros are made anew by the alignment, other gaps stay before the blob that they preceded.
///
/// What follows `total_size` is kept where that did not change. Where it did, uniform padding is fitted to keep
/// the file's length, and anything else (an AVB footer) is dropped, for it states offsets of the old layout.
///
/// # Errors
///
/// An entry that names no blob or sets what its version cannot hold, more than 4 GiB.
pub fn repack(image: &Image<'_>) -> Result<Repacked, Error> {
    if let Some(mut bytes) = in_place(image)? {
        bytes.extend_from_slice(image.trailing);
        return Ok(Repacked { bytes, moved: false, trailing_dropped: false });
    }
    let mut bytes = moved(image)?;
    let mut trailing_dropped = false;
    if bytes.len() == image.total_size as usize {
        bytes.extend_from_slice(image.trailing);
    } else {
        trailing_dropped = !fit_padding(&mut bytes, image);
    }
    Ok(Repacked { bytes, moved: true, trailing_dropped })
}

/// The old layout, if all parts agree with it: no hole, no two contents for one byte, the stated size.
fn in_place(image: &Image<'_>) -> Result<Option<Vec<u8>>, Error> {
    let places: Option<Vec<_>> = image.blobs.iter().map(|blob| Some((blob.offset?, blob.bytes))).collect();
    let Some(places) = places else { return Ok(None) };
    let sizes: Result<Vec<_>, Error> =
        places.iter().map(|(start, bytes)| Ok((*start, offset(Some(bytes.len()))?))).collect();
    let header = image.header(image.total_size as usize, image.entries_offset as usize)?.to_bytes();
    let table = image.table(&sizes?)?;

    let mut parts: Vec<(usize, &[u8])> = Vec::with_capacity(places.len() + image.gaps.len() + 2);
    parts.push((0, &header));
    parts.push((image.entries_offset as usize, &table));
    parts.extend(places.iter().map(|(start, bytes)| (*start as usize, *bytes)));
    parts.extend(image.gaps.iter().map(|gap| (gap.offset, gap.bytes)));
    parts.sort_by_key(|(start, _)| *start);

    let mut out = room(image)?;
    for (start, bytes) in parts {
        // An empty entry may point anywhere, even past the parts joined so far.
        if bytes.is_empty() {
            continue;
        }
        let Some(written) = out.get(start..) else { return Ok(None) };
        let common = written.len().min(bytes.len());
        let (again, new) = bytes.split_at(common);
        if written.get(..common) != Some(again) {
            return Ok(None);
        }
        out.extend_from_slice(new);
    }
    Ok((out.len() == image.total_size as usize).then_some(out))
}

/// Room for all parts of the image.
fn room(image: &Image<'_>) -> Result<Vec<u8>, Error> {
    let parts = image.blobs.iter().map(|blob| blob.bytes).chain(image.gaps.iter().map(|gap| gap.bytes));
    let size =
        parts.fold(image.table_size() + HEADER_SIZE as usize, |size, part| size.saturating_add(part.len()));
    let mut out = Vec::new();
    out.try_reserve_exact(size).map_err(|_| Error::new(ErrorKind::NoMemory, 0))?;
    Ok(out)
}

/// A new layout.
fn moved(image: &Image<'_>) -> Result<Vec<u8>, Error> {
    let mut out = room(image)?;
    out.resize(HEADER_SIZE as usize, 0);
    let before_table = image.gaps.iter().filter(|gap| gap.offset < image.entries_offset as usize);
    before_table.for_each(|gap| out.extend_from_slice(gap.bytes));
    let table_start = out.len();
    out.resize(table_start + image.table_size(), 0);

    let mut order: Vec<usize> = (0..image.blobs.len()).collect();
    // New blobs go last: None would sort first.
    let old_offset = |index: &usize| image.blobs.get(*index).and_then(|blob| blob.offset);
    order.sort_by_key(|index| old_offset(index).map_or((1, 0), |offset| (0, offset)));
    let mut gaps = image
        .gaps
        .iter()
        .filter(|gap| gap.offset >= image.entries_offset as usize && gap.bytes.iter().any(|&byte| byte != 0));
    let alignment = image.layout.alignment.clamp(1, MAX_ALIGNMENT) as usize;
    let mut next_gap = gaps.next();
    let mut places = alloc::vec![(0, 0); image.blobs.len()];
    for index in order {
        let Some(blob) = image.blobs.get(index) else { continue };
        while let Some(gap) = next_gap
            && blob.offset.is_none_or(|start| gap.offset <= start as usize)
        {
            out.extend_from_slice(gap.bytes);
            next_gap = gaps.next();
        }
        out.resize(out.len().next_multiple_of(alignment), 0);
        if let Some(slot) = places.get_mut(index) {
            *slot = (offset(Some(out.len()))?, offset(Some(blob.bytes.len()))?);
        }
        out.extend_from_slice(blob.bytes);
    }
    for gap in next_gap.into_iter().chain(gaps) {
        out.extend_from_slice(gap.bytes);
    }

    let header = image.header(out.len(), table_start)?.to_bytes();
    let table = image.table(&places)?;
    for (start, bytes) in [(0, &header[..]), (table_start, &table)] {
        if let Some(slot) = out.get_mut(start..start + bytes.len()) {
            slot.copy_from_slice(bytes);
        }
    }
    Ok(out)
}

/// Pads `bytes` to the length that the old file had; false where what followed was no padding.
fn fit_padding(bytes: &mut Vec<u8>, image: &Image<'_>) -> bool {
    let Some((&fill, rest)) = image.trailing.split_first() else { return true };
    if rest.iter().any(|&byte| byte != fill) {
        return false;
    }
    let length = image.total_size as usize + image.trailing.len();
    bytes.resize(bytes.len().max(length), fill);
    true
}

fn blob<'a>(table: &DtTable<'a>, entry: usize) -> Blob<'a> {
    let offset = table.entries().get(entry).map(|entry| entry.dt_offset);
    Blob { offset, bytes: table.stored(entry).unwrap_or_default() }
}

/// The power of two that explains gaps of zeros between blobs; 1 where there are none.
fn alignment(blobs: &[Blob<'_>], gaps: &[Gap<'_>], entries_offset: u32) -> u32 {
    let padded = gaps
        .iter()
        .any(|gap| gap.offset >= entries_offset as usize && gap.bytes.iter().all(|&byte| byte == 0));
    if !padded {
        return 1;
    }
    let offsets = blobs.iter().filter(|blob| !blob.bytes.is_empty()).filter_map(|blob| blob.offset);
    let bits = offsets.fold(MAX_ALIGNMENT, |bits, offset| bits | offset);
    1 << bits.trailing_zeros()
}
