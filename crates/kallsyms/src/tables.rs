//! The whole table: every array of a layout, made of symbols in the table's order.

use crate::addresses::{self, Content, Value};
use crate::error::Error;
use crate::layout::{Array, Layout};
use crate::names::Names;
use crate::seqs;
use crate::symbol::SymbolEntry;
use crate::token::{CompressedNames, TokenTable};

/// One array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableArray {
    /// Which.
    pub array: Array,
    /// What it holds.
    pub content: Content,
}

/// The arrays of a layout, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tables {
    /// How they are laid out.
    pub layout: Layout,
    /// All arrays.
    pub arrays: Vec<TableArray>,
}

/// What a table is made of beside symbols and names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The address of `_text` (0 where there is none).
    pub text: u64,
    /// What offsets count from; [`addresses::relative_base`] is the generator's choice.
    pub base: u64,
    /// Whether `kallsyms_seqs_of_names` looks at names without `.llvm.` and what follows (`--lto-clang` of 6.1 to 6.9).
    pub cut_names: bool,
}

impl Tables {
    /// Makes the arrays of `symbols`, which are in the table's order, and their `names`, compressed by `tokens`.
    ///
    /// # Errors
    ///
    /// What a layout cannot say: an address, a length, more than 2^24 symbols.
    pub fn encode(
        symbols: &[SymbolEntry<'_>],
        tokens: &TokenTable,
        names: &CompressedNames,
        layout: Layout,
        origin: Origin,
    ) -> Result<Self, Error> {
        Self::of_names(symbols, tokens, Names::encode(names, &layout)?, None, layout, origin)
    }

    /// As [`Self::encode`], with names that are encoded already and, where it is known, the order of the names.
    pub(crate) fn of_names(
        symbols: &[SymbolEntry<'_>],
        tokens: &TokenTable,
        names: Names,
        order: Option<Vec<u32>>,
        layout: Layout,
        origin: Origin,
    ) -> Result<Self, Error> {
        let (addresses, base) = addresses::encode(symbols, &layout, origin.text, origin.base)?;
        let mut order = order;
        let mut addresses = Some(addresses);
        let mut base = base;
        let mut arrays = Vec::new();
        for array in layout.arrays() {
            let content = match array {
                Array::Addresses | Array::Offsets => addresses.take().unwrap_or(Content::Bytes(Vec::new())),
                Array::RelativeBase => base.take().unwrap_or(Content::Bytes(Vec::new())),
                Array::NumSyms => Content::Bytes(count(symbols.len(), &layout)?),
                Array::Names => Content::Bytes(Vec::new()),
                Array::Markers => {
                    Content::Bytes(names.markers.iter().flat_map(|&marker| layout.u32(marker)).collect())
                }
                Array::TokenTable => Content::Bytes(tokens.bytes().to_vec()),
                Array::TokenIndex => {
                    Content::Bytes(tokens.index()?.iter().flat_map(|&start| layout.u16(start)).collect())
                }
                Array::SeqsOfNames => {
                    let order = order.take().filter(|_| !origin.cut_names);
                    let order = order.map_or_else(|| seqs::order_by_name(symbols, origin.cut_names), Ok)?;
                    Content::Bytes(seqs::encode(&order))
                }
            };
            arrays.push(TableArray { array, content });
        }
        let slot = arrays.iter_mut().find(|array| array.array == Array::Names);
        if let Some(slot) = slot {
            slot.content = Content::Bytes(names.bytes);
        }
        Ok(Self { layout, arrays })
    }

    /// What an array holds.
    pub fn get(&self, array: Array) -> Option<&Content> {
        self.arrays.iter().find(|own| own.array == array).map(|own| &own.content)
    }

    /// Where each array starts in a section that holds them all, in bytes, and the size of the section.
    pub fn offsets(&self) -> (Vec<usize>, usize) {
        let mut end = 0_usize;
        let mut starts = Vec::with_capacity(self.arrays.len());
        for array in &self.arrays {
            let start = end.next_multiple_of(self.layout.alignment.max(1) as usize);
            starts.push(start);
            end = start + array.content.size(&self.layout);
        }
        (starts, end)
    }
}

fn count(symbols: usize, layout: &Layout) -> Result<Vec<u8>, Error> {
    let count = u32::try_from(symbols).ok().filter(|_| symbols <= seqs::MAX_SYMBOLS);
    let count = count.ok_or(crate::ErrorKind::TooManySymbols { count: symbols })?;
    Ok(layout.u32(count).to_vec())
}

impl Value {
    /// The number behind `_text`, where the link decides it.
    pub fn distance(self) -> Option<i64> {
        match self {
            Self::Text(distance) => Some(distance),
            Self::Constant(_) => None,
        }
    }
}
