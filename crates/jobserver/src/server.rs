//! A pool of one's own.

use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::param::page_size;
use rustix::pipe::{fcntl_getpipe_size, fcntl_setpipe_size};

use crate::client::Client;
use crate::error::Unusable;
use crate::makeflags::Auth;

/// How a pool is handed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A named FIFO, which any process can open that knows the path (make 4.4 and later, ninja 1.13).
    Fifo,
    /// Two descriptors that have to be inherited (every make that has a jobserver).
    Pipe,
}

/// The byte that make itself puts in.
const TOKEN: u8 = b'+';

/// A pool that this process made and that ends with the value.
#[derive(Debug)]
pub struct Server {
    auth: Auth,
    client: Client,
    tokens: usize,
    /// Of a FIFO, to be removed.
    path: Option<PathBuf>,
    /// Of a pipe, for the children. Both have no `O_CLOEXEC`: inheriting them is how the pool is used.
    _ends: Option<(OwnedFd, OwnedFd)>,
}

impl Server {
    /// Makes a FIFO at `path`, which must not exist, for this user only, and puts `tokens` in.
    ///
    /// # Errors
    /// The system's; `StorageFull` where it does not hold so many. Nothing stays behind then.
    pub fn fifo(path: &Path, tokens: usize) -> io::Result<Self> {
        rustix::fs::mkfifoat(rustix::fs::CWD, path, Mode::RUSR | Mode::WUSR)?;
        let auth = Auth::Fifo(path.as_os_str().as_bytes().to_vec());
        let client = Client::open(&auth).map_err(refused);
        let filled = client.and_then(|client| fill(client, tokens));
        if filled.is_err() {
            // The first error is the one to tell.
            let _ = std::fs::remove_file(path);
        }
        Ok(Self { auth, client: filled?, tokens, path: Some(path.to_owned()), _ends: None })
    }

    /// Makes a pipe that every child started from now on inherits, and puts `tokens` in.
    ///
    /// # Errors
    /// As [`Server::fifo`].
    pub fn pipe(tokens: usize) -> io::Result<Self> {
        let (read, write) = rustix::pipe::pipe()?;
        let number = |fd: &OwnedFd| u32::try_from(fd.as_raw_fd()).map_err(io::Error::other);
        let auth = Auth::Pipe { read: number(&read)?, write: number(&write)? };
        let client = fill(Client::open(&auth).map_err(refused)?, tokens)?;
        Ok(Self { auth, client, tokens, path: None, _ends: Some((read, write)) })
    }

    /// How to name it in `MAKEFLAGS`.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The pool as its clients see it.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How many tokens were put in.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// How many tokens are missing now; when all clients are done, how many they leaked.
    ///
    /// # Errors
    /// The system's.
    pub fn missing(&self) -> io::Result<usize> {
        Ok(self.tokens.saturating_sub(self.client.free()?))
    }

    /// How many tokens are there beyond those that were put in: clients wrote more than they had read.
    ///
    /// # Errors
    /// The system's.
    pub fn surplus(&self) -> io::Result<usize> {
        Ok(self.client.free()?.saturating_sub(self.tokens))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It may be gone already; there is nobody to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

fn refused(reason: Unusable) -> io::Error {
    match reason {
        Unusable::Io { error, .. } => error,
        other => io::Error::other(other),
    }
}

fn fill(client: Client, tokens: usize) -> io::Result<Client> {
    // A pipe has room by pages, and one from which a byte was read has not until it is empty: so that every token can come
    // back a page stays free.
    let wanted = tokens.saturating_add(page_size()).next_multiple_of(page_size());
    if wanted > fcntl_getpipe_size(client.reader())? && fcntl_setpipe_size(client.reader(), wanted).is_err() {
        return Err(io::ErrorKind::StorageFull.into());
    }
    match client.put_new(TOKEN, tokens) {
        Ok(()) => Ok(client),
        Err(Errno::AGAIN) => Err(io::ErrorKind::StorageFull.into()),
        Err(error) => Err(error.into()),
    }
}
