//! Exit codes. `Report::finish` maps a failure to one of them; a tool that kbt stands in for may have others.

use std::process::ExitCode;

/// Everything asked for was done.
pub const OK: u8 = 0;
/// The input was refused or the system failed; no result was written.
pub const FAILURE: u8 = 1;
/// The command line was not understood.
pub const USAGE: u8 = 2;

/// The exit code of what clap returned instead of arguments: help and version are a success.
pub fn of_usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        // A reader that went away, as in `kbt --help | head`, has what it wanted.
        Err(failed) if failed.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::from(FAILURE),
        _ => ExitCode::from(if error.use_stderr() { USAGE } else { OK }),
    }
}
