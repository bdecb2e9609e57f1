//! A file that is written before it can be seen.
//!
//! **Idea.** What a run that was killed leaves behind shall be nothing, or be taken away by the next run.
//!
//! 1. The file is made without a name (`O_TMPFILE`, open(2)), so that a run that ends while it writes leaves nothing.
//!    Where the file system or a missing `/proc` does not allow that, it has its name from the start.
//! 2. Its name is made of the target's, so that the next run that writes the same target meets what was left behind.
//! 3. It is locked (flock(2)) as long as its maker lives. Who meets the name and gets the lock has met a dead run's
//!    file, and removes it; who does not takes another name.
//!
//! **Limits.** A run that ends between the link and the rename leaves its file until the next run with the same target.
//! Where locks cannot be had (some network file systems) it stays.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, Uid, fchown, flock, linkat, open};
use rustix::io::Errno;

/// So many runs may write one target at once.
const NAMES: u32 = 1000;
/// The mode of a new file: narrowed by the umask, as for any file that a tool creates.
const MODE: u32 = 0o666;

/// A file beside its target. It is removed where it was not put in the target's place.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    directory: PathBuf,
    /// The name without its number.
    stem: String,
    /// `None` before it has one, and after it was given up for the target's.
    name: Option<PathBuf>,
}

impl Temporary {
    /// An empty file in the directory of `target`, with owner and permissions of `old`.
    ///
    /// # Errors
    /// The system's.
    pub fn beside(target: &Path, old: Option<&Metadata>) -> io::Result<Self> {
        let directory = directory(target).to_owned();
        let stem = format!(".kbt-{:016x}", fnv1a(target.file_name().unwrap_or_default()));
        // Never more open than the old one was, not even for a moment.
        let mode = Mode::from_raw_mode(old.map_or(MODE, |old| old.mode() & MODE));
        let (file, name) = match open(&directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
            Ok(file) => (File::from(file), None),
            Err(_) => create(&directory, &stem, mode).map(|(file, name)| (file, Some(name)))?,
        };
        // Without a lock the next run believes it alive, which is the safe error.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        let temporary = Self { file, directory, stem, name };
        old.map_or(Ok(()), |old| keep(&temporary.file, old))?;
        Ok(temporary)
    }

    /// What is written to.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Its name; it is given one at the first call.
    ///
    /// # Errors
    /// The system's.
    pub fn name(&mut self) -> io::Result<&Path> {
        let name = match self.name.take() {
            Some(name) => name,
            None => self.link()?,
        };
        Ok(self.name.insert(name))
    }

    /// Puts it in the place of `target`, be that there or not.
    ///
    /// # Errors
    /// The system's; `target` is as it was then.
    pub fn rename(&mut self, target: &Path) -> io::Result<()> {
        fs::rename(self.name()?, target)?;
        self.name = None;
        Ok(())
    }

    fn link(&mut self) -> io::Result<PathBuf> {
        let file = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        let link = |name: &Path| linkat(CWD, &file, CWD, name, AtFlags::SYMLINK_FOLLOW);
        match first_free(&self.directory, &self.stem, link) {
            Ok(((), name)) => Ok(name),
            // /proc is not there, or the file system cannot link such a file after all.
            Err(_) => self.copy(),
        }
    }

    fn copy(&mut self) -> io::Result<PathBuf> {
        let old = self.file.metadata()?;
        let (mut file, name) = create(&self.directory, &self.stem, Mode::from_raw_mode(old.mode() & MODE))?;
        self.file.rewind()?;
        let copied = keep(&file, &old).and_then(|()| io::copy(&mut self.file, &mut file));
        self.file = file;
        // It is removed with this value even where it could not be filled.
        self.name = Some(name.clone());
        copied.map(|_| name)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            // It may be gone already; there is nobody to tell.
            let _ = fs::remove_file(name);
        }
    }
}

/// The directory that a path is in.
pub fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes a file with a name and locks it.
fn create(directory: &Path, stem: &str, mode: Mode) -> io::Result<(File, PathBuf)> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    loop {
        let (file, name) = first_free(directory, stem, |name| open(name, flags, mode))?;
        let file = File::from(file);
        let _ = flock(&file, FlockOperation::LockExclusive);
        // Before it was locked it looked like a dead run's, and may have been removed as such.
        if file.metadata()?.nlink() > 0 {
            return Ok((file, name));
        }
    }
}

