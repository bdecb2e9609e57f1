//! Changes in a file itself, for files of which a copy costs too much: all of them or, after a crash, none.
//!
//! Before the first byte changes, an undo file beside the target has the bytes that will be there before and after. It is
//! renamed into its place when it is whole, and removed when all changes are written. Who finds one, finds a run that was
//! killed in between: every byte of its places is either the old or the new one, and the old ones are written again. Where
//! a byte is neither, the file was made anew since, and the undo file is of no use.
//!
//! The file is opened once and locked (flock(2)), so that no run takes a living one for a dead one: who reads it reads what is
//! open ([`InPlace::opened`]). A name that leads to another file by then, as behind a build that renames, is opened anew; one that
//! does so later is an error, and nothing changes.
//!
//! **Limits.** A run that is killed is undone; a power failure only where the run was asked to wait for the disk.

mod undo;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use kbt_elf::Edit;

pub use undo::Change;
use undo::decode;

use crate::output::{Set, identity, identity_of};
use crate::report::{Failure, Report};

/// What is behind the target's name in the undo file's.
const SUFFIX: &str = ".kbt-undo";

/// A file that is changed in its place.
#[derive(Debug)]
pub struct InPlace {
    /// As the user named it.
    name: PathBuf,
    /// Where that leads to.
    target: PathBuf,
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

impl InPlace {
    /// Opens and locks a file. A symbolic link is followed.
    pub fn open(name: &Path) -> Result<Self, Failure> {
        let failed = |action: &str, error: io::Error| Failure::io(action, name.display(), &error);
        let target = fs::canonicalize(name).map_err(|error| failed("open", error))?;
        if !fs::metadata(&target).is_ok_and(|found| found.is_file()) {
            let message = "this is no regular file: it cannot be changed in its place";
            return Err(Failure::new("not-a-file", message).at_file(name.display()));
        }
        loop {
            let file = OpenOptions::new().read(true).write(true).open(&target);
            let place = Self {
                name: name.to_owned(),
                undo: undo_of(target.clone()),
                target: target.clone(),
                file: file.map_err(|error| failed("open", error))?,
            };
            if place.lock()? {
                return Ok(place);
            }
        }
    }

    /// Locks the file; whether it is still the one that the name leads to.
    fn lock(&self) -> Result<bool, Failure> {
        match self.file.try_lock() {
            // Some network file systems have no locks.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(self.is_there()),
            Err(TryLockError::WouldBlock) => {
                Err(Failure::new("busy", "another run is changing it").at_file(self.name.display()))
            }
        }
    }

    fn is_there(&self) -> bool {
        identity(&self.target) == identity_of(&self.file)
    }

    /// The file that is changed, to be read.
    pub fn opened(&self) -> Result<File, Failure> {
        self.file.try_clone().map_err(|error| self.failed("open", &error))
    }

    /// Opens a file and undoes what a killed run has left, which is told.
    pub fn recovered(name: &Path, sync: bool, report: &mut Report) -> Result<Self, Failure> {
        let place = Self::open(name)?;
        match place.recover(sync)? {
            Recovery::None => {}
            Recovery::Undone => {
                let message = "a run that was killed had begun to change it; that was undone first";
                report.warn(Failure::new("undone", message).at_file(name.display()));
            }
            Recovery::Stale => report.warn(stale(name)),
        }
        Ok(place)
    }

    /// As [`Self::recovered`], for a run that replaces the file or only reads it: it is not even opened where nothing was left.
    pub fn recover_before(name: &Path, sync: bool, report: &mut Report) -> Result<(), Failure> {
        let Ok(target) = fs::canonicalize(name) else { return Ok(()) };
        match fs::symlink_metadata(undo_of(target)) {
            Ok(_) => Self::recovered(name, sync, report).map(drop),
            Err(_) => Ok(()),
        }
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
            // Whatever that is, it is not read whole only to be told so.
            Ok(found) if found.len() > self.longest_undo()? => {
                self.remove_undo()?;
                return Ok(Recovery::Stale);
            }
            Ok(_) => {}
        }
        let bytes = fs::read(&self.undo).map_err(|error| self.failed_undo("read", &error))?;
        let changes = decode(&bytes).filter(|changes| changes.iter().all(|change| self.is_either(change)));
        let recovery = if changes.is_some() { Recovery::Undone } else { Recovery::Stale };
        for change in changes.unwrap_or_default() {
            self.put_back(&change)?;
        }
        if sync {
            self.file.sync_data().map_err(|error| self.failed("write", &error))?;
        }
        self.remove_undo()?;
        Ok(recovery)
    }

    /// No undo file of this file is longer, in bytes: not if each of its bytes were a change of its own.
    fn longest_undo(&self) -> Result<u64, Failure> {
        let found = self.file.metadata().map_err(|error| self.failed("read", &error))?;
        Ok(found.len().saturating_mul(undo::OF_A_BYTE).saturating_add(undo::FRAME))
    }

    /// Whether every byte of the place is the old or the new one.
    fn is_either(&self, change: &Change<'_>) -> bool {
        let mut now = vec![0; change.old.len()];
        let read = self.file.read_exact_at(&mut now, change.offset).is_ok();
        let mut bytes = now.iter().zip(&*change.old).zip(change.new);
        read && change.new.len() == now.len() && bytes.all(|((now, old), new)| now == old || now == new)
    }

