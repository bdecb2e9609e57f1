//! Reading what a command is given: a file, standard input, or an entry of a DTBO image.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use crate::dtbo::image;
use crate::report::Failure;

/// A flattened device tree states its size in 32 bits; nothing that kbt reads whole is larger.
const MAX_FILE: u64 = u32::MAX as u64;

/// Bytes of the longest header of a flattened device tree.
const BLOB_HEADER: u64 = 40;

/// Reads a whole file, or standard input for `-`.
pub fn read(word: &OsStr) -> Result<Vec<u8>, Failure> {
    let named = name(word);
    let bytes = if word == "-" { read_stdin() } else { read_file(Path::new(word)) };
    bytes.map_err(|error| Failure::io("read", named, &error))
}

/// How messages name this input.
pub fn name(word: &OsStr) -> String {
    if word == "-" { "standard input".to_owned() } else { word.to_string_lossy().into_owned() }
}

fn read_stdin() -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    checked(bytes)
}

fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length > MAX_FILE {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(length).map_err(|_| too_large())?)?;
    file.by_ref().take(MAX_FILE + 1).read_to_end(&mut bytes)?;
    checked(bytes)
}

fn checked(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if bytes.len() as u64 > MAX_FILE { Err(too_large()) } else { Ok(bytes) }
}

fn too_large() -> io::Error {
    io::Error::other("larger than 4 GiB")
}

/// An argument that may name an entry of a DTBO image: `IMAGE#INDEX`, `IMAGE#id=N,rev=N`.
#[derive(Debug, Clone)]
pub struct EntryRef {
    /// The file before the `#`.
    pub image: OsString,
    /// The text behind it.
    pub selector: String,
}

/// Reads a device tree: a file, standard input for `-`, or an entry of a DTBO image (`IMAGE#SELECTOR`), decompressed
/// to at most [`image::DEFAULT_MAX_SIZE`] bytes.
pub fn read_tree(word: &OsStr) -> Result<Vec<u8>, Failure> {
    match entry_ref(word) {
        Some(reference) => image::read_entry(&reference, image::DEFAULT_MAX_SIZE),
        None => read_blob(word),
    }
}

/// Reads as many bytes as the header states and no more, so that an endless input ends: what follows is no part of
/// the tree. What is no tree is read as far as its header.
fn read_blob(word: &OsStr) -> Result<Vec<u8>, Failure> {
    let failed = |error: io::Error| Failure::io("read", name(word), &error);
    let mut source: Box<dyn Read> =
        if word == "-" { Box::new(io::stdin().lock()) } else { Box::new(File::open(word).map_err(failed)?) };
    let mut bytes = Vec::new();
    source.by_ref().take(BLOB_HEADER).read_to_end(&mut bytes).map_err(failed)?;
    if let Ok(header) = kbt_fdt::Header::parse(&bytes) {
        let rest = u64::from(header.totalsize).saturating_sub(BLOB_HEADER);
        source.take(rest).read_to_end(&mut bytes).map_err(failed)?;
    }
    Ok(bytes)
}

/// Splits `IMAGE#SELECTOR`. A file whose whole name is the word, `#` included, is taken as that file.
pub fn entry_ref(word: &OsStr) -> Option<EntryRef> {
    let text = word.as_encoded_bytes();
    let hash = text.iter().rposition(|&byte| byte == b'#')?;
    let selector = word.to_str()?.get(hash + 1..)?.to_owned();
    if hash == 0 || fs::symlink_metadata(word).is_ok() {
        return None;
    }
    Some(EntryRef { image: word.to_str()?.get(..hash)?.into(), selector })
}
