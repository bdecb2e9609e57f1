//! Programs of a kernel's build.

use std::fs;
use std::path::{Path, PathBuf};

use super::Scratch;
use super::programs::{Sysroot, put_script};
use crate::apt::{self, Suite};
use crate::files::cannot;
use crate::run::Result;

/// scripts/kallsyms and scripts/mksysmap of a kernel, as Debian's package linux-kbuild has them.
pub struct Kbuild {
    /// The front of the kernel's version, and what the programs' names end with here.
    pub release: &'static str,
}

impl Kbuild {
    /// Puts the programs into `bin` as `kallsyms-RELEASE` and `mksysmap-RELEASE`. Gives the packages.
    pub fn get(
        &self,
        suite: &Suite,
        name: &str,
        scratch: &Scratch,
        directory: &Path,
    ) -> Result<Vec<PathBuf>> {
        let package = self.package(suite)?;
        let Sysroot { packages, path: sysroot, library, loader } =
            Sysroot::get(suite, &[&package, "libc6"], name, scratch, directory)?;
        let scripts = format!("lib/{package}/scripts");
        // Not by --argv0, which the loader of bullseye does not know.
        let kallsyms = format!(
            "#!/bin/sh\n\
             root=\"${{0%/*}}/../sysroot/{name}/usr\"\n\
             exec \"$root/lib/{library}/{loader}\" --library-path \"$root/lib/{library}\" \
             \"$root/{scripts}/kallsyms\" \"$@\"\n"
        );
        let mksysmap = sysroot.join("usr").join(&scripts).join("mksysmap");
        let mksysmap = fs::read_to_string(&mksysmap).map_err(|error| cannot("read", &mksysmap, &error))?;
        for (tool, script) in [("kallsyms", kallsyms), ("mksysmap", mksysmap)] {
            put_script(&script, &format!("{tool}-{}", self.release), scratch, directory)?;
        }
        Ok(packages)
    }

    /// The package, found through those that build modules for the newest kernel.
    fn package(&self, suite: &Suite) -> Result<String> {
        let meta = format!("linux-headers-{}", apt::native_architecture()?);
        let headers = format!("linux-headers-{}.", self.release);
        let kbuild = format!("linux-kbuild-{}", self.release);
        let find = |package: &str, prefix: &str| -> Result<String> {
            let dependencies = suite.dependencies(package)?;
            let found = dependencies.iter().find(|name| name.starts_with(prefix)).cloned();
            found.ok_or_else(|| format!("{package} depends on {dependencies:?}; none of them is a {prefix}*"))
        };
        find(&find(&meta, &headers)?, &kbuild)
    }
}
