//! A machine with an arm64 kernel of Debian's: what it is made of, and its run.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::super::initramfs::Initramfs;
use crate::apt::{self, Suite};
use crate::files::{cannot, copy, create, names, remove};
use crate::place;
use crate::run::{self, Result};

/// The board and what is on it; the tree that it dumps is of this very machine.
const BOARD: [&str; 8] = ["-cpu", "cortex-a57", "-m", "512", "-nographic", "-nic", "none", "-no-reboot"];
/// An emulated boot takes half a minute on an idle core.
const PATIENCE: Duration = Duration::from_secs(600);
/// Debian's suite of kernel and busybox.
const SUITE: &str = "bookworm";

/// Kernel, busybox and emulator.
pub struct Machine {
    kernel: PathBuf,
    busybox: PathBuf,
}

impl Machine {
    /// Fetches kernel and busybox into the cache, where they are not there yet.
    pub fn get() -> Result<Self> {
        if !run::has_program("qemu-system-aarch64") {
            return Err("no qemu-system-aarch64 on this machine; Debian has it in qemu-system-arm".to_owned());
        }
        let directory = place::cache().join("e2e/arm64");
        let machine = Self { kernel: directory.join("vmlinuz"), busybox: directory.join("busybox") };
        if !machine.kernel.exists() || !machine.busybox.exists() {
            eprintln!("fetching linux-image-arm64 and busybox-static of Debian {SUITE} ...");
            fetch(&directory)?;
        }
        Ok(machine)
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

        let console = scratch.join("console");
        let output = File::create(&console).map_err(|error| cannot("create", &console, &error))?;
        let mut qemu = Command::new("qemu-system-aarch64");
        qemu.args(["-M", "virt"]).args(BOARD).arg("-kernel").arg(&self.kernel).arg("-initrd").arg(&initrd);
        qemu.arg("-dtb").arg(tree).args(["-append", "console=ttyAMA0 panic=-1 quiet"]);
        let mut child = qemu
            .stdin(Stdio::null())
            .stdout(output)
            .spawn()
            .map_err(|error| format!("cannot start qemu-system-aarch64: {error}"))?;
        let start = Instant::now();
        while child.try_wait().map_err(|error| format!("cannot wait for qemu: {error}"))?.is_none() {
            if start.elapsed() > PATIENCE {
                let _ = child.kill().and_then(|()| child.wait());
                return Err(format!("not down after {PATIENCE:?}; its console is {}", console.display()));
            }
            thread::sleep(Duration::from_millis(100));
        }
        let mut text = Vec::new();
        File::open(&console)
            .and_then(|mut file| file.read_to_end(&mut text))
            .map_err(|error| cannot("read", &console, &error))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Puts kernel and busybox into `directory`.
fn fetch(directory: &Path) -> Result {
    apt::check_present()?;
    let suite = Suite::open(&place::peers().join(".apt"), SUITE, "arm64")?;
    let scratch = directory.with_extension("new");
    remove(&scratch)?;
    let (debs, unpacked) = (scratch.join("debs"), scratch.join("unpacked"));
    create(&debs)?;
    create(&unpacked)?;
    let dependencies = suite.dependencies("linux-image-arm64")?;
    let kernel = dependencies.iter().find(|name| name.starts_with("linux-image-"));
    let kernel =
        kernel.ok_or_else(|| format!("linux-image-arm64 depends on {dependencies:?}, on no kernel"))?;
    for deb in suite.download(&[kernel, "busybox-static"], &debs)? {
        let is_kernel =
            deb.file_name().is_some_and(|name| name.to_string_lossy().starts_with("linux-image-"));
        apt::unpack(&deb, &[if is_kernel { "./boot/vmlinuz-*" } else { "*/busybox" }], &unpacked)?;
    }
    let boot = unpacked.join("boot");
    let image = names(&boot)?.into_iter().next().ok_or("the kernel's package has no vmlinuz")?;
    create(directory)?;
    // The names that `get` looks for come last.
    let kernel = directory.join("vmlinuz");
    fs::copy(boot.join(image), &kernel).map_err(|error| cannot("write", &kernel, &error))?;
    let busybox = ["bin/busybox", "usr/bin/busybox"].map(|name| unpacked.join(name));
    let busybox = busybox.iter().find(|path| path.exists()).ok_or("the package has no busybox")?;
    copy(busybox, directory)?;
    remove(&scratch)
}
