//! Reading what a command is given: a file, or standard input for `-`.
//!
//! What is read whole is bounded: a regular file by its size, which is looked at before a byte is read, what has none by
//! what it gives.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, open};
use rustix::io::retry_on_intr;

use crate::report::Failure;

/// The formats that kbt reads whole state their sizes in 32 bits; nothing of them is larger.
pub const MAX_FILE: u64 = u32::MAX as u64;

/// A character device is a terminal, or has no end (`/dev/zero`).
const MAX_OF_DEVICE: u64 = 1 << 20;

/// Bytes that are looked at before the rest is read: the longest header that says how long its file is.
const HEAD: u64 = 40;

/// How messages name this input.
pub fn name(word: &OsStr) -> String {
    if word == "-" { "standard input".to_owned() } else { word.to_string_lossy().into_owned() }
}

/// Reads all of an input.
pub fn read(word: &OsStr) -> Result<Vec<u8>, Failure> {
    read_headed(word, |_| MAX_FILE)
}

/// Reads as many bytes as `size` makes of the first 40, and no more: an endless input ends, and what is of the wrong
/// kind is not read at all.
pub fn read_headed(word: &OsStr, size: impl FnOnce(&[u8]) -> u64) -> Result<Vec<u8>, Failure> {
    read_word(word, size).map_err(|error| Failure::io("read", name(word), &error))
}

fn read_word(word: &OsStr, size: impl FnOnce(&[u8]) -> u64) -> io::Result<Vec<u8>> {
    if word == "-" {
        let input = io::stdin().lock();
        let status = fstat(&input)?;
        return read_bounded(input, &status, size);
    }
    let file = File::open(word)?;
    let status = fstat(&file)?;
    read_bounded(file, &status, size)
}

/// Opens a file that was found, not named: a FIFO would be waited for, perhaps for ever, and is refused.
///
/// # Errors
/// The system's.
pub fn open_found(path: impl AsRef<Path>) -> io::Result<File> {
    // Without the flag the wait is in open(2) already. Reading a regular file knows no waiting.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = retry_on_intr(|| open(path.as_ref(), flags, Mode::empty()))?;
    if FileType::from_raw_mode(fstat(&file)?.st_mode) == FileType::Fifo {
        return Err(io::Error::other("this is a FIFO"));
    }
    Ok(file.into())
}

/// Reads all of a file.
///
/// # Errors
/// The system's, and a file that is larger than anything that kbt reads.
pub fn read_file(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    read_opened(File::open(path)?)
}

/// Reads all of a file that was opened.
///
/// # Errors
/// As [`read_file`]'s.
pub fn read_opened(file: File) -> io::Result<Vec<u8>> {
    let status = fstat(&file)?;
    read_bounded(file, &status, |_| MAX_FILE)
}

fn read_bounded(
    mut source: impl Read,
    status: &Stat,
    size: impl FnOnce(&[u8]) -> u64,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut bytes)?;
    let wanted = size(&bytes);
    let kind = FileType::from_raw_mode(status.st_mode);
    let stated = u64::try_from(status.st_size).unwrap_or_default();
    let most = match kind {
        FileType::CharacterDevice => wanted.min(MAX_OF_DEVICE),
        FileType::RegularFile if wanted == MAX_FILE && stated > wanted => return Err(too_large()),
        _ => wanted,
    };
    let rest = most.saturating_sub(bytes.len() as u64);
    if kind == FileType::RegularFile {
        let hint = usize::try_from(rest.min(stated)).unwrap_or_default();
        bytes.try_reserve_exact(hint).map_err(|_| io::ErrorKind::OutOfMemory)?;
    }
    source.by_ref().take(rest).read_to_end(&mut bytes)?;
    if most < wanted && bytes.len() as u64 >= most {
        return Err(io::Error::other("a character device that gives more than 1 MiB has no end"));
    }
    if wanted >= MAX_FILE && source.read(&mut [0])? != 0 {
        return Err(too_large());
    }
    Ok(bytes)
}

fn too_large() -> io::Error {
    io::Error::other("larger than 4 GiB")
}
