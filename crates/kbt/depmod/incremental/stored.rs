//! The cache's files: what is believed to be one, and how one is written.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use kbt_depmod::{CACHE_HEAD, Cache, CacheEntry, Facts, Kind, REGIONS, Region, WANTS};
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
        Some(Part { stored: self, cache, regions: [const { None }; REGIONS], imports: HashMap::new() })
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
    regions: [Option<Vec<u8>>; REGIONS],
    /// Pieces of [`Kind::Import`] that were read alone, by their entries.
    imports: HashMap<usize, Vec<u8>>,
}

impl Part<'_> {
    /// Reads a region, unless that was done; `false` where it is not what was written.
    #[must_use]
    pub fn load(&mut self, region: usize) -> bool {
        let Some(place) = self.regions.get_mut(region) else { return false };
        if place.is_none() {
            *place = self.stored.region(self.cache.region(region));
        }
        place.is_some()
    }

    /// Reads what one module wants, unless that was done; `false` where it is not what was written.
    #[must_use]
    pub fn load_imports(&mut self, index: usize) -> bool {
        const IMPORT: usize = Kind::Import as usize;
        if self.regions[IMPORT].is_some() || self.imports.contains_key(&index) {
            return true;
        }
        let (Some(entry), Some(place)) = (self.cache.entry(index), self.cache.piece(index, IMPORT)) else {
            return false;
        };
        let start = self.cache.region(IMPORT).start + place.start as u64;
        let Some(bytes) = read_at(&self.stored.file, start, place.len() as u64) else { return false };
        let mut pieces = [&[][..]; Kind::ALL.len()];
        pieces[IMPORT] = &bytes;
        let same = Facts::from_pieces(pieces).checksum(Kind::Import) == entry.checksums.of(Kind::Import);
        self.imports.insert(index, bytes);
        same
    }

    /// The hashes of what a module wants, where that region was read.
    pub fn wants(&self, index: usize) -> &[u8] {
        let region = self.regions[WANTS].as_deref().unwrap_or_default();
        self.cache.piece(index, WANTS).and_then(|piece| region.get(piece)).unwrap_or_default()
    }

    /// An entry, to be written again.
    pub fn entry(&self, index: usize) -> Option<(CacheEntry<'_>, Facts<'_>)> {
        Some((self.cache.entry(index)?, self.facts(index)))
    }

    /// What was read of the facts of an entry.
    pub fn facts(&self, index: usize) -> Facts<'_> {
        let region = |kind: Kind| self.regions[kind as usize].as_deref().unwrap_or_default();
        let facts = self.cache.facts(index, Kind::ALL.map(region));
        let Some(imports) = self.imports.get(&index) else { return facts };
        let mut pieces = Kind::ALL.map(|kind| facts.piece(kind));
        pieces[Kind::Import as usize] = imports;
        Facts::from_pieces(pieces)
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
