//! Whether standard output was open when the program began.
//!
//! std opens `/dev/null` in place of each standard stream that is closed, before `main`. So `tool >&-` writes its result
//! into nothing and says that all went well. A look before std's own tells; the loader calls what stands in
//! `.init_array` before that (System V ABI, "Initialization and Termination Functions").

use std::sync::atomic::{AtomicBool, Ordering};

static STDOUT_CLOSED: AtomicBool = AtomicBool::new(false);

// SAFETY: the section holds pointers to functions of the C calling convention, and this is one. It runs before std is
// ready, so it does nothing but a system call without memory and a store.
#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

#[allow(unsafe_code)]
extern "C" fn look() {
    // SAFETY: the call takes two numbers and touches no memory; on a closed descriptor it gives -1.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    STDOUT_CLOSED.store(flags == -1, Ordering::Relaxed);
}

/// Whether standard output was closed when the program began: what is written there now is lost.
pub fn stdout_was_closed() -> bool {
    STDOUT_CLOSED.load(Ordering::Relaxed)
}
