//! `kbt dtbo unpack`.

use std::fs;
use std::path::Path;

use kbt_compress::{Compression, crc32};
use kbt_dtbo_image::{DtTable, Image, TableKind};

use crate::args::dtbo::Unpack;
use crate::depfile;
use crate::dtbo::image::{self, Budget, Content};
use crate::dtbo::manifest::{self, Manifest};
use crate::input;
use crate::inputs::Inputs;
use crate::output::Set;
use crate::report::{Failure, Report};

/// Takes the image apart. All files appear together.
pub fn run(args: &Unpack, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.image);
    let bytes = image::read(&args.image)?;
    let table = image::parse(&name, &bytes)?;
    let parts = Image::of(&table);
    // Everything that can be refused is, before the first file appears.
    let readable = check(&table, &parts, args.limit.max_size, &name, report)?;

    let mut inputs = Inputs::default();
    inputs.file(&args.image);
    let mut directory = Directory { path: &args.directory, files: Set::made_of(&inputs), names: Vec::new() };
    fs::create_dir_all(directory.path)
        .map_err(|error| Failure::io("make", directory.path.display(), &error))?;
    let mut manifest = header(&table, &parts, &bytes);
    // Decompressed once more, so that no more than one blob is held so.
    let mut budget = Budget::new(&table, args.limit.max_size);
    for (index, (blob, entry)) in parts.blobs.iter().zip(readable).enumerate() {
        let content = entry.map(|entry| image::content(&table, entry, &mut budget)).transpose()?;
        manifest.blobs.push(write_blob(&mut directory, table.header().kind, index, blob, content)?);
    }
    for gap in &parts.gaps {
        manifest.gaps.push(write_gap(&mut directory, gap)?);
    }
    if !parts.trailing.is_empty() {
        manifest.trailing = Some(directory.write("trailing.bin".to_owned(), parts.trailing)?);
    }
    directory.write(manifest::FILE.to_owned(), &manifest.to_bytes()?)?;
    // It appears with all the others, and what packs them again reads it.
    depfile::add_for(&args.depfile, &args.directory.join(manifest::FILE), &mut directory.files)?;
    report.field("entries", manifest.entries.len());
    directory.files.publish(args.sync)?;
    report.field("files", directory.names);
    Ok(())
}

struct Directory<'a> {
    path: &'a Path,
    files: Set<'a>,
    names: Vec<String>,
}

impl Directory<'_> {
    /// Adds a file and gives its name back.
    fn write(&mut self, name: String, bytes: &[u8]) -> Result<String, Failure> {
        self.files.add_name(&self.path.join(&name), bytes)?;
        self.names.push(name.clone());
        Ok(name)
    }
}

/// For each blob an entry by which its content can be had. A blob that cannot be decompressed is told of and kept as
/// it is stored, but one that grows past the limit stops the run.
fn check(
    table: &DtTable<'_>,
    parts: &Image<'_>,
    max_size: usize,
    name: &str,
    report: &mut Report,
) -> Result<Vec<Option<usize>>, Failure> {
    let mut first_entry: Vec<Option<usize>> = vec![None; parts.blobs.len()];
    for (index, entry) in parts.entries.iter().enumerate() {
        if let Some(first) = first_entry.get_mut(entry.blob) {
            first.get_or_insert(index);
        }
    }
    let mut budget = Budget::new(table, max_size);
    for slot in &mut first_entry {
        let Some(entry) = *slot else { continue };
        match image::content(table, entry, &mut budget) {
            Ok(content) if content.behind > 0 => {
                let message = format!("entry {entry}: {} bytes follow the compressed stream", content.behind);
                report.warn(Failure::new("bytes-behind-stream", message).at_file(name));
            }
            Ok(_) => {}
            Err(failure) if failure.code == image::TOO_LARGE => return Err(failure.at_file(name)),
            Err(failure) => {
                report.warn(failure.at_file(name).hint("its bytes are kept as they are stored"));
                *slot = None;
            }
        }
    }
    Ok(first_entry)
}

fn header(table: &DtTable<'_>, parts: &Image<'_>, bytes: &[u8]) -> Manifest {
    let version = table.header().version;
    let entries = parts.entries.iter().map(|entry| manifest::Entry {
        blob: entry.blob,
        id: manifest::hex(entry.id),
        rev: manifest::hex(entry.rev),
        flags: version.has_flags().then(|| manifest::hex(entry.flags)),
        custom: entry.custom.iter().take(version.custom_count()).copied().map(manifest::hex).collect(),
    });
    Manifest {
        kind: parts.layout.kind.name().to_owned(),
        version: version.number(),
        page_size: parts.layout.page_size,
        entries_offset: parts.entries_offset,
        total_size: parts.total_size,
        alignment: parts.layout.alignment,
        crc32: manifest::crc(crc32(bytes)),
        entries: entries.collect(),
        ..Manifest::new()
    }
}

fn write_blob(
    directory: &mut Directory<'_>,
    kind: TableKind,
    index: usize,
    blob: &kbt_dtbo_image::Blob<'_>,
    content: Option<Content<'_>>,
) -> Result<manifest::Blob, Failure> {
    let plain = match kind {
        TableKind::Dtb => format!("{index}.dtbo"),
        TableKind::Acpi => format!("{index}.aml"),
    };
    let (compression, suffix) = match &content {
        None => ("unknown", ".stored"),
        Some(content) => (content.compression.name(), suffix(content.compression)),
    };
    let stored = directory.write(format!("{plain}{suffix}"), blob.bytes)?;
    let content = match content {
        Some(content) if content.compression != Compression::None => {
            Some(directory.write(plain, &content.bytes)?)
        }
        _ => None,
    };
    Ok(manifest::Blob { offset: blob.offset, stored, compression: compression.to_owned(), content })
}

fn suffix(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "",
        Compression::Zlib => ".zlib",
        Compression::Gzip => ".gz",
        Compression::Lz4 => ".lz4",
    }
}

fn write_gap(directory: &mut Directory<'_>, gap: &kbt_dtbo_image::Gap<'_>) -> Result<manifest::Gap, Failure> {
    // Both lie inside total_size, which is 32 bits.
    let offset = u32::try_from(gap.offset).unwrap_or(u32::MAX);
    let size = u32::try_from(gap.bytes.len()).unwrap_or(u32::MAX);
    let file = match gap.bytes.iter().all(|&byte| byte == 0) {
        true => None,
        false => Some(directory.write(format!("gap-{offset}.bin"), gap.bytes)?),
    };
    Ok(manifest::Gap { offset, size, file })
}
