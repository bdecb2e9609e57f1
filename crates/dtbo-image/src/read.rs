//! The checked reader: after [`DtTable::parse`] every range that it gives lies inside the image.

use alloc::vec::Vec;
use core::ops::Range;

use crate::table::HEADER_SIZE;
use crate::{AvbFooter, DtTableEntry, DtTableHeader, Error, ErrorKind};

/// A DTBO image, read and checked.
#[derive(Debug, Clone)]
pub struct DtTable<'a> {
    image: &'a [u8],
    header: DtTableHeader,
    entries: Vec<DtTableEntry>,
}

/// Bytes inside `total_size` that belong to nothing: no header, no table, no entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap<'a> {
    /// Byte offset in the image.
    pub offset: usize,
    /// What lies there, most often zeros.
    pub bytes: &'a [u8],
}

impl<'a> DtTable<'a> {
    /// Reads header and table and checks every size, offset and count against the image's length.
    ///
    /// Entries may lie unaligned, share bytes, overlap or be empty. Bytes may follow `total_size`: dumps of
    /// partitions carry padding and an AVB footer there.
    ///
    /// # Errors
    ///
    /// Names the first field that does not fit, with its byte offset.
    pub fn parse(image: &'a [u8]) -> Result<Self, Error> {
        let header = DtTableHeader::read(image)?;
        let total = header.total_size as usize;
        if total > image.len() {
            let kind = ErrorKind::Truncated { total_size: header.total_size, len: image.len() };
            return Err(Error::new(kind, 4));
        }
        let table = table_range(&header).filter(|table| table.end <= total);
        let table = table.and_then(|table| image.get(table)).ok_or_else(|| {
            let (offset, count) = (header.dt_entries_offset, header.dt_entry_count);
            Error::new(ErrorKind::TableOutside { offset, count }, 16)
        })?;
        let entry_size = header.version.entry_size() as usize;
        let mut entries = Vec::with_capacity(table.len() / entry_size);
        for (index, bytes) in (0u32..).zip(table.chunks_exact(entry_size)) {
            let entry = DtTableEntry::read(bytes, header.version);
            if range(&entry).is_none_or(|range| range.end > total) {
                let kind = ErrorKind::EntryOutside { index, offset: entry.dt_offset, size: entry.dt_size };
                let at = header.dt_entries_offset as usize + entries.len() * entry_size;
                return Err(Error::new(kind, at));
            }
            entries.push(entry);
        }
        Ok(Self { image, header, entries })
    }

    /// The header.
    pub fn header(&self) -> &DtTableHeader {
        &self.header
    }

    /// The entries in the table's order.
    pub fn entries(&self) -> &[DtTableEntry] {
        &self.entries
    }

    /// The bytes of entry `index` as they are stored, compressed or not; `None` past the last entry.
    pub fn stored(&self, index: usize) -> Option<&'a [u8]> {
        self.image.get(range(self.entries.get(index)?)?)
    }

    /// What lies between header, table, entries and `total_size`, in order.
    pub fn gaps(&self) -> Vec<Gap<'a>> {
        let mut used: Vec<_> = self.entries.iter().filter_map(range).collect();
        used.push(0..HEADER_SIZE as usize);
        used.extend(table_range(&self.header));
        used.sort_unstable_by_key(|range| range.start);
        let total = self.header.total_size as usize;
        used.push(total..total);
        let mut gaps = Vec::new();
        let mut end = 0;
        for range in used {
            if let Some(bytes) = self.image.get(end..range.start).filter(|bytes| !bytes.is_empty()) {
                gaps.push(Gap { offset: end, bytes });
            }
            end = end.max(range.end);
        }
        gaps
    }

    /// What follows `total_size`.
    pub fn trailing(&self) -> &'a [u8] {
        self.image.get(self.header.total_size as usize..).unwrap_or_default()
    }

    /// The AVB footer at the very end of the file, if there is one past `total_size`.
    pub fn avb_footer(&self) -> Option<AvbFooter> {
        AvbFooter::find(self.trailing())
    }
}

/// The bytes of the table; `None` where it overflows or starts inside the header.
pub(crate) fn table_range(header: &DtTableHeader) -> Option<Range<usize>> {
    let start = header.dt_entries_offset as usize;
    let size = (header.dt_entry_count as usize).checked_mul(header.version.entry_size() as usize)?;
    let end = start.checked_add(size)?;
    (start >= HEADER_SIZE as usize).then_some(start..end)
}

/// The bytes of an entry's data.
fn range(entry: &DtTableEntry) -> Option<Range<usize>> {
    let start = entry.dt_offset as usize;
    Some(start..start.checked_add(entry.dt_size as usize)?)
}
