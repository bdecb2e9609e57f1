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
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with, splice};

use crate::client::{Client, MOST};

/// A pipe between the pool and who uses its tokens.
#[derive(Debug)]
pub struct Escrow {
    client: Client,
    read: OwnedFd,
    write: OwnedFd,
}

impl Escrow {
    /// With room for all tokens that are in this pool at a moment, and for `most` that are taken one by one; where the
    /// system does not give so much, for fewer.
    ///
    /// # Errors
    /// The system's.
    pub fn new(client: Client, most: usize) -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // What is taken by one call needs no more places than it had; else each token needs one, which is a page.
        let of_pool = fcntl_getpipe_size(client.reader()).unwrap_or(0);
        let mut size = of_pool.max(most.min(MOST) * page_size());
        let given = fcntl_getpipe_size(&write)?;
        // Half is better than what a pipe has unasked. What is refused at last shows as fewer tokens.
        while size > given && fcntl_setpipe_size(&write, size).is_err() {
            size /= 2;
        }
        Ok(Self { client, read, write })
    }

    /// Moves up to `limit` tokens here, as many as are free now, and gives their number. Never blocks.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` where the pool has no writer any more.
    pub fn take(&self, limit: usize) -> io::Result<usize> {
        if limit == 0 {
            return Ok(0);
        }
        let moved = rustix::io::retry_on_intr(|| {
            splice(self.client.reader(), None, &self.write, None, limit.min(MOST), SpliceFlags::NONBLOCK)
        });
        match moved {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => Ok(count),
            Err(Errno::AGAIN) => Ok(0),
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
