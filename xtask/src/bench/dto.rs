//! `cargo xtask bench dto`: the merge of overlays, against dtoolkit and libfdt.
//!
//! Four tables: instructions and times of the named cases with their limits, the growth of the cost as one size doubles, and the
//! memory of the whole command. Instructions are callgrind's, of the merge alone, and do not depend on what
//! else the machine does; times are processor times of merges inside a program, with the engines taking
//! turns, and only their ratios say something.

mod engine;
mod growth;
mod memory;
pub mod sweep;

use std::fs;
use std::path::{Path, PathBuf};

use self::engine::{ALL, Effort, Engine, Engines};
use crate::bench::table::{Table, grouped};
use crate::files;
use crate::run::Result;

/// A named case and what it may cost.
struct Limit {
    /// The folder that `benches/dto.rs` writes it to.
    case: &'static str,
    /// Instructions of a merge.
    instructions: Option<u64>,
    /// kbt's time as a part of dtoolkit's: one divided by this.
    dtoolkit: f64,
}

const LIMITS: &[Limit] = &[
    Limit { case: "page A", instructions: Some(600_000), dtoolkit: 20.0 },
    Limit { case: "page B", instructions: Some(600_000), dtoolkit: 20.0 },
    Limit { case: "flat 2000 append 1000", instructions: Some(3_000_000), dtoolkit: 40.0 },
    Limit { case: "flat 2000 override 1000", instructions: Some(3_000_000), dtoolkit: 40.0 },
    Limit { case: "tree 50000 + 1000", instructions: None, dtoolkit: 40.0 },
];

/// The trees of one case.
struct Case {
    base: PathBuf,
    overlays: Vec<PathBuf>,
    /// Bytes of all of them.
    size: u64,
}

impl Case {
    fn read(directory: &Path) -> Result<Self> {
        let names = files::names(directory)?;
        let overlays = names.iter().filter(|name| name.ends_with(".dtbo")).map(|name| directory.join(name));
        let mut case = Self { base: directory.join("base.dtb"), overlays: overlays.collect(), size: 0 };
        let sizes = case.words().into_iter().map(|file| {
            let size = fs::metadata(file).map(|metadata| metadata.len());
            size.map_err(|error| files::cannot("read", file, &error))
        });
        case.size = sizes.sum::<Result<u64>>()?;
        Ok(case)
    }

    /// Base and overlays, as the engines take them.
    fn words(&self) -> Vec<&Path> {
        std::iter::once(&self.base).chain(&self.overlays).map(PathBuf::as_path).collect()
    }
}

/// The area.
///
/// # Errors
/// Where something cannot be run, and, behind the tables, where a figure is over its limit.
pub fn run(words: &[String]) -> Result {
    let only_memory = match words {
        [] => false,
        [word] if word == "memory" => true,
        _ => return Err("nothing, or `memory` for that table alone".to_owned()),
    };
    let over = files::in_scratch(&std::env::temp_dir(), |scratch| measure(scratch, only_memory))?;
    match over.as_slice() {
        [] => Ok(()),
        over => Err(format!("over the limit:\n  {}", over.join("\n  "))),
    }
}

/// Prints the tables and gives what is over its limit.
fn measure(scratch: &Path, only_memory: bool) -> Result<Vec<String>> {
    eprintln!("building the engines and the cases");
    let engines = Engines::build(scratch)?;
    engines.write_cases(scratch, &[])?;
    let mut over = Vec::new();
    if !only_memory {
        over.extend(named_cases(&engines, scratch)?);
        over.extend(growth::measure(&engines, scratch)?);
    }
    over.extend(memory::measure(&engines, scratch)?);
    Ok(over)
}

fn named_cases(engines: &Engines, scratch: &Path) -> Result<Vec<String>> {
    let mut over = Vec::new();
    let mut costs = Table::new(&["case", "bytes", "instructions", "limit", "of dtoolkit", "allocations"]);
    let mut table = Table::new(&[
        "case",
        "kbt, µs",
        "dtoolkit, µs",
        "ratio",
        "limit",
        "kbt once, µs",
        "ratio",
        "libfdt, µs",
        "ratio",
    ]);
    for limit in LIMITS {
        eprintln!("measuring {}", limit.case);
        let case = Case::read(&scratch.join("named").join(limit.case))?;
        let count = engines.instructions(Engine::KbtOnce, &case, scratch)?;
        let theirs = engines.instructions(Engine::Dtoolkit, &case, scratch)?;
        let times = engines.times(&case, &ALL, &Effort::FULL)?;
        let (allocations, _) = engines.allocations(&case)?;
        costs.row([
            limit.case.to_owned(),
            grouped(case.size),
            grouped(count),
            limit.instructions.map_or("-".to_owned(), grouped),
            grouped(theirs),
            allocations.to_string(),
        ]);
        let micros =
            |engine| times.median(engine).map_or("-".to_owned(), |time| format!("{:.0}", time / 1e3));
        let ratio =
            |engine, own| times.ratio(engine, own).map_or("-".to_owned(), |ratio| format!("1/{ratio:.0}"));
        table.row([
            limit.case.to_owned(),
            micros(Engine::Kbt),
            micros(Engine::Dtoolkit),
            ratio(Engine::Dtoolkit, Engine::Kbt),
            format!("1/{:.0}", limit.dtoolkit),
            micros(Engine::KbtOnce),
            ratio(Engine::Dtoolkit, Engine::KbtOnce),
            micros(Engine::Libfdt),
            ratio(Engine::Libfdt, Engine::Kbt),
        ]);
        if limit.instructions.is_some_and(|most| count > most) {
            over.push(format!("{}: {} instructions", limit.case, grouped(count)));
        }
        let ratio = times.ratio(Engine::Dtoolkit, Engine::Kbt);
        if ratio.is_none_or(|ratio| ratio < limit.dtoolkit) {
            over.push(format!("{}: {ratio:?} of dtoolkit's time", limit.case));
        }
    }
    println!("{costs}\n{table}");
    Ok(over)
}
