//! `kbt dtbo list`.

use std::fmt::Write as _;

use kbt_dtbo_image::{CompressionFormat, DtTable};
use serde_json::{Value, json};

use crate::args::dtbo::List;
use crate::dtbo::image::{self, Budget};
use crate::dtbo::property;
use crate::input;
use crate::output::Output;
use crate::report::{Failure, Report};

/// One line an entry.
struct Line {
    index: usize,
    id: u32,
    rev: u32,
    offset: u32,
    stored: u32,
    compression: String,
    /// `None` where it cannot be decompressed.
    size: Option<usize>,
    compatible: Option<String>,
    model: Option<String>,
}

/// Prints the entries.
pub fn run(args: &List, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.image);
    let bytes = image::read(&args.image)?;
    let table = image::parse(&name, &bytes)?;
    let mut budget = Budget::new(&table, args.limit.max_size);
    let mut lines = Vec::with_capacity(table.entries().len());
    for index in 0..table.entries().len() {
        let (line, failure) = line(&table, index, &mut budget);
        lines.push(line);
        if let Some(failure) = failure {
            report.warn(failure.at_file(&name));
        }
    }
    if report.is_json() {
        report.field("entries", lines.iter().map(json).collect::<Vec<_>>());
        return Ok(());
    }
    Output::Stdout.write(text(&lines).as_bytes(), false)
}

/// What is to be said of an entry, and why its content cannot be had.
fn line(table: &DtTable<'_>, index: usize, budget: &mut Budget) -> (Line, Option<Failure>) {
    let entry = table.entries().get(index).copied().unwrap_or_default();
    let compression = match entry.compression() {
        CompressionFormat::Unknown(bits) => format!("unknown({bits})"),
        format => image::compression_of(format).map_or("none", kbt_compress::Compression::name).to_owned(),
    };
    let mut line = Line {
        index,
        id: entry.id,
        rev: entry.rev,
        offset: entry.dt_offset,
        stored: entry.dt_size,
        compression,
        size: None,
        compatible: None,
        model: None,
    };
    match image::content(table, index, budget) {
        Ok(content) => {
            line.size = Some(content.bytes.len());
            line.compatible = property::first_string(&content.bytes, "/", "compatible");
            line.model = property::first_string(&content.bytes, "/", "model");
            (line, None)
        }
        Err(failure) => (line, Some(failure)),
    }
}

fn text(lines: &[Line]) -> String {
    let mut text = format!(
        "{:>5}  {:>10}  {:>10}  {:>10}  {:>10}  {:<11}  {:>10}  {}\n",
        "index", "id", "rev", "offset", "stored", "compression", "size", "compatible, model"
    );
    for line in lines {
        let size = line.size.map_or_else(|| "-".to_owned(), |size| size.to_string());
        let names: Vec<&str> =
            [&line.compatible, &line.model].into_iter().flatten().map(String::as_str).collect();
        let names = if names.is_empty() { "-".to_owned() } else { names.join(", ") };
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>5}  {:>#10x}  {:>#10x}  {:>10}  {:>10}  {:<11}  {size:>10}  {names}",
            line.index, line.id, line.rev, line.offset, line.stored, line.compression
        );
    }
    text
}

fn json(line: &Line) -> Value {
    json!({
        "index": line.index,
        "id": line.id,
        "rev": line.rev,
        "offset": line.offset,
        "stored": line.stored,
        "compression": line.compression,
        "size": line.size,
        "compatible": line.compatible,
        "model": line.model,
    })
}
