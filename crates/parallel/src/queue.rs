//! The tasks, taken in order by whoever is free, and what came of them.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A step that panicked instead of returning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Panic {
    /// The index of its task.
    pub task: usize,
    /// What it said.
    pub message: String,
}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the step of task {} panicked: {}", self.task, self.message)
    }
}

impl std::error::Error for Panic {}

/// Tasks, the step that each goes through, and the results so far.
pub struct Queue<'a, T, R, E, F> {
    tasks: &'a [T],
    step: F,
    /// The first task that nobody has taken. Past the end the queue is dry.
    next: AtomicUsize,
    done: Mutex<Vec<(usize, R)>>,
    /// Of all failures, that of the first task.
    failure: Mutex<Option<(usize, E)>>,
}

impl<'a, T, R, E, F> Queue<'a, T, R, E, F>
where
    E: From<Panic>,
    F: Fn(&T) -> Result<R, E>,
{
    pub fn new(tasks: &'a [T], step: F) -> Self {
        Self { tasks, step, next: AtomicUsize::new(0), done: Mutex::default(), failure: Mutex::new(None) }
    }

    /// Whether every task is taken.
    pub fn is_dry(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.tasks.len()
    }

    /// Takes tasks and works on them until none is left.
    pub fn work(&self) {
        self.work_while(|| true);
    }

    /// Takes at least one task, then more until `chunk` is over.
    pub fn work_for(&self, chunk: Duration) {
        let start = Instant::now();
        self.work_while(|| start.elapsed() < chunk);
    }

    fn work_while(&self, goes_on: impl Fn() -> bool) {
        let mut done = Vec::new();
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = self.tasks.get(index) else { break };
            match self.step(index, task) {
                Ok(result) => done.push((index, result)),
                Err(error) => self.fail(index, error),
            }
            if !goes_on() {
                break;
            }
        }
        locked(&self.done).append(&mut done);
    }

    fn step(&self, index: usize, task: &T) -> Result<R, E> {
        // Nothing that a panic left half done is looked at again: the results are thrown away.
        catch_unwind(AssertUnwindSafe(|| (self.step)(task)))
            .unwrap_or_else(|payload| Err(E::from(Panic { task: index, message: message(payload.as_ref()) })))
    }

    /// Leaves nothing to take. What is taken is finished, and tasks are taken in order, so that every task before
    /// the one that failed gets its say: the first failure is the same for any number of workers.
    fn fail(&self, index: usize, error: E) {
        self.next.store(self.tasks.len(), Ordering::Relaxed);
        let mut failure = locked(&self.failure);
        if failure.as_ref().is_none_or(|(first, _)| index < *first) {
            *failure = Some((index, error));
        }
    }

    /// The results in the order of the tasks, once all workers have ended.
    pub fn into_results(self) -> Result<Vec<R>, E> {
        if let Some((_, error)) = self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(error);
        }
        let mut done = self.done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_unstable_by_key(|(index, _)| *index);
        Ok(done.into_iter().map(|(_, result)| result).collect())
    }
}

/// Locks; no step runs under a lock, so that a panic cannot leave half a change behind.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref().cloned()).unwrap_or_else(|| "it did not say why".to_owned())
}
