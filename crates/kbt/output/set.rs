//! Files that appear together or not at all.
//!
//! **Phases.** All are written beside their targets, then all are brought to the disk if that is asked for. Then, one run at
//! a time in a directory, each changes places with its target (renameat2(2), `RENAME_EXCHANGE`), so that a failure midway
//! can be undone; last, what was replaced goes.
//!
//! **Limits.** Who reads while the places change meets old files and new ones, and so does who comes after a run that was
//! killed between two of these calls. Where the file system cannot exchange, what appeared stays. What is no regular file
//! is written to, before the first place changes.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use kbt_elf::Edit;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::lock::Lock;
use super::temporary::{Access, Identity, MODE, Temporary, directory, identity, sweep};
use super::{BUFFER, Pieces, Place, cannot_write, name_place, place, write_through};
use crate::inputs::Inputs;
use crate::report::Failure;

/// From so many files on the process asks for more descriptors; it has 1024 as a rule, and two for each file.
const FEW: usize = 16;

/// Files to be published together.
#[derive(Debug, Default)]
pub struct Set<'i> {
    /// What none of them may replace.
    inputs: Option<&'i Inputs>,
    staged: Vec<Staged>,
    /// The directory and the name of each target.
    targets: HashSet<(Identity, OsString)>,
}

#[derive(Debug)]
struct Staged {
    /// As the caller named it.
    path: PathBuf,
    content: Content,
}

#[derive(Debug)]
enum Content {
    /// Written, and not to be seen yet.
    File { temporary: Temporary, target: PathBuf, state: State },
    /// For what cannot be replaced.
    Bytes(Vec<u8>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hidden,
    Appeared,
    /// The file system could not exchange: there is no old file to go back to.
    Replaced,
}

/// Whether a file is the result for which [`Inputs::changed`] makes an exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Changed,
    Other,
}

impl<'i> Set<'i> {
    /// Results that are made of these inputs and may not replace them.
    pub fn made_of(inputs: &'i Inputs) -> Self {
        Self { inputs: Some(inputs), ..Self::default() }
    }

