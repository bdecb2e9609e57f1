//! The starter: what stands between the fork and the command's own first instruction.
//!
//! It asks the kernel for its death with the wrapper's, waits until the keeper knows the process group that
//! it leads, and becomes the command. So there is no moment at which a killed wrapper leaves a process behind
//! that nobody ends: before the keeper knows the group, this process is all there is of it.
//!
//! It waits on a pipe of the wrapper's, opened through `/proc` instead of being inherited, so that the command
//! gets no descriptor too many.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::exit;
use crate::report::{Failure, Report};

/// The `argv[0]` under which this binary is the starter.
pub const NAME: &str = "kbt-jobserver-starter";

/// Runs as the starter; the words are the wrapper's process ID, the number of its descriptor to wait on, the
/// name in front of a message, and the command.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let [wrapper, pipe, program, command, arguments @ ..] = words.as_slice() else {
        return ExitCode::from(exit::USAGE);
    };
    let program = if program == "jobserver-exec" { "jobserver-exec" } else { "kbt" };
    let failure = match await_the_word(wrapper, pipe) {
        Ok(()) => refused(command, &Command::new(command).args(arguments).exec()),
        // A wrapper that was killed has nobody who wants to hear of it.
        Err(_) if !is_parent(wrapper) => return ExitCode::from(exit::NOT_STARTED),
        Err(error) => Failure { exit: exit::NOT_STARTED, ..Failure::io("start", command.display(), &error) },
    };
    Report::new(program, false, false).finish(Err(failure))
}

fn await_the_word(wrapper: &OsStr, pipe: &OsStr) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // A wrapper that died before that line sends no signal any more.
    if !is_parent(wrapper) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    let path = format!("/proc/{}/fd/{}", wrapper.display(), pipe.display());
    File::open(path)?.read_exact(&mut [0])
}

fn is_parent(pid: &OsStr) -> bool {
    let parent = getppid().map(Pid::as_raw_pid).map(|pid| pid.to_string());
    parent.as_deref().map(OsStr::new) == Some(pid)
}

fn refused(command: &OsStr, error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::NotFound => exit::NOT_FOUND,
        _ => exit::NOT_EXECUTABLE,
    };
    Failure { exit, ..Failure::io("run", command.display(), error) }
}
