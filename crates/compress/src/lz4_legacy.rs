//! LZ4's legacy frame, which `lz4 -l` writes and kernels unpack themselves from.
//!
//! A magic, then blocks: the size of the compressed bytes in 32 bits, little-endian, and the bytes, of 8 MiB each but for
//! the last. No checksum, no end mark: a frame ends with its file, or before what is no block. A kernel's build puts
//! the size of the whole behind it, four bytes.
//! Layout: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>, "Legacy frame".

use crate::{Decompressed, Error, ErrorKind};

/// Starts a frame, as its bytes stand in the file.
pub const LEGACY_MAGIC: [u8; 4] = [0x02, 0x21, 0x4c, 0x18];
/// What a block has, decompressed, at the most.
const BLOCK_SIZE: usize = 8 << 20;

/// Decodes the frame at the start of `bytes`; at most `limit` bytes come out.
///
/// # Errors
///
/// No frame, a block that is broken or cut off, more than `limit`.
pub fn decompress_lz4_legacy(bytes: &[u8], limit: usize) -> Result<Decompressed, Error> {
    if !bytes.starts_with(&LEGACY_MAGIC) {
        return Err(Error::corrupt("no legacy LZ4 frame starts here", 0));
    }
    let (mut out, mut at) = (Vec::new(), LEGACY_MAGIC.len());
    // Fewer than a size and a byte: the size of the whole, or the end.
    while let Some((size, rest)) =
        bytes.get(at..).and_then(<[u8]>::split_first_chunk).filter(|(_, rest)| !rest.is_empty())
    {
        if *size == LEGACY_MAGIC {
            // A frame behind the frame.
            at += LEGACY_MAGIC.len();
            continue;
        }
        let size = usize::try_from(u32::from_le_bytes(*size)).unwrap_or(usize::MAX);
        let block = rest.get(..size).ok_or(Error::new(ErrorKind::Truncated, at))?;
        let start = out.len();
        let room = BLOCK_SIZE.min(limit.saturating_sub(start).saturating_add(1));
        out.try_reserve(room).map_err(|_| Error::new(ErrorKind::OutOfMemory, at))?;
        out.resize(start + room, 0);
        let read = lz4_flex::block::decompress_into(block, out.get_mut(start..).unwrap_or_default());
        let read = read.map_err(|error| match error {
            lz4_flex::block::DecompressError::OutputTooSmall { .. } if room < BLOCK_SIZE => {
                Error::new(ErrorKind::TooLarge { limit }, at)
            }
            error => Error::corrupt(error.to_string(), at),
        })?;
        out.truncate(start + read);
        if out.len() > limit {
            return Err(Error::new(ErrorKind::TooLarge { limit }, at));
        }
        at += 4 + size;
    }
    Ok(Decompressed { bytes: out, consumed: at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(blocks: &[&[u8]]) -> Vec<u8> {
        let mut bytes = LEGACY_MAGIC.to_vec();
        for block in blocks {
            let block = lz4_flex::block::compress(block);
            bytes.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
            bytes.extend(block);
        }
        bytes
    }

    #[test]
    fn blocks_are_joined_and_the_size_behind_them_is_left() {
        let mut bytes = frame(&[b"abcabcabcabc", b"def"]);
        let end = bytes.len();
        assert_eq!(decompress_lz4_legacy(&bytes, 100).unwrap().bytes, b"abcabcabcabcdef");
        bytes.extend(15_u32.to_le_bytes());
        let read = decompress_lz4_legacy(&bytes, 15).unwrap();
        assert_eq!((read.bytes.as_slice(), read.consumed), (&b"abcabcabcabcdef"[..], end));
        assert_eq!(decompress_lz4_legacy(&LEGACY_MAGIC, 0).unwrap().bytes, b"");
    }

    #[test]
    fn what_is_broken_is_refused() {
        let bytes = frame(&[b"abcabcabcabc"]);
        let kind = |bytes: &[u8], limit| decompress_lz4_legacy(bytes, limit).unwrap_err().kind;
        assert_eq!(kind(&bytes, 11), ErrorKind::TooLarge { limit: 11 });
        assert_eq!(kind(&bytes[..bytes.len() - 1], 100), ErrorKind::Truncated);
        assert!(matches!(kind(b"abcd", 100), ErrorKind::Corrupt(_)));
        let mut broken = bytes;
        broken[8] = 0xff;
        assert!(matches!(kind(&broken, 100), ErrorKind::Corrupt(_)));
    }
}
