//! What a kernel is wrapped in: the stub and the compression of bzImage, zboot, Image.gz and the like.

use kbt_compress::{Compression, Decoder, ErrorKind, FileCompression, LEGACY_MAGIC};
use kbt_compress::{decompress, decompress_lz4_legacy};

use crate::report::Failure;

/// Wrappers within wrappers that are opened: a compressed bzImage is one in another.
const MAX_DEPTH: usize = 4;
/// Starts of streams that are tried in an image of which nothing else is known.
const MAX_TRIES: usize = 64;

/// Offsets in the header of an x86 kernel (Documentation/arch/x86/boot.rst).
mod setup_header {
    /// Sectors of 512 bytes in front of the protected-mode code, less one.
    pub const SETUP_SECTS: usize = 0x1f1;
    /// `HdrS`.
    pub const MAGIC: usize = 0x202;
    /// Where the compressed kernel starts in the protected-mode code.
    pub const PAYLOAD_OFFSET: usize = 0x248;
    /// How many bytes it has.
    pub const PAYLOAD_LENGTH: usize = 0x24c;
}

/// Takes off every wrapper: what is left is an ELF file or a raw image. At most `limit` bytes come out of each.
///
/// # Errors
///
/// A stream that is broken, too large, or of a kind that is not known.
pub fn unwrap(mut bytes: Vec<u8>, limit: usize) -> Result<Vec<u8>, Failure> {
    for _ in 0..MAX_DEPTH {
        let Some(stream) = payload(&bytes) else { return Ok(bytes) };
        bytes = decode(stream, limit)?;
    }
    Ok(bytes)
}

/// The compressed stream of a wrapper that is known by its header; `None` where there is none.
fn payload(bytes: &[u8]) -> Option<&[u8]> {
    if is_stream(bytes) {
        return Some(bytes);
    }
    if bytes.get(setup_header::MAGIC..)?.starts_with(b"HdrS") {
        let sectors = match *bytes.get(setup_header::SETUP_SECTS)? {
            // As old boot loaders read it.
            0 => 4,
            sectors => usize::from(sectors),
        };
        let start = (sectors + 1) * 512 + word(bytes, setup_header::PAYLOAD_OFFSET)?;
        return bytes.get(start..start.checked_add(word(bytes, setup_header::PAYLOAD_LENGTH)?)?);
    }
    // The EFI stub that unpacks itself: "MZ", 0, 0, "zimg", offset and size of the stream.
    if bytes.starts_with(b"MZ") && bytes.get(4..8) == Some(b"zimg") {
        let start = word(bytes, 8)?;
        return bytes.get(start..start.checked_add(word(bytes, 12)?)?);
    }
    None
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = *bytes.get(at..)?.first_chunk()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn is_stream(bytes: &[u8]) -> bool {
    FileCompression::detect(bytes) != FileCompression::None
        || Compression::detect(bytes) == Compression::Lz4
        || bytes.starts_with(&LEGACY_MAGIC)
        || UNKNOWN.iter().any(|(magic, _)| bytes.starts_with(magic))
}

/// What kernels may be compressed by and kbt does not read.
const UNKNOWN: [(&[u8], &str); 3] = [(b"BZh", "bzip2"), (b"\x5d\0\0", "lzma"), (b"\x89LZO", "LZO")];

fn decode(stream: &[u8], limit: usize) -> Result<Vec<u8>, Failure> {
    if let Some((_, name)) = UNKNOWN.iter().find(|(magic, _)| stream.starts_with(magic)) {
        let message = format!("the kernel is compressed by {name}, which kbt does not read");
        return Err(Failure::new("unknown-compression", message).hint("unpack it by another tool first"));
    }
    let is_legacy = stream.starts_with(&LEGACY_MAGIC);
    if is_legacy || Compression::detect(stream) == Compression::Lz4 {
        let read = match is_legacy {
            true => decompress_lz4_legacy(stream, limit),
            false => decompress(Compression::Lz4, stream, limit),
        };
        return read.map(|read| read.bytes).map_err(|error| broken(&error));
    }
    let format = FileCompression::detect(stream);
    let mut decoder = Decoder::new();
    let whole = decoder.decode(format, stream, limit).map(<[u8]>::to_vec);
    match whole {
        // The kernel's build appends the size in four bytes to what does not end with it.
        Err(error) if !matches!(error.kind, ErrorKind::TooLarge { .. }) => {
            let cut = stream.len().checked_sub(4).and_then(|end| stream.get(..end)).unwrap_or_default();
            let cut = decoder.decode(format, cut, limit).map(<[u8]>::to_vec);
            cut.map_err(|_| broken(&error))
        }
        whole => whole.map_err(|error| broken(&error)),
    }
}

fn broken(error: &kbt_compress::Error) -> Failure {
    let failure = Failure::new("bad-stream", format!("the compressed kernel cannot be read: {error}"));
    match error.kind {
        ErrorKind::TooLarge { .. } => failure.hint("raise --max-size if you trust the image"),
        _ => failure,
    }
}

/// Kernels compressed within an image of which nothing is known (arm's zImage): what each stream gives that can be
/// read.
pub fn inner(bytes: &[u8], limit: usize) -> impl Iterator<Item = Vec<u8>> {
    let starts = (1..bytes.len()).filter(|&at| {
        bytes.get(at..).is_some_and(|rest| {
            rest.starts_with(b"\x1f\x8b\x08")
                || rest.starts_with(&LEGACY_MAGIC)
                || FileCompression::detect(rest) > FileCompression::Gzip
        })
    });
    starts.take(MAX_TRIES).filter_map(move |at| decode(bytes.get(at..)?, limit).ok())
}
