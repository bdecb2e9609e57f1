//! `kbt dto apply` against fdtoverlay with random overlays on real bases: values, phandles on both sides,
//! references in every direction, symbols, and stacks of two.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;
#[path = "differential/random.rs"]
mod random;

use std::fs;
use std::path::{Path, PathBuf};

use differential::engine::{Engine, Verdict};
use differential::{files, parallel};
use kbt_testkit::random::Random;
use kbt_testkit::tree::join;
use kbt_testkit::{Node, Tree, differences, lost_phandles, peers, read, require, write};

/// Who merges, and what the overlays are like.
struct Comparison {
    kbt: Engine,
    fdtoverlay: Engine,
    loose: bool,
}

#[test]
fn random_overlays_on_real_bases() {
    let fdtoverlay = Engine::Fdtoverlay(require!(peers::tool("fdtoverlay")));
    let comparison = Comparison { kbt: Engine::Kbt(&[]), fdtoverlay, loose: false };
    compare_set(&require!(peers::trees("arm64-6.12")), &comparison);
}

#[test]
fn random_overlays_with_loose_names() {
    let fdtoverlay = Engine::Fdtoverlay(require!(peers::tool("fdtoverlay")));
    let comparison = Comparison { kbt: Engine::Kbt(&["--loose-names"]), fdtoverlay, loose: true };
    compare_set(&require!(peers::trees("arm64-6.12")), &comparison);
}

fn compare_set(trees: &Path, comparison: &Comparison) {
    let bases: Vec<_> = files::Files::list(trees).bases.into_iter().map(|name| trees.join(name)).collect();
    let scratch = tempfile::tempdir().unwrap();
    let counts = parallel::map(&bases, |thread, base| {
        let scratch = scratch.path().join(thread.to_string());
        compare(base, comparison, &scratch).map_err(|what| format!("{}: {what}", base.display()))
    });
    let (counts, failed): (Vec<_>, Vec<_>) = counts.into_iter().partition(Result::is_ok);
    let merges: usize = counts.into_iter().flatten().sum();
    let loose = if comparison.loose { " with loose names" } else { "" };
    eprintln!("random overlays{loose} on arm64-6.12: {merges} merges are the same, {} differ", failed.len());
    let failed: Vec<_> = failed.into_iter().filter_map(Result::err).take(5).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(merges > 0, "no base has labels");
}

/// Merges with the base's own random overlays, with more of them under `KBT_DIFFERENTIAL=all`; gives the number
/// of merges that are the same.
fn compare(path: &Path, comparison: &Comparison, scratch: &Path) -> Result<usize, String> {
    let tree = read(&fs::read(path).unwrap())?;
    if !random::Base::new(&tree).is_labelled() {
        return Ok(0);
    }
    fs::create_dir_all(scratch).unwrap();
    let seeds = if std::env::var("KBT_DIFFERENTIAL").is_ok_and(|value| value == "all") { 20 } else { 1 };
    for round in 0..seeds {
        let mut random = Random::new(seed(path) + round);
        compare_stack(path, &tree, &mut random, comparison, scratch)?;
    }
    Ok(2 * usize::try_from(seeds).unwrap())
}

/// Merges one overlay and two.
fn compare_stack(
    path: &Path,
    tree: &Tree,
    random: &mut Random,
    comparison: &Comparison,
    scratch: &Path,
) -> Result<(), String> {
    let base = random::Base::new(tree);
    let overlays: Vec<PathBuf> = (0..2)
        .map(|serial| {
            let path = scratch.join(format!("{serial}.dtbo"));
            fs::write(&path, write(&base.overlay(random, serial, comparison.loose))).unwrap();
            path
        })
        .collect();
    let overlays: Vec<_> = overlays.iter().map(PathBuf::as_path).collect();
    let out = scratch.join("out.dtb");
    for overlays in [&overlays[..1], &overlays] {
        let verdicts =
            [&comparison.kbt, &comparison.fdtoverlay].map(|engine| engine.apply(path, overlays, &out));
        same(tree, &verdicts).map_err(|what| format!("{} overlays: {what}", overlays.len()))?;
    }
    Ok(())
}

/// The file's own name, so that a failure does not depend on what else there is.
fn seed(path: &Path) -> u64 {
    let name = path.file_name().unwrap().as_encoded_bytes();
    name.iter().fold(1, |seed, &byte| seed * 31 % 0xffff_fffb + u64::from(byte))
}

fn same(base: &Tree, [ours, theirs]: &[Verdict; 2]) -> Result<(), String> {
    let (Verdict::Applied(ours), Verdict::Applied(theirs)) = (ours, theirs) else {
        let say = |verdict: &Verdict| match verdict {
            Verdict::Applied(_) => "applied".to_owned(),
            Verdict::Refused(why) => why.clone(),
        };
        return Err(format!("kbt: {}, fdtoverlay: {}", say(ours), say(theirs)));
    };
    let exact = |bytes: &[u8]| read(bytes).map(with_exact_symbols);
    let ours = exact(ours)?;
    let mut found = differences(&ours, &exact(theirs)?);
    found.extend(lost_phandles(base, &ours));
    match found.as_slice() {
        [] => Ok(()),
        found => Err(format!("{} differences, the first: {}", found.len(), found[0])),
    }
}

/// Lets each symbol say the very path of its node: where a name matched loosely, libfdt writes the overlay's
/// name into the symbol, and kbt the node's.
fn with_exact_symbols(mut tree: Tree) -> Tree {
    let root = tree.root.clone();
    for (_, value) in &mut tree.root.node_mut("__symbols__").properties {
        let path =
            std::str::from_utf8(value).ok().and_then(|path| exact_path(&root, path.strip_suffix('\0')?));
        if let Some(path) = path {
            *value = [path.as_bytes(), b"\0"].concat();
        }
    }
    tree
}

fn exact_path(root: &Node, path: &str) -> Option<String> {
    let mut names = path.split('/').filter(|name| !name.is_empty());
    let start = (root, String::from("/"));
    let (_, path) = names.try_fold(start, |(node, path), name| {
        let loose = |child: &&Node| child.name.split_once('@').is_some_and(|(stem, _)| stem == name);
        let child = node.node(name).or_else(|| node.children.iter().find(loose))?;
        Some((child, join(&path, &child.name)))
    })?;
    Some(path)
}
