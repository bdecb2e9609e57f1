//! How many words of a structure block a token takes.

use crate::search::{find_byte, nul_bits};

/// How many words a node's name takes, with its NUL and padding, behind the first of `words`; 0 where they end before.
#[inline(always)]
pub(crate) fn words_of_name(words: &[[u8; 4]]) -> usize {
    // Most names end within four words, and the shift is free here.
    if let Some([_, name @ ..]) = words.first_chunk::<5>()
        && let [first, second] = name.as_flattened().as_chunks::<8>().0
    {
        let nul = nul_bits(u64::from_le_bytes(*first));
        if nul != 0 {
            return 1 + (nul.trailing_zeros() >> 5) as usize;
        }
        let nul = nul_bits(u64::from_le_bytes(*second));
        if nul != 0 {
            return 3 + (nul.trailing_zeros() >> 5) as usize;
        }
    }
    words_of_long_name(words)
}

#[inline(never)]
fn words_of_long_name(words: &[[u8; 4]]) -> usize {
    find_byte(words[1..].as_flattened(), 0).map_or(0, |length| length / 4 + 1)
}

/// How many words a value of `length` bytes takes. It is below 2^30, so a place in a block and it can be added
/// up in a 32-bit usize.
#[inline(always)]
pub(crate) fn words_of_value(length: u32) -> usize {
    ((u64::from(length) + 3) >> 2) as usize
}
