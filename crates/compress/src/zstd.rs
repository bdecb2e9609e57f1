//! Zstandard: frames whose size is stated are decoded in one step, straight into the result; others (made from a pipe)
//! as a stream, with a window beside.

use zstd_safe::{DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

use crate::output::Output;
use crate::{Error, ErrorKind, MAX_MEMORY};

/// First bytes of a frame that may be skipped, little-endian; the low four bits are free.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;

/// Most bytes that one compressed byte becomes: a block of 128 KiB takes four at least.
const MAX_RATIO: u64 = 32 << 10;

/// The context, made when the first frame comes.
#[derive(Default)]
pub struct Decoder {
    context: Option<DCtx<'static>>,
}

impl Decoder {
    /// Decodes every frame of `bytes`.
    pub fn decode(&mut self, bytes: &[u8], output: &mut Output) -> Result<(), Error> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let size = zstd_safe::find_frame_compressed_size(rest).map_err(|code| refused(code, rest, at))?;
            let frame = rest.get(..size).unwrap_or_default();
            if !is_skippable(frame) {
                self.frame(frame, at, output)?;
            }
            at += size;
        }
        Ok(())
    }

    fn frame(&mut self, frame: &[u8], at: usize, output: &mut Output) -> Result<(), Error> {
        let context = match &mut self.context {
            Some(context) => context,
            none => none.insert(new_context().ok_or_else(|| Error::new(ErrorKind::OutOfMemory, at))?),
        };
        let stated = zstd_safe::get_frame_content_size(frame)
            .map_err(|_| Error::corrupt("the frame's header states no size that there is", at))?;
        let Some(size) = stated else { return stream(context, frame, at, output) };
        if size > (frame.len() as u64).saturating_mul(MAX_RATIO) {
            return Err(Error::corrupt("the frame states more bytes than it can hold", at));
        }
        output.expect(size, at)?;
        let decoded = context.decompress(output.room(at)?, frame);
        output.advance(decoded.map_err(|code| refused(code, frame, at))?, at)
    }
}

fn new_context() -> Option<DCtx<'static>> {
    let mut context = DCtx::try_create()?;
    // Windows of at most MAX_MEMORY.
    context.set_parameter(DParameter::WindowLogMax(MAX_MEMORY.ilog2())).ok()?;
    Some(context)
}

/// One frame of unknown size.
fn stream(context: &mut DCtx<'_>, frame: &[u8], at: usize, output: &mut Output) -> Result<(), Error> {
    let failed = |code| Error::corrupt(zstd_safe::get_error_name(code), at);
    context.reset(ResetDirective::SessionOnly).map_err(failed)?;
    let mut input = InBuffer::around(frame);
    loop {
        let consumed = at + input.pos();
        let mut room = OutBuffer::around(output.room(consumed)?);
        let hint = context.decompress_stream(&mut room, &mut input).map_err(failed)?;
        let (written, full) = (room.pos(), room.pos() == room.capacity());
        output.advance(written, at + input.pos())?;
        if hint == 0 {
            return Ok(());
        }
        if !full && input.pos() == frame.len() {
            return Err(Error::new(ErrorKind::Truncated, at + frame.len()));
        }
    }
}

fn is_skippable(frame: &[u8]) -> bool {
    frame.first_chunk().is_some_and(|magic| u32::from_le_bytes(*magic) & !0xf == SKIPPABLE_MAGIC)
}

/// What the library says of a frame at `at`. Its one word for a size that is wrong means here that bytes are missing.
fn refused(code: zstd_safe::ErrorCode, rest: &[u8], at: usize) -> Error {
    match zstd_safe::get_error_name(code) {
        "Src size is incorrect" => Error::new(ErrorKind::Truncated, at + rest.len()),
        "Allocation error : not enough memory" => Error::new(ErrorKind::OutOfMemory, at),
        text => Error::corrupt(text, at),
    }
}
