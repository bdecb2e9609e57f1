//! Real kernel modules out of a kernel's package.

use std::path::{Path, PathBuf};

use super::Scratch;
use super::trees::newest_kernel;
use crate::apt::{self, Suite};
use crate::files::{create, replace};
use crate::run::Result;

/// The package of the newest kernel is found through the one that depends on it.
pub struct Modules {
    pub architecture: &'static str,
    pub meta: &'static str,
    /// The front of the kernel's version. Where the suite has moved on, the modules would not be those that
    /// the peer's name promises.
    pub release: &'static str,
}

impl Modules {
    /// Puts the modules of the peer `modules-NAME` into `modules/NAME/lib/modules/VERSION`, so that NAME serves
    /// depmod as a root (`-b`), and gives the packages.
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
            apt::unpack(file, &["*/lib/modules/*"], &scratch.unpacked)?;
        }
        let root = scratch.root.join("root");
        create(&root.join("lib"))?;
        let held = ["lib/modules", "usr/lib/modules"].map(|place| scratch.unpacked.join(place));
        let held = held.iter().find(|place| place.is_dir());
        let held = held.ok_or_else(|| format!("{package} holds no modules"))?;
        replace(held, &root.join("lib/modules"))?;
        let set = name.strip_prefix("modules-").unwrap_or(name);
        replace(&root, &directory.join("modules").join(set))?;
        Ok(packages)
    }
}
