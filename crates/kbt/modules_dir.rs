//! Going through a directory of kernel modules, in the order in which the kernel gives its entries.
//!
//! **Idea.** Each directory's entries are read at once into one list for all that are open, then worked on one by one; a
//! directory among them is gone into at once. That is the order in which kmod's recursion meets them.
//!
//! A directory whose entries an earlier walk has read, and that has the same state, is opened as a place only (`O_PATH`) and
//! not read.
//!
//! **Limits.** A link that leads back to a directory above is not followed (kmod follows it until it runs out of
//! descriptors). An open directory is a descriptor, so the depth is what the process may have of them.

mod entries;

use std::ffi::CStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};

use kbt_depmod::{Messages, has_module_extension};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::input;
use crate::report::Failure;
use entries::Entries;
pub use entries::Listings;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// How a directory is gone through.
pub struct Walk<'w> {
    /// Names that are passed over.
    pub skip: &'w dyn Fn(&[u8]) -> bool,
    /// In the order of names, not of the file system.
    pub by_name: bool,
    /// Ask for the status of every file that is named like a module.
    pub status: bool,
    /// Directories that need not be read again.
    pub listings: Option<&'w dyn Listings>,
}

/// A regular file that was met.
pub struct Met<'m> {
    /// Its path: the directory that was asked for, and what leads to it.
    pub path: &'m [u8],
    /// Its name.
    pub name: &'m [u8],
    /// Its status, where that was asked for or known anyway.
    pub status: Option<Stat>,
}

/// A directory that is gone through.
struct Open {
    directory: OwnedFd,
    /// How long its path is, with the slash.
    path: usize,
    /// Its entries that are left, in `Entries`, and where its part of those begins.
    next: usize,
    start: usize,
}

