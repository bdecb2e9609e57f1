//! How the program was started: which standard streams were closed, and whether it was to ignore SIGPIPE or SIGXFSZ.
//!
//! std opens `/dev/null` in place of each standard stream that is closed, and ignores SIGPIPE, both before `main`. So
//! `tool >&-` writes its result into nothing and says that all went well, and who starts another program cannot hand on
//! what he was given. A look before std's own tells; the loader calls what stands in `.init_array` before that (System V ABI,
//! "Initialization and Termination Functions").
//!
//! ```
//! if kbt_streams::stdout_was_closed() {
//!     eprintln!("the result would be lost");
//! }
//! assert_eq!(kbt_streams::stdout_was_closed(), kbt_streams::were_closed()[1]);
//! ```

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// By descriptor.
static CLOSED: [AtomicBool; 3] = [const { AtomicBool::new(false) }; 3];
/// Of [`SIGNALS`].
static IGNORED: [AtomicBool; 2] = [const { AtomicBool::new(false) }; 2];
const SIGNALS: [i32; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

// SAFETY: the section holds pointers to functions of the C calling convention, and this is one. It runs before std is
// ready, so it does nothing but system calls and stores.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[allow(unsafe_code)]
extern "C" fn look() {
    for (fd, closed) in (0..).zip(&CLOSED) {
        // SAFETY: the call takes two numbers and touches no memory; on a closed descriptor it gives -1.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        closed.store(flags == -1, Ordering::Relaxed);
    }
    for (signal, ignored) in SIGNALS.into_iter().zip(&IGNORED) {
        let mut action = MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: a null pointer says that nothing is to be set; `action` has room for what is written there, and is read
        // only where that succeeded.
        let is_ignored = unsafe {
            libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
                && action.assume_init_ref().sa_sigaction == libc::SIG_IGN
        };
        ignored.store(is_ignored, Ordering::Relaxed);
    }
}

/// Whether standard output was closed when the program began: what is written there now is lost.
pub fn stdout_was_closed() -> bool {
    were_closed()[1]
}

/// Whether standard input, output and error were closed when the program began.
pub fn were_closed() -> [bool; 3] {
    [0, 1, 2].map(|fd: usize| CLOSED[fd].load(Ordering::Relaxed))
}

/// Whether whoever started the program had it ignore this signal, SIGPIPE or SIGXFSZ; of others it is not known, and they count
/// as not ignored.
pub fn was_ignored(signal: i32) -> bool {
    SIGNALS
        .into_iter()
        .zip(&IGNORED)
        .any(|(known, ignored)| known == signal && ignored.load(Ordering::Relaxed))
}
