//! `cargo xtask bench depmod`: kbt's depmod beside kmod's, on the modules of Debian's kernel in four compressions.
//!
//! Times are user and system time of whole processes that take turns; only their ratios say something. Each figure is
//! the median of the rounds, each ratio the median of the rounds' own ratios. Wall times are the least of the rounds.
//!
//! What several threads may share is reading, decoding, and taking the facts out; `benches/depmod.rs --read` does only that.

mod changed;
pub mod sweep;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::bench::build;
use crate::bench::process::{self, Usage, allocations, measure, peak};
use crate::bench::table::{Table, grouped};
use crate::callgrind;
use crate::files;
use crate::run::Result;
use crate::{fetch, place};

/// The set of modules, fetched with the long ones.
const SET: &str = "amd64-6.1";

/// How often each program runs, after once for the cache; and with `--quick`.
const ROUNDS: usize = 9;
const QUICK_ROUNDS: usize = 3;

/// A row: a compression, and what kbt may take of others' time at one thread.
struct Format {
    name: &'static str,
    suffix: &'static str,
    /// Of kmod 34's and of kmod 30's; those of Debian read no gzip.
    of_kmod: Option<(f64, f64)>,
    /// Of reading and decoding alone.
    of_floor: Option<f64>,
}

const FORMATS: [Format; 4] = [
    Format { name: "none", suffix: "", of_kmod: Some((1.0 / 4.0, 1.0 / 4.0)), of_floor: None },
    Format { name: "zst", suffix: ".zst", of_kmod: Some((1.0 / 1.5, 1.0 / 1.6)), of_floor: None },
    Format { name: "gz", suffix: ".gz", of_kmod: None, of_floor: Some(1.25) },
    Format { name: "xz", suffix: ".xz", of_kmod: Some((1.0, 0.72)), of_floor: None },
];

/// Numbers of threads.
const THREADS: [usize; 4] = [1, 2, 4, 8];

/// What noise may make of two walls that are the same.
const NOISE: f64 = 1.05;

/// What two threads may leave of the part that they share.
const OF_SHARED: f64 = 0.6;

/// Peak memory: kmod's, and what each worker may add, in MiB.
const MEMORY: u64 = 78;
const OF_WORKER: u64 = 8;

/// Calls for memory.
const ALLOCATIONS: u64 = 100_000;

/// The programs that are compared.
struct Programs {
    kbt: PathBuf,
    floor: PathBuf,
    kmod_34: PathBuf,
    kmod_30: PathBuf,
    /// Where outputs go.
    scratch: PathBuf,
}

impl Programs {
    fn build(scratch: &Path) -> Result<Self> {
        let peer = |version: &str| place::peers().join("bin").join(version).join("depmod");
        Ok(Self {
            kbt: build::kbt()?,
            floor: build::benches(&["depmod"])?.find("depmod")?,
            kmod_34: peer("kmod-34"),
            kmod_30: peer("kmod-30"),
            scratch: scratch.to_owned(),
        })
    }

    fn kbt(&self, root: &Path, version: &str, threads: usize) -> Vec<String> {
        let words = ["depmod", "--jobs", &threads.to_string(), "-b", &text(root), version];
        [vec![text(&self.kbt)], words.map(ToOwned::to_owned).to_vec()].concat()
    }

    fn kmod(&self, program: &Path, root: &Path, version: &str) -> Vec<String> {
        [&text(program), "-b", &text(root), version].map(ToOwned::to_owned).to_vec()
    }

    /// A root of its own for a set of modules, and the kernel's version: kmod 30 can only write where it reads. The
    /// modules are the peers' own files, under a second name.
    fn root(&self, set: &str) -> Result<(PathBuf, String)> {
        let modules = place::peers().join("modules").join(set).join("lib/modules");
        let version = files::names(&modules)?.pop().ok_or("no modules")?;
        let root = self.scratch.join(set);
        let own = root.join("lib/modules").join(&version);
        link_all(&modules.join(&version), &own)?;
        Ok((root, version))
    }
}

