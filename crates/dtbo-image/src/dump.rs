//! The text that mkdtboimg's `dump` prints of an image, line for line.

use alloc::format;
use core::fmt;

use crate::table::HEADER_SIZE;
use crate::{DtTable, DtTableEntry, TableVersion};

/// Writes mkdtboimg's dump, each line ended by a newline.
impl fmt::Display for DtTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.header();
        writeln!(f, "dt_table_header:")?;
        writeln!(f, "{:>20} = {:08x}", "magic", header.kind.magic())?;
        for (name, value) in [
            ("total_size", header.total_size),
            ("header_size", HEADER_SIZE),
            ("dt_entry_size", header.version.entry_size()),
            ("dt_entry_count", header.dt_entry_count),
            ("dt_entries_offset", header.dt_entries_offset),
            ("page_size", header.page_size),
            ("version", header.version.number()),
        ] {
            writeln!(f, "{name:>20} = {value}")?;
        }
        for (index, entry) in self.entries().iter().enumerate() {
            writeln!(f, "dt_table_entry[{index}]:")?;
            write_entry(f, entry, header.version)?;
        }
        Ok(())
    }
}

fn write_entry(f: &mut fmt::Formatter<'_>, entry: &DtTableEntry, version: TableVersion) -> fmt::Result {
    writeln!(f, "{:>20} = {}", "dt_size", entry.dt_size)?;
    writeln!(f, "{:>20} = {}", "dt_offset", entry.dt_offset)?;
    writeln!(f, "{:>20} = {:08x}", "id", entry.id)?;
    writeln!(f, "{:>20} = {:08x}", "rev", entry.rev)?;
    if version.has_flags() {
        writeln!(f, "{:>20} = {:08x}", "flags", entry.flags)?;
    }
    for (index, word) in entry.custom.iter().take(version.custom_count()).enumerate() {
        let name = format!("custom[{index}]");
        writeln!(f, "{name:>20} = {word:08x}")?;
    }
    Ok(())
}
