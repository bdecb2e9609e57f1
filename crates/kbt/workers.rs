//! On how many threads a command works: as `--jobs` says, else as the jobserver allows, else the cores.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use kbt_jobserver::{Client, Jobserver};
use kbt_parallel::{Panic, Token, TokenFaults, TokenSource, Workers, worth};

use crate::interrupt::Interrupt;
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
    let workers = if worth(tasks, &cost) < 2 { one() } else { choose(jobs, report) };
    let progress = Progress::new(what, tasks.len(), report);
    let interrupt = workers.takes_tokens().then(Interrupt::catch);
    let results = workers.map(tasks, cost, |task| {
        if interrupt.as_ref().is_some_and(Interrupt::has_come) {
            return Err(Failure::new("interrupted", "a signal asked to end"));
        }
        let result = step(task);
        progress.step();
        result
    });
    drop(progress);
    interrupt.into_iter().for_each(Interrupt::obey);
    tell(workers.take_faults(), report);
    results
}

fn one() -> Workers {
    Workers::new(NonZeroUsize::MIN)
}

/// Who says how many: `--jobs`, else the jobserver, else the cores. Tokens beyond the cores are left to others.
fn choose(jobs: Jobs, report: &mut Report) -> Workers {
    if let Some(jobs) = jobs {
        return Workers::new(jobs);
    }
    match Jobserver::from_env() {
        Jobserver::None => Workers::new(Workers::cores()),
        Jobserver::Usable(client) => Workers::with_tokens(Workers::cores(), Pool(client)),
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

/// Make's pool, as the workers see it.
struct Pool(Client);

impl TokenSource for Pool {
    fn try_acquire(&self) -> io::Result<Option<Box<dyn Token + '_>>> {
        let token = self.0.try_acquire()?;
        Ok(token.map(|token| Box::new(Held(token)) as Box<dyn Token>))
    }
}

struct Held(kbt_jobserver::Token);

impl Token for Held {
    fn release(self: Box<Self>) -> io::Result<()> {
        self.0.release()
    }
}

impl From<Panic> for Failure {
    fn from(panic: Panic) -> Self {
        Self::new("panic", panic.to_string()).hint("this is a mistake in kbt; please report it")
    }
}
