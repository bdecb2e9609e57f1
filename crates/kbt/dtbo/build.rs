//! From files and their options to an image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kbt_compress::{Compression, compress};
use kbt_dtbo_image::{
    CompressionFormat, EntryOptions, Field, Layout, PackEntry, Sharing, TableKind, TableVersion, Value, pack,
    share_any, share_first,
};

use super::image::{compression_of, format_of, refusal};
use super::property;
use crate::args::dtbo::Share;
use crate::input;
use crate::report::{Failure, Report};
use crate::workers::{self, Jobs};

/// The first word of a device tree.
const FDT_MAGIC: [u8; 4] = 0xd00d_feed_u32.to_be_bytes();
/// The largest page that an image is padded to, in bytes: more is a mistyped number.
const MAX_PADDING: u32 = 16 << 20;

/// A file and what was said about its entry.
#[derive(Debug, Clone)]
pub struct Source {
    /// The file, `-` for standard input.
    pub file: OsString,
    /// Fields of the entry, defaults included.
    pub options: EntryOptions,
    /// How it is to be stored, if that was said apart from the flags.
    pub compression: Option<Compression>,
}

/// What is the same for the whole image.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// Which magic.
    pub kind: TableKind,
    /// `None` for the lowest that holds what is asked for.
    pub version: Option<TableVersion>,
    /// Told to the boot loader, in bytes.
    pub page_size: u32,
    /// Of each entry's data, in bytes.
    pub alignment: u32,
    /// Whether to fill the file up to a whole number of pages.
    pub pad_to_page: bool,
    /// The compression of entries that state none.
    pub compression: Option<Compression>,
    /// Which entries share their bytes.
    pub share: Share,
    /// Whether fields that the version lacks are dropped with a warning, as mkdtboimg drops them without one.
    pub drop_fields: bool,
}

/// A file that was read, and its entry.
struct Entry {
    /// The file's real path, by which sharing goes.
    path: PathBuf,
    content: Arc<Vec<u8>>,
    name: String,
    compression: Compression,
    fields: PackEntry,
}

/// Reads the files, compresses each blob and joins the image.
pub fn build(
    sources: &[Source],
    request: &Request,
    jobs: Jobs,
    report: &mut Report,
) -> Result<Vec<u8>, Failure> {
    let mut entries = read(sources, request)?;
    let version = request.version.unwrap_or_else(|| lowest(&entries));
    for entry in &mut entries {
        fit(entry, version, request.drop_fields, report)?;
        if request.kind == TableKind::Dtb && !request.drop_fields && !entry.content.starts_with(&FDT_MAGIC) {
            report.warn(Failure::new("no-device-tree", "this is no device tree").at_file(&entry.name));
        }
    }
    let sharing = share(&entries, request.share);
    let blobs: Vec<&Entry> = sharing.first_entry.iter().filter_map(|&first| entries.get(first)).collect();
    let cost = |entry: &&Entry| time_to_compress(entry.compression, entry.content.len() as u64);
    let blobs = workers::map(jobs, report, "entries packed", &blobs, cost, |entry| stored(entry))?;
    for (entry, &blob) in entries.iter_mut().zip(&sharing.blob_of) {
        entry.fields.blob = blob;
    }
    let fields: Vec<PackEntry> = entries.iter().map(|entry| entry.fields).collect();
    let blobs: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let Request { kind, page_size, alignment, .. } = *request;
    let layout = Layout { kind, version, page_size, alignment };
    let mut image = pack(&layout, &fields, &blobs).map_err(|error| refusal(&error))?;
    if request.pad_to_page {
        pad(&mut image, page_size)?;
    }
    Ok(image)
}

/// Reads every file once, and the values that the trees themselves state.
fn read(sources: &[Source], request: &Request) -> Result<Vec<Entry>, Failure> {
    let mut contents: BTreeMap<PathBuf, Arc<Vec<u8>>> = BTreeMap::new();
    let mut entries = Vec::with_capacity(sources.len());
    for source in sources {
        let name = input::name(&source.file);
        // What has no real path (standard input) fails, if at all, when it is read.
        let path = fs::canonicalize(&source.file).unwrap_or_else(|_| PathBuf::from(&source.file));
        let content = match contents.get(&path) {
            Some(content) => Arc::clone(content),
            None => Arc::new(input::read(&source.file)?),
        };
        contents.insert(path.clone(), Arc::clone(&content));
        let mut fields = fields(&source.options, &content).map_err(|failure| failure.at_file(&name))?;
        let compression =
            compression(source, fields.flags, request).map_err(|failure| failure.at_file(&name))?;
        // Flags that version 0 has no room for stay as given: that they are lost is told by their value.
        if request.version != Some(TableVersion::V0) || compression != Compression::None {
            fields.flags = format_of(compression).in_flags(fields.flags);
        }
        entries.push(Entry { path, content, name, compression, fields });
    }
    Ok(entries)
}

