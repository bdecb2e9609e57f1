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
use kbt_testkit::{differences, peers, read, require, write};

#[test]
fn random_overlays_on_real_bases() {
    let trees = require!(peers::trees("arm64-6.12"));
    let fdtoverlay = Engine::Fdtoverlay(require!(peers::tool("fdtoverlay")));
    let bases: Vec<_> = files::Files::list(&trees).bases.into_iter().map(|name| trees.join(name)).collect();
    let scratch = tempfile::tempdir().unwrap();
    let counts = parallel::map(&bases, |thread, base| {
        let scratch = scratch.path().join(thread.to_string());
        compare(base, &fdtoverlay, &scratch).map_err(|what| format!("{}: {what}", base.display()))
    });
    let (counts, failed): (Vec<_>, Vec<_>) = counts.into_iter().partition(Result::is_ok);
    let merges: usize = counts.into_iter().flatten().sum();
    eprintln!("random overlays on arm64-6.12: {merges} merges are the same, {} bases differ", failed.len());
    let failed: Vec<_> = failed.into_iter().filter_map(Result::err).take(5).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(merges > 0, "no base has labels");
}

/// Merges one overlay and two; gives the number of merges that are the same.
fn compare(path: &Path, fdtoverlay: &Engine, scratch: &Path) -> Result<usize, String> {
    let tree = read(&fs::read(path).unwrap())?;
    let base = random::Base::new(&tree);
    if !base.is_labelled() {
        return Ok(0);
    }
    // The file's own name is the seed, so that a failure does not depend on what else there is.
    let seed = path
        .file_name()
        .unwrap()
        .as_encoded_bytes()
        .iter()
        .fold(1, |seed, &byte| seed * 31 % 0xffff_fffb + u64::from(byte));
    let mut random = Random::new(seed);
    fs::create_dir_all(scratch).unwrap();
    let overlays: Vec<PathBuf> = (0..2)
        .map(|serial| {
            let path = scratch.join(format!("{serial}.dtbo"));
            fs::write(&path, write(&base.overlay(&mut random, serial))).unwrap();
            path
        })
        .collect();
    let overlays: Vec<_> = overlays.iter().map(PathBuf::as_path).collect();
    let out = scratch.join("out.dtb");
    for overlays in [&overlays[..1], &overlays] {
        let [ours, theirs] = [&Engine::Kbt(&[]), fdtoverlay].map(|engine| engine.apply(path, overlays, &out));
        let (Verdict::Applied(ours), Verdict::Applied(theirs)) = (&ours, &theirs) else {
            let say = |verdict: &Verdict| match verdict {
                Verdict::Applied(_) => "applied".to_owned(),
                Verdict::Refused(why) => why.clone(),
            };
            return Err(format!(
                "{} overlays: kbt: {}, fdtoverlay: {}",
                overlays.len(),
                say(&ours),
                say(&theirs)
            ));
        };
        let found = differences(&read(ours)?, &read(theirs)?);
        if let Some(first) = found.first() {
            return Err(format!(
                "{} overlays: {} differences, the first: {first}",
                overlays.len(),
                found.len()
            ));
        }
    }
    Ok(2)
}
