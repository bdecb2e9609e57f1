//! What the hot paths cost, in instructions of the whole command, against the counts that were last agreed to.
//!
//! A count over its baseline by more than 5 % fails. Callgrind counts the same on every run, so what grows is the
//! program. Only the release build says something, so this is ignored in other builds; `cargo xtask test` runs it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use kbt_testkit::callgrind;
use kbt_testkit::cases::{self, Change};
use kbt_testkit::module::{Encoding, Module};
use kbt_testkit::random::Random;
use kbt_testkit::{peers, require};

/// The committed counts; `KBT_BLESS=1` writes them anew.
const BASELINE: &str = "tests/golden/instructions.txt";
/// How much of the baseline a count may be, in percent.
const MOST: u64 = 105;

/// The commands' words, below a directory with their input.
fn hot_paths(room: &Path) -> Vec<(&'static str, Vec<String>)> {
    let words =
        |words: &str| words.split(' ').map(|word| word.replace('@', room.to_str().unwrap())).collect();
    device_trees(room);
    modules(room);
    symbols(room);
    vec![
        ("dto apply", words("dto apply @/base.dtb @/overlay.dtbo -o @/merged.dtb")),
        (
            "dtbo pack",
            words(
                "dtbo pack --version 1 --compression zlib --jobs 1 -o @/dtbo.img @/base.dtb @/overlay.dtbo",
            ),
        ),
        ("kallsyms generate", words("kallsyms generate --kernel 6.12 --all-symbols --from-nm @/symbols")),
        ("depmod", words("depmod --jobs 1 --order name -b @ 6.1.0-kbt")),
        ("jobserver exec", words("jobserver exec -- true")),
        // What every run begins with: one that took longer would be felt a thousand times a day.
        ("start", words("--version")),
    ]
}

fn device_trees(room: &Path) {
    let case = cases::flat(2000, 1000, Change::Append);
    fs::write(room.join("base.dtb"), &case.base).unwrap();
    fs::write(room.join("overlay.dtbo"), &case.overlays[0]).unwrap();
}

/// 300 modules; each needs two of those before it and has a few aliases.
fn modules(room: &Path) {
    let directory = room.join("lib/modules/6.1.0-kbt/kernel");
    fs::create_dir_all(&directory).unwrap();
    let mut random = Random::new(6);
    for index in 0..300usize {
        let mut module = Module::new(Encoding::X86_64);
        for alias in 0..8 {
            module = module.info("alias", &format!("pci:v{:08X}d{alias:08X}sv*sd*bc*sc*i*", random.cell()));
        }
        for symbol in 0..6 {
            module = module.export(&format!("export_{symbol}_of_{index}"), random.cell());
        }
        for symbol in 0..2.min(index) {
            module = module.import(&format!("export_{symbol}_of_{}", random.below(index)));
        }
        fs::write(directory.join(format!("module-{index}.ko")), module.write()).unwrap();
    }
}

/// What nm prints of 20,000 functions with words in their names.
fn symbols(room: &Path) {
    const WORDS: [&str; 12] =
        ["acpi", "get", "pci", "dev", "init", "write", "lock", "irq", "net", "page", "read", "free"];
    let mut random = Random::new(5);
    let mut text = "ffffffff81000000 T _text\n".to_owned();
    for index in 0..20_000u64 {
        let address = 0xffff_ffff_8100_0000 + (index + 1) * 48;
        let [a, b, c] = [(); 3].map(|()| WORDS[random.below(WORDS.len())]);
        writeln!(text, "{address:x} t {a}_{b}_{c}_{:x}", random.below(4096)).unwrap();
    }
    writeln!(text, "{:x} T _etext", 0xffff_ffff_8100_0000u64 + 20_002 * 48).unwrap();
    fs::write(room.join("symbols"), text).unwrap();
}

fn baseline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(BASELINE)
}

fn read_baseline() -> BTreeMap<String, u64> {
    let text = fs::read_to_string(baseline()).unwrap_or_default();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| row.rsplit_once('\t').unwrap())
        .map(|(name, count)| (name.to_owned(), count.parse().unwrap()))
        .collect()
}

#[test]
#[cfg_attr(debug_assertions, ignore = "cargo xtask test runs it, with the release build")]
fn hot_paths_cost_what_they_did() {
    require!(peers::valgrind());
    let room = tempfile::tempdir().unwrap();
    let kbt = Path::new(env!("CARGO_BIN_EXE_kbt"));
    let mut counts = BTreeMap::new();
    for (name, words) in hot_paths(room.path()) {
        counts.insert(name, callgrind::instructions(kbt, words, None, room.path()).unwrap());
    }
    if std::env::var_os("KBT_BLESS").is_some() {
        let mut text =
            "# Instructions of the release build, whole commands; see tests/instructions.rs\n".to_owned();
        for (name, count) in &counts {
            writeln!(text, "{name}\t{count}").unwrap();
        }
        fs::write(baseline(), text).unwrap();
        return;
    }
    let baseline = read_baseline();
    let mut over = Vec::new();
    for (name, &count) in &counts {
        let agreed = baseline.get(*name).copied().unwrap_or(0);
        println!("{name}: {count} instructions, baseline {agreed}");
        if count * 100 > agreed * MOST {
            over.push(format!("{name}: {count} instructions, {agreed} agreed to"));
        }
    }
    assert!(over.is_empty(), "{over:#?}\nKBT_BLESS=1 accepts them, with a reason in the commit");
}
