//! Entries of a DTBO image: counted, found by id, described, and loaded.

use core::mem::size_of;

use kbt_dtbo_image::{CompressionFormat, DtTable, DtTableEntry, MAX_CUSTOM};

use crate::bound;
use crate::error::{Code, KbtError, Problem};
use crate::host::{Buffer, Workspace};
use crate::inflate::{self, Format};

/// What an entry may grow to where the caller sets no limit, in bytes.
const DEFAULT_MAX_SIZE: usize = 64 << 20;

/// `struct kbt_image_entry` of the header.
#[repr(C)]
pub struct Entry {
    /// Where its stored bytes are in the image.
    offset: u32,
    /// How many they are.
    size: u32,
    id: u32,
    rev: u32,
    flags: u32,
    /// `KBT_COMPRESSION_*`.
    compression: u32,
    custom: [u32; MAX_CUSTOM],
}

/// How many entries there are.
pub fn count(image: &[u8]) -> Result<u32, Problem> {
    with_table(image, |table| Ok(table.header().dt_entry_count))
}

/// The first entry with this id, from entry `from` on.
pub fn find(image: &[u8], id: u32, from: u32) -> Result<u32, Problem> {
    with_table(image, |table| {
        let mut rest = (0..).zip(table.entries()).skip(from as usize);
        let found = rest.find(|(_, entry)| entry.id == id).map(|(index, _)| index);
        found.ok_or_else(|| {
            KbtError::new(Code::NoEntry, format_args!("no entry from {from} on has the id {id:#x}"))
        })
    })
}

/// What the table says of entry `index`.
pub fn entry(image: &[u8], index: u32) -> Result<Entry, Problem> {
    with_table(image, |table| {
        let (entry, _) = at(table, index)?;
        let DtTableEntry { dt_offset, dt_size, id, rev, flags, custom } = *entry;
        Ok(Entry { offset: dt_offset, size: dt_size, id, rev, flags, compression: flags & 15, custom })
    })
}

/// The content of entry `index`, of at most `max_size` bytes; 0 stands for 64 MiB.
pub fn load(image: &[u8], index: u32, max_size: usize) -> Result<Buffer, Problem> {
    let limit = if max_size == 0 { DEFAULT_MAX_SIZE } else { max_size };
    let (format, stored, offset) = with_table(image, |table| {
        let (entry, stored) = at(table, index)?;
        let offset = entry.dt_offset as usize;
        match entry.compression() {
            CompressionFormat::None => Ok((None, stored, offset)),
            CompressionFormat::Zlib | CompressionFormat::Gzip => {
                Ok((Some(Format::detect(stored)), stored, offset))
            }
            CompressionFormat::Lz4 | CompressionFormat::Unknown(_) => {
                let flags = entry.flags & 15;
                let text = format_args!("entry {index}: compression {flags} is not known here, 1 and 2 are");
                Err(KbtError::new(Code::Compression, text).at(Some(offset)))
            }
        }
    })?;
    let too_large = || {
        let text = format_args!("entry {index}: more than {limit} bytes would come out");
        KbtError::new(Code::TooLarge, text).at(Some(offset))
    };
    let Some(format) = format else {
        if stored.len() > limit {
            return Err(too_large());
        }
        let mut buffer = Buffer::new(stored.len())?;
        buffer.bytes_mut().copy_from_slice(stored);
        return Ok(buffer);
    };
    let _workspace = Workspace::enter(bound::of_inflate())?;
    let corrupt = |error: inflate::Error| match error.kind {
        inflate::ErrorKind::TooLarge => too_large(),
        kind => {
            let text = format_args!("entry {index}: {kind} (at byte {})", offset + error.offset);
            KbtError::new(Code::Compression, text).at(Some(offset + error.offset))
        }
    };
    let size = inflate::size(format, stored, limit).map_err(corrupt)?;
    let mut buffer = Buffer::new(size)?;
    inflate::into(format, stored, buffer.bytes_mut()).map_err(corrupt)?;
    Ok(buffer)
}

fn with_table<'a, T>(
    image: &'a [u8],
    look: impl FnOnce(&DtTable<'a>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let _workspace = Workspace::enter(bound::of_image(image))?;
    match DtTable::parse(image) {
        Ok(table) => look(&table),
        Err(error) => {
            let text = format_args!("{error} (at byte {})", error.offset);
            Err(KbtError::new(Code::Image, text).at(Some(error.offset)))
        }
    }
}

fn at<'t, 'a>(table: &'t DtTable<'a>, index: u32) -> Result<(&'t DtTableEntry, &'a [u8]), Problem> {
    let found = table.entries().get(index as usize).zip(table.stored(index as usize));
    found.ok_or_else(|| {
        let count = table.entries().len();
        KbtError::new(Code::NoEntry, format_args!("there is no entry {index}, the image has {count}"))
    })
}

// The header states these sizes.
const _: () = assert!(size_of::<Entry>() == 68);
