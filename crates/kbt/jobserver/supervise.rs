//! Runs a command: in a process group of its own, with signals forwarded, ended by the keeper if this
//! process is killed.

use std::ffi::OsString;
use std::io::{self, PipeReader, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command};
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpid, kill_process, kill_process_group, waitid,
};
use signal_hook::consts::{SIGCHLD, SIGTSTP};

use super::keeper::{Keeper, THIS_BINARY};
use super::keeper_process::end_group;
use super::signals::Signals;
use super::starter;
use crate::exit;

/// How long what a killed command leaves behind may take to end before its tokens are used again.
const DYING: Duration = Duration::from_secs(1);

/// What to run.
pub struct Task<'a> {
    /// The name in front of a message.
    pub program: &'a str,
    /// The command and its arguments.
    pub words: &'a [OsString],
    /// Variables to set (or, `None`, to remove).
    pub environment: Vec<(&'static str, Option<OsString>)>,
}

/// A command that has ended but still is a zombie, so that its process group's number is not used anew before
/// the keeper was told.
pub struct Ended {
    child: Child,
    /// What to exit with: the command's own code, or 128 and the number of the signal that ended it.
    pub code: u8,
}

impl Task<'_> {
    /// Runs it to its end.
    pub fn run(&self, signals: &mut Signals, keeper: &mut Keeper) -> io::Result<Ended> {
        // Both ends stay open until the command has ended: the starter opens the one, and sees by the other
        // whether we are still there. They are closed on exec, so nobody else has them.
        let (reader, mut writer) = io::pipe()?;
        let child = self.start(&reader)?;
        let group = Pid::from_child(&child);
        // A keeper that was killed leaves us with less protection, not without the command.
        let _ = keeper.end_with_us(child.id());
        // The starter may have been killed already; that is seen when it is waited for.
        let _ = writer.write_all(b"!");
        let status = wait(group, signals)?;
        Ok(Ended { child, code: code(&status, group) })
    }

    fn start(&self, reader: &PipeReader) -> io::Result<Child> {
        let mut command = Command::new(THIS_BINARY);
        command.arg0(starter::NAME).process_group(0);
        command.arg(std::process::id().to_string()).arg(reader.as_raw_fd().to_string());
        command.arg(self.program).args(self.words);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.spawn()
    }
}

impl Ended {
    /// Takes the zombie away.
    pub fn reap(mut self) -> io::Result<u8> {
        self.child.wait()?;
        Ok(self.code)
    }
}

/// Forwards signals until the command has ended; leaves the zombie.
fn wait(group: Pid, signals: &mut Signals) -> io::Result<WaitIdStatus> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
    loop {
        if let Some(status) = rustix::io::retry_on_intr(|| waitid(WaitId::Pid(group), options))? {
            return Ok(status);
        }
        for signal in signals.wait(None)?.into_iter().filter(|signal| *signal != SIGCHLD) {
            forward(signal, group);
        }
    }
}

fn forward(signal: i32, group: Pid) {
    let Some(named) = Signal::from_named_raw(signal) else { return };
    // The group is there as long as its leader is not reaped.
    let _ = kill_process_group(group, named);
    if signal == SIGTSTP {
        // Caught, it did not stop us; a job is stopped as a whole.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// The exit code. What a command that was killed leaves running in its group is ended too, or it would go on
/// beside the jobs that get its tokens.
fn code(status: &WaitIdStatus, group: Pid) -> u8 {
    if let Some(signal) = status.terminating_signal() {
        let killed = signal == Signal::KILL.as_raw();
        end_group(group, if killed { Signal::KILL } else { Signal::TERM }, DYING);
        return exit::of_signal(signal);
    }
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILURE)
}
