//! Programs of another suite, which run beside this system's libraries.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::Scratch;
use crate::apt::{self, Suite};
use crate::files::{cannot, copy, create, names, rename, replace};
use crate::run::Result;

/// What is taken out of packages.
pub struct Programs {
    /// The programs' packages, and those of all libraries that they are linked to, the loader's included.
    pub packages: &'static [&'static str],
    /// Names that tests use, each with the file in `usr/bin`. A name may have a directory before it
    /// (`kmod-34/depmod`); the program sees what is behind it as its own.
    pub commands: &'static [(&'static str, &'static str)],
    /// Variables for the programs; `$root` in a value is the directory `usr` of the packages.
    pub environment: &'static [(&'static str, &'static str)],
    /// A static library to link with.
    pub library: Option<&'static str>,
    pub headers: &'static [&'static str],
}

impl Programs {
    /// Puts what the packages hold into `sysroot/NAME`, and what tests use into `bin`, `lib` and `include`.
    /// Gives the packages.
    pub fn get(
        &self,
        suite: &Suite,
        name: &str,
        scratch: &Scratch,
        directory: &Path,
    ) -> Result<Vec<PathBuf>> {
        let Sysroot { packages, path: sysroot, library, loader } =
            Sysroot::get(suite, self.packages, name, scratch, directory)?;
        if let Some(archive) = self.library {
            copy(&sysroot.join("usr/lib").join(&library).join(archive), &directory.join("lib"))?;
        }
        for header in self.headers {
            copy(&sysroot.join("usr/include").join(header), &directory.join("include"))?;
        }
        for (command, binary) in self.commands {
            let script = self.wrapper(name, &library, &loader, (command, binary));
            put_script(&script, command, scratch, directory)?;
        }
        Ok(packages)
    }

    /// A script that runs a program by the loader and with the libraries that it was built for, since those of
    /// this system may be older. It finds them from its own place, so the peers directory can be moved.
    fn wrapper(&self, name: &str, library: &str, loader: &str, (command, binary): (&str, &str)) -> String {
        let own = command.rsplit('/').next().unwrap_or(command);
        let up = "/..".repeat(1 + command.matches('/').count());
        let set = |(name, value): &(&str, &str)| format!("export {name}=\"{value}\"\n");
        let environment: String = self.environment.iter().map(set).collect();
        format!(
            "#!/bin/sh\n\
             root=\"${{0%/*}}{up}/sysroot/{name}/usr\"\n\
             {environment}\
             exec \"$root/lib/{library}/{loader}\" --library-path \"$root/lib/{library}\" \
             --argv0 {own} \"$root/bin/{binary}\" \"$@\"\n"
        )
    }
}

/// Packages, unpacked together, whose programs run by the loader among them.
pub struct Sysroot {
    /// The files of the packages.
    pub packages: Vec<PathBuf>,
    /// `sysroot/NAME` below the peers.
    pub path: PathBuf,
    /// The directory of the libraries below `usr/lib`.
    pub library: String,
    /// The file name of the loader in it.
    pub loader: String,
}

impl Sysroot {
    /// Downloads the packages and puts what they hold into its place.
    pub fn get(
        suite: &Suite,
        packages: &[&str],
        name: &str,
        scratch: &Scratch,
        directory: &Path,
    ) -> Result<Self> {
        let packages = suite.download(packages, &scratch.debs)?;
        merge_usr(&scratch.unpacked)?;
        for file in &packages {
            apt::unpack(file, &[], &scratch.unpacked)?;
        }
        let path = directory.join("sysroot").join(name);
        replace(&scratch.unpacked, &path)?;
        let (library, loader) = find_loader(&path.join("usr/lib"))?;
        Ok(Self { packages, path, library, loader })
    }
}

/// Makes a script the program `command` of `bin`.
pub fn put_script(script: &str, command: &str, scratch: &Scratch, directory: &Path) -> Result {
    let fresh = scratch.root.join("command");
    fs::write(&fresh, script).map_err(|error| cannot("write", &fresh, &error))?;
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755))
        .map_err(|error| cannot("make executable", &fresh, &error))?;
    let target = directory.join("bin").join(command);
    create(target.parent().unwrap_or(directory))?;
    rename(&fresh, &target)
}

/// Makes `lib` and `usr/lib` one, and likewise the directories of programs, as they are on a system: packages of
/// older suites still fill both.
pub fn merge_usr(root: &Path) -> Result {
    for name in ["lib", "bin", "sbin"] {
        let (own, merged) = (root.join(name), Path::new("usr").join(name));
        create(&root.join(&merged))?;
        symlink(&merged, &own).map_err(|error| cannot("link", &own, &error))?;
    }
    Ok(())
}

/// The directory of the libraries below `usr/lib`, and the file name of the loader in it.
pub fn find_loader(lib: &Path) -> Result<(String, String)> {
    for triplet in names(lib)? {
        let Ok(files) = names(&lib.join(&triplet)) else { continue };
        if let Some(loader) = files.into_iter().find(|name| name.starts_with("ld-linux")) {
            return Ok((triplet, loader));
        }
    }
    Err(format!("no ld-linux*.so.* below {}", lib.display()))
}
