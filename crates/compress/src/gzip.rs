//! Whole gzip files: libdeflate, in one step, where the file is one member of the size that its end states; zlib, member
//! by member, for everything else. So zlib's word is the one that counts on what is broken or odd.

use flate2::{Decompress, FlushDecompress, Status};

use crate::deflate::WINDOW_BITS;
use crate::output::Output;
use crate::{Error, ErrorKind};

/// First bytes of a member: the magic, and deflate, the only method.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Most bytes that one byte of deflate becomes (258 bytes from two bits).
const MAX_RATIO: usize = 1032;

/// libdeflate's context, made when the first file comes.
#[derive(Default)]
pub struct Decoder {
    context: Option<libdeflater::Decompressor>,
}

impl Decoder {
    /// Decodes every member of `bytes`.
    pub fn decode(&mut self, bytes: &[u8], output: &mut Output) -> Result<(), Error> {
        match self.single(bytes, output) {
            Some(size) => output.advance(size, bytes.len()),
            None => members(bytes, output),
        }
    }

    /// The size of the only member, decoded; `None` for what is left to zlib.
    fn single(&mut self, bytes: &[u8], output: &mut Output) -> Option<usize> {
        let stated = u32::from_le_bytes(*bytes.last_chunk()?) as usize;
        let possible = stated <= output.limit() && stated / MAX_RATIO <= bytes.len();
        // libdeflate does not tell where a member ends, so another one must not lie behind it.
        if !possible || memchr::memmem::find(bytes.get(1..)?, &MAGIC).is_some() {
            return None;
        }
        output.expect(stated as u64, 0).ok()?;
        let context = self.context.get_or_insert_default();
        context.gzip_decompress(bytes, output.room(0).ok()?).ok()
    }
}

/// Member by member. What follows a member and is none is left alone.
fn members(bytes: &[u8], output: &mut Output) -> Result<(), Error> {
    let mut at = 0;
    loop {
        at += member(bytes.get(at..).unwrap_or_default(), at, output)?;
        if !bytes.get(at..).is_some_and(|rest| rest.starts_with(&MAGIC[..2])) {
            return Ok(());
        }
    }
}

/// Decodes the member that starts `bytes`, which is at `at` of the file, and gives its size there.
fn member(bytes: &[u8], at: usize, output: &mut Output) -> Result<usize, Error> {
    let mut codec = Decompress::new_gzip(WINDOW_BITS);
    loop {
        let consumed = offset(codec.total_in());
        let rest = bytes.get(consumed..).unwrap_or_default();
        let before = codec.total_out();
        let status = codec.decompress(rest, output.room(at + consumed)?, FlushDecompress::None);
        let now = offset(codec.total_in());
        let status = status.map_err(|error| crate::deflate::inflate_error(&error, at + now))?;
        let written = offset(codec.total_out() - before);
        output.advance(written, at + now)?;
        if status == Status::StreamEnd {
            return Ok(now);
        }
        if written == 0 && now == consumed {
            return Err(Error::new(ErrorKind::Truncated, at + now));
        }
    }
}

/// zlib counts in 64 bits; what it counts lies in memory.
fn offset(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}
