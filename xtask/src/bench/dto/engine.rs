//! The programs that merge: built, asked for a count of instructions, timed while they take turns.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::Case;
use crate::bench::build;
use crate::bench::process::{high_water_mark, median};
use crate::files::cannot;
use crate::run::{self, Result};
use crate::{callgrind, place};

/// What an engine does before the other takes its turn.
const TURN: Duration = Duration::from_millis(30);

/// How much is measured.
pub struct Effort {
    /// The turns of each engine.
    pub rounds: usize,
    /// An engine that has taken this long gets no further turn: libfdt needs seconds for some of the cases.
    pub enough: Duration,
}

impl Effort {
    /// What the tables rest on.
    pub const FULL: Self = Self { rounds: 15, enough: Duration::from_secs(8) };
}

/// Who merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// In memory that the last merge left.
    Kbt,
    /// All memory is new.
    KbtOnce,
    Dtoolkit,
    Libfdt,
}

/// All of them.
pub const ALL: [Engine; 4] = [Engine::Kbt, Engine::KbtOnce, Engine::Dtoolkit, Engine::Libfdt];

/// One of each project.
pub const PROJECTS: [Engine; 3] = [Engine::Kbt, Engine::Dtoolkit, Engine::Libfdt];

/// The built programs.
pub struct Engines {
    rust: PathBuf,
    allocations: PathBuf,
    libfdt: PathBuf,
    /// The whole command, as users have it.
    pub kbt: PathBuf,
}

impl Engines {
    /// Builds all of them; libfdt's driver goes to `scratch`.
    pub fn build(scratch: &Path) -> Result<Self> {
        let built = build::benches(&["dto", "dto_allocations"])?;
        Ok(Self {
            rust: built.find("dto")?,
            allocations: built.find("dto_allocations")?,
            libfdt: driver(scratch)?,
            kbt: build::kbt()?,
        })
    }

    /// Writes trees to `scratch`: those of all tables, or of the folders that are named.
    pub fn write_cases(&self, scratch: &Path, folders: &[&str]) -> Result {
        run::run(Command::new(&self.rust).arg("cases").arg(scratch).args(folders))
    }

    /// Instructions of one merge.
    pub fn instructions(&self, engine: Engine, case: &Case, scratch: &Path) -> Result<u64> {
        let (program, words) = self.command(engine, "once");
        let words = words.iter().map(Path::new).chain(case.words());
        callgrind::instructions(program, words, Some("*measured_apply*"), scratch)
    }

    /// How often one merge allocates, and the most bytes that it holds at once.
    pub fn allocations(&self, case: &Case) -> Result<(u64, u64)> {
        let text = run::text(Command::new(&self.allocations).args(case.words()))?;
        let numbers = text.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
        match numbers.as_deref() {
            Ok([count, bytes]) => Ok((*count, *bytes)),
            _ => Err(format!("{} printed {text}", self.allocations.display())),
        }
    }

    /// Times of engines on a case.
    pub fn times(&self, case: &Case, engines: &[Engine], effort: &Effort) -> Result<Times> {
        let mut servers = Vec::new();
        let mut times = Times { rounds: Vec::new(), peaks: HashMap::new() };
        for &engine in engines {
            let (program, words) = self.command(engine, "serve");
            let server = Server::start(program, &words, case)?;
            times.peaks.insert(engine, high_water_mark(&server.child)?);
            servers.push((engine, server));
        }
        for _ in 0..effort.rounds {
            let mut round = HashMap::new();
            for (engine, server) in &mut servers {
                if server.spent < effort.enough {
                    round.insert(*engine, server.turn()?);
                }
            }
            times.rounds.push(round);
        }
        Ok(times)
    }

    fn command(&self, engine: Engine, verb: &'static str) -> (&Path, Vec<&'static str>) {
        match engine {
            Engine::Kbt => (&self.rust, vec![verb, "kbt"]),
            Engine::KbtOnce => (&self.rust, vec![verb, "kbt-once"]),
            Engine::Dtoolkit => (&self.rust, vec![verb, "dtoolkit"]),
            Engine::Libfdt => (&self.libfdt, vec![verb]),
        }
    }
}

