//! The reference tools and real trees that tests compare with: where they lie, and what happens where they
//! are missing.
//!
//! `cargo xtask fetch` puts them into one directory, [`directory`]:
//!
//! | path | what |
//! |---|---|
//! | `bin/NAME` | `dtc`, `fdtoverlay`, `fdtdump`, ... of Debian trixie's device-tree-compiler, ready to be run |
//! | `bin/python3`, `bin/lz4` | of trixie: the zlib by which mkdtboimg.py compresses, and lz4 |
//! | `bin/make-4.3`, `bin/make-4.4`, `bin/ninja` | of bookworm, trixie and forky: makes that speak pipe, and pipe and FIFO; a client |
//! | `lib/libfdt.a`, `include/` | trixie's libfdt and its headers |
//! | `trees/arm64-6.12/VENDOR/*.dtb, *.dtbo` | device trees of bookworm-backports' arm64 kernel |
//! | `trees/arm64-6.1/VENDOR/...` | of bookworm's arm64 kernel |
//! | `trees/armmp-6.1/...` | of bookworm's armhf kernel |
//! | `bin/kallsyms-5.10`, `mksysmap-5.10`, `-6.1`, `-6.12`, `-7` | of the kernels of bullseye, bookworm, trixie and forky |
//! | `bin/aarch64-linux-gnu-as`, `-ld`, `-nm`, ... | trixie's binutils for other machines |
//! | `kernels/cloud-6.1/vmlinux`, `vmlinuz` | bookworm's kernel for clouds, with debug information |
//! | `bin/kmod-30/`, `bin/kmod-34/` | `depmod`, `modinfo` and `modprobe` of bookworm and of trixie |
//! | `modules/SET/lib/modules/VERSION/` | kernel modules: `cloud-6.1`, with `--all` also `amd64-6.1`, `armmp-6.1`, `arm64-6.1` |
//! | `modules/SET.gz/`, `.xz/`, `.zst/` | the same modules, packed |
//! | `bin/xz`, `bin/zstd`, `bin/gzip` | of trixie |
//! | `bin/valgrind`, `bin/strace` | bookworm's, to count instructions and let system calls fail where the system has none |
//!
//! A test asks for a peer by [`require!`](crate::require), which leaves the test with a word where the peer
//! could not be had:
//!
//! ```no_run
//! # use kbt_testkit::{peers, require};
//! fn agrees_with_fdtoverlay() {
//!     let fdtoverlay = require!(peers::tool("fdtoverlay"));
//!     let trees = require!(peers::trees("arm64-6.12"));
//! #   let _ = (fdtoverlay, trees);
//! }
//! ```

pub(crate) mod place;

use std::env;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A peer that is not on this machine.
#[derive(Debug, Clone)]
pub struct Missing {
    what: String,
    path: PathBuf,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} at {}; `cargo xtask fetch` gets it", self.what, self.path.display())
    }
}

/// Trixie's libfdt, to be linked statically.
#[derive(Debug, Clone)]
pub struct Libfdt {
    /// The static library.
    pub archive: PathBuf,
    /// The directory of `libfdt.h`.
    pub include: PathBuf,
}

/// The peers directory: `$KBT_PEERS`, else `peers` in kbt's cache directory.
pub fn directory() -> PathBuf {
    place::peers()
}

/// The wrapper that runs one of the reference tools; it takes the tool's own arguments.
pub fn tool(name: &str) -> Result<PathBuf, Missing> {
    present(format!("reference tool '{name}'"), directory().join("bin").join(name))
}

/// A script of the package that `dtc` is of, to be run by its interpreter: `dtdiff`, which calls the `dtc` of `$PATH`.
pub fn script(name: &str) -> Result<PathBuf, Missing> {
    let path = directory().join("sysroot/tools/usr/bin").join(name);
    present(format!("reference script '{name}'"), path)
}

/// The valgrind that counts instructions: the system's, else the peer.
pub fn valgrind() -> Result<PathBuf, Missing> {
    present("valgrind".to_owned(), place::valgrind())
}

/// The strace that lets system calls fail: the system's, else the peer.
pub fn strace() -> Result<PathBuf, Missing> {
    place::of_system("strace").map_or_else(|| tool("strace"), Ok)
}

/// A set of real device trees: `arm64-6.12`, `arm64-6.1` or `armmp-6.1`.
pub fn trees(set: &str) -> Result<PathBuf, Missing> {
    present(format!("device trees '{set}'"), directory().join("trees").join(set))
}

