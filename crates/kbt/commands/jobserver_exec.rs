//! `kbt jobserver exec`.

use std::ffi::OsString;
use std::io;
use std::num::NonZeroU32;
use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use kbt_jobserver::{Client, Jobserver, MakeFlags, Unusable, makeflags};
use signal_hook::consts::SIGTSTP;

use crate::args::jobserver::{ChildPool, Exec};
use crate::exit;
use crate::jobserver::keeper::Keeper;
use crate::jobserver::private::PrivatePool;
use crate::jobserver::signals::{self, Signals};
use crate::jobserver::supervise::{Ended, Task};
use crate::jobserver::terminal;
use crate::report::{Failure, Report};
use crate::workers::Jobs;

/// How long the first look for enough tokens is apart from the second; then more, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Who waits so long is told what he may be waiting for.
const LONG: Duration = Duration::from_secs(10);

/// Runs a command with the free tokens; `--jobs` is a limit like `--max`.
pub fn run(mut args: Exec, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    args.max = args.max.or(at_most(jobs)?);
    run_as(&args, report)
}

/// What `--jobs` said, as a number that a pool may have.
pub fn at_most(jobs: Jobs) -> Result<Option<NonZeroU32>, Failure> {
    let number = jobs.map(NonZeroU32::try_from).transpose();
    number.map_err(|_| Failure::usage(format!("--jobs takes numbers up to {}", u32::MAX)))
}

/// Runs it.
pub fn run_as(args: &Exec, report: &mut Report) -> Result<(), Failure> {
    let jobserver = Jobserver::from_env();
    let limits = Limits::of(args, report)?;
    // Before anything is held: from here on no signal ends us unawares.
    let mut signals = Signals::catch().map_err(|error| not_started("catch signals", &error))?;
    let (mut keeper, unkept) = Keeper::start_if_possible(jobserver.client())
        .map_err(|error| not_started("start a keeper of the tokens", &error))?;
    if let Some(error) = unkept {
        report.warn(without_keeper(&error));
    }
    let claimed = match take(&jobserver, &limits, &mut keeper, &mut signals, report)? {
        Claimed::Nothing => None,
        Claimed::Tokens(count) => Some(count),
        Claimed::Stopped(signal) => {
            ended_with(exit::of_signal(signal), report);
            return Ok(());
        }
    };
    let ended = run_with(claimed, args, &keeper, &mut signals, report);
    // On every way out, and before the zombie is taken away.
    if let Err(error) = keeper.release() {
        report.warn(not_returned(claimed.unwrap_or(0), &error));
    }
    let code = ended?.reap().map_err(|error| not_started("wait for the command", &error))??;
    report.field("tokens", claimed);
    ended_with(code, report);
    Ok(())
}

/// Runs the command to its end, with so many tokens in the keeper's hands.
fn run_with(
    claimed: Option<u32>,
    args: &Exec,
    keeper: &Keeper,
    signals: &mut Signals,
    report: &mut Report,
) -> Result<Ended, Failure> {
    let pool = private_pool(args.pool, claimed, keeper).unwrap_or_else(|error| {
        let shared = "make a pool for the command's own makes, which share make's";
        report.warn(Failure::io(shared, "jobserver", &error));
        None
    });
    let mut environment = pool.as_ref().map(PrivatePool::environment).unwrap_or_default();
    environment.push(("PARALLELISM", claimed.map(|tokens| OsString::from((tokens + 1).to_string()))));
    let task = Task { words: &args.command, environment };
    task.run(signals, keeper).map_err(|error| not_started("start the command", &error))
}

/// Makes this the exit code, and tells it to machines, who may have it from a pipe.
pub fn ended_with(code: u8, report: &mut Report) {
    report.field("exit_code", code);
    report.exit_as(code);
}

/// How many tokens to take.
struct Limits {
    min: u32,
    max: u32,
    timeout: Option<Duration>,
}

impl Limits {
    fn of(args: &Exec, report: &mut Report) -> Result<Self, Failure> {
        let max = args.max.map_or(u32::MAX, NonZeroU32::get);
        let mut min = args.min.get();
        if min > max {
            return Err(Failure::usage(format!("--min {min} is more than --max {max}")));
        }
        if let Some(kbt_jobserver::Jobs::Count(jobs)) = MakeFlags::parse(makeflags().as_bytes()).jobs
            && min > jobs
        {
            let text = format!("--min {min} waits for more than the {jobs} jobs of make -j{jobs}");
            report.warn(Failure::new("min-too-large", text).hint(format!("going on with --min {jobs}")));
            min = jobs.max(1);
        }
        Ok(Self { min: min - 1, max: max - 1, timeout: args.timeout })
    }
}

enum Claimed {
    /// There is no jobserver, or none that can be used, so nobody knows how many jobs there may be.
    Nothing,
    /// So many.
    Tokens(u32),
    /// A signal came while we waited.
    Stopped(i32),
}