/// What a case took.
pub struct Times {
    /// Nanoseconds of a merge by each engine in each round.
    rounds: Vec<HashMap<Engine, f64>>,
    /// The most bytes that the process of each engine had up to the end of its first merge.
    pub peaks: HashMap<Engine, u64>,
}

impl Times {
    /// The engine's median.
    pub fn median(&self, engine: Engine) -> Option<f64> {
        median(self.rounds.iter().filter_map(|round| round.get(&engine).copied()).collect())
    }

    /// How many times as long as `own` the engine takes: the median over the rounds that it took part in.
    pub fn ratio(&self, engine: Engine, own: Engine) -> Option<f64> {
        let ratios = self.rounds.iter().filter_map(|round| Some(round.get(&engine)? / round.get(&own)?));
        median(ratios.collect())
    }
}

/// An engine that waits for its turn.
struct Server {
    child: Child,
    // Taken away first when the server is dropped: the engine ends at the end of its input.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    times: u32,
    spent: Duration,
}

impl Server {
    /// Starts it and finds out how many merges make a turn; that first merge also warms it up.
    fn start(program: &Path, words: &[&str], case: &Case) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(words).args(case.words()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| cannot("start", program, &error))?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("an engine without output")?;
        let mut server =
            Self { child, input, output: BufReader::new(output), times: 1, spent: Duration::ZERO };
        let first = server.turn()?;
        server.times = times_in_a_turn(first);
        Ok(server)
    }

    /// Lets it merge and gives the nanoseconds of one merge.
    fn turn(&mut self) -> Result<f64> {
        let fails = |error| format!("an engine stopped: {error}");
        if let Some(input) = &mut self.input {
            writeln!(input, "{}", self.times).map_err(fails)?;
        }
        let mut line = String::new();
        self.output.read_line(&mut line).map_err(fails)?;
        let nanoseconds: u64 = line.trim().parse().map_err(|_| format!("an engine answered '{line}'"))?;
        self.spent += Duration::from_nanos(nanoseconds);
        Ok(nanoseconds as f64 / f64::from(self.times))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.input.take();
        let _ = self.child.wait();
    }
}

fn times_in_a_turn(nanoseconds: f64) -> u32 {
    // A count below 2^32, since a merge takes more than a nanosecond.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let times = (TURN.as_nanos() as f64 / nanoseconds.max(1.0)) as u32;
    times.max(1)
}

/// Compiles libfdt's driver against the peers' static library.
fn driver(scratch: &Path) -> Result<PathBuf> {
    let peers = place::peers();
    let archive = peers.join("lib/libfdt.a");
    if !archive.exists() {
        return Err(format!("no {}; `cargo xtask fetch` gets it", archive.display()));
    }
    let program = scratch.join("dto_libfdt");
    let mut command = Command::new("cc");
    command.args(["-O2", "-Wall", "-Wextra", "-Werror", "-g", "-o"]).arg(&program);
    command.arg("-I").arg(peers.join("include"));
    command.arg(run::root().join("benches/dto_libfdt.c")).arg(archive);
    run::run(&mut command)?;
    Ok(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_taken_within_rounds() {
        let round = |kbt, dtoolkit| HashMap::from([(Engine::Kbt, kbt), (Engine::Dtoolkit, dtoolkit)]);
        let rounds = vec![round(1.0, 10.0), round(2.0, 40.0), round(10.0, 300.0)];
        let times = Times { rounds, peaks: HashMap::new() };
        assert_eq!(times.ratio(Engine::Dtoolkit, Engine::Kbt), Some(20.0));
        assert_eq!(times.median(Engine::Kbt), Some(2.0));
        assert_eq!(times.ratio(Engine::Libfdt, Engine::Kbt), None);
    }
}
