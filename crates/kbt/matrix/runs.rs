//! What is tried: bases, each with overlays that are applied one after the other, and what is expected.

use std::collections::{BTreeMap, BTreeSet};

use kbt_fdt::{Blob, NodeIndex};

use super::config::{Line, Word, fits};
use super::files::File;
use crate::args::dto::Pairs;
use crate::report::Failure;

/// A base with overlays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The base's number.
    pub base: usize,
    /// The overlays' numbers, in their order.
    pub overlays: Box<[usize]>,
    /// Whether it is to be refused.
    pub refused: bool,
}

/// More are not tried.
const MAX_RUNS: usize = 4_000_000;

/// What is to be tried, by base, then by overlays.
///
/// # Errors
/// A pattern that fits nothing, and more runs than any farm has.
pub fn choose(bases: &[File], overlays: &[File], pairs: Pairs, config: &[Line]) -> Result<Vec<Run>, Failure> {
    if config.is_empty() {
        return choose_pairs(bases, overlays, pairs);
    }
    let named = config.iter().any(|line| line.word == Word::Apply);
    let start = if named { Vec::new() } else { choose_pairs(bases, overlays, pairs)? };
    let mut chosen: BTreeMap<(usize, Box<[usize]>), bool> =
        start.into_iter().map(|run| ((run.base, run.overlays), false)).collect();
    for line in config {
        let stacks = stacks(line, overlays)?;
        for base in matching(line, &line.bases, bases, "base")? {
            for stack in &stacks {
                let key = (base, stack.clone());
                match line.word {
                    Word::Skip => _ = chosen.remove(&key),
                    word => _ = chosen.insert(key, word == Word::Refuse),
                }
            }
            if chosen.len() > MAX_RUNS {
                return Err(too_many());
            }
        }
    }
    let run = |((base, overlays), refused)| Run { base, overlays, refused };
    Ok(chosen.into_iter().map(run).collect())
}

fn choose_pairs(bases: &[File], overlays: &[File], pairs: Pairs) -> Result<Vec<Run>, Failure> {
    if pairs == Pairs::All && bases.len().saturating_mul(overlays.len()) > MAX_RUNS {
        return Err(too_many());
    }
    let run = |base, overlay| Run { base, overlays: Box::new([overlay]), refused: false };
    let mut runs = Vec::new();
    match pairs {
        Pairs::All => {
            for base in 0..bases.len() {
                runs.extend((0..overlays.len()).map(|overlay| run(base, overlay)));
            }
        }
        Pairs::Folder => {
            let mut folders: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
            for (index, overlay) in overlays.iter().enumerate() {
                folders.entry(overlay.folder()).or_default().push(index);
            }
            for (base, file) in bases.iter().enumerate() {
                let near = folders.get(file.folder()).into_iter().flatten();
                runs.extend(near.map(|&overlay| run(base, overlay)));
            }
        }
        Pairs::Compatible => {
            let wanted: Vec<_> = overlays.iter().map(|file| compatible(&file.bytes)).collect();
            for (base, file) in bases.iter().enumerate() {
                let own = compatible(&file.bytes);
                let fits = |wanted: &BTreeSet<&[u8]>| wanted.is_empty() || !wanted.is_disjoint(&own);
                let near = wanted.iter().enumerate().filter(|(_, wanted)| fits(wanted));
                runs.extend(near.map(|(overlay, _)| run(base, overlay)));
            }
        }
    }
    Ok(runs)
}

/// The strings of the root's `compatible`; none where there is none, or no tree.
fn compatible(bytes: &[u8]) -> BTreeSet<&[u8]> {
    let Some((blob, tree)) = Blob::parse(bytes).and_then(|blob| Ok((blob, blob.tree()?))).ok() else {
        return BTreeSet::new();
    };
    let root = blob.structure().properties(tree.node(NodeIndex::ROOT));
    let value = root.into_iter().find(|property| blob.strings().is(property.name, b"compatible"));
    let value = value.map(|property| blob.structure().value(&property)).unwrap_or_default();
    value.split(|&byte| byte == 0).filter(|text| !text.is_empty()).collect()
}

/// Every choice of one overlay for each pattern of a line, in order.
fn stacks(line: &Line, overlays: &[File]) -> Result<Vec<Box<[usize]>>, Failure> {
    let mut stacks: Vec<Vec<usize>> = vec![Vec::new()];
    for pattern in &line.overlays {
        let fitting = matching(line, pattern, overlays, "overlay")?;
        if stacks.len().saturating_mul(fitting.len()) > MAX_RUNS {
            return Err(too_many());
        }
        let longer = |stack: &Vec<usize>| {
            let stack = stack.clone();
            let with = move |&next: &usize| [&stack[..], &[next]].concat();
            fitting.iter().map(with).collect::<Vec<_>>()
        };
        stacks = stacks.iter().flat_map(longer).collect();
    }
    Ok(stacks.into_iter().map(Vec::into_boxed_slice).collect())
}

fn matching(line: &Line, pattern: &str, files: &[File], what: &str) -> Result<Vec<usize>, Failure> {
    let found: Vec<usize> = files
        .iter()
        .enumerate()
        .filter(|(_, file)| fits(pattern, &file.name))
        .map(|(index, _)| index)
        .collect();
    if found.is_empty() {
        let message = format!("line {}: no {what} fits '{pattern}'", line.number);
        let hint = "names are relative to the directory; '*' does not stand for '/', '**' does";
        return Err(Failure::new("bad-config", message).hint(hint));
    }
    Ok(found)
}

fn too_many() -> Failure {
    Failure::new("too-many", format!("more than {MAX_RUNS} merges are to be tried"))
        .hint("choose fewer with --pairs or --config")
}
