//! `kbt kallsyms verify`.

use kbt_elf::Pieces;
use kbt_kallsyms::{Located, Table, read_symbols, verify};

use crate::args::kallsyms::Verify;
use crate::kallsyms::kernel_file::KernelFile;
use crate::output::Output;
use crate::report::{Failure, Report};

/// Compares a table with the symbols of its kernel.
pub fn run(args: &Verify, report: &mut Report) -> Result<(), Failure> {
    let mut file = KernelFile::open(&args.vmlinux)?;
    file.fetch_symbols()?;
    let located = Located::by_symbols(&file.elf()?).map_err(|error| file.refused(&error))?;
    file.fetch_table(&located)?;
    let table = Table::read::<&Pieces>(&located, &file.pieces).map_err(|error| file.refused(&error))?;
    let symbols = read_symbols(&file.elf()?).map_err(|error| file.refused(&error))?;
    let difference = verify(&table, symbols).map_err(|error| file.refused(&error))?;
    if let Some(difference) = difference {
        let offset = table.offset_of(difference.array, difference.index);
        let failure = Failure::new("table-differs", difference.to_string()).at_file(file.name());
        let failure = failure.detail("array", difference.array.symbol()).detail("index", difference.index);
        return Err(match offset {
            Some(offset) => failure.at_offset(offset),
            None => failure,
        });
    }
    let layout = &table.layout;
    if report.is_json() {
        report.field("symbols", table.len());
        report.field("addresses", layout.addresses.name());
        report.field("seqs", layout.seqs);
        return Ok(());
    }
    let text = format!(
        "{}: {} symbols, {} addresses, {} bytes of names: as the symbol table says\n",
        file.name(),
        table.len(),
        layout.addresses.name(),
        table.names.iter().map(|name| name.len()).sum::<usize>(),
    );
    Output::Stdout.write(text.as_bytes(), false)
}
