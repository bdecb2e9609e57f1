//! `kbt dto apply` against fdtoverlay on the device trees of Debian's kernels.
//!
//! Each base of a vendor's folder is merged with each overlay of that folder. Both programs must say the
//! same, and where both apply, the trees must mean the same. `cargo xtask differential --all` adds the 32-bit
//! trees and each base that has `__symbols__` with each overlay of the other vendors.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use differential::engine::{Engine, Verdict};
use differential::files::Files;
use differential::skips::{self, Skip};
use differential::{parallel, warnings};
use kbt_testkit::{differences, lost_phandles, peers, read, require};

const SKIPS: &str = include_str!("differential/dto-skip.toml");

/// A file of a set; its name is `vendor/name`.
#[derive(Debug, Clone)]
struct Tree {
    name: String,
    path: PathBuf,
}

/// A base and an overlay.
struct Pair<'a> {
    base: &'a Tree,
    overlay: &'a Tree,
}

/// How a pair ended, where it ended well.
#[derive(PartialEq, Eq)]
enum Outcome {
    BothRefuse,
    Same,
    Skipped(usize),
}

#[test]
fn arm64_6_12() {
    let same = compare_set("arm64-6.12", &require!(peers::trees("arm64-6.12")), require!(Oracle::find()));
    assert!(same > 0, "no pair applies");
}

#[test]
fn arm64_6_1() {
    // Its two overlays are for bases that were built without symbols: both programs refuse each pair.
    compare_set("arm64-6.1", &require!(peers::trees("arm64-6.1")), require!(Oracle::find()));
}

#[test]
#[ignore = "of the long comparison: cargo xtask differential --all"]
fn armmp_6_1() {
    compare_set("armmp-6.1", &require!(peers::trees("armmp-6.1")), require!(Oracle::find()));
}

/// The tools of dtc.
struct Oracle {
    fdtoverlay: Engine,
    dtc: PathBuf,
}

impl Oracle {
    fn find() -> Result<Self, peers::Missing> {
        Ok(Self { fdtoverlay: Engine::Fdtoverlay(peers::tool("fdtoverlay")?), dtc: peers::tool("dtc")? })
    }
}

fn all() -> bool {
    std::env::var("KBT_DIFFERENTIAL").is_ok_and(|value| value == "all")
}

/// Compares all pairs and gives the number of those that both apply, with the same tree.
fn compare_set(set: &str, directory: &Path, oracle: Oracle) -> usize {
    let files = Files::list(directory);
    let bases = trees(directory, files.bases);
    let overlays = trees(directory, files.overlays);
    let foreign = foreign_overlays(directory);
    let pairs = pairs(&bases, &overlays, &foreign);
    let skips = skips::parse(SKIPS);
    let scratch = tempfile::tempdir().unwrap();
    let outcomes = parallel::map(&pairs, |thread, pair| {
        let out = scratch.path().join(format!("{thread}.dtb"));
        compare(pair, &oracle, skips::find(&skips, set, &pair.base.name, &pair.overlay.name), &skips, &out)
            .map_err(|what| format!("{} + {}: {what}", pair.base.name, pair.overlay.name))
    });
    report(set, &skips, outcomes)
}

/// Prints the counts and stops where a pair differs or an entry of the skip list is not needed any more.
fn report(set: &str, skips: &[Skip], outcomes: Vec<Result<Outcome, String>>) -> usize {
    let count = outcomes.len();
    let (ended, failed): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    let ended: Vec<_> = ended.into_iter().flatten().collect();
    let of = |outcome| ended.iter().filter(|other| **other == outcome).count();
    let (refuse, same) = (of(Outcome::BothRefuse), of(Outcome::Same));
    let used = ended.iter().filter_map(|outcome| match outcome {
        Outcome::Skipped(index) => Some(*index),
        _ => None,
    });
    let used: Vec<_> = used.collect();
    eprintln!(
        "{set}: {count} pairs: {refuse} refused by both, {same} same, {} skipped with a reason, {} differ",
        used.len(),
        failed.len()
    );
    let failed: Vec<_> = failed.into_iter().filter_map(Result::err).take(20).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    let outlived = skips::outlived(skips, set, &used.into_iter().collect::<HashSet<_>>());
    assert!(outlived.is_empty(), "entries of the skip list without a pair that differs: {outlived:#?}");
    same
}

