//! Why a stream was refused, and where.

use core::fmt;

/// A stream that could not be decoded or encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Byte offset in the compressed bytes at which the decoder stopped.
    pub offset: usize,
}

/// The kinds of [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input ends before the stream does.
    Truncated,
    /// The stream breaks its format's rules; the text says which where the codec knows.
    Corrupt(String),
    /// More than `limit` bytes would come out.
    TooLarge {
        /// The limit given, in bytes.
        limit: usize,
    },
    /// Valid, but a dialect that kbt does not read: a preset dictionary, an old frame.
    Unsupported(&'static str),
    /// The system has no memory for the result.
    OutOfMemory,
    /// The codec refused to compress.
    Encoder(String),
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, offset: usize) -> Self {
        Self { kind, offset }
    }

    pub(crate) fn corrupt(text: impl Into<String>, offset: usize) -> Self {
        Self::new(ErrorKind::Corrupt(text.into()), offset)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ErrorKind::Truncated => f.write_str("the compressed stream ends too early"),
            ErrorKind::Corrupt(text) => write!(f, "the compressed stream is corrupt: {text}"),
            ErrorKind::TooLarge { limit } => write!(f, "more than {limit} bytes would come out"),
            ErrorKind::Unsupported(what) => write!(f, "{what} is not supported"),
            ErrorKind::OutOfMemory => f.write_str("no memory for the result"),
            ErrorKind::Encoder(text) => write!(f, "the compressor refused: {text}"),
        }
    }
}

impl std::error::Error for Error {}
