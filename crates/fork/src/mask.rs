//! Which signals are blocked. A mask survives exec(2), so a program may be started with one that it did not ask for.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;

use libc::c_int;

/// The signals that a thread does not get until they are unblocked.
#[derive(Clone, Copy)]
pub struct Mask(libc::sigset_t);

impl Mask {
    /// Every signal.
    #[allow(unsafe_code)]
    pub fn all() -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it points to room for a signal set, which sigfillset(3) fills.
        unsafe {
            libc::sigfillset(set.as_mut_ptr());
            Self(set.assume_init())
        }
    }

    /// These signals; a number that no signal has is left out.
    #[allow(unsafe_code)]
    pub fn of(signals: &[i32]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it points to room for a signal set, which sigemptyset(3) fills, so that sigaddset(3) may change it and
        // it is read as initialised.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for &signal in signals {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            Self(set.assume_init())
        }
    }

    /// Whether this signal is in it.
    #[allow(unsafe_code)]
    pub fn has(&self, signal: i32) -> bool {
        // SAFETY: the set is only read; of a number that no signal has the answer is -1.
        unsafe { libc::sigismember(&raw const self.0, signal) == 1 }
    }

    /// Makes it the mask of this thread, and gives what was before.
    ///
    /// # Errors
    /// The system's; none is known.
    pub fn set(&self) -> io::Result<Self> {
        self.change(libc::SIG_SETMASK)
    }

    /// Blocks what is in it beside what is blocked already, and gives what was before.
    ///
    /// # Errors
    /// The system's; none is known.
    pub fn block(&self) -> io::Result<Self> {
        self.change(libc::SIG_BLOCK)
    }

    /// Unblocks what is in it, and gives what was before. What has arrived meanwhile arrives now.
    ///
    /// # Errors
    /// The system's; none is known.
    pub fn unblock(&self) -> io::Result<Self> {
        self.change(libc::SIG_UNBLOCK)
    }

    #[allow(unsafe_code)]
    fn change(&self, how: c_int) -> io::Result<Self> {
        let mut before = MaybeUninit::uninit();
        // SAFETY: the set is only read; `before` has room for one and is read only where pthread_sigmask(3) gives 0, that
        // is, has filled it.
        unsafe {
            match libc::pthread_sigmask(how, &raw const self.0, before.as_mut_ptr()) {
                0 => Ok(Self(before.assume_init())),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries((1..=libc::SIGRTMAX()).filter(|signal| self.has(*signal))).finish()
    }
}
