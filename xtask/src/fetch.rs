//! `cargo xtask fetch`: puts the reference tools and real device trees that the tests compare with into the
//! peers directory (its layout is described in the testkit's `peers`).
//!
//! A peer is unpacked beside its place and renamed into it; a stamp, written last, says that it is whole and
//! which recipe made it. So a second run does nothing, and a broken one leaves nothing half done.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::apt::{self, Suite};
use crate::files::{cannot, copy, create, names, remove, rename, replace};
use crate::place;
use crate::run::{self, Result};

/// To be raised when a change below makes the peers of an earlier one unfit.
const RECIPE: u32 = 1;

/// One thing to fetch.
struct Peer {
    name: &'static str,
    /// Debian's suite.
    suite: &'static str,
    /// Whether only the long tests need it.
    long: bool,
    what: What,
}

enum What {
    /// The tools of device-tree-compiler for this machine.
    Tools,
    /// The device trees of a kernel package, found through the package that depends on the newest one.
    Trees { architecture: &'static str, meta: &'static str, release: &'static str },
}

const PEERS: &[Peer] = &[
    Peer { name: "tools", suite: "trixie", long: false, what: What::Tools },
    Peer {
        name: "arm64-6.12",
        suite: "bookworm-backports",
        long: false,
        what: What::Trees { architecture: "arm64", meta: "linux-image-arm64", release: "6.12." },
    },
    Peer {
        name: "arm64-6.1",
        suite: "bookworm",
        long: false,
        what: What::Trees { architecture: "arm64", meta: "linux-image-arm64", release: "6.1." },
    },
    Peer {
        name: "armmp-6.1",
        suite: "bookworm",
        long: true,
        what: What::Trees { architecture: "armhf", meta: "linux-image-armmp", release: "6.1." },
    },
];

/// The packages that the tools run on: they and all libraries they are linked to, the loader included.
const TOOL_PACKAGES: [&str; 5] = ["device-tree-compiler", "libc6", "libfdt1", "libfdt-dev", "libyaml-0-2"];

/// The verb.
pub fn run(words: &[String]) -> Result {
    fetch(run::only_flag(words, "--all")?)
}

/// Fetches what is not there yet; `all` with what only the long tests need. Tries every peer before it tells
/// of those that it could not get.
pub fn fetch(all: bool) -> Result {
    let directory = place::peers();
    let wanted = PEERS.iter().filter(|peer| all || !peer.long);
    let missing: Vec<&Peer> = wanted.filter(|peer| !is_there(peer, &directory)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    apt::check_present()?;
    fs::create_dir_all(&directory).map_err(|error| cannot("create", &directory, &error))?;
    let _lock = lock(&directory)?;
    let mut failed = Vec::new();
    for peer in missing {
        // Another run may have got it while this one waited for the lock.
        if is_there(peer, &directory) {
            continue;
        }
        eprintln!("fetching {} of Debian {} ...", peer.name, peer.suite);
        if let Err(error) = get(peer, &directory) {
            failed.push(format!("{}: {error}", peer.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Held until the file is dropped.
fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(".lock");
    let file = File::create(&path).map_err(|error| cannot("create", &path, &error))?;
    file.lock().map_err(|error| cannot("lock", &path, &error))?;
    Ok(file)
}

fn stamp(peer: &Peer, directory: &Path) -> PathBuf {
    directory.join("stamps").join(peer.name)
}

fn is_there(peer: &Peer, directory: &Path) -> bool {
    let text = fs::read_to_string(stamp(peer, directory)).unwrap_or_default();
    text.lines().next() == Some(&format!("recipe {RECIPE}"))
}

fn get(peer: &Peer, directory: &Path) -> Result {
    let scratch = directory.join(".new").join(peer.name);
    remove(&scratch)?;
    let (debs, unpacked) = (scratch.join("debs"), scratch.join("unpacked"));
    create(&debs)?;
    create(&unpacked)?;
    let packages = match &peer.what {
        What::Tools => get_tools(peer, directory, &debs, &unpacked)?,
        What::Trees { .. } => get_trees(peer, directory, &debs, &unpacked)?,
    };
    let stamp = stamp(peer, directory);
    let mut text = format!("recipe {RECIPE}\n");
    for package in packages {
        text += &format!("{}\n", package.file_name().unwrap_or_default().to_string_lossy());
    }
    create(&directory.join("stamps"))?;
    let fresh = scratch.join("stamp");
    fs::write(&fresh, text).map_err(|error| cannot("write", &fresh, &error))?;
    rename(&fresh, &stamp)?;
    remove(&scratch)
}

fn get_trees(peer: &Peer, directory: &Path, debs: &Path, unpacked: &Path) -> Result<Vec<PathBuf>> {
    let What::Trees { architecture, meta, release } = peer.what else { return Ok(Vec::new()) };
    let suite = Suite::open(&place::cache().join("apt"), peer.suite, architecture)?;
    let prefix = format!("linux-image-{release}");
    let dependencies = suite.dependencies(meta)?;
    let package = dependencies.iter().find(|name| name.starts_with(&prefix)).ok_or_else(|| {
        format!("{meta} of {} needs {dependencies:?}; none of them is a {prefix}*", peer.suite)
    })?;
    let packages = suite.download(&[package], debs)?;
    for file in &packages {
        apt::unpack(file, &["*.dtb", "*.dtbo"], unpacked)?;
    }
    let trees = unpacked.join("usr/lib").join(package);
    replace(&trees, &directory.join("trees").join(peer.name))?;
    Ok(packages)
}

fn get_tools(peer: &Peer, directory: &Path, debs: &Path, unpacked: &Path) -> Result<Vec<PathBuf>> {
    let suite = Suite::open(&place::cache().join("apt"), peer.suite, &apt::native_architecture()?)?;
    let packages = suite.download(&TOOL_PACKAGES, debs)?;
    for file in &packages {
        apt::unpack(file, &[], unpacked)?;
    }
    let (library, loader) = find_loader(&unpacked.join("usr/lib"))?;
    let scratch = unpacked.with_file_name("made");
    let binaries = unpacked.join("usr/bin");
    write_wrappers(&binaries, &scratch.join("bin"), peer.name, &library, &loader)?;
    copy(&unpacked.join("usr/lib").join(&library).join("libfdt.a"), &scratch.join("lib"))?;
    for header in ["fdt.h", "libfdt.h", "libfdt_env.h"] {
        copy(&unpacked.join("usr/include").join(header), &scratch.join("include"))?;
    }
    replace(unpacked, &directory.join("sysroot").join(peer.name))?;
    for made in ["bin", "lib", "include"] {
        replace(&scratch.join(made), &directory.join(made))?;
    }
    Ok(packages)
}

/// The directory of the libraries below `usr/lib`, and the file name of the loader in it.
fn find_loader(lib: &Path) -> Result<(String, String)> {
    for triplet in names(lib)? {
        let Ok(files) = names(&lib.join(&triplet)) else { continue };
        if let Some(loader) = files.into_iter().find(|name| name.starts_with("ld-linux")) {
            return Ok((triplet, loader));
        }
    }
    Err(format!("no ld-linux*.so.* below {}", lib.display()))
}

/// Writes for each program a script that runs it by the loader and the libraries it was built for, since
/// those of this system may be older.
fn write_wrappers(binaries: &Path, bin: &Path, sysroot: &str, library: &str, loader: &str) -> Result {
    create(bin)?;
    for name in names(binaries)? {
        // dtdiff is a script, and the C library's package brings a link to its loader.
        if !is_program(&binaries.join(&name))? {
            continue;
        }
        let script = format!(
            "#!/bin/sh\n\
             root=\"${{0%/*}}/../sysroot/{sysroot}/usr\"\n\
             exec \"$root/lib/{library}/{loader}\" --library-path \"$root/lib/{library}\" --argv0 {name} \
             \"$root/bin/{name}\" \"$@\"\n"
        );
        let path = bin.join(&name);
        fs::write(&path, script).map_err(|error| cannot("write", &path, &error))?;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&path, executable).map_err(|error| cannot("make executable", &path, &error))?;
    }
    Ok(())
}

/// Whether a file is an ELF file itself.
fn is_program(path: &Path) -> Result<bool> {
    if path.is_symlink() {
        return Ok(false);
    }
    let bytes = fs::read(path).map_err(|error| cannot("read", path, &error))?;
    Ok(bytes.starts_with(b"\x7fELF"))
}
