//! The wrapper's hold on its keeper.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use kbt_jobserver::Client;

use super::keeper_process;
use super::message::{Reply, Request};

/// This binary, even where its file was replaced or moved since it was started.
pub const THIS_BINARY: &str = "/proc/self/exe";

/// A keeper does nothing that takes time; one that is silent so long has been stopped.
const PATIENCE: Duration = Duration::from_secs(60);

/// A keeper that runs.
#[derive(Debug)]
pub struct Keeper {
    socket: UnixStream,
    process: Child,
    /// What it holds, in case that it is killed.
    bytes: Vec<u8>,
}

impl Keeper {
    /// Starts one. It opens the pool that the environment names, if it is asked to claim.
    pub fn start() -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let process = Command::new(THIS_BINARY)
            .arg0(keeper_process::NAME)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Self { socket, process, bytes: Vec::new() })
    }

    /// Has all free tokens claimed, at most `max`; `None`, and none held, where there are fewer than `min`.
    pub fn claim(&mut self, min: u32, max: u32) -> io::Result<Option<u32>> {
        Request::Claim { min, max }.send(&mut self.socket)?;
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
    pub fn end_with_us(&mut self, group: u32) -> io::Result<()> {
        Request::Group(group).send(&mut self.socket)
    }

    /// Tells it of a FIFO, alone in its directory, that is to vanish with this process.
    pub fn remove_with_us(&mut self, path: &Path) -> io::Result<()> {
        Request::Remove(OsStr::as_bytes(path.as_os_str()).to_vec()).send(&mut self.socket)
    }

    /// Has the tokens given back, and waits for it.
    ///
    /// Where the keeper was killed its bytes are given back here, unless the pool is a device, which takes
    /// them back itself.
    ///
    /// # Errors
    /// Tokens may be lost then.
    pub fn release(mut self, pool: Option<&Client>) -> io::Result<()> {
        if Request::Release.send(&mut self.socket).is_err() {
            let _ = self.process.wait();
            return give_back(&self.bytes, pool);
        }
        let reply = Reply::receive(&mut self.socket)?;
        self.process.wait()?;
        match reply {
            Reply::Released => Ok(()),
            Reply::Failed(text) => Err(io::Error::other(text)),
            Reply::Claimed(_) | Reply::TooFew => Err(io::ErrorKind::InvalidData.into()),
        }
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