    /// What the results are made of.
    pub fn inputs(&self) -> Option<&'i Inputs> {
        self.inputs
    }

    /// Adds a file as [`Output::write`](super::Output::write) would write it: behind symbolic links, with owner and
    /// permissions kept. When this returns its bytes are written, but not to be seen.
    ///
    /// # Errors
    /// The system's, and where it would replace an input. To drop the set leaves everything as it was.
    pub fn add(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        self.add_pieces(path, &|file| file.write_all(bytes))
    }

    /// The same for a file that `write` writes in pieces.
    ///
    /// # Errors
    /// As [`Set::add`].
    pub fn add_pieces(&mut self, path: &Path, write: &Pieces<'_>) -> Result<(), Failure> {
        self.stage(path, place(path), Role::Other, |place| Content::of(place, write))
    }

    /// The same for the result that may be one of the inputs, changed.
    ///
    /// # Errors
    /// As [`Set::add`].
    pub fn add_changed(&mut self, path: &Path, write: &Pieces<'_>) -> Result<(), Failure> {
        self.stage(path, place(path), Role::Changed, |place| Content::of(place, write))
    }

    /// Adds a file that takes the place of what has this name, be it a symbolic link: nothing outside of its directory
    /// is written to.
    ///
    /// # Errors
    /// As [`Set::add`].
    pub fn add_name(&mut self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let write: &Pieces<'_> = &|file| file.write_all(bytes);
        self.stage(path, name_place(path), Role::Other, |place| Content::of(place, write))
    }

    /// As [`Set::add_name`], but the file is the process's own and has `mode` less the umask, whatever was there.
    ///
    /// # Errors
    /// As [`Set::add`].
    pub fn add_own(&mut self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), Failure> {
        self.stage(path, name_place(path), Role::Other, |place| match place {
            Place::File { target, .. } => {
                Content::written(target, Access::New(mode), &|file| file.write_all(bytes))
            }
            Place::Through(_) => Ok(Content::Bytes(bytes.to_vec())),
        })
    }

    /// Adds a file that is a copy of `source` with some bytes changed. The copy is the system's: file systems that can
    /// share blocks do.
    ///
    /// # Errors
    /// The system's, and a target that cannot be replaced.
    pub fn add_edited(&mut self, path: &Path, source: &Path, edits: &[Edit]) -> Result<(), Failure> {
        self.stage(path, place(path), Role::Changed, |place| Content::edited(place, source, edits))
    }

    fn stage(
        &mut self,
        path: &Path,
        place: io::Result<Place>,
        role: Role,
        content: impl FnOnce(Place) -> io::Result<Content>,
    ) -> Result<(), Failure> {
        let place = place.map_err(|error| cannot_write(path, &error))?;
        if let (Some(inputs), Some(old)) = (self.inputs, place.old()) {
            inputs.spare(path, old, role == Role::Changed)?;
        }
        let content = content(place).map_err(|error| cannot_write(path, &error))?;
        if let Content::File { target, .. } = &content {
            let name = target.file_name().unwrap_or_default().to_owned();
            if !self.targets.insert((identity(&directory(target).join(".")), name)) {
                return Err(
                    Failure::usage("two results of this run would have this name").at_file(path.display())
                );
            }
        }
        self.staged.push(Staged { path: path.to_owned(), content });
        if self.staged.len() == FEW {
            ask_for_descriptors();
        }
        Ok(())
    }

    /// Removes what dead runs have left beside a file that stays as it is.
    pub fn sweep(path: &Path) {
        sweep(path);
    }

    /// Lets all files appear. With `sync` their bytes are on the disk before the first does, and their names when this
    /// returns.
    ///
    /// # Errors
    /// The system's; what had appeared went back to what it was.
    pub fn publish(self, sync: bool) -> Result<(), Failure> {
        self.publish_after(sync, || Ok(()))
    }

    /// The same behind a last `step` of the run, such as a change in place, which what appears tells of: when it begins,
    /// all is written and has its room; where it fails, nothing appears.
    ///
    /// # Errors
    /// As [`Set::publish`], and the step's. What fails behind the step does not take it back.
    pub fn publish_after(
        mut self,
        sync: bool,
        step: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        if sync {
            self.each(|content, _| content.sync())?;
        }
        let directories = self.directories();
        // In one order for all, so that no two runs wait for each other. One file needs none.
        let locks: Vec<_> = match self.staged.as_slice() {
            [] | [_] => {
                directories.values().for_each(|directory| Lock::sweep(directory));
                Vec::new()
            }
            _ => directories.values().filter_map(|directory| Lock::of(directory)).collect(),
        };
        let result = self.appear(&directories, sync, step);
        if result.is_err() {
            self.staged.iter_mut().rev().for_each(|staged| staged.content.undo());
        }
        // What was replaced goes before the locks do.
        self.staged.clear();
        drop(locks);
        result
    }

    fn appear(
        &mut self,
        directories: &BTreeMap<Identity, PathBuf>,
        sync: bool,
        step: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut open = Vec::new();
        for directory in directories.values().filter(|_| sync) {
            open.push((directory, File::open(directory).map_err(|error| cannot_write(directory, &error))?));
        }
        self.each(|content, _| content.give_name())?;
        self.each(|content, path| content.write_through(path, sync))?;
        step()?;
        // Then nothing can fail later, and there is nothing to go back to.
        let is_last = self.staged.len() == 1 && !sync;
        self.each(|content, _| content.appear(is_last))?;
        open.iter().try_for_each(|(directory, file)| {
            file.sync_all().map_err(|error| cannot_write(directory, &error))
        })
    }

    /// Where files appear: each directory once, under whichever of its names.
    fn directories(&self) -> BTreeMap<Identity, PathBuf> {
        let directory = |staged: &Staged| match &staged.content {
            Content::File { target, .. } => {
                let directory = directory(target).to_owned();
                Some((identity(&directory.join(".")), directory))
            }
            Content::Bytes(_) => None,
        };
        self.staged.iter().filter_map(directory).collect()
    }

    fn each(&mut self, step: impl Fn(&mut Content, &Path) -> io::Result<()>) -> Result<(), Failure> {
        self.staged.iter_mut().try_for_each(|Staged { path, content }| {
            step(content, path).map_err(|error| cannot_write(path, &error))
        })
    }
}

impl Content {
    fn of(place: Place, write: &Pieces<'_>) -> io::Result<Self> {
        let Place::File { target, old } = place else {
            let mut bytes = Vec::new();
            write(&mut bytes)?;
            return Ok(Self::Bytes(bytes));
        };
        let access = old.as_ref().map_or(Access::New(MODE), Access::Old);
        Self::written(target, access, write)
    }

    fn written(target: PathBuf, access: Access<'_>, write: &Pieces<'_>) -> io::Result<Self> {
        let temporary = Temporary::beside(&target, access)?;
        let mut file = io::BufWriter::with_capacity(BUFFER, temporary.file());
        write(&mut file)?;
        file.flush()?;
        drop(file);
        Ok(Self::File { temporary, target, state: State::Hidden })
    }

    fn edited(place: Place, source: &Path, edits: &[Edit]) -> io::Result<Self> {
        let Place::File { target, old } = place else {
            return Err(io::Error::other("a changed copy takes a regular file, and this is none"));
        };
        let mut source = File::open(source)?;
        let old = old.map_or_else(|| source.metadata(), Ok)?;
        let temporary = Temporary::beside(&target, Access::Old(&old))?;
        io::copy(&mut source, &mut temporary.file())?;
        for edit in edits {
            temporary.file().write_all_at(&edit.bytes, edit.offset)?;
        }
        Ok(Self::File { temporary, target, state: State::Hidden })
    }

    fn sync(&self) -> io::Result<()> {
        match self {
            Self::File { temporary, .. } => temporary.file().sync_all(),
            Self::Bytes(_) => Ok(()),
        }
    }

