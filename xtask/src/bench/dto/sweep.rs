//! The plots of the merge: time and memory of the three engines as the base grows.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::Case;
use super::engine::{Effort, Engine, Engines, PROJECTS};
use crate::bench::plots::{Numbers, Sweep, digits};
use crate::run::Result;
use crate::{files, place};

/// The largest base, in nodes.
const MOST: u32 = 256_000;

const EFFORT: Effort = Effort { rounds: 9, enough: Duration::from_secs(4) };

/// An engine whose merge takes longer, in nanoseconds, is not asked for a larger one.
const TOO_LONG: f64 = 1e9;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The reason why it cannot be measured here.
pub fn needs() -> Result {
    let archive = place::peers().join("lib/libfdt.a");
    if archive.is_file() {
        return Ok(());
    }
    Err(format!("no {}; `cargo xtask fetch` gets it", archive.display()))
}

/// The figures.
pub fn measure() -> Result<Vec<Sweep>> {
    files::in_scratch(&std::env::temp_dir(), sweep)
}

fn sweep(scratch: &Path) -> Result<Vec<Sweep>> {
    let engines = Engines::build(scratch)?;
    engines.write_cases(scratch, &["base"])?;
    let mut time = Numbers::new(&["nodes", "bytes in", "kbt", "dtoolkit", "libfdt"]);
    let mut memory = Numbers::new(&["nodes", "files", "kbt", "dtoolkit", "libfdt"]);
    let mut asked = PROJECTS.to_vec();
    for size in files::names(&scratch.join("base"))? {
        let directory = scratch.join("base").join(&size);
        let nodes: u32 = size.parse().map_err(|_| format!("a case called {size}"))?;
        if nodes > MOST {
            continue;
        }
        eprintln!("dto: {nodes} nodes");
        let case = Case::read(&directory)?;
        let times = engines.times(&case, &asked, &EFFORT)?;
        let milliseconds = |engine: Engine| digits(times.median(engine).map(|time| time / 1e6));
        let mebibytes = |engine: Engine| digits(times.peaks.get(&engine).map(|&peak| peak as f64 / MEBIBYTE));
        time.row([nodes.to_string(), case.size.to_string()].into_iter().chain(PROJECTS.map(milliseconds)));
        let files = digits(Some(case.size as f64 / MEBIBYTE));
        memory.row([nodes.to_string(), files].into_iter().chain(PROJECTS.map(mebibytes)));
        asked.retain(|&engine| times.median(engine).is_some_and(|time| time < TOO_LONG));
        // The largest are tens of megabytes.
        fs::remove_dir_all(&directory).map_err(|error| files::cannot("remove", &directory, &error))?;
    }
    let of = "An overlay of 20 fragments. An engine that takes a second for a merge gets no larger tree.";
    Ok(vec![
        Sweep { plot: "dto-time", of: of.to_owned(), numbers: time },
        Sweep { plot: "dto-memory", of: of.to_owned(), numbers: memory },
    ])
}
