//! `kbt depmod` against kmod's on modules that no linker makes: odd sections, missing tables, cycles, and real modules
//! with bits flipped and ends cut off.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod depmod_oracle;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use depmod_oracle::odd::odd_modules;
use depmod_oracle::{Depmod, Outcome, Skips, Tree, differences, differences_30, outcome};
use kbt_testkit::module::{Encoding, Module};
use kbt_testkit::random::Random;
use kbt_testkit::{peers, require};

const WORDS: [&str; 5] = ["-b", "{root}", "-C", "{root}/none", "{version}"];

#[test]
fn odd_modules_one_by_one() {
    require!(Depmod::kmod_34());
    require!(Depmod::kmod_30());
    let skips = Skips::load();
    std::thread::scope(|scope| {
        for encoding in Encoding::ALL {
            let skips = &skips;
            scope.spawn(move || odd_modules_of(encoding, skips));
        }
    });
    skips.finish();
}

/// `$KBT_CASE` names the one case that is wanted while somebody looks into it.
fn odd_modules_of(encoding: Encoding, skips: &Skips) {
    let kmod = Depmod::kmod_34().unwrap();
    let mut tree = Tree::new(&format!("odd-{}-{}", encoding.is_64, encoding.is_big));
    let other = Module::new(encoding).export("other_one", 2).export("other_two", 3);
    tree.module("kernel/other.ko", &other);
    tree.module("kernel/user.ko", &Module::new(encoding).import("own_one").import("own_two"));
    tree.write("modules.order", b"kernel/user.ko\nkernel/odd.ko\nkernel/other.ko\n");
    tree.write("../../../Module.symvers", b"0x00000001\tmodule_layout\tvmlinux\tEXPORT_SYMBOL\t\n");
    for (name, module) in odd_modules(encoding) {
        if std::env::var("KBT_CASE").is_ok_and(|wanted| wanted != name) {
            continue;
        }
        tree.module("kernel/odd.ko", &module);
        tree.settle();
        skips.judge(name, &differences(&kmod, &Depmod::kbt(), &tree, &WORDS));
        let strict = [&["-e", "-E", "{root}/Module.symvers"], &WORDS[..]].concat();
        skips.judge(name, &differences(&kmod, &Depmod::kbt(), &tree, &strict));
        skips.judge(&format!("30-{name}"), &differences_30(&tree, &WORDS).unwrap());
    }
}

#[test]
fn cycles() {
    let kmod = require!(Depmod::kmod_34());
    let skips = Skips::load();
    let ring = |tree: &Tree, prefix: &str, size: usize| {
        for index in 0..size {
            let module = Module::new(Encoding::X86_64)
                .export(&format!("{prefix}_{index}"), 1)
                .import(&format!("{prefix}_{}", (index + 1) % size));
            tree.module(&format!("kernel/{prefix}{index}.ko"), &module);
        }
    };
    for (name, rings) in [
        ("cycle-of-one", &[("a", 1)][..]),
        ("cycle-of-two", &[("a", 2)]),
        ("cycle-of-five", &[("a", 5)]),
        ("cycles-of-three-and-two", &[("a", 3), ("b", 2)]),
    ] {
        let mut tree = Tree::small(name);
        for (prefix, size) in rings {
            ring(&tree, prefix, *size);
        }
        let user = Module::new(Encoding::X86_64).import("a_0").export("user", 1);
        tree.module("kernel/user.ko", &user);
        tree.settle();
        skips.judge(name, &differences(&kmod, &Depmod::kbt(), &tree, &WORDS));
    }
    skips.finish();
}

/// How many broken modules the default run has.
const BROKEN: usize = 1500;

/// How many the long one has.
const BROKEN_AT_LENGTH: usize = 10_000;

/// How many lie in one tree.
const BATCH: usize = 10;

fn broken_count() -> usize {
    let all = std::env::var("KBT_DIFFERENTIAL").is_ok_and(|value| value == "all");
    if all { BROKEN_AT_LENGTH } else { BROKEN }
}

/// Modules to be broken: small real ones and a made one.
fn seeds(directory: &Path) -> Vec<Vec<u8>> {
    let mut files: Vec<PathBuf> = Vec::new();
    outcome::collect(directory, directory, &mut |name, path| {
        if name.contains(".ko") && fs::metadata(path).unwrap().len() < 24 << 10 {
            files.push(path.to_owned());
        }
    });
    files.sort();
    let step = (files.len() / 40).max(1);
    files.iter().step_by(step).map(|path| fs::read(path).unwrap()).collect()
}

/// Cuts the end off, or flips up to eight bits; mostly where headers and tables lie.
fn broken(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if random.below(4) == 0 {
        bytes.truncate(random.below(bytes.len()));
        return bytes;
    }
    for _ in 0..=random.below(8) {
        let at = match random.below(3) {
            0 => random.below(64.min(bytes.len())),
            1 => bytes.len() - 1 - random.below((bytes.len() / 4).max(1)),
            _ => random.below(bytes.len()),
        };
        bytes[at] ^= 1 << random.below(8);
    }
    bytes
}

