//! The workers beyond the first: threads that come and go with tokens.

use std::io;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread::{self, Builder, Scope};
use std::time::Duration;

use crate::queue::{Panic, Queue, locked};
use crate::tokens::{Token, TokenFaults, TokenSource};
use crate::workers::CHUNK;

/// Who asks in vain asks again after this, then after twice as long, ...
const SHORTEST_NAP: Duration = Duration::from_millis(1);
/// ... up to this.
const LONGEST_NAP: Duration = Duration::from_millis(8);

/// Names of threads, as tools show them. Each thread that is called a worker has a token, where tokens are needed.
const WORKER: &str = "kbt-worker";
const DISPATCHER: &str = "kbt-tokens";

/// Works through the queue with `extra` threads beside this one.
pub fn free<T, R, E, F>(queue: &Queue<'_, T, R, E, F>, extra: usize)
where
    T: Sync,
    R: Send,
    E: Send + From<Panic>,
    F: Fn(&T) -> Result<R, E> + Sync,
{
    thread::scope(|scope| {
        for _ in 0..extra {
            // A system that has no room for another thread leaves the work to those that there are.
            if Builder::new().name(WORKER.to_owned()).spawn_scoped(scope, || queue.work()).is_err() {
                break;
            }
        }
        queue.work();
    });
}

/// Works through the queue with up to `extra` threads beside this one, each as long as it has a token.
pub fn with_tokens<T, R, E, F>(
    queue: &Queue<'_, T, R, E, F>,
    extra: usize,
    source: &dyn TokenSource,
    faults: &Mutex<TokenFaults>,
) where
    T: Sync,
    R: Send,
    E: Send + From<Panic>,
    F: Fn(&T) -> Result<R, E> + Sync,
{
    let crew = Crew { queue, source, faults, extra, state: Mutex::default(), changed: Condvar::new() };
    thread::scope(|scope| {
        let crew = &crew;
        // Without this thread the work is done, by one.
        let _ = Builder::new().name(DISPATCHER.to_owned()).spawn_scoped(scope, || crew.dispatch(scope));
        crew.queue.work();
        crew.end();
    });
}

/// What the threads of one map share.
struct Crew<'a, T, R, E, F> {
    queue: &'a Queue<'a, T, R, E, F>,
    source: &'a dyn TokenSource,
    faults: &'a Mutex<TokenFaults>,
    extra: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Workers beyond the first.
    working: usize,
    /// Nothing is left to take, or the source is broken.
    over: bool,
}

impl<T, R, E, F> Crew<'_, T, R, E, F>
where
    T: Sync,
    R: Send,
    E: Send + From<Panic>,
    F: Fn(&T) -> Result<R, E> + Sync,
{
    /// Asks for tokens, and starts a worker on each.
    fn dispatch<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>) {
        let mut nap = SHORTEST_NAP;
        while self.wait_for_room() {
            match self.acquire() {
                Some(token) => {
                    self.start(scope, token);
                    nap = SHORTEST_NAP;
                }
                None => {
                    self.nap(nap);
                    nap = (nap * 2).min(LONGEST_NAP);
                }
            }
        }
    }

    /// Waits until one more worker may start; false where none will be needed.
    fn wait_for_room(&self) -> bool {
        let mut state = locked(&self.state);
        while !state.over && state.working >= self.extra {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        !state.over && !self.queue.is_dry()
    }

    fn nap(&self, time: Duration) {
        let state = locked(&self.state);
        // Whether it was the time or the end that woke us, the caller looks again.
        let _ = self.changed.wait_timeout_while(state, time, |state| !state.over);
    }

    fn end(&self) {
        locked(&self.state).over = true;
        self.changed.notify_all();
    }

    fn start<'scope>(&'scope self, scope: &'scope Scope<'scope, '_>, token: Box<dyn Token + 'scope>) {
        locked(&self.state).working += 1;
        // The closure owns the token: where no thread can be had the token goes back with it.
        let started = Builder::new().name(WORKER.to_owned()).spawn_scoped(scope, move || self.work_on(token));
        if started.is_err() {
            self.end();
        }
    }

    /// A worker's life: a chunk for each token.
    fn work_on<'token>(&'token self, token: Box<dyn Token + 'token>) {
        let mut held = Some(token);
        while let Some(token) = held.take() {
            self.queue.work_for(CHUNK);
            self.release(token.release());
            if !self.queue.is_dry() {
                // Who waits for a token in another process shall have his turn.
                thread::yield_now();
                held = self.acquire();
            }
        }
        locked(&self.state).working -= 1;
        self.changed.notify_all();
    }

    fn acquire(&self) -> Option<Box<dyn Token + '_>> {
        self.source.try_acquire().unwrap_or_else(|error| {
            locked(self.faults).cannot_acquire(error);
            self.end();
            None
        })
    }

    fn release(&self, released: io::Result<()>) {
        if let Err(error) = released {
            locked(self.faults).cannot_release(error);
        }
    }
}
