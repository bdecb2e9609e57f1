//! The wrapper's hold on its keeper.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kbt_fork::{Signals, fork};
use kbt_jobserver::{Claim, Client, Escrow};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

use super::keeper_process;
use super::message::{Reply, Request};

/// A keeper does nothing that takes time; one that is silent so long has been stopped.
const PATIENCE: Duration = Duration::from_secs(10);

/// A keeper that runs.
#[derive(Debug)]
pub struct Keeper {
    socket: UnixStream,
    process: Pid,
    /// Where the tokens lie, for the keeper and for us; `None` where they are a device's, or nobody's.
    escrow: Option<Escrow>,
}

impl Keeper {
    /// Starts one, for tokens of this pool, of which up to `most` are taken one by one. There must be no other thread.
    ///
    /// # Errors
    /// The system's; `Unsupported` where there are threads.
    pub fn start(pool: Option<&Client>, most: usize) -> io::Result<Self> {
        // What a device gave has to be given back by the process that it was given to.
        let (device, pipe) = pool.map_or((None, None), |pool| match pool.is_device() {
            true => (Some(pool.clone()), None),
            false => (None, Some(pool.clone())),
        });
        let escrow = pipe.map(|pipe| Escrow::new(pipe, most)).transpose()?;
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let mut ours = Some(ours);
        let process = fork(Signals::Blocked, || {
            // With our end open it would never see that we are gone.
            drop(ours.take());
            keeper_process::run(theirs, Claim::of(device), escrow.as_ref())
        })?;
        let socket = ours.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Self { socket, process, escrow })
    }

    /// Has all free tokens claimed, at most `max`; `None`, and none held, where there are fewer than `min`.
    ///
    /// # Errors
    /// The pool's, or the keeper is gone.
    pub fn claim(&mut self, min: u32, max: u32) -> io::Result<Option<u32>> {
        Request::Claim { min, max }.send(&self.socket)?;
        match Reply::receive(&mut self.socket)? {
            Reply::Claimed(count) => Ok(Some(count)),
            Reply::TooFew => Ok(None),
            Reply::Failed(text) => Err(io::Error::other(text)),
            Reply::Released => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Takes one token if one is free, without asking the keeper: where it lies he can give it back. May be called on any
    /// thread.
    ///
    /// # Errors
    /// The pool's.
    pub fn take_one(&self) -> io::Result<bool> {
        self.escrow.as_ref().map_or(Ok(false), |escrow| Ok(escrow.take(1)? > 0))
    }

    /// Tells it the process group that is to end with this process.
    pub fn end_with_us(&mut self, group: Pid) -> io::Result<()> {
        Request::Group(group.as_raw_pid().cast_unsigned()).send(&self.socket)
    }

    /// Tells it of a FIFO that is to vanish with this process; in place of one that it was told of before.
    pub fn remove_with_us(&mut self, path: &Path) -> io::Result<()> {
        Request::Remove(OsStr::as_bytes(path.as_os_str()).to_vec()).send(&self.socket)
    }

    /// Has one token given back, without waiting for it. May be called on any thread.
    ///
    /// # Errors
    /// The pool's, where the keeper is gone and the token cannot be given back by us either.
    pub fn give_one_back(&self) -> io::Result<()> {
        Request::Return.send(&self.socket).or_else(|_| self.give_back(Escrow::give_back))
    }

    /// Has all tokens given back, and waits for it. Where the keeper was killed or stopped they are given back here, unless
    /// the pool is a device, which takes them back itself.
    ///
    /// # Errors
    /// Tokens may be lost then.
    pub fn release(mut self) -> io::Result<()> {
        let sent = Request::Release.send(&self.socket);
        let reply = sent.and_then(|()| Reply::receive(&mut self.socket));
        if reply.is_err() {
            // So that there is one who gives back. It is our child and not reaped: the number is its own.
            let _ = kill_process(self.process, Signal::KILL);
        }
        let reaped = self.reap();
        match reply {
            Ok(Reply::Released) => reaped,
            Ok(Reply::Failed(text)) => Err(io::Error::other(text)),
            Ok(Reply::Claimed(_) | Reply::TooFew) => Err(io::ErrorKind::InvalidData.into()),
            Err(_) => reaped.and(self.give_back(Escrow::give_back_all)),
        }
    }

    fn give_back(&self, how: impl FnOnce(&Escrow) -> io::Result<()>) -> io::Result<()> {
        self.escrow.as_ref().map_or(Ok(()), how)
    }

    /// Waits for its end and takes the zombie away.
    fn reap(&self) -> io::Result<()> {
        match rustix::io::retry_on_intr(|| waitid(WaitId::Pid(self.process), WaitIdOptions::EXITED)) {
            // Whoever started us has us ignore SIGCHLD; then zombies go by themselves (wait(2)).
            Ok(_) | Err(Errno::CHILD) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
