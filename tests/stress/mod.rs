//! A round: a make with recipes that claim tokens, watched from outside, while some of them are killed.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

pub mod makefile;
mod pool;
mod processes;
pub mod table;

use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kbt_testkit::random::Random;
use rustix::process::{Pid, Signal, kill_process};

pub use makefile::{Claimer, JOBS, Shape};
use processes::{Look, Process};

/// About how long a recipe lasts, in milliseconds.
const JOB: usize = 400;
/// Workers of kbt may stay for so long after they gave their tokens back: the time in which a thread that is done
/// gets a processor to end on.
const WORKERS_LINGER: Duration = Duration::from_millis(60);
/// After a KILL make starts the next job while what the killed one had started dies. It is well below
/// the time that a job lasts.
const KILL_OVERSHOOT: Duration = Duration::from_millis(200);
/// For tokens to be back after the last recipe, and for processes to be gone after make.
const PATIENCE: Duration = Duration::from_secs(3);
/// A round that takes longer hangs.
const HANGS: Duration = Duration::from_secs(30);

/// Whose pool it is, and how it is handed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Make {
    pub name: &'static str,
    pub program: PathBuf,
    pub style: Option<&'static str>,
}

/// What happens to recipes at random moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attack {
    None,
    /// A signal to what make started.
    Wrapper(Signal),
    /// A signal to what that started.
    Child(Signal),
    /// A signal to a `kbt dtbo pack` or a `kbt depmod`, which hold tokens now and then.
    Parallel(Signal),
}

impl Attack {
    pub const ALL: [Self; 9] = [
        Self::None,
        Self::Wrapper(Signal::TERM),
        Self::Wrapper(Signal::INT),
        Self::Wrapper(Signal::KILL),
        Self::Child(Signal::TERM),
        Self::Child(Signal::KILL),
        Self::Parallel(Signal::TERM),
        Self::Parallel(Signal::INT),
        Self::Parallel(Signal::KILL),
    ];

    /// Whether somebody dies without a chance to take along what he started.
    pub fn may_overshoot(self) -> bool {
        matches!(self, Self::Wrapper(Signal::KILL) | Self::Child(_))
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |signal: Signal| match signal {
            Signal::TERM => "TERM",
            Signal::INT => "INT",
            _ => "KILL",
        };
        match self {
            Self::None => f.write_str("none"),
            Self::Wrapper(signal) => write!(f, "{} to the wrapper", name(*signal)),
            Self::Child(signal) => write!(f, "{} to its child", name(*signal)),
            Self::Parallel(signal) => write!(f, "{} to pack, depmod", name(*signal)),
        }
    }
}

/// All that makes a round what it is.
#[derive(Debug, Clone)]
pub struct Round {
    pub make: Make,
    pub shape: Shape,
    pub claimer: Claimer,
    pub attack: Attack,
    pub seed: u64,
}

/// What was seen.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The most jobs at one moment.
    pub most: usize,
    /// The longest time with more jobs than allowed.
    pub jobs_over: Duration,
    /// The same, with the threads of kbt that work beside its main one.
    pub workers_over: Duration,
    /// How many signals were sent.
    pub signals: usize,
    /// Tokens in the pool at the end.
    pub free: u64,
    /// What make said.
    pub said: String,
    /// Processes that outlived make.
    pub left: Vec<String>,
}

impl Round {
    /// Runs it.
    pub fn run(&self) -> Outcome {
        let room = tempfile::Builder::new().prefix("kbt-stress-").tempdir().unwrap();
        let recipes = if self.shape == Shape::Chain { 4 } else { 10 };
        makefile::write(room.path(), self.shape, &self.claimer, recipes);
        let mut watch = Watch::start(self, room.path());
        while !room.path().join("flags").exists() {
            watch.look();
            watch.attack();
        }
        watch.count();
        watch.end()
    }

    /// What is wrong with what was seen.
    pub fn faults(&self, outcome: &Outcome) -> Vec<String> {
        let mut faults = Vec::new();
        let attack = self.attack;
        if attack.may_overshoot() {
            if outcome.jobs_over > KILL_OVERSHOOT {
                faults.push(format!("{:?} with more than {JOBS} jobs", outcome.jobs_over));
            }
        } else if outcome.jobs_over > Duration::ZERO {
            faults.push(format!("{} jobs at once", outcome.most));
        } else if outcome.workers_over > WORKERS_LINGER {
            faults.push(format!("{:?} with more than {JOBS} jobs and workers", outcome.workers_over));
        }
        // Under attack there may be too few recipes left; then all such rounds together must reach it.
        if attack == Attack::None && outcome.most < JOBS {
            faults.push(format!("only {} of {JOBS} jobs at once", outcome.most));
        }
        let whole = JOBS as u64 - 1;
        if outcome.free != whole {
            faults.push(format!("{} of {whole} tokens at the end", outcome.free));
        }
        if outcome.said.contains("INTERNAL: Exiting with") {
            faults.push(format!("make missed tokens: {}", outcome.said));
        }
        if attack == Attack::None && !outcome.said.is_empty() {
            faults.push(format!("make or a recipe said: {}", outcome.said));
        }
        faults.extend(outcome.left.iter().map(|left| format!("it outlived make: {left}")));
        faults
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {:?}, {}, seed {}", self.make.name, self.shape, self.attack, self.seed)
    }
}

