//! Writing results: nothing is visible before it is whole.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::report::{Failure, Report};

/// Where a command writes its result.
#[derive(Debug, Clone)]
pub enum Output {
    /// A file, replaced as a whole.
    File(PathBuf),
    /// Standard output (`-`).
    Stdout,
}

impl Output {
    /// Reads the argument of `-o`. The names of descriptor 1 are standard output, too: behind them may be a regular
    /// file that the shell has opened, which is to be written to and not replaced.
    pub fn parse(word: &OsStr) -> Self {
        const STDOUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];
        if STDOUT.iter().any(|name| word == *name) { Self::Stdout } else { Self::File(word.into()) }
    }

    /// Refuses standard output where the JSON result needs it.
    pub fn leave_json(&self, report: &Report) -> Result<(), Failure> {
        if report.is_json() && matches!(self, Self::Stdout) {
            return Err(Failure::usage("--json and '-o -' both want standard output"));
        }
        Ok(())
    }

    /// Writes all of `bytes`; with `sync` they are on the disk before this returns.
    pub fn write(&self, bytes: &[u8], sync: bool) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout
                    .write_all(bytes)
                    .and_then(|()| stdout.flush())
                    .map_err(|error| Failure::io("write", "standard output", &error))
            }
            Self::File(path) => {
                replace(path, bytes, sync).map_err(|error| Failure::io("write", path.display(), &error))
            }
        }
    }
}

/// Where a file that does not exist yet is to be made: behind symbolic links that lead nowhere, or here.
fn new_target(path: &Path) -> PathBuf {
    // As many links as Linux follows.
    const LINKS: usize = 40;
    let mut target = path.to_owned();
    for _ in 0..LINKS {
        let Ok(link) = fs::read_link(&target) else { break };
        target = target.parent().unwrap_or(Path::new("")).join(link);
    }
    target
}

/// Whether the path names an open descriptor, behind which may be anything.
fn is_descriptor(path: &Path) -> bool {
    path.starts_with("/dev/fd") || path == Path::new("/dev/stderr") || path.starts_with("/proc/self/fd")
}

/// Replaces `path` by a file that holds `bytes`: a temporary file in the same directory, then a rename.
///
/// A symbolic link is followed, so that the file behind it is replaced and the link stays. What is no
/// regular file (a FIFO, a device, an open descriptor) cannot be replaced and is written to. An existing file keeps its
/// permissions.
pub fn replace(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    if is_descriptor(path) {
        return OpenOptions::new().append(true).open(path)?.write_all(bytes);
    }
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_target(path),
        Err(error) => return Err(error),
    };
    let old = fs::metadata(&target).ok();
    if old.as_ref().is_some_and(fs::Metadata::is_dir) {
        return Err(io::Error::from(io::ErrorKind::IsADirectory));
    }
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return OpenOptions::new().write(true).open(&target)?.write_all(bytes);
    }
    let directory = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    // 0666 is narrowed by the umask, as for any file that a tool creates.
    let mut temporary = tempfile::Builder::new()
        .prefix(".kbt-")
        .permissions(fs::Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    temporary.write_all(bytes)?;
    if let Some(old) = old {
        temporary.as_file().set_permissions(old.permissions())?;
    }
    if sync {
        temporary.as_file().sync_all()?;
    }
    temporary.persist(&target).map_err(|error| error.error)?;
    if sync {
        File::open(directory)?.sync_all()?;
    }
    Ok(())
}