fn compare(
    pair: &Pair<'_>,
    oracle: &Oracle,
    skip: Option<usize>,
    skips: &[Skip],
    out: &Path,
) -> Result<Outcome, String> {
    let apply = |engine: &Engine| engine.apply(&pair.base.path, &[&pair.overlay.path], out);
    let theirs = apply(&oracle.fdtoverlay);
    let judge = |options| same(&pair.base.path, &apply(&Engine::Kbt(options)), &theirs);
    let judged = judge(&[]);
    let Some(index) = skip else {
        if let Ok(Outcome::Same) = judged {
            no_new_warning(&oracle.dtc, &pair.base.path, &apply(&Engine::Kbt(&[])), &theirs)?;
        }
        return judged;
    };
    match judged {
        Ok(Outcome::Same) => {
            Err(format!("no longer differs, but is on the skip list: {}", skips[index].reason))
        }
        Err(_) if skips[index].loose_names => judge(&["--loose-names"]).map(|_| Outcome::Skipped(index)),
        Err(_) => Ok(Outcome::Skipped(index)),
        Ok(outcome) => Ok(outcome),
    }
}

fn same(base: &Path, ours: &Verdict, theirs: &Verdict) -> Result<Outcome, String> {
    match (ours, theirs) {
        (Verdict::Refused(_), Verdict::Refused(_)) => Ok(Outcome::BothRefuse),
        (Verdict::Applied(_), Verdict::Refused(why)) => {
            Err(format!("only kbt applies it; fdtoverlay: {why}"))
        }
        (Verdict::Refused(why), Verdict::Applied(_)) => {
            Err(format!("only fdtoverlay applies it; kbt: {why}"))
        }
        (Verdict::Applied(ours), Verdict::Applied(theirs)) => {
            let ours = read(ours)?;
            let mut found = differences(&ours, &read(theirs)?);
            found.extend(lost_phandles(&read(&fs::read(base).unwrap())?, &ours));
            match found.first() {
                None => Ok(Outcome::Same),
                Some(first) => Err(format!("{} differences, the first: {first}", found.len())),
            }
        }
    }
}

/// dtc warns of nothing in kbt's tree that it does not warn of in the base or in the oracle's tree.
fn no_new_warning(dtc: &Path, base: &Path, ours: &Verdict, theirs: &Verdict) -> Result<(), String> {
    let (Verdict::Applied(ours), Verdict::Applied(theirs)) = (ours, theirs) else { return Ok(()) };
    let ours = warnings::of(dtc, ours);
    if ours.is_empty() {
        return Ok(());
    }
    let known: BTreeSet<_> = &warnings::of(dtc, &fs::read(base).unwrap()) | &warnings::of(dtc, theirs);
    match ours.difference(&known).next() {
        None => Ok(()),
        Some(warning) => Err(format!("dtc has a new warning: {warning}")),
    }
}

fn trees(directory: &Path, names: Vec<String>) -> Vec<Tree> {
    names.into_iter().map(|name| Tree { path: directory.join(&name), name }).collect()
}

/// Under [`all`] the overlays of the other sets.
fn foreign_overlays(own: &Path) -> Vec<Tree> {
    let others = ["arm64-6.12", "arm64-6.1"].into_iter().filter_map(|set| peers::trees(set).ok());
    let others = others.filter(|directory| all() && directory != own);
    others.flat_map(|directory| trees(&directory, Files::list(&directory).overlays)).collect()
}

/// Those of one folder, and under [`all`] the bases with symbols with each overlay there is.
fn pairs<'a>(bases: &'a [Tree], overlays: &'a [Tree], foreign: &'a [Tree]) -> Vec<Pair<'a>> {
    let folder = |tree: &'a Tree| Path::new(&tree.name).parent();
    let mut pairs = Vec::new();
    for base in bases {
        let everywhere = all() && has_symbols(&base.path);
        let near = overlays.iter().filter(|overlay| everywhere || folder(base) == folder(overlay));
        let far = foreign.iter().filter(|_| everywhere);
        pairs.extend(near.chain(far).map(|overlay| Pair { base, overlay }));
    }
    pairs
}

fn has_symbols(base: &Path) -> bool {
    read(&fs::read(base).unwrap()).unwrap().root.node("__symbols__").is_some()
}
