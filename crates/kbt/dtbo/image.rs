//! Images and their entries, with the file's name added to each error.

use std::borrow::Cow;
use std::ffi::OsStr;

use kbt_compress::{Compression, ErrorKind as StreamError, decompress};
use kbt_dtbo_image::{CompressionFormat, DtTable, Error, ErrorKind, TableKind};

use super::select::{EntryRef, Selector};
use crate::input;
use crate::report::Failure;

/// What an entry may grow to where nobody says otherwise, in bytes.
pub const DEFAULT_MAX_SIZE: usize = 64 << 20;

/// The code of what would grow too large; the one failure that stops `unpack`.
pub const TOO_LARGE: &str = "entry-too-large";
const RAISE: &str = "raise --max-size if you trust the image";

/// How many entries of the largest size a run decompresses in all: entries may overlap, so a small image can name
/// the same large stream a million times.
const ENTRIES_OF_MAX_SIZE: usize = 16;

/// What a run may take out of an image.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Decompressed bytes of one entry.
    entry: usize,
    /// Decompressed bytes of all entries, those spent taken off.
    left: usize,
    /// Bytes of entries that are stored plainly, those spent taken off. They overlap in no image that a packer makes,
    /// so they cannot be more than the image has.
    plain: usize,
}

impl Budget {
    /// A budget of `max_size` decompressed bytes an entry, and of a fixed multiple of that for all of them.
    pub fn new(table: &DtTable<'_>, max_size: usize) -> Self {
        let plain = (table.header().total_size as usize).saturating_mul(2);
        Self { entry: max_size, left: max_size.saturating_mul(ENTRIES_OF_MAX_SIZE), plain }
    }

    /// Takes off bytes that are stored plainly.
    pub fn take_plain(&mut self, bytes: usize) -> Result<(), Failure> {
        self.plain = self.plain.checked_sub(bytes).ok_or_else(|| {
            let message = "the entries overlap so much that together they are larger than the image by far";
            Failure::new(TOO_LARGE, message).hint("extract single entries if you need them")
        })?;
        Ok(())
    }
}

/// Reads the file of an image, with what follows the image; of another kind of file only the start.
pub fn read(word: &OsStr) -> Result<Vec<u8>, Failure> {
    input::read_headed(word, |head| if TableKind::detect(head).is_some() { input::MAX_FILE } else { 0 })
}

/// Checks an image; `name` is what messages call it.
pub fn parse<'a>(name: &str, bytes: &'a [u8]) -> Result<DtTable<'a>, Failure> {
    DtTable::parse(bytes).map_err(|error| refusal(&error).at_file(name).at_offset(error.offset as u64))
}

/// The content of the entry that `reference` names in the image `bytes`, decompressed to at most `max_size` bytes.
pub fn entry(reference: &EntryRef, bytes: &[u8], max_size: usize) -> Result<Vec<u8>, Failure> {
    let name = input::name(&reference.image);
    let selector = Selector::parse(&reference.selector)?;
    let table = parse(&name, bytes)?;
    let index = selector.find(&table).map_err(|failure| failure.at_file(&name))?;
    let content = content(&table, index, &mut Budget::new(&table, max_size));
    content.map(|content| content.bytes.into_owned()).map_err(|failure| failure.at_file(&name))
}

/// An entry's content.
pub struct Content<'a> {
    /// Decompressed bytes; those of the image itself where they are stored plainly.
    pub bytes: Cow<'a, [u8]>,
    /// How it was compressed in truth: the flags of zlib and gzip are read alike.
    pub compression: Compression,
    /// How many stored bytes follow the end of the compressed stream.
    pub behind: usize,
}

/// The content of entry `index`; failures carry the offset in the image, but not its name.
pub fn content<'a>(table: &DtTable<'a>, index: usize, budget: &mut Budget) -> Result<Content<'a>, Failure> {
    let (Some(entry), Some(stored)) = (table.entries().get(index), table.stored(index)) else {
        return Err(Failure::new("no-such-entry", format!("there is no entry {index}")));
    };
    let in_image = |mut failure: Failure| {
        failure.message = format!("entry {index}: {}", failure.message);
        failure.offset = Some(u64::from(entry.dt_offset) + failure.offset.unwrap_or(0));
        failure.detail("entry", index)
    };
    if entry.compression() == CompressionFormat::None {
        budget.take_plain(stored.len()).map_err(in_image)?;
        return Ok(Content { bytes: Cow::Borrowed(stored), compression: Compression::None, behind: 0 });
    }
    let limit = budget.entry.min(budget.left);
    let content = match decode(stored, entry.compression(), limit) {
        Err(failure) if failure.code == TOO_LARGE && limit < budget.entry => {
            budget.left = 0;
            let most = budget.entry.saturating_mul(ENTRIES_OF_MAX_SIZE);
            let message = format!("the entries decompress to more than {most} bytes in all");
            return Err(in_image(Failure::new(TOO_LARGE, message).hint(RAISE)));
        }
        Err(failure) => {
            budget.left -= limit.min(may_have_grown_to(stored));
            return Err(in_image(failure));
        }
        Ok(content) => content,
    };
    budget.left -= content.bytes.len();
    Ok(content)
}

