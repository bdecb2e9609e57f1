//! zlib and gzip streams (RFC 1950, RFC 1952), decoded twice: how long the result is stands nowhere in an image, so the
//! first pass counts and the second fills a buffer of that size.
//!
//! As kbt's own reader of images: the first stream is the entry, bytes behind it are left alone, and either
//! format is taken under either flag.

use alloc::boxed::Box;
use alloc::vec;
use core::fmt;

use miniz_oxide::inflate::TINFLStatus as Status;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags as flags};

/// Bytes of deflate's window, and so of the first pass's buffer.
pub const WINDOW: usize = 32 << 10;
/// Bytes of the decoder.
pub const DECODER: usize = size_of::<DecompressorOxide>();

/// What the stream is wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Two bytes of header, Adler-32 behind.
    Zlib,
    /// Ten bytes of header or more, CRC-32 and length behind.
    Gzip,
}

impl Format {
    /// gzip where the magic says so.
    pub fn detect(stored: &[u8]) -> Self {
        if stored.starts_with(&GZIP_MAGIC) { Self::Gzip } else { Self::Zlib }
    }
}

/// What is wrong with a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// It ends before its end.
    Truncated,
    /// It breaks deflate's or its wrapper's rules.
    Corrupt,
    /// The result does not have the checksum that the stream states.
    Checksum,
    /// More comes out than may.
    TooLarge,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the compressed stream ends too early",
            Self::Corrupt => "the compressed stream is corrupt",
            Self::Checksum => "the compressed stream's checksum is wrong",
            Self::TooLarge => "too much would come out",
        })
    }
}

/// Why a stream is refused, and near which of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the stream.
    pub offset: usize,
}

/// How many bytes come out of the stream at the start of `stored`.
///
/// # Errors
/// A stream that is cut short or corrupt, or gives more than `limit` bytes.
pub fn size(format: Format, stored: &[u8], limit: usize) -> Result<usize, Error> {
    let start = body(format, stored)?;
    let mut decoder = Decoder::new(format, stored, start);
    let mut window = vec![0; WINDOW];
    let mut size: usize = 0;
    loop {
        let (status, written) = decoder.step(&mut window, size % WINDOW, 0);
        size += written;
        if size > limit {
            return Err(Error { kind: ErrorKind::TooLarge, offset: decoder.at });
        }
        match status {
            Status::HasMoreOutput => {}
            Status::Done => return Ok(size),
            status => return Err(decoder.error(status)),
        }
    }
}

/// Decodes into `out`, which has the size that [`size`] gave, and compares the checksums.
///
/// # Errors
/// As [`size`], and a checksum that differs.
pub fn into(format: Format, stored: &[u8], out: &mut [u8]) -> Result<(), Error> {
    let start = body(format, stored)?;
    let mut decoder = Decoder::new(format, stored, start);
    let (status, written) = decoder.step(out, 0, flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
    if status != Status::Done || written != out.len() {
        return Err(decoder.error(status));
    }
    if format == Format::Gzip {
        trailer(stored, decoder.at, out)?;
    }
    Ok(())
}

struct Decoder<'s> {
    // It is large, and a boot loader's stack is not.
    state: Box<DecompressorOxide>,
    stored: &'s [u8],
    /// Bytes that were read.
    at: usize,
    flags: u32,
}

impl<'s> Decoder<'s> {
    fn new(format: Format, stored: &'s [u8], at: usize) -> Self {
        let flags = match format {
            Format::Zlib => flags::TINFL_FLAG_PARSE_ZLIB_HEADER | flags::TINFL_FLAG_COMPUTE_ADLER32,
            Format::Gzip => 0,
        };
        Self { state: Box::default(), stored, at, flags }
    }

    /// Decodes to `out` from byte `from` of it on until it is full; gives how it stopped and how much came out.
    fn step(&mut self, out: &mut [u8], from: usize, more: u32) -> (Status, usize) {
        let rest = self.stored.get(self.at..).unwrap_or_default();
        let (status, read, written) = decompress(&mut self.state, rest, out, from, self.flags | more);
        self.at += read;
        (status, written)
    }

