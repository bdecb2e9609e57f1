//! Tokens in use that another process can give back.
//!
//! **Idea.** Who reads a token into its memory and is killed takes it along. So a token goes from the pool into a pipe of our
//! own by one system call (splice(2)), which the system finishes or does not begin: at every moment the byte lies in one
//! of the two pipes. A keeper that has our pipe, too, gives back what lies there when its owner is gone.
//!
//! **Limits.** The way back is not one call. Bytes that were spliced into make's pipe would each take up one of its 16
//! places, and make, which expects to write as many tokens as it made, could block for ever. So they are read and
//! written, and it is the keeper who should do that. A character device cannot splice; its driver takes back by
//! itself what the dead had.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::param::page_size;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::client::Client;

/// As many tokens a pipe holds without being asked (pipe(7)): each takes a place, which is a page, of its own.
const PLACES: usize = 16;

/// A pipe between the pool and who uses its tokens.
#[derive(Debug)]
pub struct Escrow {
    client: Client,
    read: OwnedFd,
    write: OwnedFd,
}

impl Escrow {
    /// With room for `most` tokens of this pool; where the system does not give so much, for fewer.
    ///
    /// # Errors
    /// The system's.
    pub fn new(client: Client, most: usize) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        if most > PLACES {
            // What is refused shows as a pipe that is full earlier, that is, as fewer tokens.
            let _ = fcntl_setpipe_size(&write, most.saturating_mul(page_size()));
        }
        Ok(Self { client, read, write })
    }

    /// Moves a token here if one is free now. Never blocks.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` where the pool has no writer any more.
    pub fn try_take(&self) -> io::Result<bool> {
        let moved = rustix::io::retry_on_intr(|| {
            splice(self.client.reader(), None, &self.write, None, 1, SpliceFlags::NONBLOCK)
        });
        match moved {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(true),
            Err(Errno::AGAIN) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives one token back, if one lies here.
    ///
    /// # Errors
    /// The system's; then that token is lost.
    pub fn give_back(&self) -> io::Result<()> {
        self.take_out()?.map_or(Ok(()), |byte| self.client.return_byte(byte))
    }

    /// Gives all tokens back.
    ///
    /// # Errors
    /// The first failure; the others are given back nevertheless.
    pub fn give_back_all(&self) -> io::Result<()> {
        let mut result = Ok(());
        while let Some(byte) = self.take_out()? {
            result = result.and(self.client.return_byte(byte));
        }
        result
    }

    fn take_out(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.read, &mut byte)) {
            Ok(1) => Ok(Some(byte[0])),
            Ok(_) | Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
