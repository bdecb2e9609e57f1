//! The keeper: the process that gives back the tokens of `kbt jobserver exec`, and of a command that works on several
//! threads, if that is killed.
//!
//! Idea: a process that is killed cannot give anything back, so there is another one that nobody has a reason to kill. It
//! has a session of its own (no terminal, no process group of make's), blocks the signals that end programs, and does
//! nothing but wait on a socket whose other end only the wrapper has. The end of file there means that the wrapper is
//! gone, however it went.
//!
//! Then the command's process group is killed first and the tokens go back second, so that the jobs which
//! make starts with them do not run beside the old ones.
//!
//! In use the tokens lie in an escrow, that is, in nobody's memory, and the keeper has both its ends. Only a device, which
//! gives tokens to a process and wants them back from it, has its tokens in the keeper's memory.
//!
//! Limits: SIGKILL of the keeper. A wrapper that is still there then gives back what lies in the escrow itself; a token that
//! the keeper was just carrying from there to the pool is lost.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::process::{Pid, Signal, kill_process_group, setsid};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
use rustix::thread::set_name;

use super::holders;
use super::message::{Reply, Request};
use super::store::Store;
use crate::exit;

/// How long the killed command may take to vanish; only a process that hangs in the kernel needs it.
const DYING: Duration = Duration::from_secs(5);

/// The keeper's life, from the fork to its exit code. Nobody hears of what fails: the wrapper sees the socket end.
pub fn run(mut wrapper: UnixStream, store: &mut Store) -> u8 {
    withdraw();
    let mut kept = Kept { store, lost: None, group: None, remove: None };
    if kept.serve(&mut wrapper).is_err() {
        kept.clean_up();
    }
    kept.store.give_back().map_or(exit::FAILURE, |()| exit::OK)
}

/// Leaves make's session and lets go of the streams, whose end others may wait for. What of that is refused (in a sandbox)
/// does not keep the keeper from its work.
fn withdraw() {
    let _ = setsid();
    // So that `killall kbt` means the others, and `ps` tells which is which.
    let _ = set_name(c"kbt-keeper");
    // Whoever writes there has an error. It is there in any room; /dev/null need not be.
    if let Ok(nowhere) = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) {
        let _ = dup2_stdin(&nowhere);
        let _ = dup2_stdout(&nowhere);
        let _ = dup2_stderr(&nowhere);
    }
}

struct Kept<'a> {
    store: &'a mut Store,
    /// Why a token of the escrow could not be given back.
    lost: Option<io::Error>,
    group: Option<Pid>,
    remove: Option<PathBuf>,
}

impl Kept<'_> {
    /// Does what the wrapper asks for until it asks for the tokens' return; an error means that it is gone.
    fn serve(&mut self, wrapper: &mut UnixStream) -> io::Result<()> {
        loop {
            match Request::receive(wrapper)? {
                Request::Claim { min, max } => self.claim(min, max).send(wrapper)?,
                Request::Group(group) => self.group = Pid::from_raw(group.cast_signed()),
                Request::Remove(path) => self.remove = Some(Path::new(OsStr::from_bytes(&path)).to_owned()),
                Request::Return => self.lost = self.store.give_one_back().err().or(self.lost.take()),
                Request::Release => {
                    // The command is over: a wrapper that dies from here on takes nobody along.
                    self.group = None;
                    return self.release().send(wrapper);
                }
            }
        }
    }

    fn claim(&mut self, min: u32, max: u32) -> Reply {
        match self.store.claim(min, max) {
            Ok(Some(count)) => Reply::Claimed(count),
            Ok(None) => Reply::TooFew,
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    fn release(&mut self) -> Reply {
        let result = self.store.give_back();
        match self.lost.take().map_or(result, Err) {
            Ok(()) => Reply::Released,
            Err(error) => Reply::Failed(error.to_string()),
        }
    }

    /// After a killed wrapper.
    fn clean_up(&self) {
        if let Some(group) = self.group {
            end_group(group, Signal::KILL, DYING);
        }
        if let Some(path) = &self.remove {
            // What is left behind is an empty FIFO in the temporary directory.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Sends `signal` to a process group and waits until nothing in it runs any more, at most so long.
pub fn end_group(group: Pid, signal: Signal, patience: Duration) {
    let deadline = Instant::now() + patience;
    // It may be empty by now.
    let _ = kill_process_group(group, signal);
    // What is stopped ends when it goes on, and not before.
    let _ = kill_process_group(group, Signal::CONT);
    let mut pause = Duration::from_micros(200);
    while holders::group_runs(group) && Instant::now() < deadline {
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}
