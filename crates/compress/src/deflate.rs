//! zlib and gzip streams through one static zlib.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use crate::{Decompressed, Error, ErrorKind};

/// zlib's default level, spelled out: Python's `Z_DEFAULT_COMPRESSION` means 6.
pub const LEVEL: Compression = Compression::new(6);

/// Base-two logarithm of the window.
pub const WINDOW_BITS: u8 = 15;

/// Smallest step by which an output buffer grows, in bytes.
const STEP: usize = 4096;

/// Whether these two bytes start a zlib stream: deflate, a window of at most 2^15, the check bits right.
pub fn is_zlib_header(cmf: u8, flg: u8) -> bool {
    cmf & 0x0f == 8 && cmf >> 4 <= 7 && u16::from_be_bytes([cmf, flg]).is_multiple_of(31)
}

/// Runs `codec` over `bytes`; the result never holds more than `limit` bytes.
pub fn inflate(mut codec: Decompress, bytes: &[u8], limit: usize) -> Result<Decompressed, Error> {
    let mut out = Vec::new();
    loop {
        let consumed = offset(codec.total_in());
        // One byte past the limit is room enough to see that the stream goes on.
        grow(&mut out, limit.saturating_add(1), consumed)?;
        let rest = bytes.get(consumed..).unwrap_or_default();
        let before = (codec.total_in(), codec.total_out());
        let status = codec
            .decompress_vec(rest, &mut out, FlushDecompress::None)
            .map_err(|error| inflate_error(&error, offset(codec.total_in())))?;
        let consumed = offset(codec.total_in());
        if out.len() > limit {
            return Err(Error::new(ErrorKind::TooLarge { limit }, consumed));
        }
        if status == Status::StreamEnd {
            return Ok(Decompressed { bytes: out, consumed });
        }
        if before == (codec.total_in(), codec.total_out()) {
            return Err(Error::new(ErrorKind::Truncated, consumed));
        }
    }
}

/// Compresses all of `bytes` in one stream.
pub fn deflate(mut codec: Compress, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    loop {
        let consumed = offset(codec.total_in());
        grow(&mut out, usize::MAX, consumed)?;
        let rest = bytes.get(consumed..).unwrap_or_default();
        let status = codec
            .compress_vec(rest, &mut out, FlushCompress::Finish)
            .map_err(|error| Error::new(ErrorKind::Encoder(error.to_string()), consumed))?;
        if status == Status::StreamEnd {
            return Ok(out);
        }
    }
}

/// Makes room for more output: doubles, in steps of at least [`STEP`], never past `most` bytes in all.
fn grow(out: &mut Vec<u8>, most: usize, at: usize) -> Result<(), Error> {
    if out.len() < out.capacity() {
        return Ok(());
    }
    let more = out.len().max(STEP).min(most.saturating_sub(out.len()));
    out.try_reserve_exact(more).map_err(|_| Error::new(ErrorKind::OutOfMemory, at))
}

/// zlib's word on what it refused at `at`.
pub fn inflate_error(error: &flate2::DecompressError, at: usize) -> Error {
    if error.needs_dictionary().is_some() {
        return Error::new(ErrorKind::Unsupported("a preset dictionary"), at);
    }
    Error::corrupt(error.message().unwrap_or("no reason given"), at)
}

/// zlib counts in 64 bits; what it counts lies in memory.
fn offset(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}
