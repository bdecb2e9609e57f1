//! Exit codes. `Report::finish` maps a failure to one of them; a tool that kbt stands in for may have others.

/// Everything asked for was done.
pub const OK: u8 = 0;
/// The input was refused or the system failed; no result was written.
pub const FAILURE: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;

/// `kbt jobserver exec`: the time was over before there were enough tokens. As timeout(1).
pub const TIMED_OUT: u8 = 124;
/// A command that kbt was to run was not started, for a reason of kbt's own. As env(1), and the next two.
pub const NOT_STARTED: u8 = 125;
/// It is there but cannot be run.
pub const NOT_EXECUTABLE: u8 = 126;
/// It is not there.
pub const NOT_FOUND: u8 = 127;

/// The exit code of a command that was ended by this signal. As the shells do it.
pub fn of_signal(signal: i32) -> u8 {
    u8::try_from(signal).unwrap_or_default().saturating_add(128)
}
