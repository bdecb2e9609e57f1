//! Detection, bounded decompression and compression of the formats that kernel artefacts use.
//!
//! Bytes in, bytes out: no file, no environment, no thread. Every decompression takes a limit, so that a few
//! hostile bytes cannot ask for gigabytes.
//!
//! [`decompress`] and [`compress`] are for the entries of images, a stream each; [`Decoder`] is for many files that are
//! compressed as a whole, such as kernel modules, and keeps its buffers between them.
//!
//! ```
//! use kbt_compress::{Compression, compress, decompress};
//!
//! # fn main() -> Result<(), kbt_compress::Error> {
//! let stored = compress(Compression::Gzip, b"a device tree")?;
//! assert_eq!(Compression::detect(&stored), Compression::Gzip);
//! assert_eq!(decompress(Compression::Gzip, &stored, 1 << 20)?.bytes, b"a device tree");
//! // More than the limit never comes out.
//! assert!(decompress(Compression::Gzip, &stored, 4).is_err());
//! # Ok(())
//! # }
//! ```

mod deflate;
mod error;
mod file;
mod gzip;
mod lz4;
mod lz4_legacy;
mod output;
mod xz;
mod zstd;

use core::fmt;

pub use error::{Error, ErrorKind};
pub use file::{Decoder, FileCompression, MAX_MEMORY};
pub use lz4_legacy::{LEGACY_MAGIC, decompress_lz4_legacy};

/// How bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// As they are.
    None,
    /// Deflate with zlib's header and Adler-32 (RFC 1950).
    Zlib,
    /// Deflate with gzip's header and CRC-32 (RFC 1952).
    Gzip,
    /// LZ4 in its frame format (not the legacy frame of the kernel's `lz4 -l`).
    Lz4,
}

impl Compression {
    /// Every format, in the order of their names' table.
    pub const ALL: [Self; 4] = [Self::None, Self::Zlib, Self::Gzip, Self::Lz4];

    /// The name on the command line and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zlib => "zlib",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
        }
    }

    /// The format of that [`name`](Self::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format that these bytes start with; [`Compression::None`] where no magic fits.
    ///
    /// zlib has no magic: its first two bytes are a method, a window size and a check (RFC 1950, 2.2), which one
    /// in a thousand random pairs fulfils. A device tree (`d00dfeed`) does not.
    pub fn detect(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x04, 0x22, 0x4d, 0x18, ..] => Self::Lz4,
            [cmf, flg, ..] if deflate::is_zlib_header(*cmf, *flg) => Self::Zlib,
            _ => Self::None,
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What [`decompress`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decompressed {
    /// The bytes that were compressed.
    pub bytes: Vec<u8>,
    /// How many bytes of the input the stream took; what lies behind is not part of it.
    pub consumed: usize,
}

/// Decompresses the stream at the start of `bytes`.
///
/// The result holds at most `limit` bytes, and its buffer room for one more; beside it the decoder keeps a working
/// buffer (32 KiB of window for deflate, up to 12 MiB of blocks for LZ4). For zlib and gzip the first stream ends it, as with Python's
/// `zlib.decompress`: a second member of a gzip file counts as bytes behind the stream. LZ4 frames that follow
/// each other are joined and skippable frames are skipped, as `lz4 -d` does.
///
/// # Errors
///
/// A stream that is cut short, corrupt, larger than `limit`, or in a dialect that kbt does not read; the offset
/// is where in `bytes` the decoder stopped.
pub fn decompress(compression: Compression, bytes: &[u8], limit: usize) -> Result<Decompressed, Error> {
    match compression {
        Compression::None if bytes.len() > limit => Err(Error::new(ErrorKind::TooLarge { limit }, limit)),
        Compression::None => Ok(Decompressed { bytes: bytes.to_vec(), consumed: bytes.len() }),
        Compression::Zlib => deflate::inflate(flate2::Decompress::new(true), bytes, limit),
        Compression::Gzip => {
            deflate::inflate(flate2::Decompress::new_gzip(deflate::WINDOW_BITS), bytes, limit)
        }
        Compression::Lz4 => lz4::decode(bytes, limit),
    }
}

/// Compresses `bytes`.
///
/// zlib and gzip are written by zlib itself at level 6 with a window of 2^15 and memory level 8, which are
/// Python's defaults: the bytes equal those of `zlib.compressobj()`, gzip's header being
/// `1f8b0800 00000000 0003`. LZ4 is one frame of independent 4 MiB blocks with a content checksum, the layout of
/// the `lz4` tool; its blocks are compressed by another match finder, so the bytes are not that tool's.
///
/// # Errors
///
/// Only where memory runs out or the codec refuses, which no input is known to cause.
pub fn compress(compression: Compression, bytes: &[u8]) -> Result<Vec<u8>, Error> {
    match compression {
        Compression::None => Ok(bytes.to_vec()),
        Compression::Zlib => deflate::deflate(flate2::Compress::new(deflate::LEVEL, true), bytes),
        Compression::Gzip => {
            deflate::deflate(flate2::Compress::new_gzip(deflate::LEVEL, deflate::WINDOW_BITS), bytes)
        }
        Compression::Lz4 => lz4::encode(bytes),
    }
}

/// CRC-32 as gzip has it, to tell whether bytes changed by accident or by hand; it proves nothing against malice.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
