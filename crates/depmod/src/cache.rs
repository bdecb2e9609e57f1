//! What each module gave, kept from one run to the next.
//!
//! **Layout**, numbers little-endian: magic, checksum of all behind it (16 bytes), what the cache is for (a length of 4
//! bytes, text), the number of known files (4) and for each its number (4) and two checksums (16 each), the number of
//! entries (4); then each entry: the lengths of path and facts (4 each), the file's identity
//! (device, inode, size, modified and changed as seconds and nanoseconds; 7 times 8), the content's checksum (16), path,
//! facts.
//!
//! **Limits.** A cache is thrown away whole: for a wrong checksum, another purpose, a byte too many. Whether an entry may
//! be believed is for who knows the clock of the file system; only entries that may are written.

use hashbrown::HashTable;

use crate::digest::Digest;
use crate::facts::Facts;
use crate::outputs::Output;
use std::hash::BuildHasher as _;

/// To be changed with the layout, that of [`Facts`], or what a reader takes out of a module.
const MAGIC: [u8; 8] = *b"KBTDEP01";

/// Bytes at the front of a cache, its magic and checksum, that tell it from every other.
pub const CACHE_HEAD: usize = MAGIC.len() + 16;

/// Bytes of an entry in front of its path.
const ENTRY: usize = 4 + 4 + 7 * 8 + 16;

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

/// What is kept of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheEntry<'c> {
    /// The module's path.
    pub path: &'c [u8],
    /// The state of the file that gave the facts.
    pub identity: FileIdentity,
    /// The checksum of its content; 0 where none was made.
    pub content: u128,
    /// The facts.
    pub facts: Facts<'c>,
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
}

/// A cache that was read.
pub struct Cache<'c> {
    known: Vec<KnownFile>,
    entries: Vec<CacheEntry<'c>>,
    by_path: HashTable<u32>,
    seed: foldhash::fast::RandomState,
}

impl<'c> Cache<'c> {
    /// Reads a cache that was made for `purpose`; `None` where there is any doubt about it.
    pub fn parse(bytes: &'c [u8], purpose: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (digest, mut rest) = rest.split_first_chunk()?;
        if Digest::of(rest) != u128::from_le_bytes(*digest) {
            return None;
        }
        let length = take_length(&mut rest)?;
        if take(&mut rest, length)? != purpose {
            return None;
        }
        let count = take_length(&mut rest)?;
        let known = (0..count).map(|_| take_known(&mut rest)).collect::<Option<_>>()?;
        let count = take_length(&mut rest)?;
        let mut entries = Vec::with_capacity(count.min(rest.len() / ENTRY));
        for _ in 0..count {
            entries.push(take_entry(&mut rest)?);
        }
        rest.is_empty().then(|| Self::of(known, entries))
    }

    fn of(known: Vec<KnownFile>, entries: Vec<CacheEntry<'c>>) -> Self {
        let seed = foldhash::fast::RandomState::default();
        let hash = |&index: &u32| seed.hash_one(entries.get(index as usize).map(|entry| entry.path));
        let mut by_path = HashTable::with_capacity(entries.len());
        for index in (0..).take(entries.len()) {
            by_path.insert_unique(hash(&index), index, hash);
        }
        Self { known, entries, by_path, seed }
    }