/// The root of a set of kernel modules, which holds `lib/modules/VERSION`: `cloud-6.1`, `amd64-6.1`, `armmp-6.1`
/// or `arm64-6.1`, packed with `.gz`, `.xz` or `.zst` behind the name.
pub fn modules(set: &str) -> Result<PathBuf, Missing> {
    present(format!("kernel modules '{set}'"), directory().join("modules").join(set))
}

/// A real kernel: a directory with `vmlinux`, as it was linked, and `vmlinuz`: `cloud-6.1`.
pub fn kernel(set: &str) -> Result<PathBuf, Missing> {
    present(format!("kernel '{set}'"), directory().join("kernels").join(set))
}

/// The reference library for in-process comparisons.
pub fn libfdt() -> Result<Libfdt, Missing> {
    let header = present("header 'libfdt.h'".to_owned(), directory().join("include/libfdt.h"))?;
    let archive = present("library 'libfdt.a'".to_owned(), directory().join("lib/libfdt.a"))?;
    let include = header.parent().unwrap_or(Path::new("/")).to_owned();
    Ok(Libfdt { archive, include })
}

fn present(what: String, path: PathBuf) -> Result<PathBuf, Missing> {
    if path.exists() { Ok(path) } else { Err(Missing { what, path }) }
}

/// Tells that `test` could not run: on standard error (where the test harness does not capture it) and, as a
/// line, in the file that `$KBT_SKIPS` names, from which `cargo xtask test` counts.
///
/// # Panics
/// Where `$CI` is `true`: there a test that did not run is a test that failed.
pub fn skip(test: &str, reason: &dyn fmt::Display) {
    let list = env::var_os("KBT_SKIPS").filter(|list| !list.is_empty());
    let in_ci = env::var_os("CI").is_some_and(|value| value == "true");
    tell(test, reason, &mut io::stderr(), list.as_deref().map(Path::new), in_ci);
}

fn tell(test: &str, missing: &dyn fmt::Display, to: &mut dyn Write, list: Option<&Path>, in_ci: bool) {
    let line = format!("SKIPPED {test}: {missing}\n");
    // One write, so that the lines of tests that run side by side stay whole.
    let _ = to.write_all(line.as_bytes());
    if let Some(list) = list {
        let written = OpenOptions::new().append(true).create(true).open(list);
        let written = written.and_then(|mut file| file.write_all(line.as_bytes()));
        assert!(written.is_ok(), "a skipped test that is not counted: {}: {written:?}", list.display());
    }
    assert!(!in_ci, "skipped under CI=true: {missing}");
}

/// Gives the peer, or reports the calling test as skipped and returns from it.
#[macro_export]
macro_rules! require {
    ($peer:expr) => {
        match $peer {
            Ok(peer) => peer,
            Err(missing) => {
                fn here() {}
                let name = ::std::any::type_name_of_val(&here);
                $crate::peers::skip(name.trim_end_matches("::here"), &missing);
                return;
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_missing_tool_names_its_place_and_its_mend() {
        let missing = tool("no-such-tool").unwrap_err();
        let text = missing.to_string();
        assert!(text.contains("'no-such-tool'"), "{text}");
        assert!(text.contains("bin/no-such-tool"), "{text}");
        assert!(text.contains("cargo xtask fetch"), "{text}");
    }

    #[test]
    fn a_skip_is_listed() {
        let missing = tool("no-such-tool").unwrap_err();
        let list = env::temp_dir().join(format!("kbt-skips-{}", std::process::id()));
        let mut told = Vec::new();
        tell("one", &missing, &mut told, Some(&list), false);
        tell("two", &missing, &mut told, Some(&list), false);
        let text = fs::read_to_string(&list).unwrap();
        fs::remove_file(&list).unwrap();
        assert_eq!(text, format!("SKIPPED one: {missing}\nSKIPPED two: {missing}\n"));
        assert_eq!(told, text.as_bytes());
    }

    #[test]
    #[should_panic(expected = "skipped under CI=true")]
    fn a_skip_fails_in_ci() {
        tell("one", &tool("no-such-tool").unwrap_err(), &mut io::sink(), None, true);
    }

    #[test]
    fn every_place_lies_in_the_peers_directory() {
        assert!(trees("none").unwrap_err().path.starts_with(directory()));
    }
}
