//! How many workers there may be, and the map.

use std::num::NonZeroUsize;
use std::sync::Mutex;
use std::time::Duration;

use crate::crew;
use crate::queue::{Panic, Queue, locked};
use crate::tokens::{TokenFaults, TokenSource};

/// How long a worker holds a token before it offers it to others; work worth less than two of these is not
/// shared. A thread and a token cost some 50 microseconds, a hundredth of it.
pub const CHUNK: Duration = Duration::from_millis(5);

/// How many threads work at once.
pub struct Workers {
    limit: NonZeroUsize,
    source: Option<Box<dyn TokenSource>>,
    faults: Mutex<TokenFaults>,
}

impl Workers {
    /// Up to `limit` workers, who ask nobody.
    pub fn new(limit: NonZeroUsize) -> Self {
        Self { limit, source: None, faults: Mutex::default() }
    }

    /// Up to `limit` workers; each but the first works only while it holds a token of `source`.
    pub fn with_tokens(limit: NonZeroUsize, source: impl TokenSource + 'static) -> Self {
        Self { limit, source: Some(Box::new(source)), faults: Mutex::default() }
    }

    /// As many as the process may use: the cores, less what affinity and control groups take away.
    pub fn cores() -> NonZeroUsize {
        std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
    }

    /// The most workers that there can be.
    pub fn limit(&self) -> NonZeroUsize {
        self.limit
    }

    /// Whether workers beyond the first need tokens.
    pub fn takes_tokens(&self) -> bool {
        self.source.is_some()
    }

    /// Gives what `step` makes of each task, in the order of the tasks. `cost` is about how long a step takes.
    ///
    /// # Errors
    /// After a failure no further task is begun, and the failure is that of the first task that has one, as
    /// if one worker had done it all. A step that panics has failed.
    pub fn map<T, R, E>(
        &self,
        tasks: &[T],
        cost: impl Fn(&T) -> Duration,
        step: impl Fn(&T) -> Result<R, E> + Sync,
    ) -> Result<Vec<R>, E>
    where
        T: Sync,
        R: Send,
        E: Send + From<Panic>,
    {
        let extra = worth(tasks, cost).min(self.limit.get()).saturating_sub(1);
        let queue = Queue::new(tasks, step);
        match &self.source {
            _ if extra == 0 => queue.work(),
            None => crew::free(&queue, extra),
            Some(source) => crew::with_tokens(&queue, extra, source.as_ref(), &self.faults),
        }
        queue.into_results()
    }

    /// What went wrong with tokens since this was last asked.
    pub fn take_faults(&self) -> TokenFaults {
        std::mem::take(&mut locked(&self.faults))
    }
}

/// How many workers tasks of this cost are worth: one a task, one a [`CHUNK`] of work. Below two there is no need to
/// look for tokens.
pub fn worth<T>(tasks: &[T], cost: impl Fn(&T) -> Duration) -> usize {
    let total = tasks.iter().map(cost).fold(Duration::ZERO, Duration::saturating_add);
    let chunks = usize::try_from(total.as_nanos() / CHUNK.as_nanos()).unwrap_or(usize::MAX);
    chunks.min(tasks.len())
}
