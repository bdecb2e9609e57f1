//! What the `kbt jobserver` commands share: a command that is run with tokens in the hand, and none lost.
//!
//! Three processes of kbt stand around a command, the second and the third forked off the first (`kbt_fork`):
//!
//! - the *wrapper* is what make started. It forwards signals, waits for the command, and ends as it did;
//! - the *keeper* ([`keeper_process`]), in a session of its own, reads the tokens and writes the same bytes back,
//!   when the wrapper says so or is gone;
//! - the *starter* ([`starter`]) becomes the command, once the keeper knows its process group.
//!
//! `docs/jobserver.md` has the reasons.

pub mod holders;
pub mod keeper;
pub mod keeper_process;
pub mod message;
pub mod private;
pub mod signals;
pub mod starter;
mod store;
pub mod supervise;
pub mod terminal;
