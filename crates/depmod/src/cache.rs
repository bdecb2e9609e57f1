//! What each module gave, kept from one run to the next.
//!
//! **Layout**, numbers little-endian. A head of 32 bytes: magic, checksum of all of the index (16 bytes), length of the
//! index (8). The index, in which lengths and counts take 4 bytes:
//!
//! - what the cache is for: a length, text;
//! - of each region the length (8) and the checksum (16);
//! - the known files: a count, then of each its number (4), two checksums (16 each) and its identity;
//! - the resolution: how many symbols there are, how many modules; of each module the checksums of what it exports and of
//!   what it wants (16 each) and where its list ends (4); the lists, 4 a module in them; how long the names are; the names;
//! - how many entries there are, then of each a record: where its path ends among the paths, where each of its pieces ends
//!   in its region (4 each), the file's identity (device, inode, size, modified and changed as seconds and nanoseconds; 7
//!   times 8), the content's checksum (16), those of its facts (16 each);
//! - the paths.
//!
//! Behind the index comes a region for each kind of facts, with the pieces of all entries, and one for the hashes of what
//! they want. A run reads the index, and of the regions those that it needs, or single pieces.
//!
//! **Limits.** A cache is thrown away whole: for a wrong checksum, another purpose, a byte too many. Whether an entry may
//! be believed is for who knows the clock of the file system; only entries that may are written.

use std::cell::OnceCell;
use std::hash::BuildHasher as _;
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::digest::Digest;
use crate::facts::{Checksums, Facts, KINDS, Kind};
use crate::outputs::Output;
use crate::resolution::Resolution;
use crate::wants::WantHasher;

/// To be changed with the layout, that of [`Facts`], what a reader takes out of a module, or how files are made of it.
const MAGIC: [u8; 8] = *b"KBTDEP04";

/// Bytes at the front of a cache, which tell it from every other and how long its index is.
pub const CACHE_HEAD: usize = MAGIC.len() + 16 + 8;

/// Regions of a cache: one for each kind of facts, whose number it has, and [`WANTS`].
pub const REGIONS: usize = KINDS + 1;

/// The region of the hashes of wanted symbols, which [`Exported`](crate::Exported) takes.
pub const WANTS: usize = KINDS;

/// Bytes of an entry without its path and its facts.
const RECORD: usize = 4 * (1 + REGIONS) + IDENTITY + 16 + 16 * KINDS;

const IDENTITY: usize = 7 * 8;

/// What tells one state of a file from another.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileIdentity {
    /// The device that it is on.
    pub device: u64,
    /// Its inode there.
    pub inode: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its content was changed (or is said to have been): seconds and nanoseconds.
    pub modified: (i64, u64),
    /// When it was changed in any way, by the clock of the file system.
    pub changed: (i64, u64),
}

/// What is kept of a module, beside its facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheEntry<'c> {
    /// The module's path.
    pub path: &'c [u8],
    /// The state of the file that gave the facts.
    pub identity: FileIdentity,
    /// The checksum of its content; 0 where none was made.
    pub content: u128,
    /// Those of the facts.
    pub checksums: Checksums,
}

/// A file that was made of inputs with one checksum and has another itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownFile {
    /// Which file.
    pub output: Output,
    /// The checksum of what it was made of.
    pub inputs: u128,
    /// The checksum of its bytes.
    pub bytes: u128,
    /// The state in which it was seen to have these bytes; that of no file where that may not be believed.
    pub identity: FileIdentity,
}

/// The pieces of all entries that are of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Region {
    /// Where they begin in the cache.
    pub start: u64,
    /// How many bytes they are.
    pub size: u64,
    checksum: u128,
}

impl Region {
    /// Whether these are the bytes that were written.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.size && Digest::of(bytes) == self.checksum
    }
}

/// The index of a cache.
pub struct Cache<'c> {
    regions: [Region; REGIONS],
    known: Vec<KnownFile>,
    resolution: Resolution,
    records: &'c [[u8; RECORD]],
    paths: &'c [u8],
    /// Made when it is first asked.
    by_path: OnceCell<HashTable<u32>>,
    seed: RandomState,
}

impl<'c> Cache<'c> {
    /// How many bytes the index has behind the head, as that says.
    pub fn index_size(head: &[u8; CACHE_HEAD]) -> Option<u64> {
        let rest = head.strip_prefix(&MAGIC)?;
        Some(u64::from_le_bytes(*rest.last_chunk()?))
    }

