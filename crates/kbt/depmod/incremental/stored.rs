//! The cache's files: what is believed to be one, and how one is written.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use kbt_depmod::{CACHE_HEAD, Cache, CacheEntry, Facts, KINDS, Kind, Region};
use rustix::fs::{Mode, OFlags, open};

use crate::modules_dir::text;
use crate::output::Set;

/// Bytes of the largest cache that is read.
const MAX_CACHE: u64 = 1 << 30;

/// A file whose index was read. Its facts are read when they are asked for, from the same file even if another has its
/// name by then.
pub struct Stored {
    file: File,
    size: u64,
    index: Vec<u8>,
}

impl Stored {
    /// A file that nobody else can have written.
    pub fn open(path: &Path) -> Option<Self> {
        // Nothing to wait for, be it a FIFO.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(open(path, flags, Mode::empty()).ok()?);
        let status = file.metadata().ok()?;
        let owner = rustix::process::geteuid().as_raw();
        let own = status.is_file() && status.uid() == owner && status.mode() & 0o022 == 0;
        let size = Some(status.len()).filter(|&size| own && size <= MAX_CACHE)?;
        let mut head = [0; CACHE_HEAD];
        file.read_exact_at(&mut head, 0).ok()?;
        let index = Cache::index_size(&head)?.checked_add(CACHE_HEAD as u64)?;
        let index = read_at(&file, 0, Some(index).filter(|&index| index <= size)?)?;
        Some(Self { file, size, index })
    }

    /// Magic and checksum, which tell it from every other.
    pub fn head(&self) -> &[u8] {
        self.index.get(..CACHE_HEAD).unwrap_or_default()
    }

    /// With the facts to be read, if it is what was written for `purpose`.
    pub fn part(&self, purpose: &[u8]) -> Option<Part<'_>> {
        let cache = Cache::parse(&self.index, purpose, self.size)?;
        Some(Part { stored: self, cache, regions: [const { None }; KINDS] })
    }

    fn region(&self, region: Region) -> Option<Vec<u8>> {
        read_at(&self.file, region.start, region.size).filter(|bytes| region.holds(bytes))
    }
}

fn read_at(mut file: &File, start: u64, size: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(size).ok()?).ok()?;
    file.seek(SeekFrom::Start(start)).ok()?;
    file.take(size).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 == size).then_some(bytes)
}

/// A cache and what was read of its facts.
pub struct Part<'c> {
    stored: &'c Stored,
    pub cache: Cache<'c>,
    regions: [Option<Vec<u8>>; KINDS],
}

impl Part<'_> {
    /// Reads the facts of one kind, unless that was done; `false` where they are not what was written.
    #[must_use]
    pub fn load(&mut self, kind: Kind) -> bool {
        let Some(place) = self.regions.get_mut(kind as usize) else { return false };
        if place.is_none() {
            *place = self.stored.region(self.cache.region(kind));
        }
        place.is_some()
    }

    /// An entry, to be written again.
    pub fn entry(&self, index: usize) -> Option<(CacheEntry<'_>, Facts<'_>)> {
        Some((self.cache.entry(index)?, self.facts(index)))
    }

    /// What was read of the facts of an entry.
    pub fn facts(&self, index: usize) -> Facts<'_> {
        self.cache.facts(index, self.regions.each_ref().map(|region| region.as_deref().unwrap_or_default()))
    }
}

/// Writes such a file.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(text)?;
    }
    let mut set = Set::default();
    // What others could write is not believed.
    set.add_own(path, bytes, 0o600).and_then(|()| set.publish(false)).map_err(|failure| failure.message)
}
