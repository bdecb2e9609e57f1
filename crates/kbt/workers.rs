//! On how many threads a command works: as `--jobs` says, else as the jobserver allows, else the cores.

use std::num::NonZeroUsize;
use std::time::Duration;

use kbt_parallel::{Panic, Workers, worth};

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
    let workers = if worth(tasks, &cost) < 2 { Workers::new(NonZeroUsize::MIN) } else { choose(jobs) };
    let progress = Progress::new(what, tasks.len(), report);
    let results = workers.map(tasks, cost, |task| {
        let result = step(task);
        progress.step();
        result
    });
    drop(progress);
    results
}

fn choose(jobs: Jobs) -> Workers {
    Workers::new(jobs.unwrap_or_else(Workers::cores))
}

impl From<Panic> for Failure {
    fn from(panic: Panic) -> Self {
        Self::new("panic", panic.to_string()).hint("this is a mistake in kbt; please report it")
    }
}
