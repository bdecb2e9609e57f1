//! `kbt dtbo dump`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::PathBuf;

use kbt_dtbo_image::{DtTable, DtTableEntry, HEADER_SIZE, TableVersion};
use serde_json::{Value, json};

use crate::args::dtbo::Dump;
use crate::dtbo::image::{self, Budget};
use crate::input;
use crate::output::{Output, replace};
use crate::report::{Failure, Report};

/// Prints the table and what follows the image.
pub fn run(args: &Dump, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.image);
    let bytes = image::read(&args.image)?;
    let table = image::parse(&name, &bytes)?;
    if let Some(prefix) = &args.prefix {
        let limit = args.decompress.then_some(args.limit.max_size);
        write_entries(&table, prefix, limit, args.sync).map_err(|failure| match failure.file {
            None => failure.at_file(&name),
            Some(_) => failure,
        })?;
    }
    if report.is_json() {
        report.field("header", header(&table));
        let entries = table.entries().iter().map(|entry| self::entry(entry, table.header().version));
        report.field("entries", entries.collect::<Vec<_>>());
        report.field("trailing", trailing_json(&table));
    }
    let output = Output::parse(&args.output);
    if report.is_json() && matches!(output, Output::Stdout) {
        return Ok(());
    }
    let text = table.to_string() + &trailing(&table);
    output.write(text.as_bytes(), args.sync)
}

/// Writes each entry to `PREFIX.N`; with a limit decompressed to at most that many bytes. Nothing is written
/// before every entry was read.
pub fn write_entries(
    table: &DtTable<'_>,
    prefix: &OsStr,
    limit: Option<usize>,
    sync: bool,
) -> Result<(), Failure> {
    let path = |index: usize| {
        let mut name = prefix.to_owned();
        name.push(format!(".{index}"));
        PathBuf::from(name)
    };
    // Twice over the entries, so that no more than one is held decompressed.
    if let Some(limit) = limit {
        let mut budget = Budget::new(table, limit);
        (0..table.entries().len())
            .try_for_each(|index| image::content(table, index, &mut budget).map(drop))?;
    }
    let mut budget = Budget::new(table, limit.unwrap_or(0));
    if limit.is_none() {
        (0..table.entries().len())
            .try_for_each(|index| budget.take_plain(table.stored(index).unwrap_or_default().len()))?;
    }
    for index in 0..table.entries().len() {
        let decompressed = limit.map(|_| image::content(table, index, &mut budget)).transpose()?;
        let bytes = match &decompressed {
            Some(content) => &content.bytes,
            None => table.stored(index).unwrap_or_default(),
        };
        let path = path(index);
        replace(&path, bytes, sync).map_err(|error| Failure::io("write", path.display(), &error))?;
    }
    Ok(())
}

/// What follows `total_size`, in the manner of the dump; nothing where nothing follows.
fn trailing(table: &DtTable<'_>) -> String {
    let mut text = String::new();
    let bytes = table.trailing();
    if bytes.is_empty() {
        return text;
    }
    let mut line = |name: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:>20} = {value}");
    };
    line("size", bytes.len() as u64);
    line("nonzero", bytes.iter().filter(|&&byte| byte != 0).count() as u64);
    if let Some(footer) = table.avb_footer() {
        line("avb_major", footer.version_major.into());
        line("avb_minor", footer.version_minor.into());
        line("original_image_size", footer.original_image_size);
        line("vbmeta_offset", footer.vbmeta_offset);
        line("vbmeta_size", footer.vbmeta_size);
    }
    format!("trailing:\n{text}")
}

fn trailing_json(table: &DtTable<'_>) -> Value {
    let footer = table.avb_footer().map(|footer| {
        json!({
            "version_major": footer.version_major,
            "version_minor": footer.version_minor,
            "original_image_size": footer.original_image_size,
            "vbmeta_offset": footer.vbmeta_offset,
            "vbmeta_size": footer.vbmeta_size,
        })
    });
    let bytes = table.trailing();
    json!({
        "size": bytes.len(),
        "nonzero": bytes.iter().filter(|&&byte| byte != 0).count(),
        "avb_footer": footer,
    })
}

fn header(table: &DtTable<'_>) -> Value {
    let header = table.header();
    json!({
        "type": header.kind.name(),
        "magic": header.kind.magic(),
        "total_size": header.total_size,
        "header_size": HEADER_SIZE,
        "dt_entry_size": header.version.entry_size(),
        "dt_entry_count": header.dt_entry_count,
        "dt_entries_offset": header.dt_entries_offset,
        "page_size": header.page_size,
        "version": header.version.number(),
    })
}

/// An entry's fields, those that its version has.
fn entry(entry: &DtTableEntry, version: TableVersion) -> Value {
    let mut value = json!({
        "dt_size": entry.dt_size,
        "dt_offset": entry.dt_offset,
        "id": entry.id,
        "rev": entry.rev,
        "custom": entry.custom.iter().take(version.custom_count()).collect::<Vec<_>>(),
    });
    if let (true, Some(fields)) = (version.has_flags(), value.as_object_mut()) {
        fields.insert("flags".to_owned(), entry.flags.into());
    }
    value
}