impl Walk<'_> {
    /// Goes through `root` and gives each regular file to `visit`, which may end the walk. What cannot be looked at is
    /// told and passed over.
    ///
    /// # Errors
    /// `root` cannot be opened.
    pub fn run(
        &self,
        root: &[u8],
        messages: &mut Messages,
        mut visit: impl FnMut(&Met<'_>, &mut Messages) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let directory = open_directory(CWD, &c_string(root)?)?;
        let mut path = [root, b"/"].concat();
        let mut entries = Entries::default();
        let mut open = vec![self.read(directory, None, &path, &mut entries, messages)];
        while let Some(here) = open.last_mut() {
            let Some((name, kind)) = entries.get(here.next) else {
                entries.close(here.start);
                open.pop();
                continue;
            };
            here.next += 1;
            path.truncate(here.path);
            let name_at = path.len();
            path.extend_from_slice(entries.name(name).to_bytes());
            let Some((kind, status)) = self.look(here, entries.name(name), kind, &path, messages) else {
                continue;
            };
            if kind == FileType::Directory {
                if let Some(below) =
                    self.enter(&open, (name, status.as_ref()), &mut path, &mut entries, messages)
                {
                    open.push(below);
                }
                continue;
            }
            let met = Met { path: &path, name: path.get(name_at..).unwrap_or_default(), status };
            if visit(&met, messages).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the entries of a directory that was opened; where its status is given they may be learnt.
    fn read(
        &self,
        directory: OwnedFd,
        status: Option<Stat>,
        path: &[u8],
        entries: &mut Entries,
        messages: &mut Messages,
    ) -> Open {
        let start = entries.len();
        let mut raw = status.map(|_| Vec::new());
        let done = entries.read(&directory, self.skip, raw.as_mut());
        if let Err(error) = done {
            messages.tell(kbt_depmod::Level::Error, &[b"cannot read ", path, b": ", text(error).as_bytes()]);
        } else if let (Some(listings), Some(status), Some(raw)) = (self.listings, &status, raw) {
            listings.learn(path.strip_suffix(b"/").unwrap_or(path), status, raw);
        }
        self.opened(directory, path, start, entries)
    }

    fn opened(&self, directory: OwnedFd, path: &[u8], start: usize, entries: &mut Entries) -> Open {
        if self.by_name {
            entries.sort(start);
        }
        Open { directory, path: path.len(), next: start, start }
    }

    /// What an entry is: a regular file or a directory, or nothing that matters.
    fn look(
        &self,
        here: &Open,
        name: &CStr,
        kind: FileType,
        path: &[u8],
        messages: &mut Messages,
    ) -> Option<(FileType, Option<Stat>)> {
        let known = matches!(kind, FileType::RegularFile | FileType::Directory);
        // What is no module may come and go meanwhile: nobody asks for its status.
        let asked = self.status && kind == FileType::RegularFile && has_module_extension(name.to_bytes());
        if known && !asked {
            return Some((kind, None));
        }
        let status = match statat(&here.directory, name, AtFlags::empty()) {
            Ok(status) => status,
            Err(error) => {
                tell(messages, &[b"fstatat(", path, b"): ", text(error).as_bytes()]);
                return None;
            }
        };
        match FileType::from_raw_mode(status.st_mode) {
            kind @ (FileType::RegularFile | FileType::Directory) => Some((kind, Some(status))),
            _ => {
                let kind = format!("{:o}", status.st_mode & 0o170_000);
                tell(messages, &[b"unsupported file type ", path, b": ", kind.as_bytes()]);
                None
            }
        }
    }

    /// Enters a directory below the last one; `path` is its own and gets a slash. One with a status was met behind a link.
    fn enter(
        &self,
        open: &[Open],
        (name, status): (usize, Option<&Stat>),
        path: &mut Vec<u8>,
        entries: &mut Entries,
        messages: &mut Messages,
    ) -> Option<Open> {
        let same = |status: &Stat| {
            open.iter()
                .filter_map(|above| fstat(&above.directory).ok())
                .any(|above| (above.st_dev, above.st_ino) == (status.st_dev, status.st_ino))
        };
        if status.is_some_and(same) {
            tell(messages, &[path, b" leads back to a directory above it; it is not followed"]);
            return None;
        }
        let above = open.last()?.directory.as_fd();
        let name = entries.name(name);
        if let Some(listings) = self.listings
            && let Ok(directory) = openat(above, name, OFlags::PATH | DIRECTORY, Mode::empty())
            && let Ok(status) = fstat(&directory)
            && let Some(known) = listings.entries(path, &status)
        {
            let start = entries.len();
            entries.take(known, self.skip);
            path.push(b'/');
            return Some(self.opened(directory, path, start, entries));
        }
        match open_directory(above, name) {
            Ok(directory) => {
                path.push(b'/');
                let status = self.listings.and_then(|_| fstat(&directory).ok());
                Some(self.read(directory, status, path, entries, messages))
            }
            Err(error) => {
                tell(messages, &[b"openat(", path, b"): ", text(error).as_bytes()]);
                None
            }
        }
    }
}

fn open_directory(above: impl std::os::fd::AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(above, name, OFlags::RDONLY | DIRECTORY, Mode::empty())
}

fn c_string(path: &[u8]) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(path).map_err(io::Error::other)
}

fn tell(messages: &mut Messages, parts: &[&[u8]]) {
    messages.tell(kbt_depmod::Level::Error, parts);
}

/// The system's text for an error, without its number.
pub fn text(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// All of a file below a directory, or kmod's words for why it cannot be opened.
///
/// # Errors
/// It is there and cannot be read, as a directory, or by an error of the disk: what is made without it would be wrong.
pub fn read_beside(directory: &[u8], name: &str) -> Result<Result<Vec<u8>, Vec<u8>>, Failure> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(directory)).join(name);
    let file = match input::open_found(&path) {
        Ok(file) => file,
        Err(error) => {
            let why = text(error);
            return Ok(Err(
                [b"could not open ", name.as_bytes(), b" at ", directory, b": ", why.as_bytes()].concat()
            ));
        }
    };
    input::read_opened(file).map(Ok).map_err(|error| Failure::io("read", path.display(), &error))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::fs;
    use std::os::unix::ffi::OsStrExt as _;

    use super::*;

    /// A time of change, and entries.
    type Learnt = ((i64, u64), &'static [u8]);

    /// Believes every directory of the same time of change.
    #[derive(Default)]
    struct Memory {
        learnt: RefCell<HashMap<Vec<u8>, Learnt>>,
        used: RefCell<Vec<Vec<u8>>>,
    }

    impl Listings for Memory {
        fn entries(&self, path: &[u8], status: &Stat) -> Option<&[u8]> {
            let learnt = self.learnt.borrow();
            let (changed, entries) = learnt.get(path)?;
            self.used.borrow_mut().push(path.to_vec());
            (*changed == (status.st_ctime, status.st_ctime_nsec)).then_some(*entries)
        }

        fn learn(&self, path: &[u8], status: &Stat, entries: Vec<u8>) {
            let changed = (status.st_ctime, status.st_ctime_nsec);
            self.learnt.borrow_mut().insert(path.to_vec(), (changed, entries.leak()));
        }
    }

    fn visited(root: &std::path::Path, by_name: bool, listings: Option<&dyn Listings>) -> Vec<String> {
        let walk = Walk { skip: &|name| name == b"skipped", by_name, status: true, listings };
        let (mut visited, mut messages) = (Vec::new(), Messages::default());
        let done = walk.run(root.as_os_str().as_bytes(), &mut messages, |met, _| {
            let size = met.status.map(|status| status.st_size);
            visited.push(format!("{} {} {size:?}", met.path.escape_ascii(), met.name.escape_ascii()));
            ControlFlow::Continue(())
        });
        done.unwrap();
        let told = messages.iter().map(|(_, text)| text.escape_ascii().to_string());
        visited.extend(told.collect::<Vec<_>>());
        visited
    }

    #[test]
    fn what_was_read_before_is_met_in_the_same_order() {
        let room = tempfile::tempdir().unwrap();
        let root = room.path().join("root");
        let deep = "d".repeat(250);
        let deep = format!("kernel/{deep}/{deep}/{deep}/{deep}/{deep}");
        for directory in ["kernel/a", "kernel/b/c", "skipped/x", "kernel/skipped", &deep] {
            fs::create_dir_all(root.join(directory)).unwrap();
            for name in ["m.ko", "n.ko.xz", "text"] {
                fs::write(root.join(directory).join(name), directory).unwrap();
            }
        }
        let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, root.join(name)).unwrap();
        link("../../elsewhere", "kernel/link");
        link("nowhere", "kernel/dangling.ko");
        link("..", "kernel/a/loop");
        link("b/c/m.ko", "kernel/file.ko");
        fs::create_dir(room.path().join("elsewhere")).unwrap();
        fs::write(room.path().join("elsewhere/e.ko"), "").unwrap();
        for by_name in [false, true] {
            let memory = Memory::default();
            let plain = visited(&root, by_name, None);
            assert!(plain.len() > 10, "{plain:?}");
            assert_eq!(visited(&root, by_name, Some(&memory)), plain);
            assert!(memory.used.borrow().is_empty());
            assert_eq!(visited(&root, by_name, Some(&memory)), plain);
            assert!(memory.used.borrow().len() >= 7);
            fs::write(root.join("kernel/b/c").join(format!("{by_name}.ko")), "new").unwrap();
            fs::write(root.join("kernel/a/m.ko"), "another size").unwrap();
            let changed = visited(&root, by_name, None);
            assert_ne!(changed, plain);
            assert_eq!(visited(&root, by_name, Some(&memory)), changed);
        }
    }
}
