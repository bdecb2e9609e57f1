//! A pool of tokens in this process, which watches how it is used.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use kbt_parallel::{Token, TokenSource};

/// Clones are the same pool.
#[derive(Clone)]
pub struct Pool(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    free: usize,
    held: usize,
    most_held: usize,
    taken: usize,
    /// After how many tokens the pool breaks.
    breaks: Option<usize>,
    refuses: bool,
}

impl Pool {
    pub fn new(tokens: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: tokens, ..State::default() })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn add(&self, tokens: usize) {
        self.state().free += tokens;
    }

    pub fn free(&self) -> usize {
        self.state().free
    }

    pub fn most_held(&self) -> usize {
        self.state().most_held
    }

    /// How often a token was taken.
    pub fn taken(&self) -> usize {
        self.state().taken
    }

    pub fn break_after(&self, tokens: usize) {
        self.state().breaks = Some(tokens);
    }

    pub fn refuse_releases(&self) {
        self.state().refuses = true;
    }
}

impl TokenSource for Pool {
    fn try_acquire(&self) -> io::Result<Option<Box<dyn Token + '_>>> {
        let mut state = self.state();
        if state.breaks.is_some_and(|after| state.taken >= after) {
            return Err(io::Error::other("broken"));
        }
        if state.free == 0 {
            return Ok(None);
        }
        state.free -= 1;
        state.taken += 1;
        state.held += 1;
        state.most_held = state.most_held.max(state.held);
        Ok(Some(Box::new(Held { pool: self })))
    }
}

struct Held<'a> {
    pool: &'a Pool,
}

impl Token for Held<'_> {
    fn release(self: Box<Self>) -> io::Result<()> {
        let mut state = self.pool.state();
        state.held -= 1;
        if state.refuses {
            return Err(io::Error::other("full"));
        }
        state.free += 1;
        Ok(())
    }
}
