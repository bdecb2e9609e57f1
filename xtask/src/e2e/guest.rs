//! A guest of Debian's: its kernel and busybox, and the emulator's run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::apt::{self, Suite};
use crate::files::{cannot, create, names, remove};
use crate::place;
use crate::run::Result;

/// An emulated boot takes half a minute on an idle core.
const PATIENCE: Duration = Duration::from_secs(600);
/// Debian's suite of kernel and busybox.
const SUITE: &str = "bookworm";

/// What a guest is made of.
pub struct Guest {
    /// Debian's name of the architecture.
    pub architecture: &'static str,
    /// The package that depends on the kernel's.
    pub kernel: &'static str,
    /// Which files of the kernel's package are looked at besides the kernel.
    pub patterns: &'static [&'static str],
    /// What names begin with of the files that are wanted; they are called so then.
    pub parts: &'static [&'static str],
}

impl Guest {
    /// The directory with all parts; they are fetched into the cache where one is not there yet.
    pub fn get(&self) -> Result<PathBuf> {
        let directory = place::cache().join("e2e").join(self.architecture);
        if self.parts.iter().any(|part| !directory.join(part).exists()) {
            eprintln!("fetching {} and busybox-static of Debian {SUITE} ...", self.kernel);
            self.fetch(&directory)?;
        }
        Ok(directory)
    }

    fn fetch(&self, directory: &Path) -> Result {
        apt::check_present()?;
        let suite = Suite::open(&place::peers().join(".apt"), SUITE, self.architecture)?;
        let scratch = directory.with_extension("new");
        remove(&scratch)?;
        let (debs, unpacked) = (scratch.join("debs"), scratch.join("unpacked"));
        create(&debs)?;
        create(&unpacked)?;
        let dependencies = suite.dependencies(self.kernel)?;
        let kernel = dependencies.iter().find(|name| name.starts_with("linux-image-"));
        let kernel =
            kernel.ok_or_else(|| format!("{} depends on {dependencies:?}, on no kernel", self.kernel))?;
        let of_kernel = [&["./boot/vmlinuz-*"], self.patterns].concat();
        for deb in suite.download(&[kernel, "busybox-static"], &debs)? {
            let is_busybox =
                deb.file_name().is_some_and(|name| name.to_string_lossy().starts_with("busybox"));
            apt::unpack(&deb, if is_busybox { &["*/bin/busybox"] } else { &of_kernel }, &unpacked)?;
        }
        create(directory)?;
        for part in self.parts {
            let found = find(&unpacked, part)?.ok_or_else(|| format!("the packages have no {part}"))?;
            let to = directory.join(part);
            fs::copy(&found, &to).map_err(|error| cannot("write", &to, &error))?;
        }
        remove(&scratch)
    }
}

/// A file whose name begins so.
fn find(directory: &Path, part: &str) -> Result<Option<PathBuf>> {
    for name in names(directory)? {
        let path = directory.join(&name);
        if path.is_dir() && !path.is_symlink() {
            if let Some(found) = find(&path, part)? {
                return Ok(Some(found));
            }
        } else if name.starts_with(part) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Runs an emulator and gives what the guest wrote to its console, which is `log`, until it switched itself off.
pub fn console(qemu: &mut Command, log: &Path) -> Result<String> {
    let name = qemu.get_program().to_string_lossy().into_owned();
    let output = File::create(log).map_err(|error| cannot("create", log, &error))?;
    let child = qemu.stdin(Stdio::null()).stdout(output).spawn();
    let mut child = child.map_err(|error| format!("cannot start {name}: {error}"))?;
    let start = Instant::now();
    while child.try_wait().map_err(|error| format!("cannot wait for {name}: {error}"))?.is_none() {
        if start.elapsed() > PATIENCE {
            let _ = child.kill().and_then(|()| child.wait());
            return Err(format!("not down after {PATIENCE:?}; its console is {}", log.display()));
        }
        thread::sleep(Duration::from_millis(100));
    }
    let bytes = fs::read(log).map_err(|error| cannot("read", log, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
