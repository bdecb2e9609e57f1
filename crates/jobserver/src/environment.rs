//! The jobserver that the environment names, if any.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::client::Client;
use crate::makeflags::Auth;

/// What the environment says of a jobserver.
#[derive(Debug)]
pub enum Jobserver {
    /// There is none, or make keeps it from this recipe: nothing to warn of.
    None,
    /// A pool that answers.
    Usable(Client),
    /// One is named, but it cannot be used: run one job, and warn.
    Unusable(Unusable),
}

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

impl Jobserver {
    /// Reads `MAKEFLAGS`; in a build script of cargo, which is told its jobserver so, `CARGO_MAKEFLAGS`.
    pub fn from_env() -> Self {
        value_from_env().map_or(Self::None, |value| Self::from_makeflags(value.as_bytes()))
    }

    /// Opens the pool that this value of `MAKEFLAGS` names.
    pub fn from_makeflags(value: &[u8]) -> Self {
        match crate::MakeFlags::parse(value).auth {
            None => Self::None,
            Some(auth) => Self::from_auth(&auth),
        }
    }

    /// The client, where there is one.
    pub fn client(&self) -> Option<&Client> {
        match self {
            Self::Usable(client) => Some(client),
            Self::None | Self::Unusable(_) => None,
        }
    }

    /// Opens this pool.
    pub fn from_auth(auth: &Auth) -> Self {
        match Client::open(auth) {
            Ok(client) => Self::Usable(client),
            Err(reason) => Self::Unusable(reason),
        }
    }
}

/// The value that names the jobserver. `CARGO_MAKEFLAGS` is believed only where cargo runs a build script
/// (it sets `OUT_DIR` there): anywhere else it is left over from a cargo further up, its pipe long closed.
fn value_from_env() -> Option<OsString> {
    let makeflags = std::env::var_os("MAKEFLAGS");
    let in_build_script = || std::env::var_os("OUT_DIR").is_some();
    makeflags.or_else(|| std::env::var_os("CARGO_MAKEFLAGS").filter(|_| in_build_script()))
}
