//! Where the peers lie. `cargo xtask fetch` fills the directory that the tests read; this file is compiled
//! into both (xtask includes it by path, since it depends on no crate of the workspace), so that the rule is
//! written once.

use std::env;
use std::ffi::OsString;
use std::path::{self, PathBuf};

/// `$KBT_PEERS`, else `peers` in [`cache`].
pub fn peers() -> PathBuf {
    variable("KBT_PEERS").map_or_else(|| cache().join("peers"), absolute)
}

/// `$KBT_CACHE`, else `$XDG_CACHE_HOME/kbt`, else `$HOME/.cache/kbt`; without a home, `.cache/kbt` in the
/// temporary directory.
pub fn cache() -> PathBuf {
    if let Some(own) = variable("KBT_CACHE") {
        return absolute(own);
    }
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .unwrap_or_else(|| variable("HOME").map_or_else(env::temp_dir, PathBuf::from).join(".cache"));
    base.join("kbt")
}

/// Where valgrind is, which counts instructions: the system's, else the peer.
pub fn valgrind() -> PathBuf {
    of_system("valgrind").unwrap_or_else(|| peers().join("bin/valgrind"))
}

/// A program in `$PATH`.
pub fn of_system(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// Programs that are started in another directory get these paths too.
fn absolute(value: OsString) -> PathBuf {
    path::absolute(&value).unwrap_or_else(|_| value.into())
}

/// A variable that is set and not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
