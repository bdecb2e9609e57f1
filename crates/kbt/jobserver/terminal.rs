//! Who may use the terminal: a command that asks for it gets it, if it is ours to give.
//!
//! The command has a process group of its own, and only one group at a time is in the terminal's foreground. Most commands
//! never notice, and as long as the foreground stays where it is, Ctrl-C reaches make and us as before. A
//! command that reads from the terminal, or sets it up, is stopped by the kernel (SIGTTIN, SIGTTOU; termios(3)), which is how we
//! learn that it asks. Where our group is in the foreground the command's takes its place and goes on; else our group is stopped
//! as the command was, and the shell that started it tells its user.

use std::fs::File;

use kbt_fork::Mask;
use rustix::process::{Pid, Signal, getpgrp, getpid, kill_process, kill_process_group};
use rustix::termios::{tcgetpgrp, tcsetpgrp};
use signal_hook::consts::{SIGTSTP, SIGTTIN, SIGTTOU};

/// The terminal that this process belongs to, as long as the command runs.
pub struct Terminal {
    /// Opened when it is needed first.
    file: Option<File>,
    /// The command's.
    group: Pid,
    given: bool,
}

impl Terminal {
    /// Nothing is given yet.
    pub fn of_command(group: Pid) -> Self {
        Self { file: None, group, given: false }
    }

    /// The command has been stopped by this signal.
    pub fn stopped_by(&mut self, signal: i32) {
        match signal {
            SIGTTIN | SIGTTOU if self.give() => go_on(self.group),
            // We are in the background ourselves. When `fg` continues us the command goes on and asks again.
            SIGTTIN => stop_as(Signal::TTIN),
            SIGTTOU => stop_as(Signal::TTOU),
            // Ctrl-Z, which reached the command only.
            SIGTSTP if self.given => {
                self.take_back();
                stop_as(Signal::TSTP);
            }
            _ => {}
        }
    }

    /// Puts the command's group in the place of ours; false where we have none to give.
    fn give(&mut self) -> bool {
        if self.file.is_none() {
            self.file = File::options().read(true).write(true).open("/dev/tty").ok();
        }
        let Some(file) = &self.file else { return false };
        if tcgetpgrp(file) == Ok(getpgrp()) {
            self.given = tcsetpgrp(file, self.group).is_ok();
        }
        self.given && tcgetpgrp(file) == Ok(self.group)
    }

    /// Puts our group back where the command's is.
    pub fn take_back(&mut self) {
        let Some(file) = self.file.as_ref().filter(|_| self.given) else { return };
        self.given = false;
        if tcgetpgrp(file) != Ok(self.group) {
            return;
        }
        // We are in the background, and would be stopped for it.
        if let Ok(before) = Mask::of(&[SIGTTOU]).block() {
            let _ = tcsetpgrp(file, getpgrp());
            let _ = before.set();
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.take_back();
    }
}

/// Does to our group what the kernel would have done to it, had the command been in it.
fn stop_as(signal: Signal) {
    let _ = kill_process_group(getpgrp(), signal);
}

/// Stops this process until somebody continues it.
pub fn stop() {
    let _ = kill_process(getpid(), Signal::STOP);
}

fn go_on(group: Pid) {
    // The group is there as long as its leader is not reaped.
    let _ = kill_process_group(group, Signal::CONT);
}
