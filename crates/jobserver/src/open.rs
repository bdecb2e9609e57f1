//! A pool that was opened and looked at: bytes out, bytes in, never blocking by itself.

use std::fs::Metadata;
use std::io::{self, IsTerminal as _};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, fcntl_getfl, major};
use rustix::io::Errno;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};

use crate::error::Unusable;
use crate::makeflags::Auth;

/// Descriptors of our own on the pool. They share no flags with make's: `O_NONBLOCK` set here does not
/// surprise a make that expects to block.
#[derive(Debug)]
pub struct Pool {
    read: OwnedFd,
    /// `None` where `read` is open for both.
    write: Option<OwnedFd>,
    lost: AtomicUsize,
}

const OURS: OFlags = OFlags::NONBLOCK.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);

impl Pool {
    pub fn open(auth: &Auth) -> Result<Self, Unusable> {
        match auth {
            Auth::Pipe { read, write } => Self::open_pipe(*read, *write),
            Auth::Fifo(path) => Self::open_fifo(path),
            Auth::Unknown(value) => Err(Unusable::Unknown(value.clone())),
        }
    }

    fn open_pipe(read: u32, write: u32) -> Result<Self, Unusable> {
        let reader = inherited(read, 0o400, "read")?;
        let writer = inherited(write, 0o200, "write")?;
        if (reader.dev(), reader.ino()) != (writer.dev(), writer.ino()) {
            return Err(Unusable::TwoPipes { read, write });
        }
        let open = |fd, mode| {
            let opened = open_path(link(fd).as_bytes(), mode);
            opened.or_else(|refused| as_inherited(fd, mode).ok_or(refused))
        };
        Ok(Self::new(open(read, OFlags::RDONLY)?, Some(open(write, OFlags::WRONLY)?)))
    }

    /// Open for both, so that the pool lives on while make is gone, and a write never meets a FIFO that
    /// nobody reads. A character device is what Gentoo's steve has instead of a FIFO; but a terminal would take tokens
    /// for keys, and `/dev/zero` would give them without end.
    fn open_fifo(path: &[u8]) -> Result<Self, Unusable> {
        let metadata = std::fs::metadata(Path::new(std::ffi::OsStr::from_bytes(path)))
            .map_err(|error| Unusable::Io { path: path.to_vec(), error })?;
        if !metadata.file_type().is_fifo() && !metadata.file_type().is_char_device() {
            return Err(Unusable::NotAFifo { path: path.to_vec(), what: kind(&metadata) });
        }
        let pool = open_path(path, OFlags::RDWR)?;
        let device = metadata.file_type().is_char_device().then(|| major(metadata.rdev()));
        match device.and_then(|major| unlike_a_pool(major, pool.is_terminal())) {
            Some(what) => Err(Unusable::NotAFifo { path: path.to_vec(), what }),
            None => Ok(Self::new(pool, None)),
        }
    }

    /// A pool of any file, without the look that would refuse it: for what only a device does.
    #[cfg(test)]
    pub fn unlooked(path: &[u8]) -> Result<Self, Unusable> {
        Ok(Self::new(open_path(path, OFlags::RDWR)?, None))
    }

    fn new(read: OwnedFd, write: Option<OwnedFd>) -> Self {
        Self { read, write, lost: AtomicUsize::new(0) }
    }

    /// The end that tokens are taken from.
    pub fn reader(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }

