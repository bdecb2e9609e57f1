//! A second process that goes on with the memory of this one.
//!
//! fork(2) is the cheapest way to a process: no file is loaded, no library is bound. It is unsafe to call because the child
//! has only the thread that called it: a lock that another thread held at that moment stays locked for ever. So [`fork`]
//! first makes sure that there is no other thread, and refuses otherwise. In a process with one thread nobody is
//! in the middle of anything but the caller itself.
//!
//! ```standalone_crate
//! # fn main() -> std::io::Result<()> {
//! let child = kbt_fork::fork(kbt_fork::Signals::Blocked, || 7)?;
//! let status = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty())?;
//! assert_eq!(status.and_then(|(_, status)| status.exit_status()), Some(7));
//! # Ok(())
//! # }
//! ```
//!
//! Besides `kbt-memory` and `kbt-streams` this is the only crate of the workspace with `unsafe` code.

mod mask;

use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::ptr;
use std::time::{Duration, Instant};

use rustix::process::Pid;

pub use mask::Mask;

/// How long threads that have ended may take to be gone from the system. It is a matter of microseconds, but for a machine
/// that is very busy.
const LEAVING: Duration = Duration::from_millis(500);

/// What a child that panicked exits with, as a Rust program does.
const PANICKED: u8 = 101;

const SEVERAL: &str = "a process with several threads cannot fork";

/// What the child does about signals. Those that the parent ignores it ignores in either case.
#[derive(Debug, Clone, Copy)]
pub enum Signals {
    /// Each has its default effect, whatever handlers the parent has, and these are blocked. So for a child that is to
    /// become another program: a signal to it is not swallowed by a handler of the parent's.
    Default(Mask),
    /// All are blocked for good: only SIGKILL and SIGSTOP still work.
    Blocked,
}

/// Runs `child` in a new process, which exits with what it gives; gives the parent its number.
///
/// The child has a copy of everything: what it does not need it should drop. It ends without running
/// destructors or flushing the streams of std, so that nothing which the parent has begun happens twice.
///
/// # Errors
/// `Unsupported` where this process has more than one thread, or nobody can tell; else the system's.
pub fn fork(signals: Signals, child: impl FnOnce() -> u8) -> io::Result<Pid> {
    let before = Mask::all().set()?;
    let forked =
        if is_alone() { fork_blocked() } else { Err(io::Error::new(io::ErrorKind::Unsupported, SEVERAL)) };
    if let Ok(None) = forked {
        if let Signals::Default(mask) = signals {
            reset_handlers();
            if mask.set().is_err() {
                exit(PANICKED);
            }
        }
        let code = catch_unwind(AssertUnwindSafe(child)).unwrap_or(PANICKED);
        exit(code);
    }
    before.set()?;
    forked?.ok_or_else(|| io::ErrorKind::Other.into())
}

/// Waits for threads that have ended to be gone, at most a moment: who joined a thread, or left the scope of some, has met
/// the end of its closure, and the system may still have it. To be called before [`fork`] where there were threads.
pub fn wait_for_ended_threads() {
    let deadline = Instant::now() + LEAVING;
    let mut pause = Duration::from_micros(20);
    while !is_alone() && Instant::now() < deadline {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(5));
    }
}

/// Whether this is the only thread; not, where nobody can tell.
#[allow(unsafe_code)]
fn is_alone() -> bool {
    // unshare(2) may take a thread out of its thread group only where it is alone in it, and then there is nothing to do.
    // SAFETY: it takes a number and touches no memory of ours.
    if unsafe { libc::unshare(libc::CLONE_THREAD) } == 0 {
        return true;
    }
    // A sandbox may refuse it whatever we have; there is a second one who knows.
    let refused = io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL);
    !refused && std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(0) == 1
}

/// The child's number; `None` in the child. Signals are blocked, so that no handler runs in the child before
/// it is made ready for it.
#[allow(unsafe_code)]
fn fork_blocked() -> io::Result<Option<Pid>> {
    // SAFETY: this is the only thread. So no lock is held that the child could wait for, and nothing in memory is half
    // changed; signal handlers do not run, since all signals are blocked. The child may do whatever the parent may.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Gives each signal that has a handler its default effect.
#[allow(unsafe_code)]
fn reset_handlers() {
    for signal in 1..=libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: `action` has room for what sigaction(2) writes, and is read only where that succeeded. A null pointer
        // says that nothing is to be set, or that the old action is not wanted. Setting the default takes a handler away
        // and adds none, so no code can run that expects something.
        unsafe {
            if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0 {
                // Signals that the C library keeps for itself.
                continue;
            }
            let mut action = action.assume_init();
            if action.sa_sigaction != libc::SIG_IGN && action.sa_sigaction != libc::SIG_DFL {
                action.sa_sigaction = libc::SIG_DFL;
                action.sa_flags = 0;
                libc::sigaction(signal, &raw const action, ptr::null_mut());
            }
        }
    }
}

/// Has a command ignore this signal. std gives a program that it starts SIGPIPE at its default, whatever it was.
#[allow(unsafe_code)]
pub fn ignore_in(command: &mut Command, signal: i32) -> &mut Command {
    let ignore = move || {
        // SAFETY: no handler is set that could run, and signal(2) touches no memory of ours.
        let before = unsafe { libc::signal(signal, libc::SIG_IGN) };
        if before == libc::SIG_ERR { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: between fork and exec the closure may do what is safe in a signal handler: it makes one system call, and
    // allocates nothing, since an error of the system is a number.
    unsafe { command.pre_exec(ignore) }
}

#[allow(unsafe_code)]
fn exit(code: u8) -> ! {
    // SAFETY: it ends the process; what the process holds the system takes back.
    unsafe { libc::_exit(code.into()) }
}
