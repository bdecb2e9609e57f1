//! Files that are compressed as a whole, as kernel modules are: one decoder for many of them.

use core::fmt;

use crate::output::Output;
use crate::{Error, ErrorKind, gzip, xz, zstd};

/// How a whole file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileCompression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz (<https://tukaani.org/xz/xz-file-format.txt>).
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl FileCompression {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::None, Self::Gzip, Self::Xz, Self::Zstd];

    /// How many bytes of the file [`detect`](Self::detect) looks at.
    pub const MAGIC_SIZE: usize = 6;

    /// The format that a file with these first bytes has, whatever its name says.
    pub fn detect(bytes: &[u8]) -> Self {
        match bytes {
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x1f, 0x8b, ..] => Self::Gzip,
            _ => Self::None,
        }
    }

    /// The name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for FileCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Decodes one file after the other. The codecs' contexts and the output buffer are made when they are first
/// needed, and kept; a buffer that one large file needed (over 8 MiB) is given back with the next.
#[derive(Default)]
pub struct Decoder {
    gzip: gzip::Decoder,
    zstd: zstd::Decoder,
    output: Output,
}

impl Decoder {
    /// One that holds nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Decodes all of `bytes`: every member, stream and frame of the file, one after the other, and what the format
    /// allows between them. At most `limit` bytes come out.
    ///
    /// Behind a gzip member, bytes that start no further one are left alone, as gzip does (with a warning) and zlib's
    /// `gzread`. The others refuse what they do not know.
    ///
    /// # Errors
    ///
    /// A stream that is cut short, corrupt, larger than `limit`, or wants more memory than [`MAX_MEMORY`]; the offset
    /// is where in `bytes` it was seen, for zstd the start of the frame.
    pub fn decode<'a>(
        &'a mut self,
        compression: FileCompression,
        bytes: &'a [u8],
        limit: usize,
    ) -> Result<&'a [u8], Error> {
        self.output.start(limit);
        match compression {
            FileCompression::None if bytes.len() > limit => {
                return Err(Error::new(ErrorKind::TooLarge { limit }, limit));
            }
            FileCompression::None => return Ok(bytes),
            FileCompression::Gzip => self.gzip.decode(bytes, &mut self.output)?,
            FileCompression::Xz => xz::decode(bytes, &mut self.output)?,
            FileCompression::Zstd => self.zstd.decode(bytes, &mut self.output)?,
        }
        Ok(self.output.bytes())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("output", &self.output).finish_non_exhaustive()
    }
}

/// Bytes that a codec may want beside the result: xz's dictionary (`xz -9` makes one of 64 MiB), zstd's window.
pub const MAX_MEMORY: u64 = 256 << 20;
