//! `kbt kallsyms dump`.

use std::io::Write as _;

use kbt_elf::{Image, Pieces};
use kbt_kallsyms::{Entry, Error, ErrorKind, Located, Table, address_digits, lacks_seqs, search};
use serde_json::json;

use crate::args::kallsyms::{Dump, DumpFormat};
use crate::depfile;
use crate::input;
use crate::inputs::Inputs;
use crate::kallsyms::kernel_file::KernelFile;
use crate::kallsyms::{image, refusal};
use crate::output::{Output, Set};
use crate::report::{Failure, Report};

/// Prints the symbols of a table.
pub fn run(args: &Dump, report: &mut Report) -> Result<(), Failure> {
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    let name = input::name(&args.kernel);
    let mut file = KernelFile::open_image(&args.kernel)?;
    file.fetch([(0, kbt_elf::Header::MAX_SIZE)])?;
    // Of a vmlinux only the table is read.
    if !args.search && file.elf().is_ok() && file.fetch_symbols().is_ok() {
        match Located::by_symbols(&file.elf()?) {
            Ok(located) => {
                file.fetch_table(&located)?;
                let table = Table::read::<&Pieces>(&located, &file.pieces);
                let text = table.and_then(|table| print(&table, args.format));
                return write(args, &output, &text.map_err(|error| file.refused(&error))?);
            }
            // A stripped one, or one whose symbols are gone: it is searched.
            Err(Error { kind: ErrorKind::NoSymbolTable | ErrorKind::NoTable, .. }) => {}
            Err(error) => return Err(file.refused(&error)),
        }
    }
    let bytes = file.read_all()?;
    let found = image::unwrap(bytes, args.max_size).and_then(|bytes| of_image(&bytes, args));
    let (text, is_lame) = found.map_err(|failure| failure.at_file(&name))?;
    if is_lame {
        let message = "kallsyms_seqs_of_names does not give the names in order: the kernel finds symbols by address only";
        report.warn(Failure::new("wrong-seqs", message).at_file(name));
    }
    write(args, &output, &text)
}

fn write(args: &Dump, output: &Output, text: &[u8]) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    inputs.file(&args.kernel);
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, output, &mut files)?;
    output.write_with(files, text, false)
}

/// Searches an image, then what is compressed in it; tells whether the table lacks its sequence numbers.
fn of_image(bytes: &[u8], args: &Dump) -> Result<(Vec<u8>, bool), Failure> {
    let found = of_bytes(bytes, args);
    match found {
        Err(Error { kind: ErrorKind::NoTable, .. }) => {}
        found => return found.map_err(|error| refusal(&error)),
    }
    let inner = image::inner(bytes, args.max_size).find_map(|inner| of_bytes(&inner, args).ok());
    inner.ok_or_else(|| refusal(&ErrorKind::NoTable.into()))
}

fn of_bytes(bytes: &[u8], args: &Dump) -> Result<(Vec<u8>, bool), Error> {
    let elf = Image::parse(bytes).ok();
    let by_symbols = elf.filter(|_| !args.search).and_then(|elf| Located::by_symbols(&elf).ok());
    let located = match by_symbols {
        Some(located) => located,
        None => {
            let sections = elf.and_then(|elf| elf.sections().ok());
            let sections: Vec<_> = sections.iter().flat_map(kbt_elf::SectionTable::iter).collect();
            let base = args.base.unwrap_or(0);
            let class = elf.map(|elf| elf.header().class);
            search(bytes, class, |offset| {
                let within = |section: &&kbt_elf::Section| {
                    section.address != 0
                        && (section.offset..section.offset.saturating_add(section.size)).contains(&offset)
                };
                match sections.iter().find(within) {
                    Some(section) => section.address.wrapping_add(offset - section.offset),
                    None => base.wrapping_add(offset),
                }
            })?
        }
    };
    let text = print(&Table::read(&located, bytes)?, args.format)?;
    Ok((text, lacks_seqs(&located.layout)))
}

fn print(table: &Table<'_>, format: DumpFormat) -> Result<Vec<u8>, Error> {
    let mut text = Vec::with_capacity(table.len() * 48);
    let digits = address_digits(table.layout.class);
    let mut room = Vec::new();
    for index in 0..table.len() {
        let Some(entry) = table.entry(index, &mut room)? else { break };
        // Writing to a Vec cannot fail.
        let _ = match format {
            DumpFormat::Nm => {
                let _ = write!(text, "{:0digits$x} ", entry.address);
                text.extend([entry.kind, b' ']);
                text.extend_from_slice(entry.name);
                writeln!(text)
            }
            DumpFormat::Json => {
                let start = if index == 0 { "[\n" } else { ",\n" };
                write!(text, "{start}{}", record(&entry))
            }
        };
    }
    if format == DumpFormat::Json {
        text.extend_from_slice(if table.is_empty() { b"[]\n" } else { b"\n]\n" });
    }
    Ok(text)
}

/// A symbol in JSON. A name that is no UTF-8 has its bytes beside it, or two such names would be one.
fn record(entry: &Entry<'_>) -> serde_json::Value {
    let mut record = json!({
        "address": entry.address,
        "type": char::from(entry.kind).to_string(),
        "name": String::from_utf8_lossy(entry.name),
        "absolute": entry.absolute,
    });
    if std::str::from_utf8(entry.name).is_err() {
        let digits: String = entry.name.iter().map(|byte| format!("{byte:02x}")).collect();
        record["name_bytes"] = digits.into();
    }
    record
}
