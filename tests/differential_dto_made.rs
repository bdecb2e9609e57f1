//! `kbt dto apply` against fdtoverlay on made trees: each rule of the merge and each class of refusal that
//! the trees of the kernel's packages do not show.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod differential;
#[path = "differential/made.rs"]
mod made;

use std::fs;
use std::path::{Path, PathBuf};

use differential::engine::{Engine, Verdict};
use kbt_testkit::cases::{self, Change};
use kbt_testkit::tree::Tree;
use kbt_testkit::{differences, lost_phandles, peers, read, require};
use made::Source;

/// What the two programs say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Both apply, and the trees mean the same.
    Same,
    /// Both apply, and by the rule that the case is named for this is the one difference (kbt | fdtoverlay).
    Differs(&'static str),
    /// Both refuse.
    Refused,
    /// kbt applies what fdtoverlay refuses, by the rule that the case is named for.
    OnlyKbt,
    /// Both apply, and kbt goes its own way; with `--loose-names` it goes fdtoverlay's.
    SameWithLooseNames,
    /// kbt refuses without `--loose-names`, and with it gives fdtoverlay's tree.
    OnlyWithLooseNames,
}

struct Oracle {
    dtc: PathBuf,
    fdtoverlay: Engine,
    scratch: tempfile::TempDir,
}

impl Oracle {
    fn find() -> Result<Self, peers::Missing> {
        let scratch = tempfile::tempdir().unwrap();
        Ok(Self {
            dtc: peers::tool("dtc")?,
            fdtoverlay: Engine::Fdtoverlay(peers::tool("fdtoverlay")?),
            scratch,
        })
    }

    fn file(&self, name: &str, source: &Source) -> PathBuf {
        let path = self.scratch.path().join(name);
        fs::write(&path, source.compile(&self.dtc)).unwrap();
        path
    }
}

#[test]
fn every_case_is_as_expected() {
    let oracle = require!(Oracle::find());
    let cases = made::cases();
    let wrong: Vec<_> = cases
        .iter()
        .filter_map(|case| check(case, &oracle).err().map(|what| format!("{}: {what}", case.name)))
        .collect();
    eprintln!("{} made cases", cases.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn check(case: &made::Case, oracle: &Oracle) -> Result<(), String> {
    let base = oracle.file("base.dtb", &case.base);
    let files = case.overlays.iter().enumerate();
    let overlays: Vec<_> = files.map(|(n, source)| oracle.file(&format!("{n}.dtbo"), source)).collect();
    let overlays: Vec<&Path> = overlays.iter().map(PathBuf::as_path).collect();
    let out = oracle.scratch.path().join("out.dtb");
    let theirs = oracle.fdtoverlay.apply(&base, &overlays, &out);
    let ours = |options| Engine::Kbt(options).apply(&base, &overlays, &out);
    let found = match (&ours(&[]), &theirs) {
        (Verdict::Refused(_), Verdict::Refused(_)) => Expected::Refused,
        (Verdict::Applied(_), Verdict::Refused(_)) => Expected::OnlyKbt,
        (ours, theirs @ Verdict::Applied(_)) if same(&base, ours, theirs).is_ok() => Expected::Same,
        (ours @ Verdict::Applied(_), theirs) if matches!(case.expected, Expected::Differs(_)) => {
            let Err(found) = same(&base, ours, theirs) else { return Err("no difference any more".into()) };
            match case.expected {
                Expected::Differs(line) if found.trim() == line => case.expected,
                _ => return Err(found),
            }
        }
        (strict, theirs) => {
            same(&base, &ours(&["--loose-names"]), theirs)?;
            if strict.applied() { Expected::SameWithLooseNames } else { Expected::OnlyWithLooseNames }
        }
    };
    if found == case.expected { Ok(()) } else { Err(format!("{found:?}, not {:?}", case.expected)) }
}

fn same(base: &Path, ours: &Verdict, theirs: &Verdict) -> Result<(), String> {
    let ours = tree(ours)?;
    let mut found = differences(&ours, &tree(theirs)?);
    found.extend(lost_phandles(&read(&fs::read(base).unwrap())?, &ours));
    let lines: Vec<_> = found.iter().map(|difference| format!("\n  {difference}")).collect();
    if found.is_empty() { Ok(()) } else { Err(lines.concat()) }
}

fn tree(verdict: &Verdict) -> Result<Tree, String> {
    match verdict {
        Verdict::Applied(bytes) => read(bytes),
        Verdict::Refused(why) => Err(why.clone()),
    }
}

/// What the benchmarks measure is merged rightly, too.
#[test]
fn benchmark_cases_are_the_same() {
    let oracle = require!(Oracle::find());
    let cases = [
        cases::page_a(),
        cases::page_b(),
        cases::flat(200, 100, Change::Append),
        cases::flat(200, 100, Change::Override),
        cases::tree(3000, 50, 3),
    ];
    for case in cases {
        let overlays = case.overlays.into_iter().map(Source::Bytes).collect();
        let made =
            made::Case { name: "", base: Source::Bytes(case.base), overlays, expected: Expected::Same };
        if let Err(what) = check(&made, &oracle) {
            panic!("{}: {what}", case.name);
        }
    }
}
