//! `cargo xtask e2e device`: kbt as a client of a jobserver that is a character device, as Gentoo's steve is one.
//!
//! Such a device needs a kernel with CUSE (character devices in user space), which few machines run. So Debian's kernel for
//! virtual machines boots under qemu; `device/pool.c` is the driver, which counts tokens by process and takes back what the
//! dead had; and the guest's first process, `device/init.sh`, runs kbt against it and says what it found.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::guest::{self, Guest};
use super::initramfs::Initramfs;
use crate::files::{cannot, create, remove};
use crate::run::{self, Result, cargo};

/// What the guest says for each thing that is as it should be, and for each that is not, and last.
const OK: &str = "kbt: ok ";
const FAILED: &str = "kbt: FAILED ";
const END: &str = "kbt: the end";
/// What is in it.
const GUEST: Guest = Guest {
    architecture: "amd64",
    kernel: "linux-image-cloud-amd64",
    patterns: &["*/fs/fuse/*"],
    parts: &["vmlinuz", "fuse.ko", "cuse.ko", "busybox"],
};

/// The story.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    if std::env::consts::ARCH != "x86_64" || !run::has_program("qemu-system-x86_64") {
        return Err("it needs an x86-64 machine with qemu-system-x86_64 (Debian: qemu-system-x86)".to_owned());
    }
    let parts = GUEST.get()?;
    let scratch = std::env::temp_dir().join(format!("kbt-e2e-device-{}", std::process::id()));
    create(&scratch)?;
    archive(&parts, &scratch)?;
    let console = boot(&parts, &scratch)?;
    judge(&console)?;
    remove(&scratch)
}

/// Every line of the guest's about kbt; an error where one of them is a failure, or it did not come to its end.
fn judge(console: &str) -> Result {
    let told: Vec<&str> = console.lines().map(str::trim).filter(|line| line.starts_with("kbt: ")).collect();
    told.iter().for_each(|line| println!("{line}"));
    let count = |prefix: &str| told.iter().filter(|line| line.starts_with(prefix)).count();
    match count(FAILED) {
        0 if told.last() == Some(&END) => {
            println!("{} things are as they should be", count(OK));
            Ok(())
        }
        0 => Err(format!("the guest did not come to its end; its console:\n{console}")),
        failures => Err(format!("{failures} failures")),
    }
}

/// The guest's first file system: busybox, modules, driver, kbt with its libraries.
fn archive(parts: &Path, scratch: &Path) -> Result {
    let own = run::root().join("xtask/src/e2e/device");
    let driver = scratch.join("pool");
    let mut compiler = Command::new("gcc");
    compiler.args(["-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&driver);
    run::output(compiler.arg(own.join("pool.c")))?;
    run::run(&mut cargo(["build", "--bin", "kbt"]))?;
    let kbt = run::target_directory()?.join("debug/kbt");
    let mut archive = Initramfs::default();
    let mut directories = vec![PathBuf::from("bin"), PathBuf::from("dev")];
    let mut files = vec![(PathBuf::from("bin/kbt"), kbt.clone()), (PathBuf::from("bin/pool"), driver)];
    files.push((PathBuf::from("init"), own.join("init.sh")));
    files.extend(["fuse.ko", "cuse.ko"].map(|part| (PathBuf::from(part), parts.join(part))));
    files.push((PathBuf::from("bin/busybox"), parts.join("busybox")));
    for library in libraries(&kbt)? {
        let place: PathBuf = library.components().skip(1).collect();
        let above: Vec<PathBuf> = place.ancestors().skip(1).map(Path::to_owned).collect();
        for directory in above.into_iter().rev().filter(|directory| !directory.as_os_str().is_empty()) {
            if !directories.contains(&directory) {
                directories.push(directory);
            }
        }
        files.push((place, library));
    }
    directories.iter().for_each(|directory| archive.directory(&directory.display().to_string()));
    archive.console("dev/console");
    for (place, file) in files {
        let bytes = fs::read(&file).map_err(|error| cannot("read", &file, &error))?;
        archive.program(&place.display().to_string(), &bytes);
    }
    let initrd = scratch.join("initrd");
    fs::write(&initrd, archive.finish()).map_err(|error| cannot("write", &initrd, &error))
}

/// The loader and the shared libraries of a program, by ldd(1): every word that is a path.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let text = run::text(Command::new("ldd").arg(program))?;
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

/// Boots, and gives what the guest wrote to its console until it switched itself off.
fn boot(parts: &Path, scratch: &Path) -> Result<String> {
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-machine", "accel=tcg", "-cpu", "max", "-smp", "2", "-m", "768"]);
    qemu.args(["-nographic", "-nic", "none", "-no-reboot", "-append", "console=ttyS0 panic=-1 quiet"]);
    qemu.arg("-kernel").arg(parts.join("vmlinuz")).arg("-initrd").arg(scratch.join("initrd"));
    guest::console(&mut qemu, &scratch.join("console"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_believed_only_if_it_comes_to_its_end() {
        assert!(judge("x\nkbt: ok a\r\nkbt: the end\r\n").is_ok());
        assert!(judge("kbt: ok a\n").unwrap_err().contains("did not come to its end"));
        assert_eq!(judge("kbt: ok a\nkbt: FAILED b\nkbt: the end\n").unwrap_err(), "1 failures");
    }
}
