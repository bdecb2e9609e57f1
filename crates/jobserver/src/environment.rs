//! The jobserver that the environment names, if any.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt as _;

use crate::client::Client;
use crate::makeflags::{Auth, MakeFlags};

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
    /// Opens the pool that [`makeflags`] names.
    pub fn from_env() -> Self {
        Self::from_makeflags(makeflags().as_bytes())
    }

    /// Opens the pool that this value of `MAKEFLAGS` names.
    pub fn from_makeflags(value: &[u8]) -> Self {
        match MakeFlags::parse(value).auth {
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

/// What the environment says of a jobserver, in the words of `MAKEFLAGS`: that variable, or `CARGO_MAKEFLAGS` in a build
/// script of cargo, which is told its jobserver so.
///
/// `MAKEFLAGS` comes first where it names a pool, since a make that the script started is nearer than cargo. Outside of a
/// build script (cargo sets `OUT_DIR` there) `CARGO_MAKEFLAGS` is left over from a cargo further up, its pipe long closed.
pub fn makeflags() -> OsString {
    let cargo = std::env::var_os("CARGO_MAKEFLAGS").filter(|_| std::env::var_os("OUT_DIR").is_some());
    nearest(std::env::var_os("MAKEFLAGS"), cargo)
}

fn nearest(make: Option<OsString>, cargo: Option<OsString>) -> OsString {
    let names_a_pool = |value: &OsString| MakeFlags::parse(value.as_bytes()).auth.is_some();
    make.clone().filter(names_a_pool).or(cargo).or(make).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_make_says_comes_before_what_cargo_says() {
        let nearest = |make: Option<&str>, cargo: Option<&str>| {
            nearest(make.map(OsString::from), cargo.map(OsString::from)).into_string().unwrap()
        };
        let (make, cargo) = (" -j4 --jobserver-auth=3,4", "-j --jobserver-auth=8,9");
        assert_eq!(nearest(Some(make), Some(cargo)), make);
        // A make with one job exports MAKEFLAGS too.
        for none in [None, Some(""), Some("kw"), Some(" -j4 --jobserver-auth=3,4 --jobserver-auth=-2,-2")] {
            assert_eq!(nearest(none, Some(cargo)), cargo, "{none:?}");
            assert_eq!(nearest(none, None), none.unwrap_or_default());
        }
    }
}
