//! Signals as events: what a wrapper hands on to its command.

use std::io;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use kbt_fork::Mask;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGCHLD, SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGUSR1, SIGUSR2};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// Those that reach the command; SIGCHLD is for ourselves.
const FORWARDED: [i32; 8] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGTSTP, SIGCONT];

/// Catches signals from its making to the end of the process.
pub struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
    inherited: Mask,
}

impl Signals {
    /// Starts to catch. What was ignored stays ignored, as `nohup` and a shell's `&` want it; what was blocked does not stay
    /// so here, since we wait for signals and would wait for ever, but in the command it does.
    pub fn catch() -> io::Result<Self> {
        let ignored = ignored();
        let caught = FORWARDED.into_iter().filter(|signal| ignored & (1 << (signal - 1)) == 0);
        let (read, write) = UnixStream::pair()?;
        let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, caught.chain([SIGCHLD]))?;
        let inherited = Mask::of(&[&FORWARDED[..], &[SIGCHLD]].concat()).unblock()?;
        Ok(Self { delivery, inherited })
    }

    /// What was blocked when this process was started.
    pub fn inherited_mask(&self) -> Mask {
        self.inherited
    }

    /// Waits for signals, at most so long, and gives those that arrived; none when the time is over.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<Vec<i32>> {
        // A time that a Timespec cannot hold is as good as none.
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        let fd = PollFd::new(self.delivery.get_read(), PollFlags::IN);
        match poll(&mut [fd], timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(self.delivery.pending().collect()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the signal is one that asks a program to end.
pub fn ends(signal: i32) -> bool {
    [SIGHUP, SIGINT, SIGQUIT, SIGTERM].contains(&signal)
}

/// The signals that this process was started to ignore, as the mask of `/proc/self/status` (proc_pid_status(5)).
pub fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
