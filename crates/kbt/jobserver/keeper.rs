//! The wrapper's hold on its keeper.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kbt_fork::{Signals, fork};
use kbt_jobserver::Client;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::keeper_process;
use super::message::{Reply, Request};
use super::store::Store;

/// A keeper does nothing that takes time; one that is silent so long has been stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tokens, and the process that gives them back if this one is killed. Where it is itself killed or stopped, this one does
/// what it would have done.
#[derive(Debug)]
pub struct Keeper {
    /// `None` where there is none, or none any more.
    process: Option<Process>,
    store: Store,
}

impl Keeper {
    /// Starts one, for tokens of this pool, of which up to `most` are taken one by one.
    ///
    /// # Errors
    /// The system's; `Unsupported` where this process has threads.
    pub fn start(pool: Option<&Client>, most: usize) -> io::Result<Self> {
        let mut store = Store::of(pool, most)?;
        let process = Process::start(&mut store)?;
        Ok(Self { process: Some(process), store })
    }

    /// The same, but where no process can be had there are the tokens alone; with the reason.
    ///
    /// # Errors
    /// The system's, where there is no place for tokens either.
    pub fn start_if_possible(pool: Option<&Client>) -> io::Result<(Self, Option<io::Error>)> {
        let mut store = Store::of(pool, 0)?;
        Ok(match Process::start(&mut store) {
            Ok(process) => (Self { process: Some(process), store }, None),
            Err(error) => (Self { process: None, store }, Some(error)),
        })
    }

    /// Claims all free tokens, at most `max`; `None`, and none held, where there are fewer than `min`.
    ///
    /// # Errors
    /// The pool's.
    pub fn claim(&mut self, min: u32, max: u32) -> io::Result<Option<u32>> {
        if let Some(process) = &mut self.process {
            match process.ask(&Request::Claim { min, max }) {
                Ok(Reply::Claimed(count)) => return Ok(Some(count)),
                Ok(Reply::TooFew) => return Ok(None),
                Ok(Reply::Failed(text)) => return Err(io::Error::other(text)),
                Ok(Reply::Released) | Err(_) => self.give_up()?,
            }
            // What it took before it died.
            self.store.give_back()?;
        }
        self.store.claim(min, max)
    }

    /// Takes one token if one is free, without asking the process: where it lies that can give it back. May be called on any
    /// thread.
    ///
    /// # Errors
    /// The pool's.
    pub fn take_one(&self) -> io::Result<bool> {
        self.store.take_one()
    }

    /// Tells it the process group that is to end with this process.
    pub fn end_with_us(&self, group: Pid) {
        self.tell(&Request::Group(group.as_raw_pid().cast_unsigned()));
    }

    /// Tells it of a FIFO that is to vanish with this process; in place of one that it was told of before.
    pub fn remove_with_us(&self, path: &Path) {
        self.tell(&Request::Remove(OsStr::as_bytes(path.as_os_str()).to_vec()));
    }

    fn tell(&self, request: &Request) {
        // A keeper that was killed leaves us with less protection, not without the command.
        let _ = self.process.as_ref().map(|process| request.send(&process.socket));
    }

    /// Has one token given back, without waiting for it. May be called on any thread.
    ///
    /// # Errors
    /// The pool's, where there is no keeper and the token cannot be given back by us either.
    pub fn give_one_back(&self) -> io::Result<()> {
        match &self.process {
            Some(process) => Request::Return.send(&process.socket).or_else(|_| self.store.give_one_back()),
            None => self.store.give_one_back(),
        }
    }

    /// Has all tokens given back, and waits for it.
    ///
    /// # Errors
    /// Tokens may be lost then.
    pub fn release(mut self) -> io::Result<()> {
        if let Some(process) = &mut self.process {
            match process.ask(&Request::Release) {
                Ok(Reply::Released) => return process.reap(),
                Ok(Reply::Failed(text)) => return process.reap().and(Err(io::Error::other(text))),
                Ok(Reply::Claimed(_) | Reply::TooFew) | Err(_) => self.give_up()?,
            }
        }
        self.store.give_back()
    }

    /// Ends the process, so that there is one who gives back.
    fn give_up(&mut self) -> io::Result<()> {
        let Some(process) = self.process.take() else { return Ok(()) };
        // It is our child and not reaped: the number is its own.
        let _ = kill_process(process.pid, Signal::KILL);
        process.reap()
    }
}

/// The keeper's process, as we see it.
#[derive(Debug)]
struct Process {
    socket: UnixStream,
    pid: Pid,
}

impl Process {
    /// Forks it. There must be no other thread.
    fn start(store: &mut Store) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let mut ours = Some(ours);
        let pid = fork(Signals::Blocked, || {
            // With our end open it would never see that we are gone.
            drop(ours.take());
            keeper_process::run(theirs, store)
        })?;
        let socket = ours.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Self { socket, pid })
    }

    /// Asks and waits for the answer; an error means that it is gone, or stopped.
    fn ask(&mut self, request: &Request) -> io::Result<Reply> {
        request.send(&self.socket)?;
        Reply::receive(&mut self.socket)
    }

    /// Waits for its end and takes the zombie away.
    fn reap(&self) -> io::Result<()> {
        match rustix::io::retry_on_intr(|| waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED)) {
            // Whoever started us has us ignore SIGCHLD; then zombies go by themselves (wait(2)).
            Ok(_) | Err(Errno::CHILD) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
