//! A file that is written before it can be seen.
//!
//! **Idea.** What a run that was killed leaves behind shall be nothing, or be taken away by the next run.
//!
//! 1. The file is made without a name (`O_TMPFILE`, open(2)), so that a run that ends while it writes leaves nothing.
//!    Where the file system or a missing `/proc` does not allow that, it has its name from the start.
//! 2. Its name is made of the target's, so that the next run that writes the same target meets what was left behind.
//! 3. It is locked (flock(2)) as long as its maker lives, and so is the old file that it changes places with. Who meets the
//!    name and gets the lock has met a dead run's file, and removes it; who does not takes another name.
//! 4. Nobody removes a name without a look at what it stands for by now.
//!
//! **Limits.** A run that ends between the link and the rename leaves its file until the next run with the same target.
//! Where locks cannot be had (some network file systems) it stays.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, RenameFlags, Uid, fchown, linkat, open, renameat_with};
use rustix::io::Errno;

use crate::fnv::fnv1a;

/// So many runs may write one target at once.
const NAMES: u32 = 1000;
/// The mode of a new file: narrowed by the umask, as for any file that a tool creates.
pub const MODE: u32 = 0o666;
/// What of a mode the owner alone may do with a file.
const OWNERS: u32 = 0o600;

/// Whose a file is, and who may do what with it.
#[derive(Debug, Clone, Copy)]
pub enum Access<'a> {
    /// As with the file whose place it takes.
    Old(&'a Metadata),
    /// The process's own, with this mode less the umask.
    New(u32),
}

/// A file beside its target. It is removed where it was not put in the target's place.
#[derive(Debug)]
pub struct Temporary {
    file: File,
    directory: PathBuf,
    /// The name without its number.
    stem: String,
    /// `None` before it has one, and after it was given up for the target's.
    name: Option<PathBuf>,
    /// What the name stands for since the file has changed places with its target.
    exchanged: Option<Exchanged>,
}

/// An old file under the temporary name.
#[derive(Debug)]
struct Exchanged {
    identity: Identity,
    /// Held for its lock; `None` where it could not be had.
    _lock: Option<File>,
}

impl Exchanged {
    fn look(name: &Path) -> Self {
        let lock = open_to_look(name).filter(|old| old.try_lock().is_ok());
        Self { identity: identity(name), _lock: lock }
    }
}

/// Which file it is, whatever its name: device and inode; `None` where there is none.
pub type Identity = Option<(u64, u64)>;

/// What stands under a name, links not followed.
pub fn identity(name: &Path) -> Identity {
    fs::symlink_metadata(name).ok().map(|status| (status.dev(), status.ino()))
}

/// What is open.
pub fn identity_of(file: &File) -> Identity {
    file.metadata().ok().map(|status| (status.dev(), status.ino()))
}

