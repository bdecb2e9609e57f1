//! `cargo xtask e2e capi`: the C library as a boot loader uses it, up to the kernel.
//!
//! qemu dumps the tree of its arm64 board; the sample program in C merges an overlay into it; Debian's arm64 kernel boots on
//! that board with the merged tree; its first process sends /proc/device-tree back over the console; and that has to
//! be the merged tree, but for what boot loader (qemu) and kernel add.

mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use self::machine::Machine;
use crate::files::{cannot, create, remove};
use crate::run::{self, Result, cargo};
use crate::{fetch, place};

/// The overlay's source.
const OVERLAY: &str = "xtask/src/e2e/capi/virt.dtso";

/// The guest's first process. Its console turns line ends into two bytes, and the kernel may write in between:
/// hence text between marks, which base64 does not have.
const INIT: &str = "\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
cd /proc/device-tree/
echo; echo KBT-TREE-BEGIN
/bin/busybox tar -c -f - . | /bin/busybox base64
echo KBT-TREE-END
/bin/busybox poweroff -f
";

/// Lines of a tree's source that the overlay must have brought.
const BROUGHT: [&str; 6] = [
    "kbt-board@1 {",
    "compatible = \"kbt,board\";",
    "bytes = [de ad be ef 00];",
    "label = \"one\", \"two\";",
    "label = \"kbt key\";",
    "kbt,board = <",
];

/// The story.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    let machine = Machine::get()?;
    fetch::fetch(false)?;
    let scratch = std::env::temp_dir().join(format!("kbt-e2e-capi-{}", std::process::id()));
    create(&scratch)?;
    let merged = merge(&scratch)?;
    println!("merged by the C sample: {}", merged.display());
    let console = machine.boot(&merged, INIT, &scratch)?;
    let guest = unpack(&console, &scratch)?;
    compare(&merged, &guest)?;
    println!("the guest's /proc/device-tree is the merged tree");
    remove(&scratch)
}

/// The board's tree, merged with the overlay by the sample.
fn merge(scratch: &Path) -> Result<PathBuf> {
    let [board, overlay, merged] = ["board.dtb", "virt.dtbo", "merged.dtb"].map(|name| scratch.join(name));
    Machine::dump_tree(&board)?;
    let mut dtc = Command::new(dtc());
    dtc.args(["-q", "-@", "-I", "dts", "-O", "dtb", "-o"]).arg(&overlay).arg(run::root().join(OVERLAY));
    run::output(&mut dtc)?;
    run::output(Command::new(sample(scratch)?).args([&board, &overlay, &merged]))?;
    Ok(merged)
}

fn dtc() -> PathBuf {
    place::peers().join("bin/dtc")
}

/// Builds the library and the sample.
fn sample(scratch: &Path) -> Result<PathBuf> {
    let capi = run::root().join("capi");
    let target = run::target_directory()?.join("capi");
    let words = ["build", "--release", "--locked", "--manifest-path", "capi/Cargo.toml"];
    run::run(cargo(words).arg("--target-dir").arg(&target))?;
    let program = scratch.join("apply_overlay");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-Werror", "-I"]).arg(capi.join("include"));
    gcc.arg("-I").arg(place::peers().join("include")).arg(capi.join("samples/apply_overlay.c"));
    gcc.arg(target.join("release/libufdt_overlay.a")).arg(place::peers().join("lib/libfdt.a"));
    run::output(gcc.arg("-o").arg(&program))?;
    Ok(program)
}

/// The directory tree that the guest sent.
fn unpack(console: &str, scratch: &Path) -> Result<PathBuf> {
    let between = console.split_once("KBT-TREE-BEGIN").and_then(|(_, rest)| rest.split_once("KBT-TREE-END"));
    let Some((text, _)) = between else {
        let last: Vec<&str> = console.lines().rev().take(20).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        return Err(format!("the guest sent no tree; its last lines:\n{}", last.join("\n")));
    };
    let encoded = scratch.join("tree.base64");
    let text: String = text.split_whitespace().collect();
    fs::write(&encoded, text).map_err(|error| cannot("write", &encoded, &error))?;
    let guest = scratch.join("guest");
    create(&guest)?;
    let mut base64 = Command::new("base64").arg("-d").arg(&encoded).stdout(Stdio::piped()).spawn();
    let base64 = base64.as_mut().map_err(|error| format!("cannot start base64: {error}"))?;
    let archive = base64.stdout.take().ok_or("base64 has no standard output")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--no-same-owner", "--directory"]).arg(&guest).stdin(archive);
    let unpacked = tar.output().map_err(|error| format!("cannot start tar: {error}"))?;
    run::checked(&tar, unpacked)?;
    base64.wait().map_err(|error| format!("cannot wait for base64: {error}"))?;
    Ok(guest)
}

/// Both trees as sorted sources, without what qemu and the kernel add, must be the same.
fn compare(merged: &Path, guest: &Path) -> Result {
    let sources = [("dtb", merged), ("fs", guest)].map(|(format, path)| {
        let mut dtc = Command::new(dtc());
        dtc.args(["-q", "-s", "-I", format, "-O", "dts"]).arg(path);
        run::text(&mut dtc).map(|text| own_lines(&text))
    });
    let [merged, guest] = sources;
    let (merged, guest) = (merged?, guest?);
    for line in BROUGHT {
        if !guest.iter().any(|own| own.starts_with(line)) {
            return Err(format!("the guest's tree has no line '{line}'"));
        }
    }
    let differing = merged.iter().zip(&guest).find(|(ours, theirs)| ours != theirs);
    if let Some((ours, theirs)) = differing {
        return Err(format!("the guest's tree has '{theirs}' where the merged one has '{ours}'"));
    }
    if merged.len() != guest.len() {
        return Err(format!("the guest's tree has {} lines, the merged one {}", guest.len(), merged.len()));
    }
    println!("{} lines of source are the same", merged.len());
    Ok(())
}

/// The lines of a tree's source but those of `/chosen`, where qemu puts the command line and the initial file system
/// and the kernel takes seeds out, and the names that the kernel gives to all nodes.
fn own_lines(source: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut chosen = false;
    for line in source.lines().map(str::trim) {
        chosen |= line == "chosen {";
        if !chosen && !line.is_empty() && !line.starts_with("name = ") && !line.starts_with("/memreserve/") {
            lines.push(line.to_owned());
        }
        chosen &= line != "};";
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::own_lines;

    #[test]
    fn what_qemu_and_the_kernel_add_is_left_out() {
        let source = "/ {\n\tname = \"\";\n\tchosen {\n\t\ta;\n\t};\n\n\tb {\n\t\tname = \"b\";\n\t};\n};\n";
        assert_eq!(own_lines(source), ["/ {", "b {", "};", "};"]);
    }
}