fn take(
    jobserver: &Jobserver,
    limits: &Limits,
    keeper: &mut Keeper,
    signals: &mut Signals,
    report: &mut Report,
) -> Result<Claimed, Failure> {
    match jobserver {
        Jobserver::None => Ok(Claimed::Nothing),
        Jobserver::Unusable(reason) => {
            report.warn(unusable(reason));
            Ok(Claimed::Nothing)
        }
        Jobserver::Usable(client) => claim(keeper, client, limits, signals, report),
    }
}

/// Has the keeper claim, again and again until there are enough. In between nothing is held: a look at how
/// many are free takes none.
fn claim(
    keeper: &mut Keeper,
    client: &Client,
    limits: &Limits,
    signals: &mut Signals,
    report: &mut Report,
) -> Result<Claimed, Failure> {
    let start = Instant::now();
    let deadline = limits.timeout.and_then(|timeout| start.checked_add(timeout));
    let (mut pause, mut warned) = (FIRST_PAUSE, false);
    loop {
        // A device need not tell how many there are; then trying is the only way to find out.
        let free = client.free().ok().and_then(|free| u32::try_from(free).ok()).unwrap_or(limits.min);
        if free >= limits.min
            && let Some(tokens) = keeper
                .claim(limits.min, limits.max)
                .map_err(|error| not_started("take tokens out of the pool", &error))?
        {
            return Ok(Claimed::Tokens(tokens));
        }
        let left = deadline.map_or(pause, |deadline| deadline.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Err(timed_out(limits, free));
        }
        if !warned && start.elapsed() >= LONG {
            warned = true;
            report.warn(waits_long(limits, free));
        }
        let arrived = signals.wait(Some(pause.min(left)));
        let arrived = arrived.map_err(|error| not_started("wait for tokens", &error))?;
        if let Some(signal) = arrived.iter().find(|signal| signals::ends(**signal)) {
            return Ok(Claimed::Stopped(*signal));
        }
        if arrived.contains(&SIGTSTP) {
            terminal::stop();
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Without a token there is nothing to make a pool of: what the others give back comes to make's own pool.
fn private_pool(which: ChildPool, claimed: Option<u32>, keeper: &Keeper) -> io::Result<Option<PrivatePool>> {
    match claimed {
        Some(tokens @ 1..) if which == ChildPool::Private => PrivatePool::of(tokens, keeper).map(Some),
        _ => Ok(None),
    }
}

fn timed_out(limits: &Limits, free: u32) -> Failure {
    let seconds = limits.timeout.unwrap_or_default().as_secs_f64();
    let text = format!("no {} jobs within {seconds} s, only {}", limits.min + 1, free.saturating_add(1));
    let failure = Failure::new("timed-out", text).hint("lower --min, or raise --timeout");
    Failure { exit: exit::TIMED_OUT, ..failure }
}

/// Recipes with `--min` may all hold the one job that each of the others needs.
fn waits_long(limits: &Limits, free: u32) -> Failure {
    let text = format!("{} jobs are waited for, {} can run", limits.min + 1, free.saturating_add(1));
    Failure::new("waits-long", text).hint(
        "recipes that wait so for each other wait for ever, since each keeps its own job; --timeout ends the wait",
    )
}

/// A failure before the command ran; `what` could not be done.
pub fn not_started(what: &str, error: &io::Error) -> Failure {
    Failure { exit: exit::NOT_STARTED, ..Failure::io(what, "jobserver", error) }
}

/// A process that cannot be had: kbt runs under an emulator or with a library that has threads, or in a sandbox.
pub fn without_keeper(error: &io::Error) -> Failure {
    let failure = Failure::io("start a keeper", "jobserver", error);
    Failure { code: "no-keeper", ..failure }
        .hint("all works but for this: if kbt itself is killed by SIGKILL its tokens are lost and its command goes on")
}

fn not_returned(tokens: u32, error: &io::Error) -> Failure {
    let failure = Failure::io(&format!("give all of {tokens} tokens back"), "make's jobserver", error);
    Failure { code: "tokens-lost", ..failure }.hint("make goes on with fewer jobs and says so at its end")
}

/// The warning about a jobserver that cannot be used.
pub fn unusable(reason: &Unusable) -> Failure {
    let failure = Failure::new("jobserver-unusable", format!("make's jobserver cannot be used: {reason}"));
    match reason {
        // make closes its descriptors for such a recipe; what is there instead is a stranger's file.
        Unusable::Closed { .. } | Unusable::NotAPipe { .. } => failure.hint(
            "begin the recipe's line with '+', so that make hands its jobserver on; no token was taken",
        ),
        Unusable::Io { path, error }
            if error.kind() == io::ErrorKind::PermissionDenied && path.starts_with(b"/proc/self/fd/") =>
        {
            failure
                .hint("the pipe is of the user that runs make; a FIFO (make 4.4) can have other permissions")
        }
        Unusable::Io { error, .. } if error.kind() == io::ErrorKind::PermissionDenied => {
            failure.hint("it is another user's; no token was taken")
        }
        _ => failure.hint("look at MAKEFLAGS; no token was taken"),
    }
}
