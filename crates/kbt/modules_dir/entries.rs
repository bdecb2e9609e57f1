//! The entries of directories that are open, and of those that an earlier walk has read.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::{FileType, RawDir, Stat};
use rustix::io::Errno;

/// Bytes of directory entries that are asked for at once.
const ENTRIES: usize = 32 << 10;

/// What earlier walks have read of directories, and who learns what this one reads.
pub trait Listings {
    /// The entries of the directory of this path and state, as [`Listings::learn`] got them, if nothing can have changed
    /// among them.
    fn entries(&self, path: &[u8], status: &Stat) -> Option<&[u8]>;

    /// Takes the entries of a directory that had this state before they were read: of each a byte that tells its kind, its
    /// name, a NUL.
    fn learn(&self, path: &[u8], status: &Stat, entries: Vec<u8>);
}

/// Kinds of entries whose status nobody needs to ask for, by the bytes that stand for them.
const KINDS: [(u8, FileType); 2] = [(b'f', FileType::RegularFile), (b'd', FileType::Directory)];

/// All others.
const UNKNOWN: u8 = b'?';

/// The entries of all open directories.
#[derive(Default)]
pub struct Entries {
    names: Vec<u8>,
    /// Where each name begins (it ends with a NUL), and of what kind it is.
    list: Vec<(usize, FileType)>,
    buffer: Vec<u8>,
}

impl Entries {
    /// Reads those of an open directory, but for names to `skip`; with `raw` it gets all.
    pub fn read(
        &mut self,
        directory: &OwnedFd,
        skip: &dyn Fn(&[u8]) -> bool,
        mut raw: Option<&mut Vec<u8>>,
    ) -> Result<(), Errno> {
        self.buffer.reserve(ENTRIES);
        let mut entries = RawDir::new(directory, self.buffer.spare_capacity_mut());
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if let Some(raw) = &mut raw {
                let kind = KINDS.iter().find(|(_, kind)| *kind == entry.file_type());
                raw.push(kind.map_or(UNKNOWN, |(byte, _)| *byte));
                raw.extend_from_slice(name.to_bytes_with_nul());
            }
            if !skip(name.to_bytes()) {
                self.list.push((self.names.len(), entry.file_type()));
                self.names.extend_from_slice(name.to_bytes_with_nul());
            }
        }
        Ok(())
    }

    /// Takes entries that were read earlier, but for names to `skip`.
    pub fn take(&mut self, raw: &[u8], skip: &dyn Fn(&[u8]) -> bool) {
        for entry in raw.split_inclusive(|byte| *byte == 0) {
            let Some((byte, name)) = entry.split_first() else { continue };
            if skip(name.strip_suffix(b"\0").unwrap_or(name)) {
                continue;
            }
            let kind =
                KINDS.iter().find(|(other, _)| other == byte).map_or(FileType::Unknown, |(_, kind)| *kind);
            self.list.push((self.names.len(), kind));
            self.names.extend_from_slice(name);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// One of them: its name's place, and its kind.
    pub fn get(&self, index: usize) -> Option<(usize, FileType)> {
        self.list.get(index).copied()
    }

    /// Sorts those from `start` on by their names.
    pub fn sort(&mut self, start: usize) {
        let names = &self.names;
        if let Some(list) = self.list.get_mut(start..) {
            list.sort_unstable_by_key(|&(name, _)| name_at(names, name));
        }
    }

    /// The name at a place.
    pub fn name(&self, at: usize) -> &CStr {
        name_at(&self.names, at)
    }

    /// Forgets the entries from `start` on, those of the directory that was opened last.
    pub fn close(&mut self, start: usize) {
        let names = self.list.get(start..).unwrap_or_default().iter().map(|&(name, _)| name).min();
        self.names.truncate(names.unwrap_or(self.names.len()));
        self.list.truncate(start);
    }
}

fn name_at(names: &[u8], at: usize) -> &CStr {
    CStr::from_bytes_until_nul(names.get(at..).unwrap_or_default()).unwrap_or_default()
}
