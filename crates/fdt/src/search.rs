//! Finding a byte in a string that is mostly short.

/// Where `byte` first stands in `bytes`.
///
/// Node names, labels and paths have some ten bytes: eight at a step need fewer instructions than the call of a
/// search that is made for long inputs.
#[inline]
pub fn find_byte(bytes: &[u8], byte: u8) -> Option<usize> {
    let pattern = u64::from_ne_bytes([byte; 8]);
    let find = |eight: &[u8; 8]| first_nul(u64::from_le_bytes(*eight) ^ pattern);
    let mut start = 0;
    while let Some(eight) = bytes.get(start..).and_then(<[u8]>::first_chunk::<8>) {
        if let Some(found) = find(eight) {
            return Some(start + found);
        }
        start += 8;
    }
    // The last eight once more, where there are as many: what was seen already has none.
    match bytes.last_chunk::<8>() {
        Some(last) => find(last).map(|found| bytes.len() - 8 + found),
        None => bytes.iter().position(|&other| other == byte),
    }
}

/// Whether two strings are the same; short ones are compared without a call, as the two ends of each.
#[inline(always)]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match one.len() {
        0 => true,
        1..4 => {
            one[0] == other[0]
                && one[one.len() - 1] == other[one.len() - 1]
                && one[one.len() / 2] == other[one.len() / 2]
        }
        4..8 => {
            one.first_chunk::<4>() == other.first_chunk::<4>()
                && one.last_chunk::<4>() == other.last_chunk::<4>()
        }
        8..=16 => {
            one.first_chunk::<8>() == other.first_chunk::<8>()
                && one.last_chunk::<8>() == other.last_chunk::<8>()
        }
        _ => one == other,
    }
}

/// The unit address in the name from `start` to `end` of `bytes`, as a number that grows with its length, then with its
/// text. 0 where there is none, where it has more than eight bytes, or where less than nine bytes end with it.
#[inline(always)]
pub fn unit_address(bytes: &[u8], start: usize, end: usize) -> u64 {
    const AT_SIGNS: u64 = u64::from_ne_bytes([b'@'; 8]);
    let Some([before, tail @ ..]) = bytes.get(..end).and_then(<[u8]>::last_chunk::<9>) else { return 0 };
    let tail = u64::from_be_bytes(*tail);
    // The lowest bits are the last byte's: how many are behind the last `@`. What stands in front of the name is not its.
    let found = nul_bits(tail ^ AT_SIGNS);
    if found != 0 {
        let bits = found.trailing_zeros() & !7;
        return if start + (bits as usize) / 8 < end { tail & !(u64::MAX << bits) } else { 0 };
    }
    if *before == b'@' && start + 8 < end { tail } else { 0 }
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

/// The same for four bytes.
#[inline(always)]
pub(crate) fn nul_bits_of_word(word: u32) -> u32 {
    word.wrapping_sub(0x0101_0101) & !word & 0x8080_8080
}

#[cfg(test)]
mod tests {
    use std::format;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    #[test]
    fn the_same_is_the_same_at_every_length() {
        for length in 0..40 {
            let bytes = vec![b'a'; length];
            assert!(same(&bytes, &bytes.clone()));
            assert!(!same(&bytes, &vec![b'a'; length + 1]));
            for at in 0..length {
                let mut other = bytes.clone();
                other[at] = b'b';
                assert!(!same(&bytes, &other), "{at} of {length}");
            }
        }
    }

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

    #[test]
    fn unit_addresses_are_in_order() {
        let address = |name: &str| {
            let text = format!("/a-bus@5/{name}");
            unit_address(text.as_bytes(), 9, text.len())
        };
        let names = ["a@0", "long-name@9", "b@a", "c@10", "d@1f", "d@20", "uart@fe201000", "z@fe201001"];
        let addresses: Vec<u64> = names.into_iter().map(address).collect();
        assert!(addresses[0] > 0 && addresses.is_sorted_by(|one, other| one < other), "{addresses:x?}");
        for name in ["none", "n", "", "a@", "a@123456789", "@"] {
            assert_eq!(address(name), 0, "{name}");
        }
        assert_eq!(address("i2c@1"), address("spi@1"));
        assert_eq!(unit_address(b"bus/a@1", 4, 9), 0);
    }
}
