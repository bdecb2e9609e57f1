//! `__versions`: names with the checksums that the module was built against.
//!
//! An entry is 64 bytes: the checksum (a word of the class), then a name with its NUL. A symbol's entry is the first of
//! its name; the names that no symbol has are wanted too. A hash table over the entries, kept from module to module,
//! keeps that linear where kmod searches for each symbol from the front.

use hashbrown::HashTable;
use kbt_elf::Endianness;

use super::names::NameHasher;

/// Size of an entry in bytes (`struct modversion_info`).
const ENTRY: usize = 64;

/// The entries of one module, by their names.
#[derive(Debug, Default)]
pub struct Versions {
    hasher: NameHasher,
    /// The first entry of each name.
    by_name: HashTable<usize>,
    /// For each entry whether a symbol has asked for it.
    visited: Vec<bool>,
    /// Where the name begins in an entry: the checksum's size in bytes.
    word: usize,
    endian: Endianness,
}

impl Versions {
    /// Takes in the entries of `bytes`; none where they do not fill it. Whether all names have an end.
    #[must_use]
    pub fn index(&mut self, bytes: &[u8], word: usize, endian: Endianness) -> bool {
        self.visited.clear();
        self.by_name.clear();
        (self.word, self.endian) = (word, endian);
        if !bytes.len().is_multiple_of(ENTRY) {
            return true;
        }
        let count = bytes.len() / ENTRY;
        self.visited.resize(count, false);
        let Self { hasher, by_name, .. } = self;
        by_name.reserve(count, |&index| hasher.hash(name(bytes, index, word)));
        for index in 0..count {
            let own = name(bytes, index, word);
            if own.len() == ENTRY - word {
                return false;
            }
            // The first entry of a name counts.
            by_name
                .entry(
                    hasher.hash(own),
                    |&other| name(bytes, other, word) == own,
                    |&other| hasher.hash(name(bytes, other, word)),
                )
                .or_insert(index);
        }
        true
    }

    /// The checksum of the first entry called `wanted`, which is marked; 0 without one.
    pub fn visit(&mut self, bytes: &[u8], wanted: &[u8]) -> u64 {
        if self.visited.is_empty() {
            return 0;
        }
        let found =
            self.by_name.find(self.hasher.hash(wanted), |&index| name(bytes, index, self.word) == wanted);
        let Some(&index) = found else { return 0 };
        if let Some(visited) = self.visited.get_mut(index) {
            *visited = true;
        }
        self.crc(bytes, index)
    }

    /// Names and checksums of the entries that nobody visited, in their order.
    pub fn unvisited<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], u64)> {
        let left = self.visited.iter().enumerate().filter(|(_, visited)| !**visited);
        left.map(|(index, _)| (name(bytes, index, self.word), self.crc(bytes, index)))
    }

    fn crc(&self, bytes: &[u8], index: usize) -> u64 {
        let entry = bytes.get(index * ENTRY..).unwrap_or_default();
        match (self.word, self.endian) {
            (4, Endianness::Little) => entry.first_chunk().map(|word| u64::from(u32::from_le_bytes(*word))),
            (4, Endianness::Big) => entry.first_chunk().map(|word| u64::from(u32::from_be_bytes(*word))),
            (_, Endianness::Little) => entry.first_chunk().map(|word| u64::from_le_bytes(*word)),
            (_, Endianness::Big) => entry.first_chunk().map(|word| u64::from_be_bytes(*word)),
        }
        .unwrap_or(0)
    }
}

/// The name of an entry; one without an end fills it.
fn name(bytes: &[u8], index: usize, word: usize) -> &[u8] {
    let start = index * ENTRY;
    let rest = bytes.get(start + word..start + ENTRY).unwrap_or_default();
    let end = memchr::memchr(0, rest).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(crc: u64, name: &[u8]) -> Vec<u8> {
        let mut entry = crc.to_le_bytes().to_vec();
        entry.extend_from_slice(name);
        entry.resize(ENTRY, 0);
        entry
    }

    #[test]
    fn the_first_of_a_name_counts_and_the_others_stay() {
        let bytes = [entry(1, b"a"), entry(2, b"b"), entry(3, b"a"), entry(4, b"layout")].concat();
        let mut versions = Versions::default();
        assert!(versions.index(&bytes, 8, Endianness::Little));
        assert_eq!(versions.visit(&bytes, b"a"), 1);
        assert_eq!(versions.visit(&bytes, b"nobody"), 0);
        assert_eq!(versions.visit(&bytes, b"b"), 2);
        assert_eq!(versions.visit(&bytes, b"a"), 1);
        let left: Vec<_> = versions.unvisited(&bytes).collect();
        assert_eq!(left, [(&b"a"[..], 3), (b"layout", 4)]);
    }

    #[test]
    fn a_name_has_an_end() {
        let bytes = [entry(1, b"a"), entry(2, &[b'x'; 56])].concat();
        assert!(!Versions::default().index(&bytes, 8, Endianness::Little));
        let bytes = [entry(1, b"a"), entry(2, &[b'x'; 55])].concat();
        assert!(Versions::default().index(&bytes, 8, Endianness::Little));
    }

    #[test]
    fn a_part_of_an_entry_spoils_them_all() {
        let mut bytes = entry(1, b"a");
        bytes.push(0);
        let mut versions = Versions::default();
        assert!(versions.index(&bytes, 8, Endianness::Little));
        assert_eq!(versions.visit(&bytes, b"a"), 0);
        assert_eq!(versions.unvisited(&bytes).count(), 0);
    }
}
