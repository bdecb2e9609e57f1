//! Whether a table says what the symbols of its kernel say.

use std::fmt;

use crate::error::Error;
use crate::kernel::Kernel;
use crate::layout::{AddressTable, Array};
use crate::select::Ranges;
use crate::seqs::before_llvm;
use crate::symbol::{SymbolEntry, sort_symbols};
use crate::table::Table;

/// What differs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The array that it is seen in.
    pub array: Array,
    /// Which entry of the array.
    pub index: usize,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: {}", self.array, self.index, self.message)
    }
}

/// Compares a table with the symbols of its kernel, in nm's order. `Ok(None)` where nothing differs.
///
/// # Errors
///
/// A name of the table that cannot be read.
pub fn verify(table: &Table<'_>, symbols: Vec<SymbolEntry<'_>>) -> Result<Option<Difference>, Error> {
    let mut names = Vec::with_capacity(table.len());
    let mut room = Vec::new();
    for index in 0..table.len() {
        if let Some(entry) = table.entry(index, &mut room)? {
            names.push((entry.kind, entry.name.to_vec()));
        }
    }
    let entries = names.iter().zip(&table.addresses).map(|((kind, name), &(address, absolute))| {
        SymbolEntry { absolute, ..SymbolEntry::new(address, *kind, name) }
    });
    let entries: Vec<SymbolEntry<'_>> = entries.collect();
    let checks = [
        unordered(&entries, table.layout.addresses.array()),
        markers(table),
        unlike(&entries, symbols, table),
        seqs(&entries, table),
    ];
    Ok(checks.into_iter().flatten().next())
}

/// The first address below the one before it.
fn unordered(entries: &[SymbolEntry<'_>], array: Array) -> Option<Difference> {
    let index = entries.windows(2).position(|pair| pair[0].address > pair[1].address)? + 1;
    let entry = entries.get(index)?;
    let message =
        format!("the address {:#x} of {} is below the one before it", entry.address, text(entry.name));
    Some(Difference { array, index, message })
}

fn markers(table: &Table<'_>) -> Option<Difference> {
    let index = table.markers.iter().zip(&table.true_markers).position(|(stated, found)| stated != found)?;
    let (stated, found) = (table.markers.get(index)?, table.true_markers.get(index)?);
    let message = format!("it says {stated}, name {} starts at {found}", index * crate::MARKER_STEP);
    Some(Difference { array: Array::Markers, index, message })
}

/// The first symbol that only one side has, or has otherwise.
fn unlike(
    entries: &[SymbolEntry<'_>],
    mut symbols: Vec<SymbolEntry<'_>>,
    table: &Table<'_>,
) -> Option<Difference> {
    let kernel = Kernel::of_layout(&table.layout);
    let ranges = Ranges::of(&symbols);
    let all_symbols = entries.iter().any(|entry| !ranges.is_text(entry, kernel));
    if table.layout.addresses == AddressTable::BaseRelativePercpu {
        ranges.make_percpu_absolute(&mut symbols);
    }
    sort_symbols(&mut symbols);
    // Stable trees take filters over from later kernels: what any of them drops may be missing.
    let may_miss = |symbol: &SymbolEntry<'_>| {
        let dropped = |kernel: &Kernel| {
            kernel.drops_from_map(symbol.kind, symbol.name)
                || kernel.ignores(symbol.kind, symbol.name)
                || symbol.name.len() >= kernel.name_limit()
        };
        // Which kernels keep borders does not show in a table.
        let beside = |kernel: &Kernel| !ranges.is_text(symbol, *kernel);
        Kernel::ALL.iter().any(dropped) || (!all_symbols && Kernel::ALL.iter().any(beside))
    };
    let mut symbols = symbols.into_iter();
    let array = Array::Names;
    for (index, entry) in entries.iter().enumerate() {
        let next = symbols.by_ref().find(|symbol| symbol == entry || !may_miss(symbol));
        if next.as_ref() == Some(entry) {
            continue;
        }
        let is_address = next.is_some_and(|symbol| (symbol.kind, symbol.name) == (entry.kind, entry.name));
        let array = if is_address { table.layout.addresses.array() } else { array };
        let found = next.map_or("nothing more".to_owned(), |symbol| line(&symbol));
        let message = format!("the table has {}, the symbol table {found}", line(entry));
        return Some(Difference { array, index, message });
    }
    let rest = symbols.find(|symbol| !may_miss(symbol))?;
    let message = format!("the table ends, the symbol table has {}", line(&rest));
    Some(Difference { array, index: entries.len(), message })
}

/// The first sequence number that does not give names in order, or that is not one of the table's.
fn seqs(entries: &[SymbolEntry<'_>], table: &Table<'_>) -> Option<Difference> {
    let seqs = table.seqs.as_ref()?;
    let array = Array::SeqsOfNames;
    let mut seen = vec![false; entries.len()];
    let mut last: Option<(&[u8], u32)> = None;
    let (mut ordered, mut ordered_cut) = (None, None);
    for (index, &seq) in seqs.iter().enumerate() {
        let slot = seen.get_mut(seq as usize);
        let Some(entry) =
            entries.get(seq as usize).filter(|_| slot.is_some_and(|seen| !std::mem::replace(seen, true)))
        else {
            let message = format!("{seq} is no symbol of the table, or one for the second time");
            return Some(Difference { array, index, message });
        };
        if let Some((name, before)) = last {
            // clang's LTO has them sorted without what it appends.
            let is_cut = (before_llvm(name), before) > (before_llvm(entry.name), seq);
            if (name, before) > (entry.name, seq) {
                ordered.get_or_insert(index);
            }
            if is_cut {
                ordered_cut.get_or_insert(index);
            }
        }
        last = Some((entry.name, seq));
    }
    let index = ordered.filter(|_| ordered_cut.is_some())?;
    let name = seqs.get(index).and_then(|&seq| entries.get(seq as usize)).map_or(&[][..], |entry| entry.name);
    let message = format!("{} is not behind the name before it", text(name));
    Some(Difference { array, index, message })
}

fn line(symbol: &SymbolEntry<'_>) -> String {
    format!("{:016x} {} {}", symbol.address, char::from(symbol.kind), text(symbol.name))
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}
