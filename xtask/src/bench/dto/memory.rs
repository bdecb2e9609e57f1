//! The peak memory of `kbt dto apply`, beyond that of a run that does nothing.
//!
//! The kernel forgets a process's peak (`VmHWM`) when it ends, so each run is caught alive: a run that does
//! something while it waits for its output to be read, which begins when the merge is done, and again behind each piece;
//! the empty run while it waits for its input.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::Case;
use super::engine::Engines;
use crate::bench::process::high_water_mark;
use crate::bench::table::{Table, grouped};
use crate::files::{self, cannot};
use crate::run::Result;

/// Cases of the other tables.
const CASES: [&str; 7] = [
    "named/page A",
    "named/page B",
    "named/flat 2000 append 1000",
    "named/flat 2000 override 1000",
    "named/tree 50000 + 1000",
    "overlays/0000128",
    "base/1000000",
];

/// Prints the table and gives the cases that need more than four times their input and 2 MiB.
pub fn measure(engines: &Engines, scratch: &Path) -> Result<Vec<String>> {
    eprintln!("measuring memory");
    let empty = empty_run(&engines.kbt)?;
    let mut over = Vec::new();
    let mut table = Table::new(&["case", "bytes in", "peak beyond an empty run", "limit", "of the input"]);
    let dense = files::names(&scratch.join("dense"))?.into_iter().map(|name| format!("dense/{name}"));
    for name in CASES.iter().map(|name| (*name).to_owned()).chain(dense) {
        let case = Case::read(&scratch.join(&name))?;
        let peak = run(&engines.kbt, &case)?.saturating_sub(empty);
        let limit = 4 * case.size + (2 << 20);
        let name = name.trim_start_matches("named/").trim_start_matches("dense/");
        table.row([
            name.to_owned(),
            grouped(case.size),
            grouped(peak),
            grouped(limit),
            format!("{:.2}", peak as f64 / case.size as f64),
        ]);
        if peak > limit {
            over.push(format!("{name}: {} bytes of memory", grouped(peak)));
        }
    }
    println!("{table}\nAn empty run: {} bytes.\n", grouped(empty));
    Ok(over)
}

fn empty_run(kbt: &Path) -> Result<u64> {
    let mut command = Command::new(kbt);
    command.args(["dto", "apply", "-o", "-", "-", "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.stderr(Stdio::null()).spawn().map_err(|error| cannot("start", kbt, &error))?;
    // It has nothing to do but to start; there is no sign to be had of its waiting.
    thread::sleep(Duration::from_millis(300));
    let peak = high_water_mark(&child);
    drop(child.stdin.take());
    let _ = child.wait();
    peak
}

fn run(kbt: &Path, case: &Case) -> Result<u64> {
    let mut command = Command::new(kbt);
    // More than a pipe holds, whatever the case, so that the run has to wait.
    command
        .args(["dto", "apply", "--padding", "262144", "-o", "-"])
        .args(case.words())
        .stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| cannot("start", kbt, &error))?;
    let mut output = child.stdout.take().ok_or("kbt without output")?;
    let mut piece = vec![0; 1 << 16];
    let mut peak = None;
    // It waits until a piece is read, but not behind the last one.
    while output.read(&mut piece).map_err(|error| cannot("run", kbt, &error))? > 0 {
        peak = high_water_mark(&child).ok().max(peak);
    }
    match child.wait() {
        Ok(status) if status.success() => peak.ok_or_else(|| format!("{} has no peak", kbt.display())),
        status => Err(format!("{}: {status:?}", kbt.display())),
    }
}
