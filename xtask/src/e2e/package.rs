//! `cargo xtask e2e package`: the Debian package in a system that has nothing else, and in one that has kmod.
//!
//! The systems are directories with Debian's dpkg, shell and C library unpacked in them.

use std::fs;
use std::path::{Path, PathBuf};

use super::system::System;
use crate::apt::{self, Suite};
use crate::files::{cannot, create, remove};
use crate::run::{self, Result};
use crate::{dist, place};

const SUITE: &str = "bookworm";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What dpkg needs to install a package and to run its scripts.
const BASE: [&str; 18] = [
    "coreutils",
    "dash",
    "diffutils",
    "dpkg",
    "libacl1",
    "libbz2-1.0",
    "libc-bin",
    "libc6",
    "libgcc-s1",
    "libgmp10",
    "liblzma5",
    "libmd0",
    "libpcre2-8-0",
    "libselinux1",
    "libzstd1",
    "sed",
    "tar",
    "zlib1g",
];
/// Whose depmod must not be touched.
const KMOD: [&str; 3] = ["kmod", "libkmod2", "libssl3"];

/// The story.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    apt::check_present()?;
    let (_, package) = dist::package()?;
    let package = package.ok_or("no package was made")?;
    let scratch = std::env::temp_dir().join(format!("kbt-e2e-package-{}", std::process::id()));
    let debs = scratch.join("debs");
    create(&debs)?;
    let suite = Suite::open(&place::peers().join(".apt"), SUITE, &apt::native_architecture()?)?;
    let files = suite.download(&[&BASE[..], &KMOD].concat(), &debs)?;

    let bare = Installed::make(&scratch.join("bare"), &files, false)?;
    bare.install(&package)?;
    for name in ["kbt", "depmod", "fdtoverlay", "jobserver-exec", "kallsyms"] {
        bare.answers(name)?;
    }
    bare.run(&["dpkg", "--verify", "kbt"])?;
    bare.run(&["dpkg", "--remove", "kbt"])?;
    for path in ["usr/bin/kbt", "usr/sbin/depmod", "usr/bin/fdtoverlay", "usr/lib/kbt"] {
        bare.has_not(path)?;
    }
    println!("in an empty system: installed, every name answers, removed without a trace");

    let with_kmod = Installed::make(&scratch.join("with-kmod"), &files, true)?;
    let theirs = with_kmod.run(&["depmod", "--version"])?;
    let link = fs::read_link(with_kmod.system.root.join("usr/sbin/depmod"));
    with_kmod.install(&package)?;
    if with_kmod.run(&["depmod", "--version"])? != theirs {
        return Err("kmod's depmod does not answer any more".to_owned());
    }
    if fs::read_link(with_kmod.system.root.join("usr/sbin/depmod")).ok() != link.ok() {
        return Err("kmod's link was changed".to_owned());
    }
    with_kmod.answers("/usr/lib/kbt/bin/depmod")?;
    with_kmod.answers("fdtoverlay")?;
    with_kmod.run(&["dpkg", "--remove", "kbt"])?;
    println!("beside kmod: its depmod is untouched, and kbt's answers in /usr/lib/kbt/bin");
    remove(&scratch)
}

/// A system in which dpkg can work.
struct Installed {
    system: System,
}

impl Installed {
    fn make(root: &Path, debs: &[PathBuf], with_kmod: bool) -> Result<Self> {
        let is_kmods = |file: &Path| {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            KMOD.iter().any(|package| name.starts_with(&format!("{package}_")))
        };
        let system = System::unpack(root, debs.iter().filter(|file| with_kmod || !is_kmods(file)))?;
        for directory in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"] {
            create(&root.join(directory))?;
        }
        let status = root.join("var/lib/dpkg/status");
        fs::write(&status, "").map_err(|error| cannot("write", &status, &error))?;
        Ok(Self { system })
    }

    /// Installs the package; what it depends on is there, but not in the database.
    fn install(&self, package: &Path) -> Result {
        let here = self.system.root.join("tmp/kbt.deb");
        fs::copy(package, &here).map_err(|error| cannot("copy", package, &error))?;
        self.run(&["dpkg", "--force-depends", "--install", "/tmp/kbt.deb"]).map(drop)
    }

    /// Whether this name's version is kbt's.
    fn answers(&self, program: &str) -> Result {
        let said = self.run(&[program, "--version"])?;
        let name = Path::new(program).file_name().unwrap_or_default().to_string_lossy();
        let expected = [format!("{name} {VERSION}\n"), format!("{name} (kbt) {VERSION}\n")];
        if expected.contains(&said) {
            Ok(())
        } else {
            Err(format!("{program} --version says '{}'", said.trim_end()))
        }
    }

    fn has_not(&self, path: &str) -> Result {
        match fs::symlink_metadata(self.system.root.join(path)) {
            Err(_) => Ok(()),
            Ok(_) => Err(format!("/{path} is still there")),
        }
    }

    fn run(&self, words: &[&str]) -> Result<String> {
        self.system.run(words)
    }
}
