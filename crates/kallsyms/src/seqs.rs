//! `kallsyms_seqs_of_names`: the symbols' places in the table, in the order of their names.
//!
//! The kernel searches names by halving it (6.2 and later, and stable trees before). Three bytes each, the highest
//! first on every machine.

use crate::error::{Error, ErrorKind};
use crate::symbol::SymbolEntry;

/// Symbols that three bytes count.
pub const MAX_SYMBOLS: usize = 1 << 24;

/// The places of the symbols, which are in the table's order, by name and then by place. `cut` compares names
/// without what LTO appends (`--lto-clang`, before 6.10).
pub fn order_by_name(symbols: &[SymbolEntry<'_>], cut: bool) -> Result<Vec<u32>, Error> {
    if symbols.len() > MAX_SYMBOLS {
        return Err(ErrorKind::TooManySymbols { count: symbols.len() }.into());
    }
    let name = |seq: u32| symbols.get(seq as usize).map_or(&[][..], |symbol| key(symbol, cut));
    let mut keys: Vec<(u64, u32)> = (0..).zip(symbols).map(|(seq, _)| (0, seq)).collect();
    // Eight bytes after the other: what they decide is not looked at again.
    let mut undecided = vec![(0..keys.len(), 0)];
    while let Some((range, depth)) = undecided.pop() {
        let Some(group) = keys.get_mut(range.clone()) else { continue };
        for (word, seq) in group.iter_mut() {
            *word = word_at(name(*seq), depth);
        }
        group.sort_unstable();
        let mut start = range.start;
        for equal in group.chunk_by(|a, b| a.0 == b.0) {
            let end = start + equal.len();
            // Where the last byte is 0 the names have ended.
            if equal.len() > 1 && equal.first().is_some_and(|(word, _)| word & 0xff != 0) {
                undecided.push((start..end, depth + 8));
            }
            start = end;
        }
    }
    Ok(keys.into_iter().map(|(_, seq)| seq).collect())
}

/// What is compared of a name.
fn key<'a>(symbol: &SymbolEntry<'a>, cut: bool) -> &'a [u8] {
    if cut { before_llvm(symbol.name) } else { symbol.name }
}

/// Eight bytes of a name as a number that sorts as they do; 0 stands for those behind its end.
fn word_at(name: &[u8], at: usize) -> u64 {
    let rest = name.get(at..).unwrap_or_default();
    if let Some(&bytes) = rest.first_chunk() {
        return u64::from_be_bytes(bytes);
    }
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(rest).for_each(|(to, &from)| *to = from);
    u64::from_be_bytes(bytes)
}

/// The name without what clang's LTO appends to local symbols that it makes global.
pub(crate) fn before_llvm(name: &[u8]) -> &[u8] {
    const SUFFIX: &[u8] = b".llvm.";
    let start = name.windows(SUFFIX.len()).position(|window| window == SUFFIX);
    name.get(..start.unwrap_or(name.len())).unwrap_or_default()
}

/// The bytes of the array.
pub fn encode(order: &[u32]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 * order.len());
    for seq in order {
        let [_, high, middle, low] = seq.to_be_bytes();
        bytes.extend([high, middle, low]);
    }
    bytes
}

/// The places that an array holds.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks_exact(3).map(|seq| u32::from_be_bytes([0, seq[0], seq[1], seq[2]]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_then_places() {
        let long = [&[b'x'; 600][..], b"b"].concat();
        let mut longer = long.clone();
        longer[599] = b'w';
        let names: [&[u8]; 5] = [&long, b"eight678", &longer, b"eight678", b"eight678_"];
        let symbols: Vec<_> = names.iter().map(|name| SymbolEntry::new(0, b'T', name)).collect();
        assert_eq!(order_by_name(&symbols, false).unwrap(), [1, 3, 4, 2, 0]);
        let names: [&[u8]; 6] = [b"long_name_b", b"b", b"long_name_a", b"b", b"b.llvm.1", b"b\xc3\xa4"];
        let symbols: Vec<_> = names.iter().map(|name| SymbolEntry::new(0, b'T', name)).collect();
        assert_eq!(order_by_name(&symbols, false).unwrap(), [1, 3, 4, 5, 2, 0]);
        let suffixed: [&[u8]; 2] = [b"b.llvm.9", b"b.llvm.1"];
        let suffixed: Vec<_> = suffixed.iter().map(|name| SymbolEntry::new(0, b'T', name)).collect();
        assert_eq!(order_by_name(&suffixed, false).unwrap(), [1, 0]);
        assert_eq!(order_by_name(&suffixed, true).unwrap(), [0, 1]);
    }

    #[test]
    fn three_bytes_the_highest_first() {
        assert_eq!(encode(&[0x1_0203, 4]), [1, 2, 3, 0, 0, 4]);
        assert!(decode(&[1, 2, 3, 0, 0, 4, 9]).eq([0x1_0203, 4]));
    }
}
