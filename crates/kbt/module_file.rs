//! Kernel modules as files: opened, decompressed, read.
//!
//! A worker keeps one [`ModuleFiles`]: its codecs and buffers are used again for every module.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;

use kbt_compress::{Decoder, FileCompression};
use kbt_depmod::{ModuleFacts, ModuleReader, ReadError, SourceError};
use rustix::fs::{Mode, OFlags, fstat, open, openat};
use rustix::io::retry_on_intr;

/// Most bytes that a module may have, decompressed.
const MAX_SIZE: usize = 1 << 30;

/// So much may come out of any compressed file; more only of one that is large itself.
const FREE_SIZE: usize = 64 << 20;

/// Of a file that may be compressed so many bytes are read before what it is is known.
const FRONT: usize = 1 << 20;

/// A buffer of more bytes than this is given back before the next file.
const KEPT: usize = 8 << 20;

/// How many times its own size a compressed module may have beyond that: real ones have up to 20.
const MAX_RATIO: usize = 256;

/// Why a module file has no facts.
#[derive(Debug)]
pub enum ModuleFileError {
    /// The system's answer to opening or reading it.
    Io(io::Error),
    /// It is compressed, and cannot be decompressed.
    Compressed(FileCompression, kbt_compress::Error),
    /// It is no module.
    Module(ReadError),
}

impl ModuleFileError {
    /// Whether it is the system's state and not the file's: another run may read the file.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::OutOfMemory,
            Self::Compressed(_, error) => error.kind == kbt_compress::ErrorKind::OutOfMemory,
            Self::Module(_) => false,
        }
    }
}

impl From<io::Error> for ModuleFileError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// The directory that module files lie below: it is found once, not once a file.
#[derive(Debug)]
pub struct Below<'d> {
    path: &'d [u8],
    directory: Option<OwnedFd>,
}

impl<'d> Below<'d> {
    /// Opens a directory. What lies elsewhere, or below one that cannot be opened, is found by its whole path.
    pub fn open(path: &'d [u8]) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Self { path, directory: open(path, flags, Mode::empty()).ok() }
    }

    fn open_file(&self, path: &[u8]) -> io::Result<File> {
        // What took a module's place since it was found may be a FIFO; reading a regular file knows no waiting.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let relative = path.strip_prefix(self.path).and_then(|rest| rest.strip_prefix(b"/"));
        let file = retry_on_intr(|| match (&self.directory, relative) {
            (Some(directory), Some(relative)) if relative.first().is_some_and(|byte| *byte != b'/') => {
                openat(directory, relative, flags, Mode::empty())
            }
            _ => open(path, flags, Mode::empty()),
        });
        Ok(file?.into())
    }
}

/// Reads one module file after the other.
#[derive(Debug, Default)]
pub struct ModuleFiles {
    reader: ModuleReader,
    decoder: Decoder,
    /// The bytes of a compressed file, and room that an earlier one needed.
    stored: Vec<u8>,
    /// How many they are.
    filled: usize,
}

impl ModuleFiles {
    /// One with empty buffers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a file. Its name is taken for a hint only: what its first bytes say counts.
    pub fn read(&mut self, below: &Below<'_>, path: &[u8]) -> Result<ModuleFacts, ModuleFileError> {
        // Forgets what an earlier error left.
        let _ = self.reader.salvage();
        let file = below.open_file(path)?;
        let size = fstat(&file).map_err(io::Error::from)?.st_size;
        let size = u64::try_from(size).unwrap_or_default();
        if path.ends_with(b".ko") {
            match self.read_pieces(&file, size) {
                // It may be compressed nevertheless.
                Err(ModuleFileError::Module(error)) if error.is_bad_magic() => {}
                result => return result,
            }
        }
        let compression = self.read_front(&file, size)?;
        if compression == FileCompression::None {
            return self.read_pieces(&file, size);
        }
        self.read_whole(&file, size, compression)
    }

    /// What the file that gave the last error says nevertheless; mostly nothing.
    pub fn salvage(&mut self) -> ModuleFacts {
        self.reader.salvage()
    }

    fn read_pieces(&mut self, file: &File, size: u64) -> Result<ModuleFacts, ModuleFileError> {
        self.reader.read_from(&mut Positional(file), size).map_err(|error| match error {
            SourceError::Source(error) => error.into(),
            SourceError::Module(error) => ModuleFileError::Module(error),
        })
    }

    /// Reads the front of a file into `stored`, most often all of it, and says how it is compressed.
    fn read_front(&mut self, file: &File, size: u64) -> io::Result<FileCompression> {
        self.filled = 0;
        let front = usize::try_from(size).map_or(FRONT, |size| size.min(FRONT));
        self.read_on(file, front)?;
        Ok(FileCompression::detect(self.stored.get(..self.filled).unwrap_or_default()))
    }

    /// Reads the rest, decodes it, and takes the facts out.
    fn read_whole(
        &mut self,
        file: &File,
        size: u64,
        compression: FileCompression,
    ) -> Result<ModuleFacts, ModuleFileError> {
        let size = usize::try_from(size).ok().filter(|&size| size <= MAX_SIZE);
        self.read_on(file, size.ok_or_else(|| io::Error::from(io::ErrorKind::FileTooLarge))?)?;
        let stored = self.stored.get(..self.filled).unwrap_or_default();
        let limit = stored.len().saturating_mul(MAX_RATIO).clamp(FREE_SIZE, MAX_SIZE);
        let facts = match self.decoder.decode(compression, stored, limit) {
            Ok(bytes) => self.reader.read(bytes).map_err(ModuleFileError::Module),
            Err(error) => Err(ModuleFileError::Compressed(compression, error)),
        };
        if self.stored.len() > KEPT {
            self.stored = Vec::new();
        }
        facts
    }

    /// Reads on until there are `size` bytes, or the file ends.
    fn read_on(&mut self, file: &File, size: usize) -> io::Result<()> {
        if self.stored.len() < size {
            self.stored
                .try_reserve_exact(size - self.stored.len())
                .map_err(|_| io::ErrorKind::OutOfMemory)?;
            self.stored.resize(size, 0);
        }
        let room = self.stored.get_mut(self.filled..size).unwrap_or_default();
        self.filled += fill(file, self.filled as u64, room)?;
        Ok(())
    }
}

/// A file that is read at places.
pub struct Positional<'f>(pub &'f File);

impl kbt_elf::ReadAt for Positional<'_> {
    type Error = io::Error;

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        fill(self.0, offset, buffer)
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = buffer.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset.saturating_add(count as u64)) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt as _;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_fifo_in_a_modules_place_is_not_waited_for() {
        let room = tempfile::tempdir().unwrap();
        let path = room.path().join("a.ko");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, Mode::RWXU).unwrap();
        let (told, ended) = mpsc::channel();
        thread::spawn(move || {
            let directory = path.parent().unwrap().as_os_str().as_bytes();
            let result = ModuleFiles::new().read(&Below::open(directory), path.as_os_str().as_bytes());
            told.send(result.is_err()).unwrap();
        });
        assert_eq!(ended.recv_timeout(Duration::from_secs(60)), Ok(true));
    }
}
