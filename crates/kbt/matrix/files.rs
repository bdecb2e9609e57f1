//! Bases and overlays below a directory.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::input;
use crate::report::{Failure, Report};
use crate::workers::{self, Jobs};

/// A tree.
pub struct File {
    /// Path below the directory; `/` between its parts, what is not UTF-8 as U+FFFD.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its size in bytes, for a guess at what it costs.
    pub size: u64,
    /// Its content, once it was read.
    pub bytes: Vec<u8>,
}

impl File {
    /// The folder that it lies in; empty for the directory itself.
    pub fn folder(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(folder, _)| folder)
    }
}

/// Directories are followed so deep.
const MAX_DEPTH: usize = 64;

/// The files with this extension below `directory`, sorted by name. Symbolic links to files are followed, those to
/// directories are not.
pub fn list(directory: &OsStr, extension: &str) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut open = vec![(PathBuf::from(directory), 0)];
    while let Some((folder, depth)) = open.pop() {
        let unread = |error: std::io::Error| Failure::io("read", folder.display(), &error);
        for entry in fs::read_dir(&folder).map_err(unread)? {
            let entry = entry.map_err(unread)?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(unread)?);
            if kind.is_dir() && depth < MAX_DEPTH {
                open.push((path, depth + 1));
            } else if path.extension().is_some_and(|own| own.as_bytes() == extension.as_bytes()) {
                let metadata = fs::metadata(&path);
                let metadata = metadata.map_err(|error| Failure::io("read", path.display(), &error))?;
                // What is no file may have no end, and no tree is as large as that.
                if !metadata.is_file() || metadata.len() > input::MAX_FILE {
                    let message = "this is no file of less than 4 GiB";
                    return Err(Failure::new("no-file", message).at_file(path.display()));
                }
                let size = metadata.len();
                let name = relative(&path, Path::new(directory));
                files.push(File { name, path, size, bytes: Vec::new() });
            }
        }
    }
    if files.is_empty() {
        let message = format!("there is no *.{extension} in the directory or below");
        return Err(Failure::new("no-trees", message).at_file(directory.to_string_lossy()));
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

fn relative(path: &Path, directory: &Path) -> String {
    path.strip_prefix(directory).unwrap_or(path).to_string_lossy().into_owned()
}

/// Reads those of the files that are wanted and were not read yet, on as many threads as there may be.
pub fn read(
    files: &mut [File],
    wanted: impl Fn(usize) -> bool,
    jobs: Jobs,
    report: &mut Report,
) -> Result<(), Failure> {
    let unread = |(index, file): &(usize, &File)| file.bytes.is_empty() && wanted(*index);
    let tasks: Vec<(usize, &File)> = files.iter().enumerate().filter(unread).collect();
    // A file in the cache costs about this.
    let cost = |(_, file): &(usize, &File)| Duration::from_micros(15 + file.size / 4096);
    let read = workers::map(jobs, report, "files read", &tasks, cost, |&(index, file)| {
        let read = input::read_file(&file.path);
        let bytes = read.map_err(|error| Failure::io("read", file.path.display(), &error))?;
        Ok((index, bytes))
    })?;
    for (index, bytes) in read {
        if let Some(file) = files.get_mut(index) {
            file.bytes = bytes;
        }
    }
    Ok(())
}
