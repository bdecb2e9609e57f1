//! Runs a command: in a process group of its own, with signals forwarded, ended by the keeper if this
//! process is killed.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use kbt_fork::fork;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, getpgid, getpid, kill_process, kill_process_group,
    setpgid, waitid,
};
use signal_hook::consts::{SIGCHLD, SIGTSTP};

use super::keeper::Keeper;
use super::keeper_process::end_group;
use super::signals::{self, Signals};
use super::starter;
use super::terminal::{self, Terminal};
use crate::exit;
use crate::report::Failure;

/// How long what a killed command leaves behind may take to end before its tokens are used again.
const DYING: Duration = Duration::from_secs(1);

/// What to run.
pub struct Task<'a> {
    /// The command and its arguments.
    pub words: &'a [OsString],
    /// Variables to set (or, `None`, to remove).
    pub environment: Vec<(&'static str, Option<OsString>)>,
}

/// A command that has ended but still is a zombie, so that its process group's number is not used anew before
/// the keeper was told.
pub struct Ended {
    /// `None` where it never was.
    child: Option<Pid>,
    /// What to exit with: the command's own code, or 128 and the number of the signal that ended it. Where it could not
    /// be run, why not.
    pub outcome: Result<u8, Failure>,
}

impl Task<'_> {
    /// Runs it to its end.
    pub fn run(&self, signals: &mut Signals, keeper: &Keeper) -> io::Result<Ended> {
        let mut command = self.command();
        let wrapper = getpid();
        let (mut ours, theirs) = UnixStream::pair()?;
        let as_inherited = kbt_fork::Signals::Default(signals.inherited_mask());
        let forked = fork(as_inherited, || starter::run(wrapper, theirs, &mut command));
        let Ok(child) = forked else { return self.run_unforked(command, signals, keeper) };
        // From here on a signal can be forwarded. It waits for our word, so it cannot have become the command yet.
        setpgid(Some(child), Some(child))?;
        keeper.end_with_us(child);
        // The starter may have been killed already; that is seen when it is waited for.
        let _ = ours.write_all(b"!");
        let status = wait(child, signals)?;
        let outcome = match starter::refusal(&mut ours) {
            Some(error) => Err(self.refused(&error)),
            None => Ok(code(&status, child)),
        };
        Ok(Ended { child: Some(child), outcome })
    }

    /// As std starts a program, where we may not fork: it does not end with us if we are killed.
    fn run_unforked(
        &self,
        mut command: Command,
        signals: &mut Signals,
        keeper: &Keeper,
    ) -> io::Result<Ended> {
        let child = match starter::as_we_were_started(&mut command).process_group(0).spawn() {
            Ok(child) => i32::try_from(child.id()).ok().and_then(Pid::from_raw),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => return Ok(Ended { child: None, outcome: Err(self.refused(&error)) }),
        };
        let child = child.ok_or(io::ErrorKind::InvalidData)?;
        keeper.end_with_us(child);
        let outcome = Ok(code(&wait(child, signals)?, child));
        Ok(Ended { child: Some(child), outcome })
    }

    fn command(&self) -> Command {
        let mut words = self.words.iter();
        let mut command = Command::new(words.next().map(OsString::as_os_str).unwrap_or_default());
        command.args(words);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }

    fn refused(&self, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => exit::NOT_FOUND,
            _ => exit::NOT_EXECUTABLE,
        };
        let command = self.words.first().map(|word| word.display().to_string()).unwrap_or_default();
        let command = if command.is_empty() { "''".to_owned() } else { command };
        Failure { exit, ..Failure::io("run", command, error) }
    }
}

impl Ended {
    /// Takes the zombie away.
    pub fn reap(self) -> io::Result<Result<u8, Failure>> {
        if let Some(child) = self.child {
            rustix::io::retry_on_intr(|| waitid(WaitId::Pid(child), WaitIdOptions::EXITED))?;
        }
        Ok(self.outcome)
    }
}

/// Forwards signals until the command has ended; leaves the zombie.
fn wait(group: Pid, signals: &mut Signals) -> io::Result<WaitIdStatus> {
    let mut terminal = Terminal::of_command(group);
    let now =
        |options| rustix::io::retry_on_intr(|| waitid(WaitId::Pid(group), options | WaitIdOptions::NOHANG));
    loop {
        if let Some(status) = now(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)? {
            return Ok(status);
        }
        if let Some(signal) = now(WaitIdOptions::STOPPED)?.and_then(|status| status.stopping_signal()) {
            terminal.stopped_by(signal);
        }
        for signal in signals.wait(None)?.into_iter().filter(|signal| *signal != SIGCHLD) {
            forward(signal, group);
            if signal == SIGTSTP {
                // Caught, it did not stop us; a job is stopped as a whole.
                terminal.take_back();
                terminal::stop();
            }
        }
    }
}

fn forward(signal: i32, group: Pid) {
    let Some(named) = Signal::from_named_raw(signal) else { return };
    send(named, group);
    if signals::ends(signal) {
        // Who is stopped gets it when he goes on, and not before.
        send(Signal::CONT, group);
    }
}

/// Sends it to the command's group, and to the command where that has gone into another one.
fn send(signal: Signal, group: Pid) {
    // The number stays its own as long as it is not reaped.
    let _ = kill_process_group(group, signal);
    if getpgid(Some(group)) != Ok(group) {
        let _ = kill_process(group, signal);
    }
}

/// The exit code. What a command that was killed leaves running in its group is ended too, or it would go on
/// beside the jobs that get its tokens.
fn code(status: &WaitIdStatus, group: Pid) -> u8 {
    if let Some(signal) = status.terminating_signal() {
        let killed = signal == Signal::KILL.as_raw();
        if !killed {
            end_group(group, Signal::TERM, DYING);
        }
        // Whoever does not heed that either.
        end_group(group, Signal::KILL, DYING);
        return exit::of_signal(signal);
    }
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::FAILURE)
}