    fn error(&self, status: Status) -> Error {
        let kind = match status {
            Status::Adler32Mismatch => ErrorKind::Checksum,
            Status::NeedsMoreInput | Status::FailedCannotMakeProgress => ErrorKind::Truncated,
            _ => ErrorKind::Corrupt,
        };
        Error { kind, offset: self.at }
    }
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Where the decoder starts: behind gzip's header, which it does not know.
fn body(format: Format, stored: &[u8]) -> Result<usize, Error> {
    match format {
        Format::Zlib => Ok(0),
        Format::Gzip => gzip_header(stored),
    }
}

/// The length of the header (RFC 1952, 2.3): ten bytes, then what its flags announce.
fn gzip_header(stored: &[u8]) -> Result<usize, Error> {
    const HEADER_CRC: u8 = 2;
    const EXTRA: u8 = 4;
    const NAME: u8 = 8;
    const COMMENT: u8 = 16;
    const RESERVED: u8 = 0xe0;
    let fail = |kind, offset| Err(Error { kind, offset });
    let Some(&[a, b, method, announced, ..]) = stored.first_chunk::<10>() else {
        return fail(ErrorKind::Truncated, stored.len());
    };
    if [a, b] != GZIP_MAGIC || method != 8 || announced & RESERVED != 0 {
        return fail(ErrorKind::Corrupt, 0);
    }
    let mut at = 10;
    if announced & EXTRA != 0 {
        let Some(length) = stored.get(at..).and_then(<[u8]>::first_chunk) else {
            return fail(ErrorKind::Truncated, stored.len());
        };
        at += 2 + usize::from(u16::from_le_bytes(*length));
    }
    for field in [NAME, COMMENT] {
        if announced & field != 0 {
            let Some(end) = stored.get(at..).and_then(|rest| rest.iter().position(|&byte| byte == 0)) else {
                return fail(ErrorKind::Truncated, stored.len());
            };
            at += end + 1;
        }
    }
    if announced & HEADER_CRC != 0 {
        let stated = stored.get(at..).and_then(<[u8]>::first_chunk).map(|word| u16::from_le_bytes(*word));
        let crc = crc32(stored.get(..at).unwrap_or_default()) & 0xffff;
        match stated {
            None => return fail(ErrorKind::Truncated, stored.len()),
            Some(stated) if u32::from(stated) != crc => return fail(ErrorKind::Checksum, at),
            Some(_) => at += 2,
        }
    }
    if at > stored.len() { fail(ErrorKind::Truncated, stored.len()) } else { Ok(at) }
}

/// Compares CRC-32 and length (modulo 2^32) behind a gzip stream.
fn trailer(stored: &[u8], at: usize, out: &[u8]) -> Result<(), Error> {
    let Some(words) = stored.get(at..).and_then(<[u8]>::first_chunk::<8>) else {
        return Err(Error { kind: ErrorKind::Truncated, offset: stored.len() });
    };
    let (crc, length) = words.split_at(4);
    let length_fits = length == (out.len() as u64).to_le_bytes().get(..4).unwrap_or_default();
    if crc != crc32(out).to_le_bytes() || !length_fits {
        return Err(Error { kind: ErrorKind::Checksum, offset: at });
    }
    Ok(())
}

/// CRC-32 of gzip (RFC 1952, 8), four bits at a time: the table has 64 bytes.
fn crc32(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 16] = {
        let mut table = [0; 16];
        let mut number = 0_u32;
        while number < 16 {
            let (mut value, mut bit) = (number, 0);
            while bit < 4 {
                value = value >> 1 ^ if value & 1 == 0 { 0 } else { 0xedb8_8320 };
                bit += 1;
            }
            table[number as usize] = value;
            number += 1;
        }
        table
    };
    let step = |crc: u32, bits: u32| crc >> 4 ^ TABLE[((crc ^ bits) & 15) as usize];
    let crc = bytes.iter().fold(u32::MAX, |crc, &byte| {
        let crc = step(crc, u32::from(byte));
        step(crc, u32::from(byte) >> 4)
    });
    !crc
}
