//! Going through a directory of kernel modules, in the order in which the kernel gives its entries.
//!
//! **Idea.** Each directory's entries are read at once into one list for all that are open, then worked on one by one; a
//! directory among them is gone into at once. That is the order in which kmod's recursion meets them.
//!
//! **Limits.** A link that leads back to a directory above is not followed (kmod follows it until it runs out of
//! descriptors). An open directory is a descriptor, so the depth is what the process may have of them.

use std::ffi::CStr;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, OwnedFd};

use kbt_depmod::{Messages, has_module_extension};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, Stat, fstat, openat, statat};
use rustix::io::Errno;

use crate::input;
use crate::report::Failure;

/// Bytes of directory entries that are asked for at once.
const ENTRIES: usize = 32 << 10;

/// How a directory is gone through.
pub struct Walk<'w> {
    /// Names that are passed over.
    pub skip: &'w dyn Fn(&[u8]) -> bool,
    /// In the order of names, not of the file system.
    pub by_name: bool,
    /// Ask for the status of every file that is named like a module.
    pub status: bool,
}

/// A regular file that was met.
pub struct Met<'m> {
    /// Its path: the directory that was asked for, and what leads to it.
    pub path: &'m [u8],
    /// Its name.
    pub name: &'m [u8],
    /// Its status, or why it has none, where that was asked for or known anyway.
    pub status: Option<Result<Stat, Errno>>,
}

/// An open directory.
struct Open {
    directory: OwnedFd,
    /// How long its path is, with the slash.
    path: usize,
    /// Its entries that are left, in `Entries::list`, and where its part of that begins.
    next: usize,
    start: usize,
    /// A file of it was looked at, so that its files can be.
    searchable: bool,
}

/// The entries of all open directories.
#[derive(Default)]
struct Entries {
    names: Vec<u8>,
    /// Where each name begins (it ends with a NUL), and of what kind it is.
    list: Vec<(usize, FileType)>,
    buffer: Vec<u8>,
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
        let mut open = vec![self.read(directory, path.len(), &path, &mut entries, messages)];
        while let Some(here) = open.last_mut() {
            let Some(&(name, kind)) = entries.list.get(here.next) else {
                entries.close(here);
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
            here.searchable |= matches!(status, Some(Ok(_)));
            if kind == FileType::Directory {
                let status = status.and_then(Result::ok);
                let below = self.enter(&open, entries.name(name), status.as_ref(), &path, messages);
                if let Some(below) = below {
                    path.push(b'/');
                    open.push(self.read(below, path.len(), &path, &mut entries, messages));
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

    /// Reads the entries of a directory that was opened.
    fn read(
        &self,
        directory: OwnedFd,
        path_length: usize,
        path: &[u8],
        entries: &mut Entries,
        messages: &mut Messages,
    ) -> Open {
        let start = entries.list.len();
        if let Err(error) = entries.read(&directory, self.skip) {
            messages.tell(kbt_depmod::Level::Error, &[b"cannot read ", path, b": ", text(error).as_bytes()]);
        }
        if self.by_name {
            entries.sort(start);
        }
        Open { directory, path: path_length, next: start, start, searchable: false }
    }

    /// What an entry is: a regular file or a directory, or nothing that matters.
    fn look(
        &self,
        here: &Open,
        name: &CStr,
        kind: FileType,
        path: &[u8],
        messages: &mut Messages,
    ) -> Option<(FileType, Option<Result<Stat, Errno>>)> {
        let known = matches!(kind, FileType::RegularFile | FileType::Directory);
        // What is no module may come and go meanwhile: nobody asks for its status. A directory may be one that can be read
        // and not searched, which one file tells.
        let asked = (self.status || !here.searchable)
            && kind == FileType::RegularFile
            && has_module_extension(name.to_bytes());
        if known && !asked {
            return Some((kind, None));
        }
        let status = match statat(&here.directory, name, AtFlags::empty()) {
            Ok(status) => status,
            Err(error) if known => return Some((kind, Some(Err(error)))),
            Err(error) => {
                not_looked_at(messages, path, error);
                return None;
            }
        };
        match FileType::from_raw_mode(status.st_mode) {
            kind @ (FileType::RegularFile | FileType::Directory) => Some((kind, Some(Ok(status)))),
            _ => {
                let kind = format!("{:o}", status.st_mode & 0o170_000);
                tell(messages, &[b"unsupported file type ", path, b": ", kind.as_bytes()]);
                None
            }
        }
    }

    /// Opens a directory below the last open one. One with a status was met behind a link.
    fn enter(
        &self,
        open: &[Open],
        name: &CStr,
        status: Option<&Stat>,
        path: &[u8],
        messages: &mut Messages,
    ) -> Option<OwnedFd> {
        let same = |status: &Stat| {
            open.iter()
                .filter_map(|above| fstat(&above.directory).ok())
                .any(|above| (above.st_dev, above.st_ino) == (status.st_dev, status.st_ino))
        };
        if status.is_some_and(same) {
            tell(messages, &[path, b" leads back to a directory above it; it is not followed"]);
            return None;
        }
        match open_directory(open.last()?.directory.as_fd(), name) {
            Ok(directory) => Some(directory),
            Err(error) => {
                tell(messages, &[b"openat(", path, b"): ", text(error).as_bytes()]);
                None
            }
        }
    }
}

impl Entries {
    fn read(&mut self, directory: &OwnedFd, skip: &dyn Fn(&[u8]) -> bool) -> Result<(), Errno> {
        self.buffer.reserve(ENTRIES);
        let mut raw = RawDir::new(directory, self.buffer.spare_capacity_mut());
        while let Some(entry) = raw.next() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") || skip(name.to_bytes()) {
                continue;
            }
            self.list.push((self.names.len(), entry.file_type()));
            self.names.extend_from_slice(name.to_bytes_with_nul());
        }
        Ok(())
    }

    fn sort(&mut self, start: usize) {
        let names = &self.names;
        if let Some(list) = self.list.get_mut(start..) {
            list.sort_unstable_by_key(|&(name, _)| name_at(names, name));
        }
    }

    fn name(&self, at: usize) -> &CStr {
        name_at(&self.names, at)
    }

    /// Forgets the entries of the directory that was opened last.
    fn close(&mut self, open: &Open) {
        let names = self.list.get(open.start..).unwrap_or_default().iter().map(|&(name, _)| name).min();
        self.names.truncate(names.unwrap_or(self.names.len()));
        self.list.truncate(open.start);
    }
}

fn name_at(names: &[u8], at: usize) -> &CStr {
    CStr::from_bytes_until_nul(names.get(at..).unwrap_or_default()).unwrap_or_default()
}

fn open_directory(above: impl std::os::fd::AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    openat(above, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn c_string(path: &[u8]) -> io::Result<std::ffi::CString> {
    std::ffi::CString::new(path).map_err(io::Error::other)
}

fn tell(messages: &mut Messages, parts: &[&[u8]]) {
    messages.tell(kbt_depmod::Level::Error, parts);
}

/// Tells, in kmod's way, that the status of a file is not known.
pub fn not_looked_at(messages: &mut Messages, path: &[u8], error: Errno) {
    tell(messages, &[b"fstatat(", path, b"): ", text(error).as_bytes()]);
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