    fn writer(&self) -> BorrowedFd<'_> {
        self.write.as_ref().unwrap_or(&self.read).as_fd()
    }

    /// One byte, or `None` where none is free at this moment.
    pub fn take(&self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.read, &mut byte)) {
            Ok(1) => Ok(Some(byte[0])),
            // End of file: of a pipe, every writer is gone, make too. There is nothing to wait for.
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(Errno::AGAIN) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until a byte may be there; false where `deadline` came first.
    pub fn wait(&self, deadline: Option<Instant>) -> io::Result<bool> {
        wait_for(self.reader(), PollFlags::IN, deadline)
    }

    /// Writes one byte back.
    pub fn put(&self, byte: u8) -> io::Result<()> {
        loop {
            match rustix::io::retry_on_intr(|| rustix::io::write(self.writer(), &[byte])) {
                Ok(1) => return Ok(()),
                // Nothing was written although nothing failed, or there is no room: neither lasts.
                Ok(_) | Err(Errno::AGAIN) => {
                    let deadline = Some(Instant::now() + Duration::from_secs(10));
                    if !wait_for(self.writer(), PollFlags::OUT, deadline)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Writes `count` bytes, as many at once as the system takes.
    pub fn fill(&self, byte: u8, count: usize) -> Result<(), Errno> {
        let bytes = [byte; 512];
        let mut left = count;
        while left > 0 {
            let part = &bytes[..left.min(bytes.len())];
            left -= rustix::io::retry_on_intr(|| rustix::io::write(self.writer(), part))?;
        }
        Ok(())
    }

    pub fn count_lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    /// Bytes in the pool now, without taking one.
    pub fn free(&self) -> io::Result<usize> {
        let free = rustix::io::ioctl_fionread(&self.read)?;
        Ok(usize::try_from(free).unwrap_or(usize::MAX))
    }
}

/// Looks at an inherited descriptor before anything is done with it.
fn inherited(fd: u32, direction: u32, wanted: &'static str) -> Result<Metadata, Unusable> {
    let refused = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound if Path::new("/proc/self/fd").exists() => Unusable::Closed { fd },
        _ => Unusable::Io { path: link(fd).into_bytes(), error },
    };
    let behind = std::fs::metadata(link(fd)).map_err(refused)?;
    if !behind.file_type().is_fifo() {
        return Err(Unusable::NotAPipe { fd, what: kind(&behind) });
    }
    // The permissions of the link itself tell how the descriptor is open (proc_pid_fd(5)).
    let link = std::fs::symlink_metadata(link(fd)).map_err(refused)?;
    if link.mode() & direction == 0 {
        return Err(Unusable::WrongDirection { fd, wanted });
    }
    Ok(behind)
}

/// A copy of an inherited descriptor, for a pipe that belongs to another user (after su(1)), who alone may open it anew. Its
/// flags are make's, so it has to be one that does not block when it is read from, as those of make 4.3 and 4.4 are.
fn as_inherited(fd: u32, mode: OFlags) -> Option<OwnedFd> {
    let ourselves = pidfd_open(getpid(), PidfdFlags::empty()).ok()?;
    let copy = pidfd_getfd(&ourselves, fd.cast_signed(), PidfdGetfdFlags::empty()).ok()?;
    let usable =
        mode == OFlags::WRONLY || fcntl_getfl(&copy).is_ok_and(|flags| flags.contains(OFlags::NONBLOCK));
    usable.then_some(copy)
}

/// What a character device of this number is, if no pool.
fn unlike_a_pool(major: u32, is_terminal: bool) -> Option<&'static str> {
    // /dev/null, zero, full, random and their like (devices.txt of the kernel's documents).
    const MEMORY: u32 = 1;
    if major == MEMORY { Some("a device of the system") } else { is_terminal.then_some("a terminal") }
}

fn link(fd: u32) -> String {
    format!("/proc/self/fd/{fd}")
}

fn open_path(path: &[u8], mode: OFlags) -> Result<OwnedFd, Unusable> {
    rustix::io::retry_on_intr(|| rustix::fs::open(path, mode | OURS, Mode::empty()))
        .map_err(|error| Unusable::Io { path: path.to_vec(), error: error.into() })
}

fn kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_file() {
        "a regular file"
    } else if kind.is_dir() {
        "a directory"
    } else if kind.is_socket() {
        "a socket"
    } else if kind.is_char_device() {
        "a character device"
    } else if kind.is_block_device() {
        "a block device"
    } else {
        "an object without a name"
    }
}

fn wait_for(fd: BorrowedFd<'_>, events: PollFlags, deadline: Option<Instant>) -> io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // A time that a Timespec cannot hold is as good as none.
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&fd, events)], left.as_ref()) {
            Ok(0) => return Ok(false),
            Ok(_) => return Ok(true),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_a_driver_of_its_own_may_be_a_pool() {
        // The kernel gives drivers that ask for no number one of 234 to 254 or 384 to 511.
        assert_eq!((unlike_a_pool(234, false), unlike_a_pool(511, false)), (None, None));
        assert_eq!(unlike_a_pool(1, false), Some("a device of the system"));
        assert_eq!(unlike_a_pool(136, true), Some("a terminal"));
    }
}
