//! Changes in a file itself, for files of which a copy costs too much: all of them or, after a crash, none.
//!
//! Before the first byte changes, an undo file beside the target has the bytes that will be there before and after. It is
//! renamed into its place when it is whole, and removed when all changes are written. Who finds one, finds a run that was
//! killed in between: every byte of its places is either the old or the new one, and the old ones are written again. Where
//! a byte is neither, the file was made anew since, and the undo file is of no use.
//!
//! **Limits.** A run that is killed is undone; a power failure only where the run was asked to wait for the disk. The
//! target is locked meanwhile (flock(2)), so that no run takes a living one for a dead one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use kbt_elf::Edit;

use crate::output::Output;
use crate::report::Failure;

/// What an undo file begins with.
const MAGIC: &[u8; 8] = b"KBTUNDO1";
/// What is behind the target's name in the undo file's.
const SUFFIX: &str = ".kbt-undo";

/// A file that is changed in its place.
#[derive(Debug)]
pub struct InPlace {
    /// As the user named it.
    name: PathBuf,
    file: File,
    undo: PathBuf,
}

/// What an undo file was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recovery {
    /// There was none.
    None,
    /// The old bytes are back.
    Undone,
    /// It was not of this file as it is now.
    Stale,
}

/// One place: what is there before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    offset: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

impl InPlace {
    /// Opens and locks a file. A symbolic link is followed.
    pub fn open(name: &Path) -> Result<Self, Failure> {
        let failed = |action: &str, error: io::Error| Failure::io(action, name.display(), &error);
        let target = fs::canonicalize(name).map_err(|error| failed("open", error))?;
        let file =
            OpenOptions::new().read(true).write(true).open(&target).map_err(|error| failed("open", error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new("busy", "another run is changing it").at_file(name.display()));
            }
            // Some network file systems have no locks.
            Err(TryLockError::Error(_)) => {}
        }
        let mut undo = target.into_os_string();
        undo.push(SUFFIX);
        Ok(Self { name: name.to_owned(), file, undo: undo.into() })
    }

    /// Undoes what a killed run has left.
    pub fn recover(&self, sync: bool) -> Result<Recovery, Failure> {
        match fs::symlink_metadata(&self.undo) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Recovery::None),
            Err(error) => return Err(self.failed_undo("read", &error)),
            Ok(found) if !found.is_file() => {
                let message = "this is no file that a killed run could have left";
                return Err(Failure::new("bad-undo-file", message).at_file(self.undo.display()));
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&self.undo).map_err(|error| self.failed_undo("read", &error))?;
        let changes = decode(&bytes).filter(|changes| changes.iter().all(|change| self.is_either(change)));
        let recovery = if changes.is_some() { Recovery::Undone } else { Recovery::Stale };
        for change in changes.unwrap_or_default() {
            self.write(&change.old, change.offset)?;
        }
        if sync {
            self.file.sync_data().map_err(|error| self.failed("write", &error))?;
        }
        self.remove_undo()?;
        Ok(recovery)
    }

    /// Whether every byte of the place is the old or the new one.
    fn is_either(&self, change: &Change) -> bool {
        let mut now = vec![0; change.old.len()];
        let read = self.file.read_exact_at(&mut now, change.offset).is_ok();
        let mut bytes = now.iter().zip(&change.old).zip(&change.new);
        read && change.new.len() == now.len() && bytes.all(|((now, old), new)| now == old || now == new)
    }

    /// Writes the edits. Where that fails nothing has changed.
    pub fn apply(&self, edits: &[Edit], sync: bool) -> Result<(), Failure> {
        let mut changes = Vec::with_capacity(edits.len());
        for edit in edits {
            let mut old = vec![0; edit.bytes.len()];
            self.file.read_exact_at(&mut old, edit.offset).map_err(|error| self.failed("read", &error))?;
            changes.push(Change { offset: edit.offset, old, new: edit.bytes.clone() });
        }
        Output::File(self.undo.clone()).write(&encode(&changes), sync)?;
        for edit in edits {
            if let Err(failure) = self.write(&edit.bytes, edit.offset) {
                self.recover(sync)?;
                return Err(failure);
            }
        }
        if sync {
            self.file.sync_data().map_err(|error| self.failed("write", &error))?;
        }
        self.remove_undo()
    }

    fn write(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        self.file.write_all_at(bytes, offset).map_err(|error| self.failed("write", &error))
    }

    fn remove_undo(&self) -> Result<(), Failure> {
        fs::remove_file(&self.undo).map_err(|error| self.failed_undo("remove", &error))
    }

    fn failed(&self, action: &str, error: &io::Error) -> Failure {
        Failure::io(action, self.name.display(), error)
    }

    fn failed_undo(&self, action: &str, error: &io::Error) -> Failure {
        Failure::io(action, self.undo.display(), error)
    }
}

