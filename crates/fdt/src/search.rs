//! Finding a byte in a string that is mostly short.

/// Where `byte` first stands in `bytes`.
///
/// Node names, labels and paths have some ten bytes: eight at a step need fewer instructions than the call of a
/// search that is made for long inputs.
#[inline]
pub fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = u64::from_ne_bytes([byte; 8]);
    let mut start = 0;
    while let Some(eight) = bytes.get(start..).and_then(<[u8]>::first_chunk::<8>) {
        let found = nul_bits(u64::from_le_bytes(*eight) ^ pattern);
        if found != 0 {
            return Some(start + (found.trailing_zeros() >> 3) as usize);
        }
        start += 8;
    }
    // The last eight once more, where there are as many: what was seen already has none.
    match bytes.last_chunk::<8>() {
        Some(last) => {
            let found = nul_bits(u64::from_le_bytes(*last) ^ pattern);
            (found != 0).then(|| bytes.len() - 8 + (found.trailing_zeros() >> 3) as usize)
        }
        None => bytes.iter().position(|&other| other == byte),
    }
}

/// Which of the eight bytes of a word in little-endian order is the first that is 0.
#[inline(always)]
pub fn first_nul(word: u64) -> Option<usize> {
    let nul = nul_bits(word);
    (nul != 0).then_some((nul.trailing_zeros() >> 3) as usize)
}

/// A word whose lowest bit that is set stands in the lowest byte that is 0.
#[inline(always)]
pub(crate) fn nul_bits(word: u64) -> u64 {
    word.wrapping_sub(0x0101_0101_0101_0101) & !word & 0x8080_8080_8080_8080
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    #[test]
    fn finds_the_first_at_every_place_and_length() {
        for length in 0..40 {
            assert_eq!(find_byte(&vec![1; length], 0), None);
            for at in 0..length {
                // 1 and 0x80 next to the byte are what the trick could take for it.
                for other in [1, 0x80, 0xff] {
                    let mut bytes = vec![other; length];
                    bytes[at] = 0;
                    bytes[length - 1] = 0;
                    assert_eq!(find_byte(&bytes, 0), Some(at));
                    bytes.fill(b'/');
                    bytes[at..].fill(b':');
                    assert_eq!(find_byte(&bytes, b':'), Some(at));
                }
            }
        }
    }
}