    fn give_name(&mut self) -> io::Result<()> {
        match self {
            Self::File { temporary, .. } => temporary.name().map(drop),
            Self::Bytes(_) => Ok(()),
        }
    }

    fn write_through(&mut self, path: &Path, sync: bool) -> io::Result<()> {
        match self {
            Self::File { .. } => Ok(()),
            Self::Bytes(bytes) => write_through(path, bytes, sync),
        }
    }

    fn appear(&mut self, is_last: bool) -> io::Result<()> {
        let Self::File { temporary, target, state } = self else { return Ok(()) };
        if is_last {
            return temporary.rename(target);
        }
        *state = match temporary.exchange(target) {
            Ok(()) => State::Appeared,
            Err(error) => {
                temporary.rename(target)?;
                let had_none = error.kind() == io::ErrorKind::NotFound;
                if had_none { State::Appeared } else { State::Replaced }
            }
        };
        Ok(())
    }

    fn undo(&mut self) {
        if let Self::File { temporary, target, state: State::Appeared } = self {
            temporary.take_back(target);
        }
    }
}

/// Raises the limit on descriptors as far as the process may.
fn ask_for_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    // What is refused shows in the file that cannot be opened.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn texts(directory: &Path) -> Vec<(String, String)> {
        let mut texts: Vec<(String, String)> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let text = fs::read_to_string(entry.path()).unwrap();
                (entry.file_name().into_string().unwrap(), text)
            })
            .collect();
        texts.sort();
        texts
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    /// A room with `a` and a set of `a`, `b` and `c`.
    fn set() -> (tempfile::TempDir, Set<'static>) {
        let room = tempfile::tempdir().unwrap();
        fs::write(room.path().join("a"), "old").unwrap();
        let mut set = Set::default();
        for name in ["a", "b", "c"] {
            set.add(&room.path().join(name), b"new").unwrap();
        }
        (room, set)
    }

    #[test]
    fn all_appear_at_once() {
        for sync in [false, true] {
            let (room, set) = set();
            assert_eq!(fs::read(room.path().join("a")).unwrap(), b"old");
            set.publish(sync).unwrap();
            assert_eq!(texts(room.path()), pairs(&[("a", "new"), ("b", "new"), ("c", "new")]));
        }
    }

    #[test]
    fn a_directory_under_two_names_is_locked_once() {
        let room = tempfile::tempdir().unwrap();
        let link = room.path().join("link");
        std::os::unix::fs::symlink(".", &link).unwrap();
        let mut set = Set::default();
        set.add_name(&room.path().join("a"), b"1").unwrap();
        set.add_name(&link.join("b"), b"2").unwrap();
        assert_eq!(set.directories().len(), 1);
        assert!(set.add_name(&link.join("a"), b"3").is_err());
        set.publish(false).unwrap();
        assert_eq!(fs::read(room.path().join("b")).unwrap(), b"2");
    }

    #[test]
    fn a_dropped_set_leaves_nothing() {
        let (room, set) = set();
        drop(set);
        assert_eq!(texts(room.path()), pairs(&[("a", "old")]));
    }

    #[test]
    fn what_appeared_before_a_failure_goes_back() {
        let (room, mut set) = set();
        let Content::File { temporary, .. } = &mut set.staged[2].content else { panic!("a file") };
        // Somebody sweeps the temporary file of `c` away.
        fs::remove_file(temporary.name().unwrap()).unwrap();
        let failure = set.publish(false).unwrap_err();
        assert!(failure.file.unwrap().ends_with("/c"));
        assert_eq!(texts(room.path()), pairs(&[("a", "old")]));
    }

    #[test]
    fn what_cannot_be_added_is_told_at_once() {
        let (room, mut set) = set();
        fs::create_dir(room.path().join("d")).unwrap();
        assert!(set.add(&room.path().join("d"), b"").is_err());
        assert!(set.add(&room.path().join("d/e/f"), b"").is_err());
        assert!(set.add_name(&room.path().join("d"), b"").is_err());
    }

    #[test]
    fn links_are_followed_or_replaced_as_asked_for() {
        let (room, mut set) = set();
        let path = |name: &str| room.path().join(name);
        std::os::unix::fs::symlink("x", path("followed")).unwrap();
        std::os::unix::fs::symlink("y", path("replaced")).unwrap();
        set.add(&path("followed"), b"1").unwrap();
        set.add_name(&path("replaced"), b"2").unwrap();
        set.publish(false).unwrap();
        assert_eq!(fs::read_link(path("followed")).unwrap(), Path::new("x"));
        assert_eq!(fs::read(path("x")).unwrap(), b"1");
        assert!(fs::symlink_metadata(path("replaced")).unwrap().is_file());
        assert!(!path("y").exists());
    }

    #[test]
    fn more_files_than_a_process_may_have_open_as_a_rule() {
        let room = tempfile::tempdir().unwrap();
        let mut set = Set::default();
        for number in 0..1500 {
            set.add(&room.path().join(number.to_string()), b"").unwrap();
        }
        set.publish(false).unwrap();
        assert_eq!(texts(room.path()).len(), 1500);
    }
}
