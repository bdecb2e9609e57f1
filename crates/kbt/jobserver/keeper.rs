//! The wrapper's hold on its keeper.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use kbt_fork::{Signals, fork};
use kbt_jobserver::{Claim, Client, Escrow};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::keeper_process;
use super::message::{Reply, Request};

/// A keeper does nothing that takes time; one that is silent so long has been stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keeper that runs.
#[derive(Debug)]
pub struct Keeper {
    socket: UnixStream,
    process: Pid,
    /// What it holds, in case that it is killed.
    bytes: Vec<u8>,
}

impl Keeper {
    /// Starts one, for what is to be claimed of this pool. There must be no other thread.
    pub fn start(client: Option<&Client>) -> io::Result<Self> {
        Self::fork(|wrapper| keeper_process::run(wrapper, Claim::of(client.cloned()), None))
    }

    /// Starts one that gives back what lies in the escrow. There must be no other thread.
    pub fn of_escrow(escrow: &Escrow) -> io::Result<Self> {
        Self::fork(|wrapper| keeper_process::run(wrapper, Claim::of(None), Some(escrow)))
    }

    fn fork(run: impl FnOnce(UnixStream) -> u8) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(PATIENCE))?;
        let mut ours = Some(ours);
        let process = fork(Signals::Blocked, || {
            // With our end open it would never see that we are gone.
            drop(ours.take());
            run(theirs)
        })?;
        let socket = ours.ok_or(io::ErrorKind::NotConnected)?;
        Ok(Self { socket, process, bytes: Vec::new() })
    }

    /// Has all free tokens claimed, at most `max`; `None`, and none held, where there are fewer than `min`.
    pub fn claim(&mut self, min: u32, max: u32) -> io::Result<Option<u32>> {
        Request::Claim { min, max }.send(&self.socket)?;
        match Reply::receive(&mut self.socket)? {
            Reply::Claimed(bytes) => {
                self.bytes = bytes;
                Ok(u32::try_from(self.bytes.len()).ok())
            }
            Reply::TooFew => Ok(None),
            Reply::Failed(text) => Err(io::Error::other(text)),
            Reply::Released => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// Tells it the process group that is to end with this process.
    pub fn end_with_us(&mut self, group: Pid) -> io::Result<()> {
        Request::Group(group.as_raw_pid().cast_unsigned()).send(&self.socket)
    }

    /// Tells it of a FIFO that is to vanish with this process; in place of one that it was told of before.
    pub fn remove_with_us(&mut self, path: &Path) -> io::Result<()> {
        Request::Remove(OsStr::as_bytes(path.as_os_str()).to_vec()).send(&self.socket)
    }

    /// Has one token of the escrow given back, without waiting for it. May be called on any thread.
    ///
    /// # Errors
    /// The keeper is gone.
    pub fn give_one_back(&self) -> io::Result<()> {
        Request::Return.send(&self.socket)
    }

    /// Has the tokens given back, and waits for it.
    ///
    /// Where the keeper was killed its bytes are given back here, unless the pool is a device, which takes
    /// them back itself.
    ///
    /// # Errors
    /// Tokens may be lost then.
    pub fn release(mut self, pool: Option<&Client>) -> io::Result<()> {
        if Request::Release.send(&self.socket).is_err() {
            self.reap()?;
            return give_back(&self.bytes, pool);
        }
        let reply = Reply::receive(&mut self.socket)?;
        self.reap()?;
        match reply {
            Reply::Released => Ok(()),
            Reply::Failed(text) => Err(io::Error::other(text)),
            Reply::Claimed(_) | Reply::TooFew => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn reap(&self) -> io::Result<()> {
        rustix::io::retry_on_intr(|| waitid(WaitId::Pid(self.process), WaitIdOptions::EXITED))?;
        Ok(())
    }
}

fn give_back(bytes: &[u8], pool: Option<&Client>) -> io::Result<()> {
    let mut result = Ok(());
    for client in pool.into_iter().filter(|client| !client.is_device()) {
        for byte in bytes {
            result = result.and(client.return_byte(*byte));
        }
    }
    result
}
