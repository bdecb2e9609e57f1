//! From all symbols to those of the table, in the table's order.

use crate::error::{Error, ErrorKind};
use crate::kernel::Kernel;
use crate::seqs::MAX_SYMBOLS;
use crate::symbol::{SymbolEntry, sort_symbols};

/// Options of the generator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice {
    /// Every symbol, not only those of the text (`--all-symbols`, `CONFIG_KALLSYMS_ALL`).
    pub all_symbols: bool,
    /// Per-cpu symbols are absolute (`--absolute-percpu`, before 6.15).
    pub absolute_percpu: bool,
}

/// The symbols of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection<'a> {
    /// In the table's order.
    pub symbols: Vec<SymbolEntry<'a>>,
    /// The address of `_text`, 0 where there is none.
    pub text: u64,
    /// Names that the kernel cannot hold; their symbols are left out.
    pub too_long: Vec<&'a [u8]>,
}

/// An address range between two symbols, both included.
#[derive(Debug, Clone, Copy)]
struct Range {
    names: [&'static [u8]; 2],
    start: u64,
    end: u64,
}

impl Range {
    fn new(first: &'static [u8], last: &'static [u8]) -> Self {
        Self { names: [first, last], start: 0, end: 0 }
    }

    fn note(&mut self, symbol: &SymbolEntry<'_>) {
        if symbol.name == self.names[0] {
            self.start = symbol.address;
        } else if symbol.name == self.names[1] {
            self.end = symbol.address;
        }
    }

    fn has(&self, address: u64) -> bool {
        (self.start..=self.end).contains(&address)
    }

    /// Whether it stands at the end without being the end: such a symbol is of what follows.
    fn is_behind(&self, symbol: &SymbolEntry<'_>) -> bool {
        symbol.address == self.end && symbol.name != self.names[1]
    }
}

/// Whether a name is one of those that stand at the borders of sections.
pub(crate) fn is_border(name: &[u8]) -> bool {
    name.starts_with(b"__start_") || name.starts_with(b"__stop_")
}

/// The address ranges that decide about symbols.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranges {
    text: [Range; 2],
    percpu: Range,
}

impl Ranges {
    fn new() -> Self {
        Self {
            text: [Range::new(b"_stext", b"_etext"), Range::new(b"_sinittext", b"_einittext")],
            percpu: Range { start: u64::MAX, ..Range::new(b"__per_cpu_start", b"__per_cpu_end") },
        }
    }

    /// Those of these symbols.
    pub(crate) fn of(symbols: &[SymbolEntry<'_>]) -> Self {
        let mut ranges = Self::new();
        symbols.iter().for_each(|symbol| ranges.note(symbol));
        ranges
    }

    fn note(&mut self, symbol: &SymbolEntry<'_>) {
        self.text.iter_mut().chain([&mut self.percpu]).for_each(|range| range.note(symbol));
    }

    /// Whether a table without `--all-symbols` has it.
    pub(crate) fn is_text(&self, symbol: &SymbolEntry<'_>, kernel: Kernel) -> bool {
        if is_border(symbol.name) && kernel.keeps_borders() {
            return true;
        }
        let text = self.text.iter();
        text.clone().any(|range| range.has(symbol.address))
            && !text.clone().any(|range| range.is_behind(symbol))
    }

    /// Turns per-cpu symbols into absolute ones.
    pub(crate) fn make_percpu_absolute(&self, symbols: &mut [SymbolEntry<'_>]) {
        for symbol in symbols.iter_mut().filter(|symbol| self.percpu.has(symbol.address)) {
            symbol.kind = b'A';
            symbol.absolute = true;
        }
    }
}

/// Chooses from `symbols` (in nm's order, which decides among equals) as the generator of `kernel` does.
///
/// # Errors
///
/// No symbol is left, where the generator refuses that; more than the kernel can number.
pub fn select<'a>(
    symbols: impl IntoIterator<Item = SymbolEntry<'a>>,
    kernel: Kernel,
    choice: Choice,
) -> Result<Selection<'a>, Error> {
    let is_kept = |symbol: &SymbolEntry<'_>| !kernel.ignores(symbol.kind, symbol.name);
    select_kept(symbols, kernel, choice, is_kept)
}

/// As [`select`], of symbols of which those that the generator ignores may be gone already.
pub(crate) fn select_kept<'a>(
    symbols: impl IntoIterator<Item = SymbolEntry<'a>>,
    kernel: Kernel,
    choice: Choice,
    is_kept: impl Fn(&SymbolEntry<'a>) -> bool,
) -> Result<Selection<'a>, Error> {
    let mut selection = Selection::default();
    let mut ranges = Ranges::new();
    let is_kept = |symbol: &SymbolEntry<'a>| {
        if symbol.name.len() >= kernel.name_limit() {
            selection.too_long.push(symbol.name);
            return false;
        }
        if symbol.name == b"_text" {
            selection.text = symbol.address;
        }
        let is_kept = is_kept(symbol);
        if is_kept {
            ranges.note(symbol);
        }
        is_kept
    };
    // In the room of what comes, where that is a vector.
    selection.symbols = symbols.into_iter().filter(is_kept).collect();
    if !choice.all_symbols {
        selection.symbols.retain(|symbol| ranges.is_text(symbol, kernel));
    }
    if selection.symbols.is_empty() && !kernel.allows_none() {
        return Err(ErrorKind::NoSymbols.into());
    }
    if selection.symbols.len() > MAX_SYMBOLS {
        return Err(ErrorKind::TooManySymbols { count: selection.symbols.len() }.into());
    }
    if choice.absolute_percpu {
        ranges.make_percpu_absolute(&mut selection.symbols);
    }
    sort_symbols(&mut selection.symbols);
    Ok(selection)
}
