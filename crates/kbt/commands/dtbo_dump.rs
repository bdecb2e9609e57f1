//! `kbt dtbo dump`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kbt_dtbo_image::{DtTable, DtTableEntry, HEADER_SIZE, TableVersion};
use serde_json::{Value, json};

use crate::args::dtbo::Dump;
use crate::depfile::Depfile;
use crate::dtbo::image::{self, Budget};
use crate::input;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};

/// Prints the table and what follows the image.
pub fn run(args: &Dump, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.image);
    let bytes = image::read(&args.image)?;
    let table = image::parse(&name, &bytes)?;
    let output = Output::parse(&args.output);
    check_targets(&table, &args.image, args.prefix.as_deref(), &output)?;
    let mut files = Set::default();
    let mut depfile = Depfile::new(&args.depfile);
    depfile.input(&args.image);
    match (&args.prefix, &output) {
        // The first entry stands for all of them: they appear together.
        (Some(prefix), Output::Stdout) => depfile.add_for(&entry_path(prefix, 0), &mut files)?,
        _ => depfile.add(&output, &mut files)?,
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

/// Adds each entry as `PREFIX.N`; with a limit decompressed to at most that many bytes.
pub fn add_entries(
    table: &DtTable<'_>,
    prefix: &OsStr,
    limit: Option<usize>,
    files: &mut Set,
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

fn entry_path(prefix: &OsStr, index: usize) -> PathBuf {
    let mut name = prefix.to_owned();
    name.push(format!(".{index}"));
    PathBuf::from(name)
}

/// Refuses what can be told to fail, or to overwrite a file of the same run, before the first file is written.
///
/// # Errors
///
/// A directory where a file is to be, a directory that is missing, and a file that is to be two of these: the image,
/// the text, an entry.
pub fn check_targets(
    table: &DtTable<'_>,
    image: &OsStr,
    prefix: Option<&OsStr>,
    output: &Output,
) -> Result<(), Failure> {
    let image = fs::canonicalize(image).ok().filter(|image| image.is_file());
    let text = match output {
        Output::File(path) => Some(writable(path)?),
        Output::Stdout => None,
    };
    if let (Output::File(path), true) = (output, text.is_some() && text == image) {
        return Err(taken(path, "the image itself", "name another file with -o"));
    }
    let Some(prefix) = prefix else { return Ok(()) };
    for index in 0..table.entries().len() {
        let path = entry_path(prefix, index);
        let target = Some(writable(&path)?);
        if target == image {
            return Err(taken(&path, "the image itself", "name another prefix with -b"));
        }
        if target == text {
            return Err(taken(&path, "where the text goes", "name another file with -o"));
        }
    }
    Ok(())
}

fn taken(path: &Path, what: &str, hint: &str) -> Failure {
    Failure::usage(format!("this is {what}")).at_file(path.display()).hint(hint)
}

/// The real path of a file that is to be written, whether it is there or not.
fn writable(path: &Path) -> Result<PathBuf, Failure> {
    let failure = |error: io::Error| Failure::io("write", path.display(), &error);
    match fs::canonicalize(path) {
        Ok(real) if real.is_dir() => Err(failure(io::Error::from(io::ErrorKind::IsADirectory))),
        Ok(real) => Ok(real),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // A link that leads nowhere is no directory that is missing: what it names is made.
            if fs::symlink_metadata(path).is_ok() {
                return Ok(path.to_owned());
            }
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            let directory = fs::canonicalize(parent.unwrap_or(Path::new("."))).map_err(failure)?;
            Ok(directory.join(path.file_name().unwrap_or_default()))
        }
        Err(error) => Err(failure(error)),
    }
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
