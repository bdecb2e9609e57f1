//! `cargo xtask e2e integrations`: DKMS, initramfs-tools and dracut call depmod; with kbt's in kmod's place they make the same
//! files.
//!
//! The system is a directory with Debian's packages unpacked in it ([`System`]). `integrations/story.sh` runs in it twice, once
//! with each depmod, and leaves the files of the module directory and what is in either initramfs.

use std::fs;
use std::path::Path;

use super::system::{System, link};
use crate::apt::{self, Suite};
use crate::files::{cannot, copy, create, remove};
use crate::run::{self, Result, cargo};
use crate::{dist, place};

/// The first whose kmod lays indexes out as kbt does.
const SUITE: &str = "trixie";
const PACKAGES: [&str; 12] = [
    "acpi-call-dkms",
    "busybox",
    "dkms",
    "dm-writeboost-dkms",
    "dracut-core",
    "initramfs-tools",
    "kmod",
    "linux-headers-cloud-amd64",
    "linux-image-cloud-amd64",
    "systemd-sysv",
    "udev",
    "zstd",
];
/// What users would ask the versions of.
const SHOWN: [&str; 5] = ["dkms_", "dracut-core_", "initramfs-tools_", "kmod_", "linux-image-6"];

/// The story.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    if std::env::consts::ARCH != "x86_64" {
        return Err("it needs an x86-64 machine, for which there are small kernels".to_owned());
    }
    apt::check_present()?;
    run::run(&mut cargo(["build", "--bin", "kbt"]))?;
    let kbt = run::target_directory()?.join("debug/kbt");
    let scratch = std::env::temp_dir().join(format!("kbt-e2e-integrations-{}", std::process::id()));
    let system = system(&scratch, &kbt)?;
    for whose in ["kmod", "kbt"] {
        system.show(&["sh", "/tmp/story.sh", whose])?;
    }
    let mut problems = Vec::new();
    for what in ["modules", "initramfs-tools", "dracut"] {
        let found = differences(&system, what)?;
        let allowed = found.iter().filter(|line| what == "dracut" && is_kbt_itself(line)).count();
        println!(
            "{what}: {} files and directories, {} that differ, of which {allowed} are kbt itself",
            count(&system, what)?,
            found.len()
        );
        if what == "dracut" && allowed == 0 {
            problems.push("kbt is not in dracut's image: was it another depmod that ran?".to_owned());
        }
        problems.extend(found.into_iter().filter(|line| what != "dracut" || !is_kbt_itself(line)));
    }
    let listing = system.run(&["grep", "-c", "^updates/dkms/", "/out/kbt/modules/modules.dep"])?;
    if listing.trim() != "2" {
        problems.push(format!("modules.dep has {} modules of DKMS, not 2", listing.trim()));
    }
    if problems.is_empty() { remove(&scratch) } else { Err(problems.join("\n")) }
}

/// Fetches and unpacks the system, and puts kbt and the story into it.
fn system(scratch: &Path, kbt: &Path) -> Result<System> {
    let debs = scratch.join("debs");
    create(&debs)?;
    eprintln!("fetching DKMS, initramfs-tools, dracut, a kernel and a compiler of Debian {SUITE} ...");
    let suite = Suite::open(&place::peers().join(".apt"), SUITE, "amd64")?;
    let files = suite.download_system(&PACKAGES, &debs)?;
    let names = files.iter().filter_map(|file| file.file_stem()).map(|name| name.to_string_lossy());
    names
        .filter(|name| SHOWN.iter().any(|shown| name.starts_with(shown)))
        .for_each(|name| println!("{name}"));
    let system = System::unpack(&scratch.join("root"), &files)?;
    remove(&debs)?;
    link("mawk", &system.root.join("usr/bin/awk"))?;
    for name in ["passwd", "group"] {
        let master = system.root.join(format!("usr/share/base-passwd/{name}.master"));
        let to = system.root.join("etc").join(name);
        fs::copy(&master, &to).map_err(|error| cannot("copy", &master, &error))?;
    }
    dist::place(kbt, &system.root.join("usr/bin/kbt"))?;
    copy(&run::root().join("xtask/src/e2e/integrations/story.sh"), &system.root.join("tmp"))?;
    Ok(system)
}

/// What differs between what came of kmod's depmod and of kbt's, in diff's lines.
fn differences(system: &System, what: &str) -> Result<Vec<String>> {
    let compare = format!(
        "cd /out && {{ diff --brief --recursive --no-dereference kmod/{what} kbt/{what} || [ $? = 1 ]; }}"
    );
    Ok(system.run(&["sh", "-c", &compare])?.lines().map(ToOwned::to_owned).collect())
}

fn count(system: &System, what: &str) -> Result<usize> {
    Ok(system.run(&["find", &format!("/out/kbt/{what}")])?.lines().count())
}

/// dracut takes the depmod that is there, with its libraries, into an image that has systemd.
fn is_kbt_itself(line: &str) -> bool {
    let added = line.strip_prefix("Only in kbt/dracut/usr/").and_then(|rest| rest.split_once(": "));
    let changed =
        ["Symbolic links kmod/dracut/usr/sbin/depmod and ", "Files kmod/dracut/etc/ld.so.cache and "];
    added.is_some_and(|(_, name)| ["kbt", "libgcc_s.so.1"].contains(&name))
        || changed.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_kbt_may_be_in_the_image_beside_what_was_there() {
        assert!(is_kbt_itself("Only in kbt/dracut/usr/bin: kbt"));
        assert!(is_kbt_itself("Only in kbt/dracut/usr/lib/x86_64-linux-gnu: libgcc_s.so.1"));
        assert!(is_kbt_itself(
            "Symbolic links kmod/dracut/usr/sbin/depmod and kbt/dracut/usr/sbin/depmod differ"
        ));
        assert!(!is_kbt_itself("Only in kbt/dracut/usr/bin: less"));
        assert!(!is_kbt_itself("Only in kmod/dracut/usr/bin: kbt"));
        assert!(!is_kbt_itself(
            "Files kmod/dracut/usr/lib/modules/6/modules.dep and kbt/dracut/usr/lib/modules/6/modules.dep differ"
        ));
    }
}
