//! Real device trees out of a kernel's package.

use std::path::{Path, PathBuf};

use super::Scratch;
use crate::apt::{self, Suite};
use crate::files::replace;
use crate::run::Result;

/// The package of the newest kernel is found through the one that depends on it.
pub struct Trees {
    pub architecture: &'static str,
    pub meta: &'static str,
    /// The front of the kernel's version. Where the suite has moved on, the trees would not be those that
    /// the peer's name promises.
    pub release: &'static str,
}

impl Trees {
    /// Puts the trees into `trees/NAME`, a folder a vendor, and gives the packages.
    pub fn get(
        &self,
        suite: &Suite,
        name: &str,
        scratch: &Scratch,
        directory: &Path,
    ) -> Result<Vec<PathBuf>> {
        let package = newest_kernel(suite, self.meta, self.release)?;
        let packages = suite.download(&[&package], &scratch.debs)?;
        for file in &packages {
            // Overlays too; tar fails over a pattern that nothing matches, and 32-bit kernels have none.
            apt::unpack(file, &["*.dtb*"], &scratch.unpacked)?;
        }
        replace(&scratch.unpacked.join("usr/lib").join(&package), &directory.join("trees").join(name))?;
        Ok(packages)
    }
}

/// The package of the kernel that `meta` stands for, which must be a `release`.
pub fn newest_kernel(suite: &Suite, meta: &str, release: &str) -> Result<String> {
    let prefix = format!("linux-image-{release}");
    let dependencies = suite.dependencies(meta)?;
    let package = dependencies.iter().find(|name| name.starts_with(&prefix));
    package.cloned().ok_or_else(|| format!("{meta} depends on {dependencies:?}; none of them is a {prefix}*"))
}