    /// Reads head and index of a cache that was made for `purpose` and is of `size` bytes in all; `None` where there is
    /// any doubt about it.
    pub fn parse(bytes: &'c [u8], purpose: &[u8], size: u64) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<CACHE_HEAD>()?;
        let digest = u128::from_le_bytes(*head.strip_prefix(&MAGIC)?.first_chunk()?);
        if Self::index_size(head)? != rest.len() as u64 || Digest::of(rest) != digest {
            return None;
        }
        let mut rest = Rest(rest);
        let length = rest.length()?;
        if rest.bytes(length)? != purpose {
            return None;
        }
        let mut start = bytes.len() as u64;
        let mut regions = [Region::default(); REGIONS];
        for region in &mut regions {
            *region = Region { start, size: rest.u64()?, checksum: rest.u128()? };
            start = start.checked_add(region.size)?;
        }
        let count = rest.length()?;
        let known = (0..count).map(|_| rest.known()).collect::<Option<_>>()?;
        let resolution = Resolution::take(&mut rest)?;
        let count = rest.length()?;
        let records = rest.bytes(count.checked_mul(RECORD)?)?.as_chunks().0;
        let (by_path, seed) = (OnceCell::new(), RandomState::default());
        (start == size).then_some(Self { regions, known, resolution, records, paths: rest.0, by_path, seed })
    }

    /// Where the pieces of one kind lie.
    pub fn region(&self, region: usize) -> Region {
        self.regions.get(region).copied().unwrap_or_default()
    }

    /// Where in a region the piece of an entry is.
    pub fn piece(&self, index: usize, region: usize) -> Option<Range<usize>> {
        let end = |index: usize| {
            let ends = self.records.get(index)?.as_chunks::<4>().0;
            Some(u32::from_le_bytes(*ends.get(1 + region).filter(|_| region < REGIONS)?) as usize)
        };
        let start = index.checked_sub(1).and_then(end).unwrap_or(0);
        Some(start..end(index)?)
    }

    /// The entry of this path; `hint` is where it may be.
    pub fn find(&self, path: &[u8], hint: usize) -> Option<usize> {
        if self.path(hint) == Some(path) {
            return Some(hint);
        }
        let by_path = self.by_path.get_or_init(|| self.index_paths());
        let is = |&index: &u32| self.path(index as usize) == Some(path);
        by_path.find(self.seed.hash_one(Some(path)), is).map(|&index| index as usize)
    }

    fn index_paths(&self) -> HashTable<u32> {
        let hash = |&index: &u32| self.seed.hash_one(self.path(index as usize));
        let mut by_path = HashTable::with_capacity(self.len());
        for index in (0..).take(self.len()) {
            by_path.insert_unique(hash(&index), index, hash);
        }
        by_path
    }