    /// Writes the old bytes from the first that differs to the last: where the new ones could not be written, as beyond
    /// `ulimit -f`, the old ones, which are there yet, could not either.
    fn put_back(&self, change: &Change<'_>) -> Result<(), Failure> {
        let mut now = vec![0; change.old.len()];
        self.file.read_exact_at(&mut now, change.offset).map_err(|error| self.failed("read", &error))?;
        let same = |(now, old): (&u8, &u8)| now == old;
        let before = now.iter().zip(&*change.old).take_while(|&pair| same(pair)).count();
        let (now, old) = (&now[before..], &change.old[before..]);
        let after = now.iter().rev().zip(old.iter().rev()).take_while(|&pair| same(pair)).count();
        self.write(&old[..old.len() - after], change.offset + before as u64)
    }

    /// An edit as a change of what the file has now.
    pub fn change<'a>(&self, edit: &'a Edit) -> Result<Change<'a>, Failure> {
        let mut old = vec![0; edit.bytes.len()];
        self.file.read_exact_at(&mut old, edit.offset).map_err(|error| self.failed("read", &error))?;
        Ok(Change { offset: edit.offset, old: old.into(), new: &edit.bytes })
    }

    /// Writes the changes. Where that fails nothing has changed.
    pub fn apply(&self, changes: &[Change<'_>], sync: bool) -> Result<(), Failure> {
        if !self.is_there() {
            let message = "another file was put in its place meanwhile: nothing is changed";
            return Err(Failure::new("replaced", message).at_file(self.name.display()));
        }
        let write = |file: &mut dyn io::Write| undo::encode(changes, &mut |part| file.write_all(part));
        let mut undo = Set::default();
        undo.add_pieces(&self.undo, &write)?;
        undo.publish(sync)?;
        for change in changes {
            if let Err(failure) = self.write(change.new, change.offset) {
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

/// The undo file of a target.
fn undo_of(target: PathBuf) -> PathBuf {
    let mut undo = target.into_os_string();
    undo.push(SUFFIX);
    undo.into()
}

/// What is told of an undo file that is of no use.
pub fn stale(name: &Path) -> Failure {
    let message = "it was made anew since a run was killed that had begun to change it: nothing is undone";
    Failure::new("stale-undo", message).at_file(name.display())
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

    fn apply(path: &Path, edits: &[Edit], sync: bool) -> Result<(), Failure> {
        let place = InPlace::open(path)?;
        let changes = edits.iter().map(|edit| place.change(edit)).collect::<Result<Vec<_>, _>>()?;
        place.apply(&changes, sync)
    }

    /// The undo file of [`edits`] in [`file`], as a run that is killed leaves it.
    fn undo_bytes() -> Vec<u8> {
        let change = |offset, old: &'static [u8], new| Change { offset, old: old.into(), new };
        let changes = [change(1, b"123", b"abc"), change(8, b"89", b"yz")];
        let mut bytes = Vec::new();
        let mut write = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok::<_, ()>(())
        };
        undo::encode(&changes, &mut write).unwrap();
        bytes
    }

    #[test]
    fn edits_are_written_and_nothing_is_left() {
        let (room, path) = file();
        for sync in [false, true] {
            apply(&path, &edits(), sync).unwrap();
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
            fs::write(undo_of(&path), undo_bytes()).unwrap();
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
            fs::write(undo_of(&path), undo_bytes()).unwrap();
            assert_eq!(InPlace::open(&path).unwrap().recover(false).unwrap(), Recovery::Stale);
            assert_eq!(fs::read(&path).unwrap(), new);
            assert!(!undo_of(&path).exists());
        }
    }

    #[test]
    fn what_is_too_long_to_be_of_this_file_is_not_read() {
        let (_room, path) = file();
        let undo = fs::File::create(undo_of(&path)).unwrap();
        undo.set_len(1 << 40).unwrap();
        assert_eq!(InPlace::open(&path).unwrap().recover(false).unwrap(), Recovery::Stale);
        assert!(!undo_of(&path).exists());
        // Each byte a change of its own: as long as it can be.
        let edits: Vec<_> = (0..10).map(|offset| Edit { offset, bytes: b"x".to_vec() }).collect();
        let place = InPlace::open(&path).unwrap();
        let changes: Vec<_> = edits.iter().map(|edit| place.change(edit).unwrap()).collect();
        let mut bytes = Vec::new();
        undo::encode(&changes, &mut |part| {
            bytes.extend_from_slice(part);
            Ok::<_, ()>(())
        })
        .unwrap();
        fs::write(undo_of(&path), bytes).unwrap();
        assert_eq!(place.recover(false).unwrap(), Recovery::Undone);
    }

    #[test]
    fn an_edit_outside_changes_nothing() {
        let (room, path) = file();
        let edits = [edits(), vec![Edit { offset: 9, bytes: b"xx".to_vec() }]].concat();
        assert!(apply(&path, &edits, false).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"0123456789");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_that_lost_its_name_is_not_changed() {
        let (room, path) = file();
        let (place, unlocked) = (InPlace::open(&path).unwrap(), InPlace::open(&path).unwrap_err());
        assert_eq!(unlocked.code, "busy");
        let edits = edits();
        let changes: Vec<_> = edits.iter().map(|edit| place.change(edit).unwrap()).collect();
        fs::write(room.path().join("new"), "9876543210").unwrap();
        fs::rename(room.path().join("new"), &path).unwrap();
        assert_eq!(place.apply(&changes, false).unwrap_err().code, "replaced");
        // As between opening and locking it.
        assert!(!place.lock().unwrap());
        for read in [fs::read(&path).unwrap(), fs::read(room.path().join("file")).unwrap()] {
            assert_eq!(read, b"9876543210");
        }
        assert_eq!(std::io::read_to_string(place.opened().unwrap()).unwrap(), "0123456789");
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 1);
        // The one that has it now is another.
        InPlace::open(&path).unwrap();
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