/// Gives every file below `from` a second name below `to`.
fn link_all(from: &Path, to: &Path) -> Result {
    files::create(to)?;
    for name in files::names(from)? {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            link_all(&from, &to)?;
        } else {
            fs::hard_link(&from, &to).map_err(|error| files::cannot("link", &to, &error))?;
        }
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The area. `--rounds N` makes it shorter or longer; `--quick` takes few rounds and counts nothing of compressed modules
/// under valgrind, which takes longer than all the rest.
///
/// # Errors
/// Where something cannot be run, and, behind the tables, where a figure is over its limit.
pub fn run(words: &[String]) -> Result {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number =
        |number: &str| number.parse().ok().filter(|&rounds| rounds > 0).ok_or("--rounds takes a number");
    let (rounds, counts_all) = match words[..] {
        [] => (ROUNDS, true),
        ["--quick"] => (QUICK_ROUNDS, false),
        ["--rounds", rounds] => (number(rounds)?, true),
        ["--quick", "--rounds", rounds] | ["--rounds", rounds, "--quick"] => (number(rounds)?, false),
        _ => return Err("it takes --quick and --rounds N".to_owned()),
    };
    fetch::fetch(true)?;
    // Where the peers are, so that their files can have second names.
    let over =
        files::in_scratch(&place::peers(), |scratch| tables(&Programs::build(scratch)?, rounds, counts_all))?;
    match over.as_slice() {
        [] => Ok(()),
        over => Err(format!("over the limit:\n  {}", over.join("\n  "))),
    }
}

fn tables(programs: &Programs, rounds: usize, counts_all: bool) -> Result<Vec<String>> {
    let mut over = Vec::new();
    let mut times = Table::new(&[
        "modules",
        "kmod 34.2, s",
        "kmod 30, s",
        "decoding, s",
        "kbt, s",
        "of 34.2",
        "limit",
        "of 30",
        "limit",
        "of decoding",
        "limit",
    ]);
    let mut walls =
        Table::new(&["modules", "1 thread, s", "2", "4", "8", "what they share, s", "limit of 2"]);
    let mut changed = changed::table();
    let mut costs = Table::new(&[
        "modules",
        "kbt, MiB",
        "2 threads, MiB",
        "kmod 34.2, MiB",
        "allocations",
        "instructions",
    ]);
    for format in &FORMATS {
        let (root, version) = programs.root(&format!("{SET}{}", format.suffix))?;
        eprintln!("measuring {}", format.name);
        let rows = Rows::measure(programs, format, &root, &version, rounds)?;
        over.extend(rows.judge(format, &mut times));
        over.extend(rows.judge_threads(format, &mut walls));
        over.extend(programs.judge_changed(format, (&root, &version), rounds, &mut changed)?);
        let counts = counts_all || format.suffix.is_empty();
        over.extend(programs.judge_costs(format, (&root, &version), counts, &mut costs)?);
    }
    println!("{times}\n{walls}\n{changed}\n{costs}");
    Ok(over)
}

impl Programs {
    /// Memory, and what valgrind counts.
    fn judge_costs(
        &self,
        format: &Format,
        (root, version): (&Path, &str),
        counts: bool,
        table: &mut Table,
    ) -> Result<Vec<String>> {
        let mut over = Vec::new();
        let memory = |words: &[String]| peak(words).map(|bytes| bytes >> 20);
        let kbt = self.kbt(root, version, 1);
        let peaks = [memory(&kbt)?, memory(&self.kbt(root, version, 2))?];
        for (peak, threads) in
            peaks.iter().zip(1..).filter(|(peak, threads)| **peak > MEMORY + OF_WORKER * threads)
        {
            over.push(format!("{}: {peak} MiB with {threads} threads", format.name));
        }
        let asked = if counts { allocations(&kbt) } else { None };
        if asked.is_some_and(|asked| asked > ALLOCATIONS) {
            over.push(format!("{}: {} allocations", format.name, asked.unwrap_or_default()));
        }
        let instructions = match counts {
            true => callgrind::instructions(&self.kbt, kbt.iter().skip(1), None, &self.scratch).ok(),
            false => None,
        };
        let of_kmod = match format.of_kmod {
            Some(_) => memory(&self.kmod(&self.kmod_34, root, version))?.to_string(),
            None => "-".to_owned(),
        };
        let counted = |count: Option<u64>| count.map_or("-".to_owned(), grouped);
        let [one, two] = peaks.map(|peak| peak.to_string());
        table.row([format.name.to_owned(), one, two, of_kmod, counted(asked), counted(instructions)]);
        Ok(over)
    }
}

/// What the runs on one tree took, round by round.
struct Rows {
    kmod: Option<[Vec<Usage>; 2]>,
    floor: Option<Vec<Usage>>,
    /// What several threads may share.
    shared: Option<Vec<Usage>>,
    /// One for each of [`THREADS`].
    kbt: Vec<Vec<Usage>>,
}

impl Rows {
    fn measure(
        programs: &Programs,
        format: &Format,
        root: &Path,
        version: &str,
        rounds: usize,
    ) -> Result<Self> {
        let mut commands = Vec::new();
        if format.of_kmod.is_some() {
            commands.push(programs.kmod(&programs.kmod_34, root, version));
            commands.push(programs.kmod(&programs.kmod_30, root, version));
        }
        if !format.suffix.is_empty() {
            let modules = place::peers().join("modules").join(format!("{SET}{}", format.suffix));
            commands.push(vec![text(&programs.floor), text(&modules)]);
            commands.push(vec![text(&programs.floor), "--read".to_owned(), text(&modules)]);
        }
        commands.extend(THREADS.map(|threads| programs.kbt(root, version, threads)));
        // Fills the cache.
        in_turn(&commands, 1, Duration::MAX)?;
        let mut usages = in_turn(&commands, rounds, Duration::MAX)?.into_iter();
        let kmod =
            format.of_kmod.map(|_| [usages.next().unwrap_or_default(), usages.next().unwrap_or_default()]);
        let [floor, shared] = match format.suffix {
            "" => [None, None],
            _ => [usages.next(), usages.next()],
        };
        Ok(Self { kmod, floor, shared, kbt: usages.collect() })
    }

    /// Adds the row of walls: no number of threads may be slower than one, and two leave no more than
    /// [`OF_SHARED`] of what they share.
    fn judge_threads(&self, format: &Format, table: &mut Table) -> Vec<String> {
        let mut over = Vec::new();
        let walls: Vec<f64> = self.kbt.iter().map(|usages| least(usages)).collect();
        let wall = |index: usize| walls.get(index).copied().unwrap_or(f64::NAN);
        for (index, threads) in THREADS.iter().enumerate().filter(|(index, _)| wall(*index) > NOISE * wall(0))
        {
            let (many, one) = (wall(index), wall(0));
            over.push(format!("{}: {threads} threads {many:.3} s, one {one:.3} s", format.name));
        }
        let shared = self.shared.as_deref().map(least);
        let limit = shared.map(|shared| wall(0) - (1.0 - OF_SHARED) * shared);
        if let Some(limit) = limit.filter(|limit| wall(1) > *limit) {
            over.push(format!("{}: 2 threads {:.3} s, limit {limit:.3} s", format.name, wall(1)));
        }
        let [shared, limit] = [shared, limit].map(|time| time.map_or("-".to_owned(), seconds));
        let [one, two, four, eight] = [0, 1, 2, 3].map(|index| seconds(wall(index)));
        table.row([format.name.to_owned(), one, two, four, eight, shared, limit]);
        over
    }

    /// Adds the row, and gives what is over its limit.
    fn judge(&self, format: &Format, table: &mut Table) -> Vec<String> {
        let mut over = Vec::new();
        let own = self.kbt.first().map_or(&[][..], Vec::as_slice);
        let mut limit = |what: &str, other: Option<&Vec<Usage>>, limit: Option<f64>| match (other, limit) {
            (Some(other), limit) => {
                let ratio = ratio(own, other);
                if limit.is_some_and(|limit| ratio > limit) {
                    over.push(format!("{}: {ratio:.3} of {what}", format.name));
                }
                [format!("{ratio:.3}"), limit.map_or("-".to_owned(), |limit| format!("{limit:.3}"))]
            }
            (None, _) => ["-".to_owned(), "-".to_owned()],
        };
        let kmod = self.kmod.as_ref();
        let [of_34, limit_34] = limit("kmod 34.2", kmod.map(|kmod| &kmod[0]), format.of_kmod.map(|it| it.0));
        let [of_30, limit_30] = limit("kmod 30", kmod.map(|kmod| &kmod[1]), format.of_kmod.map(|it| it.1));
        let [of_floor, limit_floor] = limit("decoding", self.floor.as_ref(), format.of_floor);
        let cpu =
            |usages: Option<&Vec<Usage>>| usages.map_or("-".to_owned(), |usages| seconds(median(usages)));
        table.row([
            format.name.to_owned(),
            cpu(kmod.map(|kmod| &kmod[0])),
            cpu(kmod.map(|kmod| &kmod[1])),
            cpu(self.floor.as_ref()),
            cpu(self.kbt.first()),
            of_34,
            limit_34,
            of_30,
            limit_30,
            of_floor,
            limit_floor,
        ]);
        over
    }
}

/// What commands take that have their turns in rounds; no round but the first begins after `enough`.
fn in_turn(commands: &[Vec<String>], rounds: usize, enough: Duration) -> Result<Vec<Vec<Usage>>> {
    let mut usages: Vec<Vec<Usage>> = commands.iter().map(|_| Vec::new()).collect();
    let start = Instant::now();
    for round in 0..rounds {
        if round > 0 && start.elapsed() > enough {
            break;
        }
        for (command, usages) in commands.iter().zip(&mut usages) {
            usages.push(measure(command)?);
        }
    }
    Ok(usages)
}

fn seconds(time: f64) -> String {
    format!("{time:.3}")
}

fn middle(figures: Vec<f64>) -> f64 {
    process::median(figures).unwrap_or(f64::NAN)
}

fn median(usages: &[Usage]) -> f64 {
    middle(usages.iter().map(|usage| usage.processor).collect())
}

fn least(usages: &[Usage]) -> f64 {
    usages.iter().map(|usage| usage.wall).fold(f64::INFINITY, f64::min)
}

/// The median of what each round gave.
fn ratio(own: &[Usage], other: &[Usage]) -> f64 {
    middle(own.iter().zip(other).map(|(own, other)| own.processor / other.processor).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_threads_leave_six_tenths_of_what_they_share() {
        let walls = |walls: [f64; 4]| walls.map(|wall| vec![Usage { processor: wall, wall }]).to_vec();
        let shared = Some(vec![Usage { processor: 1.0, wall: 1.0 }]);
        let over = |kbt: [f64; 4]| {
            let rows = Rows { kmod: None, floor: None, shared: shared.clone(), kbt: walls(kbt) };
            let mut table =
                Table::new(&["modules", "1 thread, s", "2", "4", "8", "what they share, s", "limit of 2"]);
            rows.judge_threads(&FORMATS[1], &mut table).len()
        };
        // Half a second is nobody else's.
        assert_eq!(over([1.5, 1.0, 1.0, 1.0]), 0);
        assert_eq!(over([1.5, 1.2, 1.0, 1.0]), 1);
        assert_eq!(over([1.5, 1.0, 1.0, 1.6]), 1);
    }

    #[test]
    fn ratios_are_those_of_the_rounds() {
        let usages = |times: [f64; 3]| times.map(|processor| Usage { processor, wall: processor }).to_vec();
        assert_eq!(ratio(&usages([1.0, 4.0, 3.0]), &usages([2.0, 4.0, 4.0])), 0.75);
        assert_eq!(median(&usages([3.0, 1.0, 2.0])), 2.0);
        assert_eq!(least(&usages([3.0, 1.0, 2.0])), 1.0);
    }
}
