//! Writing results: nothing is visible before it is whole.

mod lock;
mod set;
mod temporary;

use std::ffi::OsStr;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::{access, fsync};
use rustix::io::Errno;

use crate::inputs::Inputs;
use crate::report::{Failure, Report};

pub use lock::Lock;
pub use set::Set;
pub use temporary::{Identity, identity, identity_of};

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
            return Err(Failure::usage("--json and the result both want standard output")
                .hint("name a file for the result with -o"));
        }
        Ok(())
    }

    /// Writes all of `bytes`; with `sync` they are on the disk before this returns.
    pub fn write(&self, bytes: &[u8], sync: bool) -> Result<(), Failure> {
        match self {
            Self::Stdout => print(&|stdout| stdout.write_all(bytes), sync),
            Self::File(_) => self.write_with(Set::default(), bytes, sync),
        }
    }

    /// Writes `bytes` and lets `files` appear, all of it or nothing.
    pub fn write_with(&self, mut files: Set<'_>, bytes: &[u8], sync: bool) -> Result<(), Failure> {
        match self {
            // What is printed cannot be taken back, so it comes first.
            Self::Stdout => {
                spare_inputs(&files)?;
                self.write(bytes, sync)?;
            }
            Self::File(path) => files.add(path, bytes)?,
        }
        files.publish(sync)
    }

    /// The same for an input that was changed, whose place it may take ([`Inputs::changed`]), and which `write` writes in
    /// pieces that are never all in memory.
    ///
    /// [`Inputs::changed`]: crate::inputs::Inputs::changed
    pub fn write_changed(&self, mut files: Set<'_>, write: &Pieces<'_>, sync: bool) -> Result<(), Failure> {
        match self {
            Self::Stdout => {
                spare_inputs(&files)?;
                print(write, sync)?;
            }
            Self::File(path) => files.add_changed(path, write)?,
        }
        files.publish(sync)
    }
}

/// Writes several results of a run, all of them or nothing.
///
/// # Errors
/// The system's, and where two of them would go to standard output: nobody could tell them apart.
pub fn write_all(mut files: Set<'_>, results: &[(&Output, &[u8])], sync: bool) -> Result<(), Failure> {
    stage_all(&mut files, results, sync)?;
    files.publish(sync)
}

/// Prints what of several results goes to standard output, and stages the others, which appear with the files.
///
/// # Errors
/// As [`write_all`].
pub fn stage_all(files: &mut Set<'_>, results: &[(&Output, &[u8])], sync: bool) -> Result<(), Failure> {
    refuse_two_stdouts(results.iter().map(|(output, _)| *output))?;
    let mut printed = None;
    for (output, bytes) in results {
        match output {
            Output::File(path) => files.add(path, bytes)?,
            Output::Stdout => printed = Some(bytes),
        }
    }
    // What is printed cannot be taken back, so it comes first.
    match printed {
        Some(bytes) => {
            spare_inputs(files)?;
            Output::Stdout.write(bytes, sync)
        }
        None => Ok(()),
    }
}

/// Refuses a standard output that is one of the files which the results are made of.
fn spare_inputs(files: &Set<'_>) -> Result<(), Failure> {
    files.inputs().map_or(Ok(()), Inputs::spare_behind_stdout)
}

/// Refuses outputs of which two are standard output.
///
/// # Errors
/// A usage failure.
pub fn refuse_two_stdouts<'o>(outputs: impl IntoIterator<Item = &'o Output>) -> Result<(), Failure> {
    match outputs.into_iter().filter(|output| matches!(output, Output::Stdout)).count() {
        0 | 1 => Ok(()),
        _ => Err(Failure::usage("two results of this run would go to standard output")
            .hint("name a file for one of them")),
    }
}

/// Writes a file in pieces.
pub type Pieces<'p> = dyn Fn(&mut dyn io::Write) -> io::Result<()> + 'p;

/// So much is gathered of small pieces.
const BUFFER: usize = 1 << 16;

fn print(write: &Pieces<'_>, sync: bool) -> Result<(), Failure> {
    let mut stdout = io::BufWriter::with_capacity(BUFFER, io::stdout().lock());
    let written = stdout_is_open()
        .and_then(|()| write(&mut stdout))
        .and_then(|()| stdout.flush())
        .and_then(|()| if sync { sync_through(stdout.get_ref()) } else { Ok(()) });
    // What could not be written is not tried again.
    let _ = stdout.into_parts();
    match written {
        // A reader that went away, as in `kbt dtbo dump IMAGE | head`, has what it wanted.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(|error| Failure::io("write", "standard output", &error)),
    }
}

/// Refuses a standard output that was closed when kbt began: what is written there now goes to `/dev/null`.
pub fn stdout_is_open() -> io::Result<()> {
    if kbt_streams::stdout_was_closed() { Err(rustix::io::Errno::BADF.into()) } else { Ok(()) }
}

/// A file that could not be written. Where it could be written into, it surprises that it cannot be replaced.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::io("write", path.display(), error);
    let refused = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ResourceBusy);
    if refused && access(path, rustix::fs::Access::WRITE_OK).is_ok() {
        return failure.hint(
            "a file is replaced as a whole: its directory must be writable, and it must not be a mount point",
        );
    }
    failure
}

/// How a path is written to.
enum Place {
    /// There is a regular file, or nothing yet.
    File { target: PathBuf, old: Option<Metadata> },
    /// What is there cannot be replaced.
    Through(Option<Metadata>),
}

impl Place {
    /// What is there now.
    fn old(&self) -> Option<&Metadata> {
        match self {
            Self::File { old, .. } | Self::Through(old) => old.as_ref(),
        }
    }
}

/// Where what is written to `path` goes: behind symbolic links.
fn place(path: &Path) -> io::Result<Place> {
    if is_descriptor(path) {
        return Ok(Place::Through(fs::metadata(path).ok()));
    }
    let target = match fs::canonicalize(path) {
        Ok(target) => target,
        // A pipe, or a file without a name: it is there, though no path leads to it.
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.exists() => {
            return Ok(Place::Through(fs::metadata(path).ok()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => new_target(path),
        Err(error) => return Err(error),
    };
    match fs::metadata(&target).ok() {
        Some(old) if old.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Some(old) if !old.is_file() => Ok(Place::Through(Some(old))),
        old => Ok(Place::File { target, old }),
    }
}

/// The name itself, whatever it is now, unless it is a directory.
fn name_place(path: &Path) -> io::Result<Place> {
    let old = fs::symlink_metadata(path).ok();
    if old.as_ref().is_some_and(Metadata::is_dir) {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Place::File { target: path.to_owned(), old: old.filter(Metadata::is_file) })
}

fn write_through(path: &Path, bytes: &[u8], sync: bool) -> io::Result<()> {
    // A shell may have opened a regular file for a descriptor; what it wrote there before stays.
    let mut file = OpenOptions::new().write(true).append(is_descriptor(path)).open(path)?;
    file.write_all(bytes)?;
    if sync { sync_through(&file) } else { Ok(()) }
}

/// Waits for the disk, where there is one behind the descriptor.
fn sync_through(file: impl AsFd) -> io::Result<()> {
    match fsync(file) {
        // A pipe, a terminal.
        Err(Errno::INVAL | Errno::NOTSUP | Errno::ROFS) => Ok(()),
        result => Ok(result?),
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