    fn path(&self, index: usize) -> Option<&'c [u8]> {
        let end = |index: usize| Some(u32::from_le_bytes(*self.records.get(index)?.first_chunk()?) as usize);
        let start = index.checked_sub(1).and_then(end).unwrap_or(0);
        self.paths.get(start..end(index)?)
    }

    /// One entry.
    pub fn entry(&self, index: usize) -> Option<CacheEntry<'c>> {
        let mut rest = Rest(self.records.get(index)?.get(4 * (1 + REGIONS)..)?);
        let (identity, content) = (rest.identity()?, rest.u128()?);
        let mut checksums = Checksums::default();
        for checksum in &mut checksums.0 {
            *checksum = rest.u128()?;
        }
        Some(CacheEntry { path: self.path(index)?, identity, content, checksums })
    }

    /// The facts of one entry. Those of a kind whose region is empty are missing.
    pub fn facts<'r>(&self, index: usize, regions: [&'r [u8]; KINDS]) -> Facts<'r> {
        let piece = |kind: Kind| regions[kind as usize].get(self.piece(index, kind as usize)?);
        Facts::from_pieces(Kind::ALL.map(|kind| piece(kind).unwrap_or_default()))
    }

    /// The files that are known.
    pub fn known(&self) -> &[KnownFile] {
        &self.known
    }

    /// The dependencies that are known.
    pub fn resolution(&self) -> &Resolution {
        &self.resolution
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// The bytes of a cache; `None` where a part of them would pass 4 GiB.
pub fn write_cache(
    purpose: &[u8],
    known: &[KnownFile],
    resolution: &Resolution,
    entries: &[(CacheEntry<'_>, Facts<'_>)],
) -> Option<Vec<u8>> {
    let mut index = Vec::with_capacity(entries.len() * (RECORD + 20 + 100) + 1024);
    put_length(&mut index, purpose.len())?;
    index.extend_from_slice(purpose);
    let mut regions = Vec::new();
    for kind in Kind::ALL {
        let start = regions.len();
        entries.iter().for_each(|(_, facts)| regions.extend_from_slice(facts.piece(kind)));
        put_region(&mut index, regions.get(start..).unwrap_or_default());
    }
    let start = regions.len();
    let hasher = WantHasher::default();
    entries.iter().for_each(|(_, facts)| regions.extend(hasher.wants(*facts).flatten()));
    put_region(&mut index, regions.get(start..).unwrap_or_default());
    put_length(&mut index, known.len())?;
    for file in known {
        put_length(&mut index, Output::ALL.iter().position(|output| *output == file.output)?)?;
        index.extend(file.inputs.to_le_bytes());
        index.extend(file.bytes.to_le_bytes());
        put_identity(&mut index, &file.identity);
    }
    resolution.put(&mut index)?;
    put_entries(&mut index, entries)?;
    let mut bytes = Vec::with_capacity(CACHE_HEAD + index.len() + regions.len());
    bytes.extend(MAGIC);
    bytes.extend(Digest::of(&index).to_le_bytes());
    bytes.extend((index.len() as u64).to_le_bytes());
    bytes.extend_from_slice(&index);
    bytes.extend_from_slice(&regions);
    Some(bytes)
}

fn put_region(index: &mut Vec<u8>, region: &[u8]) {
    index.extend((region.len() as u64).to_le_bytes());
    index.extend(Digest::of(region).to_le_bytes());
}

fn put_entries(index: &mut Vec<u8>, entries: &[(CacheEntry<'_>, Facts<'_>)]) -> Option<()> {
    put_length(index, entries.len())?;
    let mut path_end = 0;
    let mut ends = [0_usize; REGIONS];
    for (entry, facts) in entries {
        path_end += entry.path.len();
        put_length(index, path_end)?;
        let sizes = Kind::ALL.into_iter().map(|kind| facts.piece(kind).len());
        for (size, end) in sizes.chain([4 * facts.imports().len()]).zip(&mut ends) {
            *end += size;
            put_length(index, *end)?;
        }
        put_identity(index, &entry.identity);
        index.extend(entry.content.to_le_bytes());
        entry.checksums.0.iter().for_each(|checksum| index.extend(checksum.to_le_bytes()));
    }
    entries.iter().for_each(|(entry, _)| index.extend_from_slice(entry.path));
    Some(())
}

fn put_identity(index: &mut Vec<u8>, identity: &FileIdentity) {
    let FileIdentity { device, inode, size, modified, changed } = *identity;
    let (modified, changed) =
        ((modified.0.cast_unsigned(), modified.1), (changed.0.cast_unsigned(), changed.1));
    for word in [device, inode, size, modified.0, modified.1, changed.0, changed.1] {
        index.extend(word.to_le_bytes());
    }
}

pub(crate) fn put_length(index: &mut Vec<u8>, length: usize) -> Option<()> {
    index.extend(u32::try_from(length).ok()?.to_le_bytes());
    Some(())
}

/// What is still to be read.
pub(crate) struct Rest<'c>(&'c [u8]);