/// Compares outputs and exit codes over broken modules in one compression. What kmod says of them on stderr, and what kbt says, is
/// not the same by decision; kbt must say something of each that it cannot read.
fn break_modules(set: &str, suffix: &str) {
    let kmod = require!(Depmod::kmod_34());
    let seeds = seeds(&require!(peers::modules(&format!("{set}{suffix}"))));
    let mut tree = Tree::new(&format!("broken{suffix}"));
    tree.write("modules.order", b"");
    let mut random = Random::new(34);
    let (mut same, mut given_up, mut refused) = (0, 0, 0);
    for batch in 0..broken_count().div_ceil(BATCH) {
        for index in 0..BATCH {
            let seed = &seeds[random.below(seeds.len())];
            tree.write(&format!("kernel/m{index}.ko{suffix}"), &broken(seed, &mut random));
        }
        tree.settle();
        let expected = kmod.run(&tree, &WORDS);
        let actual = Depmod::kbt().run(&tree, &WORDS);
        if expected.exit < 0 {
            // An assertion of kmod failed; kbt has none.
            given_up += 1;
            assert!(actual.exit == 0 || actual.exit == 1, "{suffix} {batch}: {actual:?}");
            continue;
        }
        if says(&expected, "only 7-bit ASCII is supported") {
            // A flipped bit in the name of an exported symbol. kmod stops amid its outputs, and a temporary file is left.
            assert_eq!((expected.exit, actual.exit), (1, 1), "{suffix} {batch}");
            assert!(says(&actual, " is not 7-bit ASCII") && actual.files.is_empty(), "{actual:?}");
            refused += 1;
            continue;
        }
        let differences = expected.differences(&actual);
        let differences: Vec<_> = differences.iter().filter(|it| it.part != "stderr").collect();
        assert!(differences.is_empty(), "batch {batch} in {}: {differences:?}", tree.root.display());
        same += 1;
    }
    println!(
        "{set}{suffix}: {same} trees of {BATCH} broken modules are the same, kmod aborted over {given_up}, both \
         refused {refused}"
    );
    assert!(same > given_up + refused, "{same} {given_up} {refused}");
}

fn says(outcome: &Outcome, words: &str) -> bool {
    String::from_utf8_lossy(&outcome.stderr).contains(words)
}

#[test]
fn broken_modules() {
    break_modules("cloud-6.1", "");
}

#[test]
fn broken_xz() {
    break_modules("cloud-6.1", ".xz");
}

#[test]
fn broken_zst() {
    break_modules("cloud-6.1", ".zst");
}

/// kmod 34 here reads no gzip: only that kbt ends well and says what it did not like.
#[test]
fn broken_gz() {
    let seeds = seeds(&require!(peers::modules("cloud-6.1.gz")));
    let mut tree = Tree::new("broken-alone.gz");
    let mut random = Random::new(35);
    for _ in 0..broken_count().div_ceil(BATCH) {
        for index in 0..BATCH {
            let seed = &seeds[random.below(seeds.len())];
            tree.write(&format!("kernel/m{index}.ko.gz"), &broken(seed, &mut random));
        }
        tree.settle();
        let outcome = Depmod::kbt().run(&tree, &WORDS);
        // One may come to need itself.
        if outcome.exit != 0 {
            assert_eq!(outcome.exit, 1, "{outcome:?}");
            assert!(outcome.output("modules.dep").is_empty());
            continue;
        }
        assert_eq!(outcome.output("modules.dep").split(|&byte| byte == b'\n').count(), BATCH + 1);
    }
}

/// The real readers of the indexes: what they find through kmod's files they find through kbt's.
#[test]
fn readers_find_the_same() {
    let kmod = require!(Depmod::kmod_34());
    let tree = Tree::copy("readers", &require!(peers::modules("cloud-6.1")));
    let readers = ["30", "34"].map(|version| {
        (version, ["modprobe", "modinfo"].map(|name| peers::tool(&format!("kmod-{version}/{name}"))))
    });
    kmod.run(&tree, &WORDS);
    let queries = queries(&tree);
    assert!(queries.len() > 1000);
    for (version, [modprobe, modinfo]) in readers {
        let (modprobe, modinfo) = (require!(modprobe), require!(modinfo));
        let ours = if version == "30" { Depmod::kbt_compat_30() } else { Depmod::kbt() };
        let theirs = if version == "30" { require!(Depmod::kmod_30()) } else { kmod.clone() };
        let [expected, actual] = [theirs, ours].map(|depmod| {
            let outcome: Outcome = depmod.run(&tree, &WORDS);
            assert_eq!(outcome.exit, 0, "{outcome:?}");
            let probe = |words: &[&str]| -> Vec<u8> {
                let mut answers = Vec::new();
                for query in queries.chunks(200) {
                    let mut command = Command::new(&modprobe);
                    command.arg("-d").arg(&tree.root).args(["-S", &tree.version, "-C"]);
                    command.arg(tree.root.join("none")).args(words).args(query);
                    let output = command.output().unwrap();
                    answers.extend_from_slice(&output.stdout);
                    answers.extend_from_slice(&output.stderr);
                }
                answers
            };
            let depends = probe(&["--show-depends", "-a"]);
            let resolved = probe(&["--resolve-alias", "-a"]);
            let mut command = Command::new(&modinfo);
            command.arg("-b").arg(&tree.root).args(["-k", &tree.version, "-n"]).args(&queries[..300]);
            (depends, resolved, command.output().unwrap().stdout)
        });
        assert!(!expected.0.is_empty() && !expected.1.is_empty() && !expected.2.is_empty(), "{version}");
        assert!(expected == actual, "kmod {version} finds something else");
    }
}

/// Every module, every alias with its patterns made concrete, every symbol.
fn queries(tree: &Tree) -> Vec<String> {
    let read = |name: &str| fs::read_to_string(tree.modules().join(name)).unwrap();
    let mut queries: Vec<String> = Vec::new();
    for line in read("modules.dep").lines() {
        let path = line.split(':').next().unwrap();
        queries.push(path.rsplit('/').next().unwrap().split('.').next().unwrap().to_owned());
    }
    for file in ["modules.alias", "modules.symbols"] {
        for line in read(file).lines().filter_map(|line| line.strip_prefix("alias ")) {
            let alias = line.rsplit_once(' ').unwrap().0;
            queries.push(alias.replace('*', "0"));
        }
    }
    queries
}