fn fields(options: &EntryOptions, content: &[u8]) -> Result<PackEntry, Failure> {
    let mut entry = PackEntry::default();
    for (field, value) in options.fields() {
        let number = match value {
            Value::Number(number) => *number,
            Value::Property { node, property } => property::first_cell(content, node, property)?,
        };
        match field {
            Field::Id => entry.id = number,
            Field::Rev => entry.rev = number,
            Field::Flags => entry.flags = number,
            Field::Custom(index) => {
                if let Some(slot) = entry.custom.get_mut(index) {
                    *slot = number;
                }
            }
        }
    }
    Ok(entry)
}

/// How an entry is stored: as it says, else as its flags say, else as all entries are.
fn compression(source: &Source, flags: u32, request: &Request) -> Result<Compression, Failure> {
    // In version 0 there are no flags; that they are lost is told later.
    let flags = if request.version == Some(TableVersion::V0) { 0 } else { flags };
    let stated = CompressionFormat::of_flags(flags);
    let by_flags = compression_of(stated).ok_or_else(|| {
        let message = format!("flags {flags:#x} name compression {}, which is not known", flags & 0xf);
        Failure::new("unknown-compression", message)
            .hint("the low four bits are 0 none, 1 zlib, 2 gzip or 3 lz4")
    })?;
    match source.compression {
        Some(own) if by_flags != Compression::None && own != by_flags => {
            let message = format!("compression={own} contradicts flags {flags:#x}, which say {by_flags}");
            Err(Failure::usage(message).hint("leave the low four bits of the flags 0"))
        }
        Some(own) => Ok(own),
        None if by_flags != Compression::None => Ok(by_flags),
        None => Ok(request.compression.unwrap_or(Compression::None)),
    }
}

/// The lowest version that holds every field that is set.
fn lowest(entries: &[Entry]) -> TableVersion {
    let holds = |version: &TableVersion| entries.iter().all(|entry| lost(&entry.fields, *version).is_none());
    TableVersion::ALL.into_iter().find(holds).unwrap_or(TableVersion::V2)
}

/// The first field that is set and that a version cannot hold.
fn lost(fields: &PackEntry, version: TableVersion) -> Option<Field> {
    if fields.flags != 0 && !version.has_flags() {
        return Some(Field::Flags);
    }
    let custom = fields.custom.iter().enumerate().skip(version.custom_count());
    custom.into_iter().find(|(_, value)| **value != 0).map(|(index, _)| Field::Custom(index))
}

/// Refuses or drops what the version cannot hold.
fn fit(entry: &mut Entry, version: TableVersion, drop: bool, report: &mut Report) -> Result<(), Failure> {
    while let Some(field) = lost(&entry.fields, version) {
        let message = format!("an image of version {version} has no {field}");
        let failure = Failure::new("not-in-version", message).at_file(&entry.name);
        if !drop {
            return Err(match entry.compression {
                Compression::None => failure.hint("leave --version out, or leave the field out"),
                format => failure.hint(format!("{format} needs version 1 or 2: leave --version out")),
            });
        }
        report.warn(failure.hint(format!("the value of {field} is dropped")));
        match field {
            Field::Custom(index) => {
                if let Some(word) = entry.fields.custom.get_mut(index) {
                    *word = 0;
                }
            }
            _ => entry.fields.flags = 0,
        }
    }
    Ok(())
}

fn share(entries: &[Entry], share: Share) -> Sharing {
    match share {
        Share::Path => share_first(entries.iter().map(|entry| (&entry.path, entry.compression))),
        Share::Content => share_any(entries.iter().map(|entry| (&entry.content, entry.compression))),
        Share::None => Sharing::none(entries.len()),
    }
}

/// About how long it takes to compress `size` bytes, as measured on device trees: zlib needs 37 ns a byte.
pub fn time_to_compress(compression: Compression, size: u64) -> Duration {
    let tenths = match compression {
        Compression::None => 1,
        Compression::Lz4 => 20,
        Compression::Zlib | Compression::Gzip => 370,
    };
    Duration::from_nanos(size.saturating_mul(tenths) / 10)
}

/// The pure step of one entry: its bytes as they are stored.
fn stored(entry: &Entry) -> Result<Vec<u8>, Failure> {
    compress(entry.compression, &entry.content)
        .map_err(|error| Failure::new("compressor", error.to_string()).at_file(&entry.name))
}

fn pad(image: &mut Vec<u8>, page_size: u32) -> Result<(), Failure> {
    if page_size == 0 || page_size > MAX_PADDING {
        return Err(Failure::usage(format!("an image is not padded to pages of {page_size} bytes"))
            .hint(format!("give a --page-size of at most {MAX_PADDING}")));
    }
    image.resize(image.len().next_multiple_of(page_size as usize), 0);
    Ok(())
}
