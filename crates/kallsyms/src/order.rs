//! Sorting symbols by address.
//!
//! A kernel has a hundred thousand symbols or more within a few gigabytes: offsets from the lowest are sorted by their
//! digits of 11 bits, beside the place that each symbol came from, in a few passes that compare nothing. What has
//! addresses further apart, or more symbols than a table can have, is sorted by comparison.

use crate::symbol::SymbolEntry;

/// Bits of a place, in the lower part of a key.
const PLACE_BITS: u32 = 24;
/// Bits of an offset, above.
const OFFSET_BITS: u32 = u64::BITS - PLACE_BITS;
/// Bits of a digit.
const DIGIT_BITS: u32 = 11;
const DIGITS: usize = 1 << DIGIT_BITS;
/// A place that has its symbol.
const DONE: u64 = u64::MAX;

/// Sorts by address; symbols of one address stay as they came.
pub(crate) fn sort_by_address(symbols: &mut [SymbolEntry<'_>]) {
    if symbols.is_sorted_by_key(|symbol| symbol.address) {
        return;
    }
    match keys(symbols) {
        Some(order) => permute(symbols, order),
        None => symbols.sort_by_key(|symbol| symbol.address),
    }
}

/// The places of the symbols, sorted by their addresses; `None` where those do not fit.
fn keys(symbols: &[SymbolEntry<'_>]) -> Option<Vec<u64>> {
    if symbols.len() >= 1 << PLACE_BITS {
        return None;
    }
    let mut keys: Vec<u64> = symbols.iter().map(|symbol| symbol.address).collect();
    let (lowest, highest) = (*keys.iter().min()?, *keys.iter().max()?);
    let fits = |range: u64| range >> OFFSET_BITS == 0;
    let (origin, range, below) = if fits(highest - lowest) {
        (lowest, highest - lowest, 0)
    } else {
        // Where per-cpu symbols are at 0 and the kernel in the upper half, the numbers with a sign are close together.
        let signed = || keys.iter().copied().map(u64::cast_signed);
        let (lowest, highest) = (signed().min()?, signed().max()?);
        let range = highest.wrapping_sub(lowest).cast_unsigned();
        let below = signed().filter(|address| *address < 0).count();
        fits(range).then_some((lowest.cast_unsigned(), range, below))?
    };
    for (key, place) in keys.iter_mut().zip(0_u64..) {
        *key = key.wrapping_sub(origin) << PLACE_BITS | place;
    }
    let mut keys = sort_by_digits(keys, range);
    // Those below zero are the highest addresses.
    keys.rotate_left(below);
    keys.iter_mut().for_each(|key| *key &= (1 << PLACE_BITS) - 1);
    Some(keys)
}

/// Sorts by the offsets, of which `range` is the highest.
fn sort_by_digits(mut keys: Vec<u64>, range: u64) -> Vec<u64> {
    let mut room = vec![0; keys.len()];
    let mut shift = 0;
    while shift < OFFSET_BITS && range >> shift != 0 {
        let digit = |key: u64| lower_half(key >> (PLACE_BITS + shift)) as usize & (DIGITS - 1);
        let mut next = [0_usize; DIGITS];
        keys.iter().for_each(|&key| next[digit(key)] += 1);
        let mut sum = 0;
        for count in &mut next {
            sum += std::mem::replace(count, sum);
        }
        for &key in &keys {
            let slot = &mut next[digit(key)];
            room[*slot] = key;
            *slot += 1;
        }
        std::mem::swap(&mut keys, &mut room);
        shift += DIGIT_BITS;
    }
    keys
}

/// The lower half of a word.
pub(crate) fn lower_half(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Puts the symbol that `order` names into each place, along the cycles that these moves make.
fn permute(symbols: &mut [SymbolEntry<'_>], mut order: Vec<u64>) {
    for start in 0..symbols.len() {
        let first = symbols[start];
        let mut place = start;
        loop {
            let from = std::mem::replace(&mut order[place], DONE);
            if from == DONE {
                break;
            }
            let from = lower_half(from) as usize;
            symbols[place] = if from == start { first } else { symbols[from] };
            place = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Addresses in some disorder, each twice and more.
    fn check(addresses: impl Iterator<Item = u64>) {
        let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let symbols =
            addresses.zip(&names).map(|(address, name)| SymbolEntry::new(address, b'T', name.as_bytes()));
        let mut symbols: Vec<_> = symbols.collect();
        let mut expected = symbols.clone();
        expected.sort_by_key(|symbol| symbol.address);
        sort_by_address(&mut symbols);
        assert_eq!(symbols, expected);
    }

    #[test]
    fn as_by_comparison() {
        let scattered =
            |bits: u32| (0..900_u64).map(move |n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - bits));
        for bits in [1, 7, 11, 12, 22, 33, 39, 40, 41, 63, 64] {
            check(scattered(bits));
        }
        let kernel = 0xffff_ffff_8100_0000_u64;
        check(scattered(24).map(|offset| kernel + offset));
        // Per-cpu symbols from 0 on.
        check(scattered(25).map(|offset| if offset % 3 == 0 { offset } else { kernel + offset }));
        // Around the middle, where the sign turns.
        check(scattered(20).map(|offset| (1 << 63) - (1 << 19) + offset));
        check([3, 1, 2].into_iter());
        check([u64::MAX, 0, u64::MAX, 0].into_iter());
        check([].into_iter());
    }
}
