//! LZ4 frames.
//!
//! `lz4_flex` takes the end of its input for the end of a frame, so a truncated frame would pass: the extent of
//! each frame is found here first, from the block sizes, and the decoder gets exactly that.
//! Layout: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.

use std::io::{Read as _, Write as _};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use crate::{Decompressed, Error, ErrorKind};

/// Starts a frame, little-endian.
const FRAME_MAGIC: u32 = 0x184d_2204;
/// Starts a skippable frame; the low four bits are free.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
/// FLG: each block carries a checksum.
const BLOCK_CHECKSUMS: u8 = 0x10;
/// FLG: the header carries the content's size, 8 bytes.
const CONTENT_SIZE: u8 = 0x08;
/// FLG: a checksum of the content follows the end mark.
const CONTENT_CHECKSUM: u8 = 0x04;
/// FLG: the header carries a dictionary's id, 4 bytes.
const DICTIONARY_ID: u8 = 0x01;
/// Block size: this block is stored uncompressed.
const UNCOMPRESSED: u32 = 0x8000_0000;

/// Decodes the frames at the start of `bytes`; at least one.
pub fn decode(bytes: &[u8], limit: usize) -> Result<Decompressed, Error> {
    let mut out = Vec::new();
    let mut at = 0;
    loop {
        let end = match word(bytes, at) {
            Some(FRAME_MAGIC) => {
                let end = frame_end(bytes, at)?;
                decode_frame(bytes.get(at..end).unwrap_or_default(), &mut out, limit)
                    .map_err(|kind| Error::new(kind, at))?;
                end
            }
            Some(word) if word & !0xf == SKIPPABLE_MAGIC => skippable_end(bytes, at)?,
            Some(_) | None if at > 0 => return Ok(Decompressed { bytes: out, consumed: at }),
            Some(_) => return Err(Error::corrupt("no LZ4 frame starts here", at)),
            None => return Err(Error::new(ErrorKind::Truncated, bytes.len())),
        };
        at = end;
    }
}

/// One frame of independent blocks, the layout that `lz4` writes and that every boot loader reads.
pub fn encode(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let refused = |error: String| Error::new(ErrorKind::Encoder(error), 0);
    let layout = FrameInfo::new()
        .block_size(BlockSize::Max4MB)
        .block_mode(BlockMode::Independent)
        .content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(layout, Vec::new());
    encoder.write_all(bytes).map_err(|error| refused(error.to_string()))?;
    encoder.finish().map_err(|error| refused(error.to_string()))
}

fn decode_frame(frame: &[u8], out: &mut Vec<u8>, limit: usize) -> Result<(), ErrorKind> {
    let left = limit.saturating_sub(out.len());
    let read = FrameDecoder::new(frame)
        .take(left as u64 + 1)
        .read_to_end(out)
        .map_err(|error| ErrorKind::Corrupt(error.to_string()))?;
    if read > left { Err(ErrorKind::TooLarge { limit }) } else { Ok(()) }
}

/// Where the frame that starts at `at` ends.
fn frame_end(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let flags = *bytes.get(at + 4).ok_or_else(|| truncated(bytes))?;
    if flags & DICTIONARY_ID != 0 {
        return Err(Error::new(ErrorKind::Unsupported("an LZ4 dictionary"), at));
    }
    let content_size = if flags & CONTENT_SIZE == 0 { 0 } else { 8 };
    let block_checksum = if flags & BLOCK_CHECKSUMS == 0 { 0 } else { 4 };
    // Magic, FLG, BD, the content's size, HC.
    let mut end = at + 7 + content_size;
    loop {
        let size = word(bytes, end).ok_or_else(|| truncated(bytes))?;
        end += 4;
        if size == 0 {
            break;
        }
        end = advance(bytes, end, (size & !UNCOMPRESSED) as usize + block_checksum)?;
    }
    advance(bytes, end, if flags & CONTENT_CHECKSUM == 0 { 0 } else { 4 })
}

fn skippable_end(bytes: &[u8], at: usize) -> Result<usize, Error> {
    let size = word(bytes, at + 4).ok_or_else(|| truncated(bytes))?;
    advance(bytes, at + 8, size as usize)
}

fn advance(bytes: &[u8], at: usize, by: usize) -> Result<usize, Error> {
    at.checked_add(by).filter(|&end| end <= bytes.len()).ok_or_else(|| truncated(bytes))
}

fn truncated(bytes: &[u8]) -> Error {
    Error::new(ErrorKind::Truncated, bytes.len())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}
