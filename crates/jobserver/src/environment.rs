//! The jobserver that the environment names, if any.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use crate::client::Client;
use crate::error::Unusable;
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
