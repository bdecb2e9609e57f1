//! `modules.symbols` and its index.

use super::{Failed, Join, Output, push_line};
use crate::index::IndexBuilder;
use crate::message::Messages;
use crate::symbols::Symbol;

pub(super) fn text(join: &Join<'_>, symbols: &[&Symbol<'_>]) -> Vec<u8> {
    let mut text = b"# Aliases for symbols, used by symbol_request().\n".to_vec();
    for symbol in symbols {
        let owner = symbol.owner().map(|owner| join.name(owner)).unwrap_or_default();
        push_line(&mut text, &[b"alias symbol:", symbol.name, b" ", owner]);
    }
    text
}

pub(super) fn index(
    join: &Join<'_>,
    symbols: &[&Symbol<'_>],
    messages: &mut Messages,
) -> Result<Vec<u8>, Failed> {
    let mut keys = Vec::new();
    let mut ends = Vec::with_capacity(symbols.len());
    for symbol in symbols {
        keys.extend_from_slice(b"symbol:");
        keys.extend_from_slice(symbol.name);
        ends.push(keys.len());
    }
    let mut index = IndexBuilder::new();
    index.reserve(symbols.len());
    let mut start = 0;
    for (symbol, &end) in symbols.iter().zip(&ends) {
        let owner = symbol.owner().unwrap_or_default();
        index.insert(keys.get(start..end).unwrap_or_default(), join.name(owner), owner);
        start = end;
    }
    let source = |entry: usize| join.path(symbols.get(entry)?.owner()?);
    join.index(Output::SymbolsBin, &index, source, messages)
}
