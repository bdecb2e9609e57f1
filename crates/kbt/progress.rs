//! How far a long run is, for who sits in front of it.

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::report::Report;

/// What is over before that shows nothing.
const DELAY: Duration = Duration::from_millis(400);

/// A bar on standard error that goes when this ends. There is none where nobody would look at it: on no terminal, in
/// a make, under `--quiet` and `--json`.
pub struct Progress {
    what: &'static str,
    steps: u64,
    done: AtomicU64,
    start: Instant,
    wanted: bool,
    bar: OnceLock<ProgressBar>,
}

impl Progress {
    /// Of so many steps; `what` was done when they are ("entries packed").
    pub fn new(what: &'static str, steps: usize, report: &Report) -> Self {
        let in_make = std::env::var_os("MAKELEVEL").is_some() || std::env::var_os("MAKEFLAGS").is_some();
        Self {
            what,
            steps: steps as u64,
            done: AtomicU64::new(0),
            start: Instant::now(),
            wanted: !report.is_quiet() && !report.is_json() && !in_make && io::stderr().is_terminal(),
            bar: OnceLock::new(),
        }
    }

    /// So many steps more are done. May be called on any thread.
    pub fn advance(&self, steps: usize) {
        let steps = steps as u64;
        let done = self.done.fetch_add(steps, Ordering::Relaxed) + steps;
        if self.wanted && self.start.elapsed() >= DELAY {
            self.bar.get_or_init(|| bar(self.what, self.steps)).set_position(done);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }
}

fn bar(what: &'static str, steps: u64) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(steps), ProgressDrawTarget::stderr()).with_message(what);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
