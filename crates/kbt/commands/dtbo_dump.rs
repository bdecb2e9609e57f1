//! `kbt dtbo dump`.

use std::fmt::Write as _;

use kbt_dtbo_image::{DtTable, DtTableEntry, HEADER_SIZE, TableVersion};
use serde_json::{Value, json};

use crate::args::dtbo::Dump;
use crate::depfile;
use crate::dtbo::entries::{add_entries, entry_path};
use crate::dtbo::image;
use crate::input;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};

/// Prints the table and what follows the image.
pub fn run(args: &Dump, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.image);
    let bytes = image::read(&args.image)?;
    let table = image::parse(&name, &bytes)?;
    let output = Output::parse(&args.output);
    let mut inputs = Inputs::default();
    inputs.file(&args.image);
    let mut files = Set::made_of(&inputs);
    match (&args.prefix, &output) {
        // The first entry stands for all of them: they appear together.
        (Some(prefix), Output::Stdout) => {
            depfile::add_for(&args.depfile, &entry_path(prefix, 0), &mut files)?;
        }
        _ => depfile::add(&args.depfile, &output, &mut files)?,
    }
    if let Some(prefix) = &args.prefix {
        let limit = args.decompress.then_some(args.max_size);
        add_entries(&table, prefix, limit, &mut files)
            .map_err(|failure| failure.at_file_unless_named(&name))?;
    }
    if report.is_json() {
        report.field("header", header(&table));
        let entries = table.entries().iter().map(|entry| self::entry(entry, table.header().version));
        report.field("entries", entries.collect::<Vec<_>>());
        report.field("trailing", trailing_json(&table));
    }
    if report.is_json() && matches!(output, Output::Stdout) {
        return files.publish(args.sync);
    }
    let text = table.to_string() + &trailing(&table);
    output.write_with(files, text.as_bytes(), args.sync)
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
