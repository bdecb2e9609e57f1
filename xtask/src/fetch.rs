//! `cargo xtask fetch`: puts the reference tools and real device trees that the tests compare with into the
//! peers directory (its layout is described in the testkit's `peers`).
//!
//! A peer is unpacked beside its place and renamed into it; a stamp, written last, says that it is whole and
//! which recipe made it. So a second run does nothing, and a broken one leaves nothing half done.

mod kbuild;
mod kernel;
mod packed;
mod peers;
mod programs;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::apt::{self, Suite};
use crate::files::{cannot, create, remove, rename};
use crate::place;
use crate::run::{self, Result};
use peers::{PEERS, Peer, What};

/// To be raised when a change here or in the table makes the peers of an earlier one unfit.
const RECIPE: u32 = 1;

/// The verb.
pub fn run(words: &[String]) -> Result {
    fetch(run::only_flag(words, "--all")?)?;
    println!("the peers are in {}", place::peers().display());
    Ok(())
}

/// Fetches what is not there yet; `all` with what only the long tests need.
pub fn fetch(all: bool) -> Result {
    fetch_where(|peer| all || !peer.long)
}

/// Fetches one peer, where it is not there yet.
pub fn fetch_one(name: &str) -> Result {
    fetch_where(|peer| peer.name == name)
}

/// Tries every peer that is wanted before it tells of those that it could not get.
fn fetch_where(wanted: impl Fn(&Peer) -> bool) -> Result {
    let directory = place::peers();
    let wanted = PEERS.iter().filter(|peer| wanted(peer));
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
        match peer.what {
            What::Packed(_) => eprintln!("packing {} ...", peer.name),
            _ => eprintln!("fetching {} of Debian {} ...", peer.name, peer.suite),
        }
        if let Err(error) = get(peer, &directory) {
            failed.push(format!("{}: {error}", peer.name));
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

/// Keeps other runs out of the whole directory, apt's state included, until the file is dropped.
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
    let scratch = Scratch::create(directory.join(".new").join(peer.name))?;
    let state = directory.join(".apt");
    let open = |architecture: &str| Suite::open(&state, peer.suite, architecture);
    let native = || open(&apt::native_architecture()?);
    let packages = match &peer.what {
        What::Programs(programs) => programs.get(&native()?, peer.name, &scratch, directory)?,
        What::Kbuild(kbuild) => kbuild.get(&native()?, peer.name, &scratch, directory)?,
        What::Kernel(kernel) => kernel.get(&open(kernel.architecture)?, peer.name, &scratch, directory)?,
        What::Packed(packed) => packed.get(&scratch, directory)?,
    };
    let mut text = format!("recipe {RECIPE}\n");
    for package in packages {
        text += &format!("{}\n", package.file_name().unwrap_or_default().to_string_lossy());
    }
    let fresh = scratch.root.join("stamp");
    fs::write(&fresh, text).map_err(|error| cannot("write", &fresh, &error))?;
    let stamp = stamp(peer, directory);
    create(&directory.join("stamps"))?;
    rename(&fresh, &stamp)?;
    remove(&scratch.root)
}

/// Where a peer is made, on the file system of its place.
struct Scratch {
    root: PathBuf,
    /// The packages.
    debs: PathBuf,
    /// What they hold.
    unpacked: PathBuf,
}

impl Scratch {
    /// Empty, whatever an earlier run has left.
    fn create(root: PathBuf) -> Result<Self> {
        remove(&root)?;
        let (debs, unpacked) = (root.join("debs"), root.join("unpacked"));
        create(&debs)?;
        create(&unpacked)?;
        Ok(Self { root, debs, unpacked })
    }
}