/// Takes the first of the names that is free, dead runs' included.
fn first_free<T>(
    directory: &Path,
    stem: &str,
    take: impl Fn(&Path) -> Result<T, Errno>,
) -> Result<(T, PathBuf), Errno> {
    for number in 0..NAMES {
        let name = directory.join(if number == 0 { stem.to_owned() } else { format!("{stem}-{number}") });
        let taken = match take(&name) {
            Err(Errno::EXIST) if remove_stray(&name) => take(&name),
            taken => taken,
        };
        match taken {
            Err(Errno::EXIST) => {}
            Ok(taken) => return Ok((taken, name)),
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

/// Removes what a dead run left under this name; false where it is somebody's who lives, or no file of ours.
fn remove_stray(name: &Path) -> bool {
    // Neither follows a link nor waits for who opens the other end of a FIFO.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let Ok(file) = open(name, flags, Mode::empty()).map(File::from) else { return false };
    file.metadata().is_ok_and(|metadata| metadata.is_file())
        && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
        && fs::remove_file(name).is_ok()
}

/// Gives a file the owner and the permissions of another. Who may not give a file away keeps it, and no bits that
/// would let others act in the wrong owner's name.
fn keep(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    let mut mode = old.mode() & 0o7777;
    if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
        let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
        if fchown(file, Some(owner), Some(group)).is_err() {
            mode &= 0o777;
            // Of a group that the user is in.
            let _ = fchown(file, None, Some(group));
        }
    }
    file.set_permissions(fs::Permissions::from_mode(mode))
}

/// The hash of Fowler, Noll and Vo: a name for a name, which may be too long to be a part of another.
fn fnv1a(name: &OsStr) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    name.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A room on a file system that has files without names.
    fn room() -> tempfile::TempDir {
        tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
    }

    #[test]
    fn it_is_not_seen_while_it_is_written() {
        let room = room();
        let target = room.path().join("target");
        let mut temporary = Temporary::beside(&target, None).unwrap();
        temporary.file().write_all(b"bytes").unwrap();
        assert!(names(room.path()).is_empty());
        temporary.rename(&target).unwrap();
        drop(temporary);
        assert_eq!(names(room.path()), ["target"]);
        assert_eq!(fs::read(&target).unwrap(), b"bytes");
    }

    #[test]
    fn what_is_not_renamed_goes() {
        let room = room();
        let mut temporary = Temporary::beside(&room.path().join("target"), None).unwrap();
        temporary.name().unwrap();
        assert_eq!(names(room.path()).len(), 1);
        drop(temporary);
        assert!(names(room.path()).is_empty());
    }

    #[test]
    fn what_a_dead_run_left_is_removed_and_what_a_living_one_has_is_not() {
        let room = room();
        let target = room.path().join("target");
        let mut living = Temporary::beside(&target, None).unwrap();
        let name = living.name().unwrap().to_owned();
        let mut second = Temporary::beside(&target, None).unwrap();
        assert_ne!(second.name().unwrap(), name);
        assert_eq!(names(room.path()).len(), 2);
        drop((living, second));

        fs::write(&name, "left behind").unwrap();
        let mut next = Temporary::beside(&target, None).unwrap();
        assert_eq!(next.name().unwrap(), name);
        next.rename(&target).unwrap();
        assert_eq!(names(room.path()), ["target"]);
        assert_eq!(fs::read(&target).unwrap(), b"");
    }

    #[test]
    fn without_files_without_names_there_is_a_name_from_the_start() {
        let room = room();
        let (file, name) = create(room.path(), ".kbt-x", Mode::from_raw_mode(0o600)).unwrap();
        assert!(!remove_stray(&name), "it is locked");
        drop(file);
        let (again, same) = create(room.path(), ".kbt-x", Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(same, name);
        assert_eq!(again.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_file_of_ours_stays() {
        let room = room();
        fs::create_dir(room.path().join(".kbt-x")).unwrap();
        std::os::unix::fs::symlink("nowhere", room.path().join(".kbt-x-1")).unwrap();
        let (_, name) = create(room.path(), ".kbt-x", Mode::from_raw_mode(0o600)).unwrap();
        assert_eq!(name, room.path().join(".kbt-x-2"));
    }

    #[test]
    fn a_copy_has_bytes_owner_and_permissions() {
        let room = room();
        let mut temporary = Temporary::beside(&room.path().join("target"), None).unwrap();
        temporary.file().write_all(b"bytes").unwrap();
        temporary.file().set_permissions(fs::Permissions::from_mode(0o640)).unwrap();
        let name = temporary.copy().unwrap();
        assert_eq!(fs::read(&name).unwrap(), b"bytes");
        assert_eq!(fs::metadata(&name).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn owner_and_permissions_of_the_old_file_are_kept() {
        let room = room();
        let target = room.path().join("target");
        fs::write(&target, "old").unwrap();
        fs::set_permissions(&target, fs::Permissions::from_mode(0o4750)).unwrap();
        // Only root can give a file away; for a user the owner is the same before and after.
        let _ = std::os::unix::fs::chown(&target, Some(65534), Some(65534));
        fs::set_permissions(&target, fs::Permissions::from_mode(0o4750)).unwrap();
        let old = fs::metadata(&target).unwrap();
        Temporary::beside(&target, Some(&old)).unwrap().rename(&target).unwrap();
        let new = fs::metadata(&target).unwrap();
        assert_ne!(new.ino(), old.ino());
        assert_eq!((new.uid(), new.gid(), new.mode()), (old.uid(), old.gid(), old.mode()));
    }
}
