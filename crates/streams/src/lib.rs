//! How the program was started: which standard streams were closed, and whether it was to ignore SIGPIPE; and a write beyond
//! the limit of a file's size as an error.
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
static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

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
    let ignored = action(libc::SIGPIPE) == Some(libc::SIG_IGN);
    SIGPIPE_IGNORED.store(ignored, Ordering::Relaxed);
}

/// What is done with a signal: SIG_DFL, SIG_IGN or a function.
#[allow(unsafe_code)]
fn action(signal: libc::c_int) -> Option<libc::sighandler_t> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: a null pointer says that nothing is to be set; `action` has room for what is written there, and is read only
    // where that succeeded.
    unsafe {
        let told = libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0;
        told.then(|| action.assume_init_ref().sa_sigaction)
    }
}

/// Lets a write beyond `ulimit -f` fail as one to a full disk does (EFBIG, setrlimit(2)), where SIGXFSZ would end the program with
/// files half written. What was done about the signal by somebody else stays.
///
/// It gets a handler and is not ignored, since exec takes a handler away: a program that is run from this one gets what is
/// usual.
#[allow(unsafe_code)]
pub fn outlive_file_size_limit() {
    extern "C" fn nothing(_: libc::c_int) {}
    if action(libc::SIGXFSZ) == Some(libc::SIG_DFL) {
        // SAFETY: the handler does nothing, so it may be called at any time and in any thread.
        unsafe { libc::signal(libc::SIGXFSZ, nothing as *const () as libc::sighandler_t) };
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

/// Whether whoever started the program had it ignore SIGPIPE.
pub fn sigpipe_was_ignored() -> bool {
    SIGPIPE_IGNORED.load(Ordering::Relaxed)
}
