//! Inputs of the target `capi`: which call of the C library, and with what. `tests/capi_hostile.rs` reads what the fuzzer kept
//! by the same rule.
//!
//! Byte 0 says what is called (even: a merge, odd: an image), byte 1 which call of `dto_malloc` fails, from 1. Of a merge
//! follow a byte of options, a byte that says how many trees, and the trees, as `trees.rs` cuts them; of an image an index,
//! an id, the power of two that is the limit, and the image.

use crate::trees::trees;

/// A call.
#[derive(Debug)]
pub enum Call<'b> {
    /// A base, and overlays.
    Merge { flags: u32, padding: u32, trees: Vec<&'b [u8]> },
    /// Everything that there is to ask of an image.
    Image { index: u32, id: u32, max_size: usize, image: &'b [u8] },
}

/// The call, and which call of `dto_malloc` fails in it; 0 for none.
pub fn parse(bytes: &[u8]) -> Option<(Call<'_>, u32)> {
    let (&[kind, fail_at], rest) = bytes.split_first_chunk()?;
    let call = if kind % 2 == 0 { merge(rest) } else { image(rest) };
    Some((call?, u32::from(fail_at % 4)))
}

fn merge(bytes: &[u8]) -> Option<Call<'_>> {
    let (&[options, count], rest) = bytes.split_first_chunk()?;
    let trees = trees(count, rest);
    Some(Call::Merge { flags: u32::from(options & 15), padding: u32::from(options >> 4), trees })
}

fn image(bytes: &[u8]) -> Option<Call<'_>> {
    let (&[index, id, limit], image) = bytes.split_first_chunk()?;
    Some(Call::Image { index: u32::from(index), id: u32::from(id), max_size: 1 << (limit % 24), image })
}