impl<'c> Rest<'c> {
    pub(crate) fn new(bytes: &'c [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'c [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(crate) fn length(&mut self) -> Option<usize> {
        Some(u32::from_le_bytes(*self.bytes(4)?.first_chunk()?) as usize)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(*self.bytes(8)?.first_chunk()?))
    }

    pub(crate) fn u128(&mut self) -> Option<u128> {
        Some(u128::from_le_bytes(*self.bytes(16)?.first_chunk()?))
    }

    fn identity(&mut self) -> Option<FileIdentity> {
        Some(FileIdentity {
            device: self.u64()?,
            inode: self.u64()?,
            size: self.u64()?,
            modified: (self.u64()?.cast_signed(), self.u64()?),
            changed: (self.u64()?.cast_signed(), self.u64()?),
        })
    }

    fn known(&mut self) -> Option<KnownFile> {
        let output = *Output::ALL.get(self.length()?)?;
        Some(KnownFile { output, inputs: self.u128()?, bytes: self.u128()?, identity: self.identity()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::dependencies::Dependencies;
    use crate::facts::FactsBuilder;
    use crate::modules::Modules;
    use crate::wants::Exported;

    const KNOWN: KnownFile = KnownFile {
        output: Output::Devname,
        inputs: 1,
        bytes: 2,
        identity: FileIdentity { device: 9, inode: 8, size: 7, modified: (6, 5), changed: (4, 3) },
    };

    fn sample() -> Vec<u8> {
        let mut builder = FactsBuilder::new();
        builder.push_alias(b"x");
        builder.push_import(b"printk", 5, false);
        let facts = builder.finish().unwrap();
        builder.push_import(b"other", 6, true);
        let other_facts = builder.finish().unwrap();
        let identity = FileIdentity { device: 1, inode: 2, size: 3, modified: (-4, 5), changed: (6, 7) };
        let entry = CacheEntry { path: b"/a.ko", identity, content: 8, checksums: facts.view().checksums() };
        let other = CacheEntry { path: b"/b.ko", checksums: other_facts.view().checksums(), ..entry };
        let entries = [(entry, facts.view()), (other, other_facts.view())];
        write_cache(b"me", &[KNOWN], &resolution(), &entries).unwrap()
    }

    fn resolution() -> Resolution {
        let mut modules = Modules::new(b"/");
        for path in [b"/a.ko", b"/b.ko"] {
            modules.offer(path, 0, &Config::default());
        }
        let checksums = [[0, 0, 0, 1, 2], [0, 0, 0, 0, 3]].map(Checksums);
        Resolution::new(&modules, &checksums, 12, Dependencies::from_lists([vec![1], vec![]]))
    }

    /// Head and index.
    fn index(bytes: &[u8]) -> &[u8] {
        let size = Cache::index_size(bytes.first_chunk().unwrap()).unwrap();
        &bytes[..CACHE_HEAD + usize::try_from(size).unwrap()]
    }

    #[test]
    fn another_layout_has_another_magic() {
        // Where this fails the layout has changed: so must MAGIC, and then both here.
        let layout = Digest::of(sample().get(MAGIC.len()..).unwrap());
        assert_eq!((&MAGIC, layout), (b"KBTDEP04", 0x98f6454315b6cf56c36d25dcb83fa8d4));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = sample();
        let cache = Cache::parse(index(&bytes), b"me", bytes.len() as u64).unwrap();
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.known(), [KNOWN]);
        assert_eq!(*cache.resolution(), resolution());
        for hint in 0..3 {
            assert_eq!(cache.find(b"/a.ko", hint), Some(0));
            assert_eq!(cache.find(b"/b.ko", hint), Some(1));
            assert_eq!(cache.find(b"/c.ko", hint), None);
        }
        let entry = cache.entry(0).unwrap();
        assert_eq!((entry.path, entry.content), (&b"/a.ko"[..], 8));
        assert_eq!((entry.identity.modified, entry.identity.changed), ((-4, 5), (6, 7)));
        let region = |number: usize| {
            let Region { start, size, .. } = cache.region(number);
            let (start, size) = (usize::try_from(start).unwrap(), usize::try_from(size).unwrap());
            assert!(cache.region(number).holds(&bytes[start..start + size]));
            assert!(!cache.region(number).holds(b"other bytes"));
            &bytes[start..start + size]
        };
        let regions = Kind::ALL.map(|kind| region(kind as usize));
        let mut builder = FactsBuilder::new();
        builder.push_export(b"other", 1);
        let exported = Exported::by([builder.finish().unwrap().view()]);
        let meets = |entry| exported.meet(&region(WANTS)[cache.piece(entry, WANTS).unwrap()]);
        assert_eq!([meets(0), meets(1)], [false, true]);
        let facts = cache.facts(0, regions);
        assert_eq!(facts.aliases().collect::<Vec<_>>(), [b"x"]);
        assert_eq!(facts.checksums(), entry.checksums);
        let other = cache.facts(1, regions);
        assert_eq!(
            (other.aliases().len(), other.imports().map(|it| it.name).collect()),
            (0, vec![&b"other"[..]])
        );
        // What was not read is not there.
        let mut some = regions;
        some[Kind::Import as usize] = &[];
        assert_eq!((cache.facts(0, some).aliases().len(), cache.facts(0, some).imports().len()), (1, 0));
    }

    #[test]
    fn any_doubt_throws_all_away() {
        let bytes = sample();
        let (index, size) = (index(&bytes), bytes.len() as u64);
        assert!(Cache::parse(index, b"me", size).is_some());
        assert!(Cache::parse(index, b"you", size).is_none());
        assert!(Cache::parse(index, b"me", size + 1).is_none());
        assert!(Cache::parse(index, b"me", size - 1).is_none());
        for at in 0..index.len() {
            assert!(Cache::parse(&index[..at], b"me", size).is_none(), "{at}");
            let mut changed = index.to_vec();
            changed[at] ^= 0x10;
            assert!(Cache::parse(&changed, b"me", size).is_none(), "{at}");
        }
        assert!(Cache::parse(&[index, b"\0"].concat(), b"me", size).is_none());
    }
}
