//! Reading what a command is given: a file, or standard input for `-`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};

use crate::report::Failure;

/// The formats that kbt reads whole state their sizes in 32 bits; nothing of them is larger.
pub const MAX_FILE: u64 = u32::MAX as u64;

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
    read_bytes(word, size).map_err(|error| Failure::io("read", name(word), &error))
}

fn read_bytes(word: &OsStr, size: impl FnOnce(&[u8]) -> u64) -> io::Result<Vec<u8>> {
    let mut source: Box<dyn Read> =
        if word == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(word)?) };
    let mut bytes = Vec::new();
    source.by_ref().take(HEAD).read_to_end(&mut bytes)?;
    let size = size(&bytes);
    let rest = size.saturating_sub(bytes.len() as u64);
    source.by_ref().take(rest).read_to_end(&mut bytes)?;
    if size >= MAX_FILE && source.read(&mut [0])? != 0 {
        return Err(io::Error::other("larger than 4 GiB"));
    }
    Ok(bytes)
}
