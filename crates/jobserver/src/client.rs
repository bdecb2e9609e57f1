//! Takes tokens out of a pool that somebody else made.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::FileType;
use rustix::io::Errno;

use crate::error::Unusable;
use crate::makeflags::Auth;
use crate::open::Pool;
use crate::token::Token;

/// What the largest pipe holds, in bytes, that an ordinary user may have (`/proc/sys/fs/pipe-max-size`, pipe(7)).
pub(crate) const MOST: usize = 1 << 20;

/// What tells one file of the system from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileId {
    /// `st_dev`.
    pub device: u64,
    /// `st_ino`.
    pub inode: u64,
}

/// A pool that was opened. Cloning is cheap; all clones are one client.
#[derive(Debug, Clone)]
pub struct Client {
    pool: Arc<Pool>,
}

impl Client {
    /// Opens the pool, after a look at what was handed over.
    ///
    /// # Errors
    /// Why it cannot be used; nothing was read from it then.
    pub fn open(auth: &Auth) -> Result<Self, Unusable> {
        Ok(Self { pool: Arc::new(Pool::open(auth)?) })
    }

    /// As [`Pool::unlooked`].
    #[cfg(test)]
    pub(crate) fn unlooked(path: &str) -> Self {
        let pool = Pool::unlooked(path.as_bytes());
        Self { pool: Arc::new(pool.unwrap_or_else(|reason| unreachable!("{reason}"))) }
    }

    /// A token if one is free now. Never blocks.
    ///
    /// # Errors
    /// The system's; `UnexpectedEof` where the pool has no writer any more.
    pub fn try_acquire(&self) -> io::Result<Option<Token>> {
        let byte = self.pool.take()?;
        Ok(byte.map(|byte| Token::new(Arc::clone(&self.pool), byte)))
    }

    /// A token as soon as one is free; `None` after `timeout`.
    ///
    /// Hold nothing while you wait: whoever holds a token and waits for a second can wait for ever.
    ///
    /// # Errors
    /// As [`Client::try_acquire`].
    pub fn acquire_timeout(&self, timeout: Duration) -> io::Result<Option<Token>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            if let Some(token) = self.try_acquire()? {
                return Ok(Some(token));
            }
            // Another client may be faster; then the wait begins again with what is left of the time.
            if !self.pool.wait(deadline)? {
                return Ok(None);
            }
        }
    }

    /// All tokens that are free now, at most `limit`, and never more than a pipe can hold: a device might not end.
    ///
    /// # Errors
    /// As [`Client::try_acquire`]; what was read before the error has gone back.
    pub fn acquire_free(&self, limit: usize) -> io::Result<Vec<Token>> {
        let mut tokens = Vec::new();
        while tokens.len() < limit.min(MOST) {
            match self.try_acquire()? {
                Some(token) => tokens.push(token),
                None => break,
            }
        }
        Ok(tokens)
    }

    /// Writes a byte that was read from this pool, be it by another process.
    ///
    /// # Errors
    /// The system's.
    pub fn return_byte(&self, byte: u8) -> io::Result<()> {
        self.pool.put(byte)
    }

    /// The end that tokens are taken from.
    pub(crate) fn reader(&self) -> BorrowedFd<'_> {
        self.pool.reader()
    }

    /// Puts new tokens in, which only the pool's maker does; `AGAIN` where there is no room.
    pub(crate) fn put_new(&self, byte: u8, count: usize) -> Result<(), Errno> {
        self.pool.fill(byte, count)
    }

    /// How many tokens are free at this moment. Takes none, so nobody is disturbed.
    ///
    /// # Errors
    /// The system's: a device need not answer.
    pub fn free(&self) -> io::Result<usize> {
        self.pool.free()
    }

    /// Which file the pool is, to find out who else has it open.
    ///
    /// # Errors
    /// The system's.
    pub fn file_id(&self) -> io::Result<FileId> {
        let stat = rustix::fs::fstat(self.pool.reader())?;
        Ok(FileId { device: stat.st_dev, inode: stat.st_ino })
    }

    /// Whether the pool is a character device, whose driver knows who holds what and takes it back from the
    /// dead.
    pub fn is_device(&self) -> bool {
        let stat = rustix::fs::fstat(self.pool.reader());
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice)
    }

    /// How many tokens could not be given back since the pool was opened.
    pub fn lost(&self) -> usize {
        self.pool.lost()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

    use super::*;

    /// A raw terminal: of the character devices that every system has, the one that holds bytes. The other side is
    /// the driver. A real driver is in `cargo xtask e2e device`, where the kernel can have one.
    fn device() -> (File, Client) {
        let driver = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&driver).unwrap();
        unlockpt(&driver).unwrap();
        let name = ptsname(&driver, Vec::new()).unwrap();
        let client = Client::unlooked(name.to_str().unwrap());
        let mut raw = tcgetattr(client.reader()).unwrap();
        raw.make_raw();
        tcsetattr(client.reader(), OptionalActions::Now, &raw).unwrap();
        (File::from(driver), client)
    }

    #[test]
    fn a_character_device_may_stand_for_a_fifo() {
        let (mut driver, client) = device();
        assert!(client.is_device());
        assert!(client.try_acquire().unwrap().is_none(), "an empty one does not block");
        driver.write_all(b"ab").unwrap();
        let first = client.acquire_timeout(Duration::from_secs(60)).unwrap().unwrap();
        let second = client.try_acquire().unwrap().unwrap();
        assert!(client.acquire_timeout(Duration::from_millis(20)).unwrap().is_none());
        assert_eq!((first.byte(), second.byte()), (b'a', b'b'));
        second.release().unwrap();
        drop(first);
        let mut returned = [0; 2];
        driver.read_exact(&mut returned).unwrap();
        assert_eq!(&returned, b"ba");
        assert_eq!(client.lost(), 0);
    }

    #[test]
    fn a_driver_that_is_gone_is_told() {
        let (driver, client) = device();
        drop(driver);
        assert!(client.try_acquire().is_err());
    }
}
