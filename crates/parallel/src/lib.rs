//! One pure step over many items, on as many threads as there are cores, or as make's jobserver leaves.
//!
//! [`Workers::map`] works through a slice and gives the results in its order, whatever the number of threads.
//!
//! **Idea.** All workers take the next task from one counter. The caller's thread is the first worker: it stands
//! for the token that make gave the process itself, so it starts at once and never waits. Each further worker
//! needs a token of a [`TokenSource`]; without a source it needs none.
//!
//! **Phases** with a source (`crew.rs`): one thread asks for tokens without blocking, and naps while there are none.
//! Each token that it gets starts a worker. A worker does a [chunk](CHUNK) of work, gives its token back and asks
//! for one again; where another process was faster the worker ends. So tokens that others free midway speed up a
//! run, tokens that others wait for come back within a chunk or a task, and none is held when the tasks are dry.
//!
//! **Limits.** A task is never cut: a step that takes a second holds its token for a second. Work that is worth
//! less than two chunks stays on the caller's thread; what a task costs is for the caller to say.
//!
//! ```
//! use kbt_parallel::{Panic, Workers};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Panic> {
//! let workers = Workers::new(Workers::cores());
//! let cost = |_: &u64| Duration::from_millis(1);
//! let squares = workers.map(&[1, 2, 3], cost, |number| Ok::<_, Panic>(number * number))?;
//! assert_eq!(squares, [1, 4, 9]);
//! # Ok(())
//! # }
//! ```

mod crew;
mod queue;
mod tokens;
mod workers;

pub use queue::Panic;
pub use tokens::{Token, TokenFaults, TokenSource};
pub use workers::{CHUNK, Workers, worth};