    /// The entry of this path.
    pub fn find(&self, path: &[u8]) -> Option<&CacheEntry<'c>> {
        let hash = self.seed.hash_one(Some(path));
        let is = |&index: &u32| self.entries.get(index as usize).is_some_and(|entry| entry.path == path);
        self.by_path.find(hash, is).and_then(|&index| self.entries.get(index as usize))
    }

    /// The files that are known.
    pub fn known(&self) -> &[KnownFile] {
        &self.known
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// The bytes of a cache; `None` where they would pass 4 GiB.
pub fn write_cache(purpose: &[u8], known: &[KnownFile], entries: &[CacheEntry<'_>]) -> Option<Vec<u8>> {
    let texts = entries.iter().map(|entry| ENTRY + entry.path.len() + entry.facts.as_bytes().len());
    let mut bytes = Vec::with_capacity(CACHE_HEAD + 8 + purpose.len() + texts.sum::<usize>());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&[0; 16]);
    put_length(&mut bytes, purpose.len())?;
    bytes.extend_from_slice(purpose);
    put_length(&mut bytes, known.len())?;
    for file in known {
        put_length(&mut bytes, Output::ALL.iter().position(|output| *output == file.output)?)?;
        bytes.extend_from_slice(&file.inputs.to_le_bytes());
        bytes.extend_from_slice(&file.bytes.to_le_bytes());
    }
    put_length(&mut bytes, entries.len())?;
    for entry in entries {
        put_entry(&mut bytes, entry)?;
    }
    let digest = Digest::of(bytes.get(CACHE_HEAD..)?);
    bytes.get_mut(MAGIC.len()..CACHE_HEAD)?.copy_from_slice(&digest.to_le_bytes());
    Some(bytes)
}

fn put_entry(bytes: &mut Vec<u8>, entry: &CacheEntry<'_>) -> Option<()> {
    put_length(bytes, entry.path.len())?;
    put_length(bytes, entry.facts.as_bytes().len())?;
    let FileIdentity { device, inode, size, modified, changed } = entry.identity;
    let (modified, changed) =
        ((modified.0.cast_unsigned(), modified.1), (changed.0.cast_unsigned(), changed.1));
    for word in [device, inode, size, modified.0, modified.1, changed.0, changed.1] {
        bytes.extend_from_slice(&word.to_le_bytes());
    }
    bytes.extend_from_slice(&entry.content.to_le_bytes());
    bytes.extend_from_slice(entry.path);
    bytes.extend_from_slice(entry.facts.as_bytes());
    Some(())
}

fn take_entry<'c>(rest: &mut &'c [u8]) -> Option<CacheEntry<'c>> {
    let path = take_length(rest)?;
    let facts = take_length(rest)?;
    let (words, _) = take(rest, 7 * 8)?.as_chunks::<8>();
    let &[device, inode, size, modified, modified_part, changed, changed_part] = words else { return None };
    let [device, inode, size, modified_part, changed_part] =
        [device, inode, size, modified_part, changed_part].map(u64::from_le_bytes);
    let identity = FileIdentity {
        device,
        inode,
        size,
        modified: (i64::from_le_bytes(modified), modified_part),
        changed: (i64::from_le_bytes(changed), changed_part),
    };
    let content = u128::from_le_bytes(*take(rest, 16)?.first_chunk()?);
    let path = take(rest, path)?;
    Some(CacheEntry { path, identity, content, facts: Facts::from_bytes(take(rest, facts)?) })
}

fn take_known(rest: &mut &[u8]) -> Option<KnownFile> {
    let output = *Output::ALL.get(take_length(rest)?)?;
    let inputs = u128::from_le_bytes(*take(rest, 16)?.first_chunk()?);
    Some(KnownFile { output, inputs, bytes: u128::from_le_bytes(*take(rest, 16)?.first_chunk()?) })
}

fn put_length(bytes: &mut Vec<u8>, length: usize) -> Option<()> {
    bytes.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
    Some(())
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    Some(u32::from_le_bytes(*take(rest, 4)?.first_chunk()?) as usize)
}

fn take<'c>(rest: &mut &'c [u8], count: usize) -> Option<&'c [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::FactsBuilder;

    fn sample() -> Vec<u8> {
        let mut builder = FactsBuilder::new();
        builder.push_alias(b"x");
        let facts = builder.finish().unwrap();
        let identity = FileIdentity { device: 1, inode: 2, size: 3, modified: (-4, 5), changed: (6, 7) };
        let entry = CacheEntry { path: b"/a.ko", identity, content: 8, facts: facts.view() };
        let other = CacheEntry { path: b"/b.ko", ..entry };
        write_cache(b"me", &[KnownFile { output: Output::Devname, inputs: 1, bytes: 2 }], &[entry, other])
            .unwrap()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = sample();
        let cache = Cache::parse(&bytes, b"me").unwrap();
        assert_eq!(cache.len(), 2);
        assert_eq!(cache.known(), [KnownFile { output: Output::Devname, inputs: 1, bytes: 2 }]);
        let entry = cache.find(b"/a.ko").unwrap();
        assert_eq!(entry.identity.modified, (-4, 5));
        assert_eq!((entry.identity.changed, entry.content), ((6, 7), 8));
        assert_eq!(entry.facts.aliases().collect::<Vec<_>>(), [b"x"]);
        assert!(cache.find(b"/c.ko").is_none());
    }

    #[test]
    fn any_doubt_throws_all_away() {
        let bytes = sample();
        assert!(Cache::parse(&bytes, b"you").is_none());
        for at in 0..bytes.len() {
            assert!(Cache::parse(&bytes[..at], b"me").is_none(), "{at}");
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(Cache::parse(&changed, b"me").is_none(), "{at}");
        }
        assert!(Cache::parse(&[bytes.as_slice(), b"\0"].concat(), b"me").is_none());
    }
}