/// How many bytes a stream that is damaged somewhere may have cost before that was found.
fn may_have_grown_to(stored: &[u8]) -> usize {
    // Deflate makes at most 258 bytes of two bits; LZ4 less.
    const DEFLATE_FACTOR: usize = 1032;
    stored.len().saturating_mul(DEFLATE_FACTOR)
}

/// Decompresses stored bytes as an entry's flags say.
pub fn decode(
    stored: &[u8],
    format: CompressionFormat,
    max_size: usize,
) -> Result<Content<'static>, Failure> {
    let compression = match format {
        CompressionFormat::None => Compression::None,
        // mkdtboimg and boot loaders take either stream under either flag.
        CompressionFormat::Zlib | CompressionFormat::Gzip => match Compression::detect(stored) {
            Compression::Gzip => Compression::Gzip,
            _ => Compression::Zlib,
        },
        CompressionFormat::Lz4 => Compression::Lz4,
        CompressionFormat::Unknown(bits) => {
            let message = format!("compression {bits} is not known (0 none, 1 zlib, 2 gzip and 3 lz4 are)");
            return Err(Failure::new("unknown-compression", message));
        }
    };
    match decompress(compression, stored, max_size) {
        Ok(stream) => {
            Ok(Content { bytes: stream.bytes.into(), compression, behind: stored.len() - stream.consumed })
        }
        Err(error) => {
            let failure = Failure::new(stream_code(&error.kind), error.to_string());
            let failure = failure.at_offset(error.offset as u64);
            Err(match error.kind {
                StreamError::TooLarge { .. } => failure.hint(RAISE),
                _ => failure,
            })
        }
    }
}

/// The compression that entries of this format get when they are made.
pub fn compression_of(format: CompressionFormat) -> Option<Compression> {
    match format {
        CompressionFormat::None => Some(Compression::None),
        CompressionFormat::Zlib => Some(Compression::Zlib),
        CompressionFormat::Gzip => Some(Compression::Gzip),
        CompressionFormat::Lz4 => Some(Compression::Lz4),
        CompressionFormat::Unknown(_) => None,
    }
}

/// The format that the table states for a compression.
pub fn format_of(compression: Compression) -> CompressionFormat {
    match compression {
        Compression::None => CompressionFormat::None,
        Compression::Zlib => CompressionFormat::Zlib,
        Compression::Gzip => CompressionFormat::Gzip,
        Compression::Lz4 => CompressionFormat::Lz4,
    }
}

/// An error of the format, with its stable code and the likely mend.
pub fn refusal(error: &Error) -> Failure {
    let (code, hint) = match error.kind {
        ErrorKind::ShorterThanHeader { .. } => ("truncated-image", "give it a whole image"),
        ErrorKind::BadMagic { found: 0xd00d_feed } => {
            ("bad-magic", "this is a device tree itself: use it without an entry, or pack it first")
        }
        ErrorKind::BadMagic { .. } => {
            ("bad-magic", "give it a dump of the dtbo partition, not sparse nor compressed")
        }
        ErrorKind::UnknownVersion { .. } => ("unknown-version", "the header may be damaged"),
        ErrorKind::HeaderSize { .. } | ErrorKind::EntrySize { .. } => {
            ("bad-header", "the header may be damaged")
        }
        ErrorKind::Truncated { .. } => ("truncated-image", "copy the whole partition again"),
        ErrorKind::TableOutside { .. } | ErrorKind::EntryOutside { .. } => {
            ("out-of-bounds", "the image is cut short or damaged: copy it again")
        }
        ErrorKind::TooLarge => ("too-large", "spread the entries over several images"),
        ErrorKind::NoMemory => ("no-memory", "leave it more memory"),
        ErrorKind::NoEntries => ("no-entries", "name at least one file"),
        ErrorKind::NoSuchBlob { .. } => ("bad-manifest", "name a blob of the manifest"),
        ErrorKind::NotInVersion { .. } => ("not-in-version", "use a newer --version, or leave the field out"),
    };
    Failure::new(code, error.to_string()).hint(hint)
}

fn stream_code(kind: &StreamError) -> &'static str {
    match kind {
        StreamError::Truncated => "truncated-stream",
        StreamError::Corrupt(_) => "corrupt-stream",
        StreamError::TooLarge { .. } => TOO_LARGE,
        StreamError::Unsupported(_) => "unsupported-stream",
        StreamError::OutOfMemory => "out-of-memory",
        StreamError::Encoder(_) => "compressor",
    }
}