impl Temporary {
    /// An empty file in the directory of `target`.
    ///
    /// # Errors
    /// The system's.
    pub fn beside(target: &Path, access: Access<'_>) -> io::Result<Self> {
        let directory = directory(target).to_owned();
        let stem = stem(target);
        let mode = Mode::from_raw_mode(match access {
            // Never more open than the old one was, not even for a moment: its group is not yet the old one's.
            Access::Old(old) => old.mode() & OWNERS,
            Access::New(mode) => mode,
        });
        let (file, name) = match open(&directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode) {
            Ok(file) => (File::from(file), None),
            Err(_) => create(&directory, &stem, mode).map(|(file, name)| (file, Some(name)))?,
        };
        // Without a lock the next run believes it alive, which is the safe error.
        let _ = file.try_lock();
        let temporary = Self { file, directory, stem, name, exchanged: None };
        if let Access::Old(old) = access {
            keep(&temporary.file, old)?;
        }
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

    /// Lets it change places with `target`: its name has the old file then.
    ///
    /// # Errors
    /// The system's, `ENOENT` where there is no old file; nothing has changed then.
    pub fn exchange(&mut self, target: &Path) -> io::Result<()> {
        // So nobody takes it for a dead run's. What cannot be opened or locked is exchanged all the same.
        let before = Exchanged::look(target);
        let name = self.name()?.to_owned();
        renameat_with(CWD, &name, CWD, target, RenameFlags::EXCHANGE)?;
        // Another run may have replaced the target in between.
        let same = identity(&name) == before.identity;
        self.exchanged = Some(if same { before } else { Exchanged::look(&name) });
        Ok(())
    }

    /// Takes it out of the place of `target` again, which gets back its old file, if it had one. A target that somebody
    /// else has replaced since stays.
    pub fn take_back(&mut self, target: &Path) {
        if identity(target) != identity_of(&self.file) {
            return;
        }
        // What fails here cannot be helped; the error that brought us here is told.
        let _ = match (&self.name, &self.exchanged) {
            (Some(name), Some(_)) => {
                let back = renameat_with(CWD, name, CWD, target, RenameFlags::EXCHANGE);
                back.map(|()| self.exchanged = None).map_err(io::Error::from)
            }
            _ => fs::remove_file(target),
        };
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
        let (mut file, name) = create(&self.directory, &self.stem, Mode::from_raw_mode(old.mode() & OWNERS))?;
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
        let Some(name) = &self.name else { return };
        let expected = match &self.exchanged {
            Some(old) => old.identity,
            None => identity_of(&self.file),
        };
        if identity(name) == expected {
            // There is nobody to tell.
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

/// Removes what dead runs that were to replace `target` left behind.
pub fn sweep(target: &Path) {
    // A run takes the first free name, so that those behind a few free ones are free, too.
    const FREE: u32 = 3;
    let (directory, stem) = (directory(target), stem(target));
    let mut free = 0;
    for number in 0..NAMES {
        let name = directory.join(numbered(&stem, number));
        if identity(&name).is_none() {
            free += 1;
        } else {
            remove_stray(&name);
        }
        if free == FREE {
            return;
        }
    }
}

/// A target's temporary name without its number.
fn stem(target: &Path) -> String {
    // A hash, since the name itself may be too long to be a part of another.
    let name = target.file_name().unwrap_or_default().as_bytes();
    format!(".kbt-{:016x}", fnv1a(name.iter().copied()))
}

fn numbered(stem: &str, number: u32) -> String {
    if number == 0 { stem.to_owned() } else { format!("{stem}-{number}") }
}

/// Makes a file with a name and locks it.
fn create(directory: &Path, stem: &str, mode: Mode) -> io::Result<(File, PathBuf)> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
    loop {
        let (file, name) = first_free(directory, stem, |name| open(name, flags, mode))?;
        let file = File::from(file);
        let _ = file.lock();
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
        let name = directory.join(numbered(stem, number));
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
pub fn remove_stray(name: &Path) -> bool {
    let Some(file) = open_to_look(name) else { return false };
    file.metadata().is_ok_and(|metadata| metadata.is_file())
        && file.try_lock().is_ok()
        // Another run may have removed it before, and have the name now.
        && identity(name) == identity_of(&file)
        && fs::remove_file(name).is_ok()
}

/// Opens what stands under a name; neither follows a link nor waits for who opens the other end of a FIFO.
fn open_to_look(name: &Path) -> Option<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open(name, flags, Mode::empty()).ok().map(File::from)
}

/// Gives a file the owner and the permissions of another, as far as the user may.
fn keep(file: &File, old: &Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    let (owner, group) = (Uid::from_raw(old.uid()), Gid::from_raw(old.gid()));
    let kept = if (old.uid(), old.gid()) == (new.uid(), new.gid())
        || fchown(file, Some(owner), Some(group)).is_ok()
    {
        Kept::Both
    // Who may not give a file away may still give it to a group that the user is in.
    } else if old.gid() == new.gid() || fchown(file, None, Some(group)).is_ok() {
        Kept::Group
    } else {
        Kept::Neither
    };
    file.set_permissions(fs::Permissions::from_mode(kept.mode(old.mode() & 0o7777)))
}

/// What a new file has of the old one's owner and group.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Both,
    Group,
    Neither,
}

impl Kept {
    /// The new file's mode: nobody may do more with it than with the old one, and nothing acts in a wrong name.
    fn mode(self, old: u32) -> u32 {
        const GROUPS: u32 = 0o070;
        match self {
            Self::Both => old,
            Self::Group => old & 0o777,
            // Those of the new group were others to the old file.
            Self::Neither => old & (0o707 | (old << 3 & GROUPS)),
        }
    }
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
        let mut temporary = Temporary::beside(&target, Access::New(MODE)).unwrap();
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
        let mut temporary = Temporary::beside(&room.path().join("target"), Access::New(MODE)).unwrap();
        temporary.name().unwrap();
        assert_eq!(names(room.path()).len(), 1);
        drop(temporary);
        assert!(names(room.path()).is_empty());
    }

    #[test]
    fn what_a_dead_run_left_is_removed_and_what_a_living_one_has_is_not() {
        let room = room();
        let target = room.path().join("target");
        let mut living = Temporary::beside(&target, Access::New(MODE)).unwrap();
        let name = living.name().unwrap().to_owned();
        let mut second = Temporary::beside(&target, Access::New(MODE)).unwrap();
        assert_ne!(second.name().unwrap(), name);
        assert_eq!(names(room.path()).len(), 2);
        drop((living, second));

        fs::write(&name, "left behind").unwrap();
        let mut next = Temporary::beside(&target, Access::New(MODE)).unwrap();
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
        let mut temporary = Temporary::beside(&room.path().join("target"), Access::New(MODE)).unwrap();
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
        Temporary::beside(&target, Access::Old(&old)).unwrap().rename(&target).unwrap();
        let new = fs::metadata(&target).unwrap();
        assert_ne!(new.ino(), old.ino());
        assert_eq!((new.uid(), new.gid(), new.mode()), (old.uid(), old.gid(), old.mode()));
    }

    #[test]
    fn a_group_that_the_old_file_did_not_have_may_do_no_more_than_others() {
        assert_eq!(Kept::Neither.mode(0o640), 0o600);
        assert_eq!(Kept::Neither.mode(0o664), 0o644);
        assert_eq!(Kept::Neither.mode(0o6775), 0o755);
        // No bit is added.
        assert_eq!(Kept::Neither.mode(0o604), 0o604);
        assert_eq!(Kept::Group.mode(0o6775), 0o775);
        assert_eq!(Kept::Both.mode(0o6775), 0o6775);
    }

    #[test]
    fn an_old_file_under_the_temporary_name_is_nobodys_stray() {
        let room = room();
        let target = room.path().join("target");
        fs::write(&target, "old").unwrap();
        let mut first = Temporary::beside(&target, Access::New(MODE)).unwrap();
        first.exchange(&target).unwrap();
        let name = first.name().unwrap().to_owned();
        assert!(!remove_stray(&name));
        sweep(&target);
        assert_eq!(fs::read(&name).unwrap(), b"old");
        first.take_back(&target);
        assert_eq!(fs::read(&target).unwrap(), b"old");
        drop(first);
        assert_eq!(names(room.path()), ["target"]);
    }

    #[test]
    fn what_somebody_else_put_there_since_is_neither_taken_back_nor_removed() {
        let room = room();
        let target = room.path().join("target");
        let mut first = Temporary::beside(&target, Access::New(MODE)).unwrap();
        first.rename(&target).unwrap();
        Temporary::beside(&target, Access::New(MODE)).unwrap().rename(&target).unwrap();
        first.take_back(&target);
        assert!(target.exists());

        let mut second = Temporary::beside(&target, Access::New(MODE)).unwrap();
        let name = second.name().unwrap().to_owned();
        fs::remove_file(&name).unwrap();
        fs::write(&name, "another run's").unwrap();
        drop(second);
        assert!(name.exists());
    }

    #[test]
    fn strays_go_without_a_new_file() {
        let room = room();
        let target = room.path().join("target");
        for number in [0, 2, 3] {
            fs::write(room.path().join(numbered(&stem(&target), number)), "left").unwrap();
        }
        sweep(&target);
        assert!(names(room.path()).is_empty());
    }
}
