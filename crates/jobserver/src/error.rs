//! What is wrong with a pool that was named.

use std::fmt;
use std::io;

/// Why a jobserver that was named cannot be used. `Display` is one sentence without a full stop.
#[derive(Debug)]
pub enum Unusable {
    /// The descriptor is not open: make hands it only to recipes that begin with `+` or name `$(MAKE)`.
    Closed {
        /// The number of the descriptor.
        fd: u32,
    },
    /// The descriptor is something other than a pipe; as a rule a file that another program opened under
    /// this number.
    NotAPipe {
        /// The number of the descriptor.
        fd: u32,
        /// What it is.
        what: &'static str,
    },
    /// The descriptor cannot be read from, or not be written to.
    WrongDirection {
        /// The number of the descriptor.
        fd: u32,
        /// `read` or `write`.
        wanted: &'static str,
    },
    /// The two descriptors belong to different pipes.
    TwoPipes {
        /// The number of the descriptor to read from.
        read: u32,
        /// The number of the descriptor to write to.
        write: u32,
    },
    /// The path is something other than a FIFO or a character device.
    NotAFifo {
        /// The path's bytes.
        path: Vec<u8>,
        /// What it is.
        what: &'static str,
    },
    /// The system refused.
    Io {
        /// The path that was opened.
        path: Vec<u8>,
        /// Its words.
        error: io::Error,
    },
    /// The option has a value that no make is known to write.
    Unknown(Vec<u8>),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed { fd } => write!(f, "descriptor {fd} is not open"),
            Self::NotAPipe { fd, what } => write!(f, "descriptor {fd} is {what} instead of a pipe"),
            Self::WrongDirection { fd, wanted } => write!(f, "descriptor {fd} is not open to {wanted}"),
            Self::TwoPipes { read, write } => {
                write!(f, "descriptors {read} and {write} are not the ends of one pipe")
            }
            Self::NotAFifo { path, what } => write!(f, "{} is {what} instead of a FIFO", path.escape_ascii()),
            Self::Io { path, error } => {
                // `Display` of an OS error ends in "(os error N)", which says nothing to a user.
                let text = error.to_string();
                let text = text.split(" (os error").next().unwrap_or_default();
                write!(f, "cannot open {}: {text}", path.escape_ascii())
            }
            Self::Unknown(value) => {
                write!(f, "--jobserver-auth has the unknown value '{}'", value.escape_ascii())
            }
        }
    }
}

impl std::error::Error for Unusable {}
