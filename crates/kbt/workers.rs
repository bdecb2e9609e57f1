//! On how many threads a command works: as `--jobs` says, else as the jobserver allows, else the cores.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use kbt_jobserver::{Client, Jobserver};
use kbt_parallel::{Panic, Token, TokenFaults, TokenSource, Workers, worth};

use crate::jobserver::keeper::Keeper;
use crate::progress::Progress;
use crate::report::{Failure, Report};

/// What `--jobs` said.
pub type Jobs = Option<NonZeroUsize>;

/// Puts each task through `step` and gives the results in the order of the tasks, the same for any number of threads.
/// `what` is what will have been done; `cost` is about how long one task takes.
pub fn map<T: Sync, R: Send>(
    jobs: Jobs,
    report: &mut Report,
    what: &'static str,
    tasks: &[T],
    cost: impl Fn(&T) -> Duration,
    step: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    map_pieces(jobs, report, what, tasks, |_| 1, cost, step)
}

/// The same for tasks that are pieces of something: progress counts what is in them, as `parts` says.
pub fn map_pieces<T: Sync, R: Send>(
    jobs: Jobs,
    report: &mut Report,
    what: &'static str,
    tasks: &[T],
    parts: impl Fn(&T) -> usize + Sync,
    cost: impl Fn(&T) -> Duration,
    step: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    // Work that one does best asks for no token and warns of no jobserver.
    let (workers, keeper) = if worth(tasks, &cost) < 2 { one() } else { choose(jobs, report) };
    let progress = Progress::new(what, tasks.iter().map(&parts).sum(), report);
    let results = workers.map(tasks, cost, |task| {
        let result = step(task);
        progress.advance(parts(task));
        result
    });
    drop(progress);
    tell(workers.take_faults(), report);
    drop(workers);
    if let Some(Err(error)) = keeper.and_then(Arc::into_inner).map(Keeper::release) {
        report.warn(Failure::io("give all tokens back", "make's jobserver", &error));
    }
    results
}

/// For a tool that another one's callers start, which never spoke of make: one job where make's jobserver cannot be used.
pub fn quietly_alone() -> Jobs {
    match Jobserver::from_env() {
        Jobserver::Unusable(_) => Some(NonZeroUsize::MIN),
        _ => None,
    }
}

/// Workers, and who keeps their tokens, if they take tokens of a pipe.
type Choice = (Workers, Option<Arc<Keeper>>);

fn one() -> Choice {
    (Workers::new(NonZeroUsize::MIN), None)
}

/// Who says how many: `--jobs`, else the jobserver, else the cores. Tokens beyond the cores are left to others.
fn choose(jobs: Jobs, report: &mut Report) -> Choice {
    if let Some(jobs) = jobs {
        return (Workers::new(jobs), None);
    }
    let cores = Workers::cores();
    match Jobserver::from_env() {
        Jobserver::None => (Workers::new(cores), None),
        // A driver takes back by itself what the dead had.
        Jobserver::Usable(client) if client.is_device() => {
            (Workers::with_tokens(cores, Device(client)), None)
        }
        Jobserver::Usable(client) => match keeper(&client, cores) {
            Ok(keeper) => {
                let keeper = Arc::new(keeper);
                (Workers::with_tokens(cores, Pool(Arc::clone(&keeper))), Some(keeper))
            }
            Err(error) => {
                report.warn_once(Failure::io(
                    "start a keeper, one job at a time",
                    "make's jobserver",
                    &error,
                ));
                one()
            }
        },
        Jobserver::Unusable(reason) => {
            let message = format!("make's jobserver cannot be used, one job at a time: {reason}");
            report.warn_once(Failure::new("jobserver-unusable", message).hint(
                "begin the recipe's line with '+', so that make hands the jobserver on, or give --jobs",
            ));
            one()
        }
    }
}

fn keeper(client: &Client, cores: NonZeroUsize) -> io::Result<Keeper> {
    // Those of the work before this one.
    kbt_fork::wait_for_ended_threads();
    Keeper::start(Some(client), cores.get())
}

/// Tells what went wrong with tokens; the work itself is done.
fn tell(faults: TokenFaults, report: &mut Report) {
    if let Some(error) = faults.acquire {
        report.warn(Failure::io("take a token any more", "make's jobserver", &error));
    }
    if let Some(error) = faults.release {
        let what = format!("give {} tokens back, which are lost", faults.lost);
        report.warn(Failure::io(&what, "make's jobserver", &error));
    }
}

/// Make's pool, as the workers see it. The keeper gives tokens back if this process is killed. To take one costs what
/// reading it would; to give it back, a word to the keeper.
struct Pool(Arc<Keeper>);

impl TokenSource for Pool {
    fn try_acquire(&self) -> io::Result<Option<Box<dyn Token + '_>>> {
        let taken = self.0.take_one()?;
        Ok(taken.then(|| Box::new(Held(Some(&self.0))) as Box<dyn Token>))
    }
}

/// A token in the escrow; `None` once it went back.
struct Held<'a>(Option<&'a Keeper>);

impl Token for Held<'_> {
    fn release(mut self: Box<Self>) -> io::Result<()> {
        self.0.take().map_or(Ok(()), Keeper::give_one_back)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It lies in the escrow at worst, and goes back at the end.
        let _ = self.0.take().map(Keeper::give_one_back);
    }
}

/// A pool that is a device.
struct Device(Client);

impl TokenSource for Device {
    fn try_acquire(&self) -> io::Result<Option<Box<dyn Token + '_>>> {
        let token = self.0.try_acquire()?;
        Ok(token.map(|token| Box::new(OfDevice(token)) as Box<dyn Token>))
    }
}

struct OfDevice(kbt_jobserver::Token);

impl Token for OfDevice {
    fn release(self: Box<Self>) -> io::Result<()> {
        self.0.release()
    }
}

impl From<Panic> for Failure {
    fn from(panic: Panic) -> Self {
        Self::new("panic", panic.to_string()).hint("this is a mistake in kbt; please report it")
    }
}
