//! On how many threads a command works: as `--jobs` says, else as the jobserver allows, else the cores.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use kbt_jobserver::{Client, Escrow, Jobserver};
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
    // Work that one does best asks for no token and warns of no jobserver.
    let (workers, kept) = if worth(tasks, &cost) < 2 { one() } else { choose(jobs, report) };
    let progress = Progress::new(what, tasks.len(), report);
    let results = workers.map(tasks, cost, |task| {
        let result = step(task);
        progress.step();
        result
    });
    drop(progress);
    tell(workers.take_faults(), report);
    drop(workers);
    if let Some(Err(error)) = kept.and_then(Arc::into_inner).map(Kept::close) {
        report.warn(Failure::io("give all tokens back", "make's jobserver", &error));
    }
    results
}

/// Workers, and where their tokens are kept, if they take tokens of a pipe.
type Choice = (Workers, Option<Arc<Kept>>);

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
        Jobserver::Usable(client) => match Kept::of(client, cores) {
            Ok(kept) => {
                let kept = Arc::new(kept);
                (Workers::with_tokens(cores, Pool(Arc::clone(&kept))), Some(kept))
            }
            Err(error) => {
                report.warn(Failure::io("start a keeper, one job at a time", "make's jobserver", &error));
                one()
            }
        },
        Jobserver::Unusable(reason) => {
            let message = format!("make's jobserver cannot be used, one job at a time: {reason}");
            report.warn(Failure::new("jobserver-unusable", message).hint(
                "begin the recipe's line with '+', so that make hands the jobserver on, or give --jobs",
            ));
            one()
        }
    }
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

/// Where the tokens of make's pool lie while they are used, and who gives them back if this process is killed.
///
/// To take one costs what reading it would; to give it back, a word to the keeper.
struct Kept {
    escrow: Escrow,
    keeper: Keeper,
}

impl Kept {
    fn of(client: Client, cores: NonZeroUsize) -> io::Result<Self> {
        let escrow = Escrow::new(client, cores.get())?;
        let keeper = Keeper::of_escrow(&escrow)?;
        Ok(Self { escrow, keeper })
    }

    fn give_one_back(&self) -> io::Result<()> {
        // Without a keeper, who was killed, it is for us to do.
        self.keeper.give_one_back().or_else(|_| self.escrow.give_back())
    }

    fn close(self) -> io::Result<()> {
        let closed = self.keeper.release(None);
        // For the same case.
        self.escrow.give_back_all().and(closed)
    }
}

/// Make's pool, as the workers see it.
struct Pool(Arc<Kept>);

impl TokenSource for Pool {
    fn try_acquire(&self) -> io::Result<Option<Box<dyn Token + '_>>> {
        let taken = self.0.escrow.try_take()?;
        Ok(taken.then(|| Box::new(Held(Some(&self.0))) as Box<dyn Token>))
    }
}

/// A token in the escrow; `None` once it went back.
struct Held<'a>(Option<&'a Kept>);

impl Token for Held<'_> {
    fn release(mut self: Box<Self>) -> io::Result<()> {
        self.0.take().map_or(Ok(()), Kept::give_one_back)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // It lies in the escrow at worst, and goes back at the end.
        let _ = self.0.take().map(Kept::give_one_back);
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
