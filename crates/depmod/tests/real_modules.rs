//! The facts of real modules against what kmod's depmod makes of the same tree.

#![allow(clippy::unwrap_used, clippy::panic, reason = "the helpers of a test panic as its body does")]

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kbt_depmod::{ModuleFacts, ModuleReader};
use kbt_elf::ReadAt;
use kbt_testkit::{peers, require};

struct Bytes<'a>(&'a [u8]);

impl ReadAt for Bytes<'_> {
    type Error = Infallible;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, Infallible> {
        let rest = &self.0[usize::try_from(offset).unwrap().min(self.0.len())..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}

/// The facts of each module by its name, read whole and in pieces.
fn facts(directory: &Path) -> BTreeMap<String, ModuleFacts> {
    let (mut all, mut open) = (BTreeMap::new(), vec![directory.to_owned()]);
    let mut reader = ModuleReader::new();
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if let Some(name) = path.file_name().unwrap().to_str().unwrap().strip_suffix(".ko") {
                let bytes = fs::read(&path).unwrap();
                let facts = reader.read(&bytes).unwrap();
                let pieces = reader.read_from(&mut Bytes(&bytes), bytes.len() as u64).unwrap();
                assert!(facts == pieces, "{}: in pieces it has other facts", path.display());
                all.insert(name.replace('-', "_"), facts);
            }
        }
    }
    all
}

/// Runs kmod's depmod on the tree and gives its output directory.
fn depmod(depmod: &Path, root: &Path, version: &str, out: &Path) -> PathBuf {
    let _ = fs::remove_dir_all(out);
    let run = Command::new(depmod).arg("-b").arg(root).arg("-o").arg(out).arg(version).output().unwrap();
    assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
    out.join("lib/modules").join(version)
}

fn lines(path: &Path) -> Vec<String> {
    let text = String::from_utf8(fs::read(path).unwrap()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut lines: Vec<_> = lines.map(ToOwned::to_owned).collect();
    lines.sort();
    lines
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn facts_agree_with_kmod() {
    let root = require!(peers::modules("cloud-6.1"));
    let kmod = require!(peers::tool("kmod-34/depmod"));
    let version = fs::read_dir(root.join("lib/modules")).unwrap().next().unwrap().unwrap().file_name();
    let version = version.to_str().unwrap();
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("facts");
    let theirs = depmod(&kmod, &root, version, &scratch);
    let facts = facts(&root.join("lib/modules").join(version));

    let each = || facts.iter();
    let sorted = |lines: &mut dyn Iterator<Item = String>| {
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    };
    let alias = |value: &[u8], module: &str| format!("alias {} {module}", text(value));
    let ours = &mut each().flat_map(|(module, facts)| facts.aliases().map(|value| alias(value, module)));
    assert!(sorted(ours) == lines(&theirs.join("modules.alias")));
    let softdep = |value: &[u8], module: &str| format!("softdep {module} {}", text(value));
    let ours = &mut each().flat_map(|(module, facts)| facts.softdeps().map(|value| softdep(value, module)));
    assert!(sorted(ours) == lines(&theirs.join("modules.softdep")));
    let symbol = |name: &[u8], module: &str| format!("alias symbol:{} {module}", text(name));
    let ours =
        &mut each().flat_map(|(module, facts)| facts.exports().map(|export| symbol(export.name, module)));
    assert!(sorted(ours) == lines(&theirs.join("modules.symbols")));
    assert!(facts.values().any(|facts| facts.exports().any(|export| export.crc != 0)), "no checksum");

    let owners: BTreeMap<&[u8], &str> = each()
        .flat_map(|(module, facts)| facts.exports().map(move |export| (export.name, module.as_str())))
        .collect();
    let name = |path: &str| path.rsplit('/').next().unwrap().trim_end_matches(".ko").replace('-', "_");
    for line in lines(&theirs.join("modules.dep")) {
        let (module, dependencies) = line.split_once(':').unwrap();
        let theirs: BTreeSet<_> = dependencies.split_whitespace().map(name).collect();
        assert_eq!(closure(&facts, &owners, name(module)), theirs, "{module}");
    }
}

/// The modules that a module needs, and those that they need.
fn closure(
    facts: &BTreeMap<String, ModuleFacts>,
    owners: &BTreeMap<&[u8], &str>,
    module: String,
) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![module]);
    while let Some(next) = open.pop() {
        for import in facts[&next].imports() {
            let Some(owner) = owners.get(import.name) else { continue };
            if found.insert((*owner).to_owned()) {
                open.push((*owner).to_owned());
            }
        }
    }
    found
}
