//! The plots of depmod: time and memory by the modules' format and the number of threads.

use std::path::Path;
use std::time::Duration;

use super::{FORMATS, Format, Programs, THREADS, in_turn, least, median};
use crate::bench::plots::{Numbers, Sweep, digits};
use crate::bench::process::peak;
use crate::run::Result;
use crate::{files, place};

/// Sets of modules, the one that says more first, with what a reader calls it.
const SETS: [(&str, &str); 2] = [
    ("amd64-6.1", "modules of linux-image-amd64 6.1"),
    ("cloud-6.1", "modules of linux-image-cloud-amd64 6.1"),
];

/// Rounds of each format, and when no further one begins.
const ROUNDS: usize = 3;
const ENOUGH: Duration = Duration::from_secs(35);

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The reason why it cannot be measured here.
pub fn needs() -> Result {
    set().map(drop)
}

/// The first set that is there in all formats, with the other depmod.
fn set() -> Result<(&'static str, &'static str)> {
    let peers = place::peers();
    let is_whole = |set: &str| {
        FORMATS.iter().all(|format| peers.join("modules").join(format!("{set}{}", format.suffix)).is_dir())
    };
    let found = SETS.into_iter().find(|(set, _)| is_whole(set));
    found.filter(|_| peers.join("bin/kmod-34/depmod").is_file()).ok_or_else(|| {
        format!("no modules or no kmod in {}; `cargo xtask fetch --all` gets them", peers.display())
    })
}

/// The figures.
pub fn measure() -> Result<Vec<Sweep>> {
    let (set, name) = set()?;
    // Where the peers are, so that their files can have second names.
    files::in_scratch(&place::peers(), |scratch| sweep(&Programs::build(scratch)?, set, name))
}

fn sweep(programs: &Programs, set: &str, name: &str) -> Result<Vec<Sweep>> {
    let mut time = Numbers::new(&[
        "modules",
        "threads",
        "kbt",
        "kmod 34.2",
        "kbt: processor time",
        "kmod 34.2: processor time",
    ]);
    let mut memory = Numbers::new(&["modules", "threads", "kbt", "kmod 34.2"]);
    let mut count = 0;
    for format in &FORMATS {
        eprintln!("depmod: modules in format {}", format.name);
        let (root, version) = programs.root(&format!("{set}{}", format.suffix))?;
        count = modules_below(&root)?;
        let mut commands = THREADS.map(|threads| programs.kbt(&root, &version, threads)).to_vec();
        // Debian's kmod reads no gzip.
        commands.extend(format.of_kmod.map(|_| programs.kmod(&programs.kmod_34, &root, &version)));
        rows(format, &commands, &mut time, &mut memory)?;
    }
    let of = format!("{count} {name}; cached. Debian's kmod reads no gzip.");
    let times = format!("{of} The least of up to {ROUNDS} runs.");
    Ok(vec![
        Sweep { plot: "depmod-time", of: times, numbers: time },
        Sweep { plot: "depmod-memory", of, numbers: memory },
    ])
}

/// The rows of one format: the commands of kbt, one for each number of threads, then kmod's.
fn rows(format: &Format, commands: &[Vec<String>], time: &mut Numbers, memory: &mut Numbers) -> Result {
    // First, since it also fills the cache.
    let peaks = commands.iter().map(|command| peak(command)).collect::<Result<Vec<u64>>>()?;
    let usages = in_turn(commands, ROUNDS, ENOUGH)?;
    let kmod = THREADS.len();
    let wall = |of: usize| digits(usages.get(of).map(|usages| least(usages)));
    let processor = |of: usize| digits(usages.get(of).map(|usages| median(usages)));
    let mebibytes = |of: usize| digits(peaks.get(of).map(|&peak| peak as f64 / MEBIBYTE));
    for (own, threads) in THREADS.iter().enumerate() {
        let head = [format.name.to_owned(), threads.to_string()];
        let times = [wall(own), wall(kmod), processor(own), processor(kmod)];
        time.row(head.clone().into_iter().chain(times));
        memory.row(head.into_iter().chain([mebibytes(own), mebibytes(kmod)]));
    }
    Ok(())
}

fn modules_below(directory: &Path) -> Result<usize> {
    let mut count = 0;
    for name in files::names(directory)? {
        let path = directory.join(&name);
        if path.is_dir() {
            count += modules_below(&path)?;
        } else {
            count += usize::from(name.contains(".ko"));
        }
    }
    Ok(count)
}
