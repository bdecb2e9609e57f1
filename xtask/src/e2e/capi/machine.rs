//! A machine with an arm64 kernel of Debian's: what it is made of, and its run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::super::guest::{self, Guest};
use super::super::initramfs::Initramfs;
use crate::files::cannot;
use crate::run::{self, Result};

/// The board and what is on it; the tree that it dumps is of this very machine.
const BOARD: [&str; 8] = ["-cpu", "cortex-a57", "-m", "512", "-nographic", "-nic", "none", "-no-reboot"];
/// What is on it.
const GUEST: Guest = Guest {
    architecture: "arm64",
    kernel: "linux-image-arm64",
    patterns: &[],
    parts: &["vmlinuz", "busybox"],
};

/// Kernel, busybox and emulator.
pub struct Machine {
    kernel: PathBuf,
    busybox: PathBuf,
}

impl Machine {
    /// Kernel and busybox of the cache.
    pub fn get() -> Result<Self> {
        if !run::has_program("qemu-system-aarch64") {
            return Err("no qemu-system-aarch64 on this machine; Debian has it in qemu-system-arm".to_owned());
        }
        let directory = GUEST.get()?;
        Ok(Self { kernel: directory.join("vmlinuz"), busybox: directory.join("busybox") })
    }

    /// Writes the tree of the board to `file`.
    pub fn dump_tree(file: &Path) -> Result {
        let machine = format!("virt,dumpdtb={}", file.display());
        run::output(Command::new("qemu-system-aarch64").args(["-M", &machine]).args(BOARD)).map(drop)
    }

    /// Boots with `tree` and gives what the guest wrote to its console until it switched itself off.
    pub fn boot(&self, tree: &Path, init: &str, scratch: &Path) -> Result<String> {
        let initrd = scratch.join("initrd");
        let busybox = fs::read(&self.busybox).map_err(|error| cannot("read", &self.busybox, &error))?;
        let mut archive = Initramfs::default();
        for directory in ["bin", "dev", "proc", "sys"] {
            archive.directory(directory);
        }
        archive.console("dev/console");
        archive.program("bin/busybox", &busybox);
        archive.program("init", init.as_bytes());
        fs::write(&initrd, archive.finish()).map_err(|error| cannot("write", &initrd, &error))?;

        let mut qemu = Command::new("qemu-system-aarch64");
        qemu.args(["-M", "virt"]).args(BOARD).arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&initrd);
        qemu.arg("-dtb").arg(tree).args(["-append", "console=ttyAMA0 panic=-1 quiet"]);
        guest::console(&mut qemu, &scratch.join("console"))
    }
}
