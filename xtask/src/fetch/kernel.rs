//! What the package of a kernel holds: device trees, modules, the kernel itself.

use std::path::{Path, PathBuf};

use super::Scratch;
use crate::apt::{self, Suite};
use crate::files::{create, names, rename, replace};
use crate::run::Result;

/// A package of the newest kernel of a release.
pub struct Kernel {
    pub architecture: &'static str,
    /// The package that depends on the newest kernel's.
    pub meta: &'static str,
    /// The front of the kernel's version. Where the suite has moved on, the files would not be those that the
    /// peer's name promises.
    pub release: &'static str,
    pub part: Part,
}

/// What is taken out of the package, and where it goes below the peers.
pub enum Part {
    /// `trees/NAME`, a folder a vendor.
    Trees,
    /// `modules/NAME/lib/modules/VERSION`, so that `modules/NAME` serves depmod as a root (`-b`).
    Modules,
    /// `kernels/NAME`: `vmlinuz`, compressed, and `vmlinux` as it was linked, with symbols and debug information.
    Image,
}

impl Kernel {
    /// Puts the part in its place and gives the packages.
    pub fn get(
        &self,
        suite: &Suite,
        name: &str,
        scratch: &Scratch,
        directory: &Path,
    ) -> Result<Vec<PathBuf>> {
        let package = self.package(suite)?;
        let mut wanted = vec![package.clone()];
        if matches!(self.part, Part::Image) {
            wanted.push(format!("{package}-dbg"));
        }
        let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let packages = suite.download(&wanted, &scratch.debs)?;
        for file in &packages {
            apt::unpack(file, &[self.pattern(file)], &scratch.unpacked)?;
        }
        match self.part {
            Part::Trees => {
                let trees = scratch.unpacked.join("usr/lib").join(&package);
                replace(&trees, &directory.join("trees").join(name))?;
            }
            Part::Modules => {
                let set = name.strip_prefix("modules-").unwrap_or(name);
                replace(&modules(scratch, &package)?, &directory.join("modules").join(set))?;
            }
            Part::Image => {
                replace(&image(scratch, &package)?, &directory.join("kernels").join(name))?;
            }
        }
        Ok(packages)
    }

    /// The package that the meta package stands for, which must be of the release.
    fn package(&self, suite: &Suite) -> Result<String> {
        let Self { meta, release, .. } = self;
        let prefix = format!("linux-image-{release}");
        let dependencies = suite.dependencies(meta)?;
        let package = dependencies.iter().find(|name| name.starts_with(&prefix));
        package
            .cloned()
            .ok_or_else(|| format!("{meta} depends on {dependencies:?}; none of them is a {prefix}*"))
    }

    /// What to unpack of one package.
    fn pattern(&self, package: &Path) -> &'static str {
        let is_debug = package.file_name().is_some_and(|name| name.to_string_lossy().contains("-dbg_"));
        match self.part {
            // Overlays too; tar fails over a pattern that nothing matches, and 32-bit kernels have none.
            Part::Trees => "*.dtb*",
            Part::Modules => "*/lib/modules/*",
            Part::Image if is_debug => "./usr/lib/debug/boot/vmlinux-*",
            Part::Image => "./boot/vmlinuz-*",
        }
    }
}

/// A root with the unpacked modules.
fn modules(scratch: &Scratch, package: &str) -> Result<PathBuf> {
    let root = scratch.root.join("root");
    create(&root.join("lib"))?;
    let held = ["lib/modules", "usr/lib/modules"].map(|place| scratch.unpacked.join(place));
    let held = held.iter().find(|place| place.is_dir());
    let held = held.ok_or_else(|| format!("{package} holds no modules"))?;
    replace(held, &root.join("lib/modules"))?;
    Ok(root)
}

/// A directory with the unpacked kernel in both forms.
fn image(scratch: &Scratch, package: &str) -> Result<PathBuf> {
    let fresh = scratch.root.join("kernel");
    create(&fresh)?;
    for (from, to) in [("usr/lib/debug/boot", "vmlinux"), ("boot", "vmlinuz")] {
        let from = scratch.unpacked.join(from);
        let file = names(&from)?.into_iter().next().ok_or_else(|| format!("no {to} in {package}"))?;
        rename(&from.join(file), &fresh.join(to))?;
    }
    Ok(fresh)
}
