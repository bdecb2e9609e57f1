//! Sizes in bytes, as every command takes them: a number, with K, M or G behind it if need be.

use kbt_dtbo_image::parse_size;

const WANTED: &str = "a size is a number, with K, M or G behind it if need be";

/// A size that may be larger than 4 GiB.
pub fn bytes(text: &str) -> Result<usize, &'static str> {
    let (number, shift) = split(text);
    parse_size(number).and_then(|number| usize::try_from(number).ok()?.checked_mul(1 << shift)).ok_or(WANTED)
}

/// A size of what a format counts in 32 bits.
pub fn bytes32(text: &str) -> Result<u32, &'static str> {
    bytes(text)?.try_into().map_err(|_| "a size here is less than 4G")
}

/// The number, and the power of two that the letter behind it stands for.
pub fn split(text: &str) -> (&str, u32) {
    let shift = match text.as_bytes().last() {
        Some(b'K' | b'k') => 10,
        Some(b'M' | b'm') => 20,
        Some(b'G' | b'g') => 30,
        _ => return (text, 0),
    };
    (&text[..text.len() - 1], shift)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_powers_of_1024() {
        for (text, value) in
            [("0", 0), ("4K", 4096), ("0x10k", 16 << 10), ("3M", 3 << 20), ("1g", 1 << 30), ("99G", 99 << 30)]
        {
            assert_eq!(bytes(text), Ok(value), "{text}");
        }
        for text in ["", "K", "1KK", "-1", "+1K", "1T", "18014398509481984K", "\u{212a}"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!((bytes32("3G"), bytes32("4G").is_err()), (Ok(3 << 30), true));
    }
}
