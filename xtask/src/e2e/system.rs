//! A directory that is a Debian system: packages unpacked, none of their scripts run.
//!
//! A chroot in a user namespace makes it the root, so that neither this system nor its package database is touched, and
//! nobody has to be root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt;
use crate::files::{cannot, create};
use crate::run::{self, Result};

/// Shows the inside what this system has in /proc, /dev and /sys, and goes in. Wants the directory, then the command.
const ENTER: &str = "root=$1; shift
for here in proc dev sys; do mkdir -p \"$root/$here\"; mount --rbind /$here \"$root/$here\"; done
exec chroot \"$root\" \"$@\"";

/// Such a system.
pub struct System {
    pub root: PathBuf,
}

impl System {
    /// Unpacks packages into `root`, which is made.
    pub fn unpack<'p>(root: &Path, packages: impl IntoIterator<Item = &'p PathBuf>) -> Result<Self> {
        for directory in ["bin", "sbin", "lib", "lib64"] {
            create(&root.join("usr").join(directory))?;
            link(&format!("usr/{directory}"), &root.join(directory))?;
        }
        for package in packages {
            apt::unpack(package, &[], root)?;
        }
        for directory in ["etc", "tmp", "run", "var/log"] {
            create(&root.join(directory))?;
        }
        link("dash", &root.join("usr/bin/sh"))?;
        Ok(Self { root: root.to_owned() })
    }

    /// Runs a program with this system as the root and gives what it printed.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        run::text(&mut self.inside(words))
    }

    /// The same for programs that run long: what it prints is the user's to see.
    pub fn show(&self, words: &[&str]) -> Result {
        run::run(&mut self.inside(words))
    }

    fn inside(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-ec", ENTER, "sh"]).arg(&self.root).args(words);
        surroundings(&mut command);
        command
    }
}

/// Nothing of the caller's but where programs are.
fn surroundings(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/")
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
}

/// Makes a link where nothing is.
pub fn link(target: &str, path: &Path) -> Result {
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    symlink(target, path).map_err(|error| cannot("link", path, &error))
}