/// The bytes of an undo file: the magic; of each place the offset, the length, the old and the new bytes; a sum of it all.
fn encode(changes: &[Change]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for change in changes {
        bytes.extend(change.offset.to_le_bytes());
        bytes.extend((change.old.len() as u64).to_le_bytes());
        bytes.extend_from_slice(&change.old);
        bytes.extend_from_slice(&change.new);
    }
    bytes.extend(sum(&bytes).to_le_bytes());
    bytes
}

/// Reads an undo file; `None` where it is none, or not whole.
fn decode(bytes: &[u8]) -> Option<Vec<Change>> {
    let (body, stated) = bytes.split_last_chunk::<8>()?;
    if u64::from_le_bytes(*stated) != sum(body) {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?;
    let mut changes = Vec::new();
    while !rest.is_empty() {
        let offset = u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?);
        let len = u64::from_le_bytes(*rest.split_off(..8)?.first_chunk()?);
        let len = usize::try_from(len).ok()?;
        let (old, new) = (rest.split_off(..len)?.to_vec(), rest.split_off(..len)?.to_vec());
        changes.push(Change { offset, old, new });
    }
    Some(changes)
}

/// A sum by which a torn file shows: eight bytes at a time, each position with its own weight.
fn sum(bytes: &[u8]) -> u64 {
    let step = |sum: u64, chunk: &[u8]| {
        let mut word = [0; 8];
        word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
        (sum ^ u64::from_le_bytes(word)).wrapping_mul(0x0100_0000_01b3).rotate_left(23)
    };
    bytes.chunks(8).fold(bytes.len() as u64 ^ 0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of ten bytes.
    fn file() -> (tempfile::TempDir, PathBuf) {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("file");
        fs::write(&path, "0123456789").unwrap();
        (room, path)
    }

    fn edits() -> Vec<Edit> {
        vec![Edit { offset: 1, bytes: b"abc".to_vec() }, Edit { offset: 8, bytes: b"yz".to_vec() }]
    }

    fn undo_of(path: &Path) -> PathBuf {
        path.with_file_name("file.kbt-undo")
    }

    fn changes() -> Vec<Change> {
        let change = |offset, old: &[u8], new: &[u8]| Change { offset, old: old.to_vec(), new: new.to_vec() };
        vec![change(1, b"123", b"abc"), change(8, b"89", b"yz")]
    }

    #[test]
    fn edits_are_written_and_nothing_is_left() {
        let (room, path) = file();
        for sync in [false, true] {
            InPlace::open(&path).unwrap().apply(&edits(), sync).unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"0abc4567yz");
        }
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
        assert_eq!(InPlace::open(&path).unwrap().recover(false).unwrap(), Recovery::None);
    }

    #[test]
    fn a_killed_run_is_undone_wherever_it_was_killed() {
        let (_room, path) = file();
        let text = b"0123456789";
        let done = b"0abc4567yz";
        for written in 0..=text.len() {
            // The first bytes are written, the others are not.
            fs::write(&path, [&done[..written], &text[written..]].concat()).unwrap();
            fs::write(undo_of(&path), encode(&changes())).unwrap();
            assert_eq!(InPlace::open(&path).unwrap().recover(false).unwrap(), Recovery::Undone);
            assert_eq!(fs::read(&path).unwrap(), text);
            assert!(!undo_of(&path).exists());
        }
    }

    #[test]
    fn what_was_made_anew_stays_as_it_is() {
        let (_room, path) = file();
        for new in [&b"01X3456789"[..], b"", b"01234567"] {
            fs::write(&path, new).unwrap();
            fs::write(undo_of(&path), encode(&changes())).unwrap();
            assert_eq!(InPlace::open(&path).unwrap().recover(false).unwrap(), Recovery::Stale);
            assert_eq!(fs::read(&path).unwrap(), new);
            assert!(!undo_of(&path).exists());
        }
    }

    #[test]
    fn a_torn_undo_file_is_of_no_use() {
        let bytes = encode(&changes());
        assert_eq!(decode(&bytes), Some(changes()));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "{len}");
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            assert_eq!(decode(&broken), None, "{at}");
        }
    }

    #[test]
    fn an_edit_outside_changes_nothing() {
        let (room, path) = file();
        let edits = [edits(), vec![Edit { offset: 9, bytes: b"xx".to_vec() }]].concat();
        assert!(InPlace::open(&path).unwrap().apply(&edits, false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }

    #[test]
    fn two_runs_do_not_meet() {
        let (_room, path) = file();
        let first = InPlace::open(&path).unwrap();
        assert_eq!(InPlace::open(&path).unwrap_err().code, "busy");
        drop(first);
        assert!(InPlace::open(&path).is_ok());
    }
}
