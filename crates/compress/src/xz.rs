//! xz: every stream of the file, padding between them.

use liblzma::stream::{Action, CONCATENATED, Error as CodecError, Status, Stream};

use crate::output::Output;
use crate::{Error, ErrorKind, MAX_MEMORY};

/// Decodes every stream of `bytes`.
pub fn decode(bytes: &[u8], output: &mut Output) -> Result<(), Error> {
    let mut stream =
        Stream::new_stream_decoder(MAX_MEMORY, CONCATENATED).map_err(|error| refused(error, 0))?;
    loop {
        let consumed = offset(stream.total_in());
        let rest = bytes.get(consumed..).unwrap_or_default();
        let before = stream.total_out();
        let status = stream.process(rest, output.room(consumed)?, Action::Finish);
        let consumed = offset(stream.total_in());
        let status = status.map_err(|error| refused(error, consumed))?;
        output.advance(offset(stream.total_out() - before), consumed)?;
        match status {
            Status::StreamEnd => return Ok(()),
            // No progress, although there was room.
            Status::MemNeeded => return Err(Error::new(ErrorKind::Truncated, consumed)),
            Status::Ok | Status::GetCheck => {}
        }
    }
}

fn refused(error: CodecError, at: usize) -> Error {
    match error {
        CodecError::Mem => Error::new(ErrorKind::OutOfMemory, at),
        CodecError::MemLimit => Error::new(ErrorKind::Unsupported("an xz dictionary of over 256 MiB"), at),
        CodecError::Options => Error::new(ErrorKind::Unsupported("an xz filter or option"), at),
        CodecError::Data => Error::corrupt("an xz block or its checksum", at),
        CodecError::Format => Error::corrupt("no xz stream starts here", at),
        other => Error::corrupt(other.to_string(), at),
    }
}

/// liblzma counts in 64 bits; what it counts lies in memory.
fn offset(total: u64) -> usize {
    usize::try_from(total).unwrap_or(usize::MAX)
}
