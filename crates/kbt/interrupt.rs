//! Signals that ask a program to end, for one that holds tokens: it gives them back first.
//!
//! Who dies with a token takes it along, and make runs one job less from then on. So while tokens may be held a signal
//! only sets a flag; the work stops at its next task, the tokens go back, and then the signal has its way. SIGKILL
//! cannot be caught: the tokens held at that moment are lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use crate::jobserver::signals::ignored;

/// Catches the signals while it lives.
pub struct Interrupt {
    signal: Arc<AtomicUsize>,
    registered: Vec<SigId>,
}

impl Interrupt {
    /// Starts to catch. What was ignored stays ignored, and what cannot be caught works as before.
    pub fn catch() -> Self {
        let signal = Arc::new(AtomicUsize::new(0));
        let caught =
            [SIGHUP, SIGINT, SIGTERM].into_iter().filter(|signal| ignored() & (1 << (signal - 1)) == 0);
        let register = |number: i32| {
            flag::register_usize(number, Arc::clone(&signal), usize::try_from(number).ok()?).ok()
        };
        let registered = caught.filter_map(register).collect();
        Self { signal, registered }
    }

    /// Whether a signal has come.
    pub fn has_come(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }

    /// Catches no more; where a signal has come, the process ends by it. To be called once no token is held.
    pub fn obey(self) {
        self.registered.into_iter().for_each(|id| {
            low_level::unregister(id);
        });
        let signal = self.signal.load(Ordering::Relaxed);
        if let Ok(signal @ 1..) = i32::try_from(signal) {
            // It ends the process, as these three do by default.
            let _ = low_level::emulate_default_handler(signal);
        }
    }
}
