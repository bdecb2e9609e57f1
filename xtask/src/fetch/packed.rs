//! Real kernel modules compressed again: Debian 6.1 has them as they are, other distributions as xz, zst or gz.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use super::Scratch;
use crate::files::{cannot, create, replace};
use crate::run::{self, Result};

/// A copy of a set of modules.
pub struct Packed {
    /// The set that is copied; it must be fetched before.
    pub modules: &'static str,
    pub packer: Packer,
}

/// What the kernel's `make modules_install` runs for a format.
pub enum Packer {
    Xz,
    Zstd,
    Gzip,
}

impl Packer {
    fn suffix(&self) -> &'static str {
        match self {
            Self::Xz => "xz",
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }

    /// The program among the peers and its options; it replaces the files that follow.
    fn command(&self, directory: &Path) -> Command {
        let (name, options): (_, &[_]) = match self {
            Self::Xz => ("xz", &["--check=crc32", "--lzma2=dict=1MiB", "-f"]),
            Self::Zstd => ("zstd", &["-T0", "--rm", "-f", "-q"]),
            Self::Gzip => ("gzip", &["-n", "-f"]),
        };
        let mut command = Command::new(directory.join("bin").join(name));
        command.args(options);
        command
    }
}

/// How many modules one run of a packer gets.
const BATCH: usize = 64;

impl Packed {
    /// Puts the copy into `modules/SET.SUFFIX`.
    pub fn get(&self, scratch: &Scratch, directory: &Path) -> Result<Vec<PathBuf>> {
        let set = directory.join("modules").join(self.modules);
        let root = scratch.root.join("root");
        let mut modules = Vec::new();
        copy_tree(&set, &root, &mut modules)?;
        modules.sort();
        let batches: Vec<_> = modules.chunks(BATCH).collect();
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = batches.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let runs: Vec<_> = batches
                .chunks(share)
                .map(|share| {
                    scope.spawn(move || {
                        share.iter().try_for_each(|batch| {
                            run::output(self.packer.command(directory).args(*batch)).map(drop)
                        })
                    })
                })
                .collect();
            runs.into_iter()
                .try_for_each(|run| run.join().unwrap_or(Err("a packer's thread ended".to_owned())))
        })?;
        let name = format!("{}.{}", self.modules, self.packer.suffix());
        replace(&root, &directory.join("modules").join(name))?;
        Ok(Vec::new())
    }
}

/// Copies files and directories, and lists the modules among them.
fn copy_tree(from: &Path, to: &Path, modules: &mut Vec<PathBuf>) -> Result {
    create(to)?;
    for entry in fs::read_dir(from).map_err(|error| cannot("read", from, &error))? {
        let entry = entry.map_err(|error| cannot("read", from, &error))?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target, modules)?;
            continue;
        }
        fs::copy(&source, &target).map_err(|error| cannot("copy", &source, &error))?;
        if target.extension().is_some_and(|extension| extension == "ko") {
            modules.push(target);
        }
    }
    Ok(())
}