/// A make that runs.
struct Watch<'a> {
    round: &'a Round,
    room: &'a Path,
    make: Child,
    start: Instant,
    random: Random,
    /// When the next signal is due; nothing while there is no victim.
    next_attack: Option<Instant>,
    /// What is there, as the last look found it.
    processes: Vec<Process>,
    last: Look,
    jobs_over: Over,
    workers_over: Over,
    outcome: Outcome,
}

impl<'a> Watch<'a> {
    fn start(round: &'a Round, room: &'a Path) -> Self {
        // Who started the tests may have ignored SIGINT, as a shell does for what runs behind its back.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT,TERM,HUP").arg(&round.make.program);
        command.arg("-C").arg(room).args(["--no-print-directory", "-s", &format!("-j{JOBS}")]);
        command.args(round.make.style.map(|style| format!("--jobserver-style={style}")));
        for variable in ["MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS", "PARALLELISM"] {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(room.join("said")).unwrap());
        Self {
            round,
            room,
            make: command.spawn().unwrap(),
            start: Instant::now(),
            random: Random::new(round.seed),
            next_attack: None,
            processes: Vec::new(),
            last: Look::default(),
            jobs_over: Over::default(),
            workers_over: Over::default(),
            outcome: Outcome::default(),
        }
    }

    fn look(&mut self) {
        assert!(self.start.elapsed() < HANGS, "it hangs: {}: {:?}", self.round, self.processes);
        self.processes = processes::of_room(self.room);
        let make = i32::try_from(self.make.id()).unwrap();
        let look = Look::at(&self.processes, make);
        let (jobs, workers) = look.shared(&self.last);
        self.last = look;
        self.outcome.most = self.outcome.most.max(jobs);
        self.jobs_over.note(jobs > JOBS);
        self.workers_over.note(jobs + workers > JOBS);
        thread::sleep(Duration::from_millis(1));
    }

    /// Sends the signal at a random moment after there came to be a victim.
    fn attack(&mut self) {
        let (signal, within) = match self.round.attack {
            Attack::None => return,
            Attack::Wrapper(signal) | Attack::Child(signal) => (signal, JOB * 3 / 2),
            Attack::Parallel(signal) => (signal, JOB / 2),
        };
        let make = i32::try_from(self.make.id()).unwrap();
        let is_victim = |one: &&Process| is_victim(one, make, self.round.attack);
        let victims: Vec<&Process> = self.processes.iter().filter(is_victim).collect();
        if victims.is_empty() {
            self.next_attack = None;
            return;
        }
        let random = &mut self.random;
        let due =
            *self.next_attack.get_or_insert_with(|| Instant::now() + milliseconds(random.below(within)));
        if Instant::now() >= due {
            // It may be gone by now; pids do not come back as fast as that.
            let victim = victims[random.below(victims.len())];
            let _ = kill_process(Pid::from_raw(victim.pid).unwrap(), signal);
            self.outcome.signals += 1;
            self.next_attack = None;
        }
    }

    /// Counts the tokens while the last recipe waits.
    fn count(&mut self) {
        let flags = fs::read_to_string(self.room.join("flags")).unwrap();
        let start = Instant::now();
        let whole = JOBS as u64 - 1;
        loop {
            self.outcome.free = pool::free(&flags, self.make.id());
            if self.outcome.free >= whole || start.elapsed() > PATIENCE {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        fs::write(self.room.join("counted"), "").unwrap();
    }

    fn end(mut self) -> Outcome {
        self.make.wait().unwrap();
        let start = Instant::now();
        let mut left = processes::of_room(self.room);
        while !left.is_empty() && start.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
            left = processes::of_room(self.room);
        }
        self.outcome.left = left.iter().map(|one| one.words.replace('\0', " ")).collect();
        self.outcome.said = fs::read_to_string(self.room.join("said")).unwrap();
        self.outcome.jobs_over = self.jobs_over.longest;
        self.outcome.workers_over = self.workers_over.longest;
        self.outcome
    }
}

/// A wrapper is make's own child; what it runs is not.
fn is_victim(process: &Process, make: i32, attack: Attack) -> bool {
    let claims = process.words.contains("worker.sh");
    match attack {
        Attack::None => false,
        Attack::Wrapper(_) => claims && process.parent == make,
        Attack::Child(_) => claims && process.name == "sh" && process.parent != make,
        Attack::Parallel(_) => process.is_parallel(make),
    }
}

fn milliseconds(number: usize) -> Duration {
    Duration::from_millis(number as u64)
}

/// How long something lasts.
#[derive(Default)]
struct Over {
    since: Option<Instant>,
    longest: Duration,
}

impl Over {
    fn note(&mut self, is_over: bool) {
        if !is_over {
            self.since = None;
            return;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        // Never nothing: once is over, however short.
        self.longest = self.longest.max(since.elapsed()).max(Duration::from_nanos(1));
    }
}
