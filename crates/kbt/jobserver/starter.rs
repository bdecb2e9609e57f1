//! The starter: what stands between the fork and the command's own first instruction.
//!
//! It asks the kernel for its death with the wrapper's, waits until the keeper knows the process group that
//! it leads, and becomes the command. So there is no moment at which a killed wrapper leaves a process behind
//! that nobody ends: before the keeper knows the group, this process is all there is of it.
//!
//! What it waits on is closed on exec, so that the command gets no descriptor too many, and the wrapper is told over it
//! where the command cannot be run.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use kbt_fork::ignore_in;
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use rustix::stdio::{stderr, stdin, stdout};
use signal_hook::consts::SIGPIPE;

use crate::exit;

/// The starter's life; it gives an exit code only where it could not become the command.
pub fn run(wrapper: Pid, mut socket: UnixStream, command: &mut Command) -> u8 {
    let error = match await_the_word(wrapper, &mut socket) {
        Ok(()) => as_we_were_started(command).exec(),
        Err(error) => error,
    };
    // A wrapper that was killed has nobody who wants to hear of it.
    let _ = socket.write_all(&error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error()).to_le_bytes());
    exit::NOT_STARTED
}

/// std has opened streams that were closed, and ignores SIGPIPE; the command gets what we were given.
pub fn as_we_were_started(command: &mut Command) -> &mut Command {
    let streams = [stdin(), stdout(), stderr()].into_iter().zip(kbt_streams::were_closed());
    for (stream, _) in streams.filter(|(_, closed)| *closed) {
        // It is /dev/null's, and stays that for the command if it has to.
        let _ = fcntl_setfd(stream, FdFlags::CLOEXEC);
    }
    if kbt_streams::sigpipe_was_ignored() { ignore_in(command, SIGPIPE) } else { command }
}

fn await_the_word(wrapper: Pid, socket: &mut UnixStream) -> io::Result<()> {
    // Where that is refused (in a sandbox) the keeper still ends the group.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    // A wrapper that died before that line sends no signal any more.
    if getppid() != Some(wrapper) {
        return Err(io::ErrorKind::BrokenPipe.into());
    }
    socket.read_exact(&mut [0])
}

/// What the system said where the command could not be run, once it has ended. The wrapper's end.
pub fn refusal(socket: &mut UnixStream) -> Option<io::Error> {
    let mut number = [0; 4];
    socket.set_nonblocking(true).and_then(|()| socket.read_exact(&mut number)).ok()?;
    Some(io::Error::from_raw_os_error(i32::from_le_bytes(number)))
}
