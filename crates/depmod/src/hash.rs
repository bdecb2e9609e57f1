//! The hash whose buckets decide in which order depmod lists modules and symbols.
//!
//! Paul Hsieh's SuperFastHash, as kmod computes it on a little-endian machine with a signed `char`: kbt gives the same
//! order on every host. It has no seed, so it only sorts; look-ups use another.

/// Buckets of the table of module names.
pub const MODULE_BUCKETS: u32 = 512;

/// Buckets of the table of symbols.
pub const SYMBOL_BUCKETS: u32 = 2048;

/// The bucket of `key` in a table of `buckets`, a power of two.
pub fn bucket(key: &[u8], buckets: u32) -> u32 {
    superfast(key) & (buckets - 1)
}

fn superfast(key: &[u8]) -> u32 {
    // A name is a piece of a file below 4 GiB.
    let mut hash = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let (words, rest) = key.as_chunks::<4>();
    for &[a, b, c, d] in words {
        hash = hash.wrapping_add(half(a, b));
        let mixed = (half(c, d) << 11) ^ hash;
        hash = (hash << 16) ^ mixed;
        hash = hash.wrapping_add(hash >> 11);
    }
    hash = last_bytes(hash, rest);
    hash ^= hash << 3;
    hash = hash.wrapping_add(hash >> 5);
    hash ^= hash << 4;
    hash = hash.wrapping_add(hash >> 17);
    hash ^= hash << 25;
    hash.wrapping_add(hash >> 6)
}

fn last_bytes(mut hash: u32, rest: &[u8]) -> u32 {
    match *rest {
        [a, b, c] => {
            hash = hash.wrapping_add(half(a, b));
            hash ^= hash << 16;
            hash ^= signed(c) << 18;
            hash.wrapping_add(hash >> 11)
        }
        [a, b] => {
            hash = hash.wrapping_add(half(a, b));
            hash ^= hash << 11;
            hash.wrapping_add(hash >> 17)
        }
        [a] => {
            hash = hash.wrapping_add(signed(a));
            hash ^= hash << 10;
            hash.wrapping_add(hash >> 1)
        }
        _ => hash,
    }
}

fn half(low: u8, high: u8) -> u32 {
    u32::from(u16::from_le_bytes([low, high]))
}

/// The byte as C's signed `char`, widened.
fn signed(byte: u8) -> u32 {
    i32::from(byte.cast_signed()).cast_unsigned()
}
