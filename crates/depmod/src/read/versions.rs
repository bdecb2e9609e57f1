//! `__versions`: names with the checksums that the module was built against.
//!
//! An entry is 64 bytes: the checksum (a word of the class), then a name with its NUL. A symbol's entry is the first of
//! its name; the names that no symbol has are wanted too. A hash table over the entries, kept from module to module,
//! keeps that linear where kmod searches for each symbol from the front.

use kbt_elf::Endianness;

use crate::name_hash::NameHasher;

/// Size of an entry in bytes (`struct modversion_info`).
const ENTRY: usize = 64;

/// The entries of one module, by their names.
#[derive(Debug, Default)]
pub struct Versions {
    hasher: NameHasher,
    /// The first entry of each name: open addressing, at least every other slot free.
    slots: Vec<Slot>,
    /// How many slots this module uses, a power of two, less one.
    mask: usize,
    /// For each entry whether a symbol has asked for it.
    visited: Vec<bool>,
    /// Where the name begins in an entry: the checksum's size in bytes.
    word: usize,
    endian: Endianness,
}

/// The number of an entry and one, 0 for none, and the upper half of its name's hash.
#[derive(Debug, Default, Clone, Copy)]
struct Slot {
    entry: u32,
    tag: u32,
}

impl Versions {
    /// Takes in the entries of `bytes`; none where they do not fill it. Whether all names have an end.
    #[must_use]
    pub fn index(&mut self, bytes: &[u8], word: usize, endian: Endianness) -> bool {
        self.visited.clear();
        (self.word, self.endian) = (word, endian);
        if !bytes.len().is_multiple_of(ENTRY) {
            return true;
        }
        let count = bytes.len() / ENTRY;
        self.visited.resize(count, false);
        self.clear(count);
        for (number, entry) in (1..).zip(bytes.as_chunks::<ENTRY>().0) {
            let (name, hash) = self.hasher.take(entry.get(word..).unwrap_or_default());
            if name.len() == ENTRY - word {
                return false;
            }
            // The first entry of a name counts.
            if let Err(free) = self.probe(bytes, name, hash)
                && let Some(slot) = self.slots.get_mut(free)
            {
                *slot = Slot { entry: number, tag: tag(hash) };
            }
        }
        true
    }

    /// Empties twice as many slots as there are entries.
    fn clear(&mut self, count: usize) {
        let size = (2 * count).next_power_of_two();
        self.mask = size - 1;
        if self.slots.len() < size {
            self.slots.resize(size, Slot::default());
        }
        if let Some(slots) = self.slots.get_mut(..size) {
            slots.fill(Slot::default());
        }
    }

    /// The index of the entry of this name, or the slot where it would be.
    #[inline]
    fn probe(&self, bytes: &[u8], name: &[u8], hash: u64) -> Result<usize, usize> {
        #[allow(clippy::cast_possible_truncation, reason = "what counts are the low bits")]
        let mut at = hash as usize & self.mask;
        while let Some(slot) = self.slots.get(at) {
            let Some(index) = slot.entry.checked_sub(1) else { break };
            if slot.tag == tag(hash) && self.has_name(bytes, index as usize, name) {
                return Ok(index as usize);
            }
            at = (at + 1) & self.mask;
        }
        Err(at)
    }

    /// Whether the entry, whose name has an end, has this name.
    fn has_name(&self, bytes: &[u8], index: usize, name: &[u8]) -> bool {
        let own = bytes.get(index * ENTRY + self.word..(index + 1) * ENTRY).unwrap_or_default();
        own.get(name.len()) == Some(&0) && own.starts_with(name)
    }

    /// The name that `bytes` of a table of names begin with, and the checksum of the first entry of that name, which is
    /// marked; 0 without one. `versions` is what was indexed.
    #[inline]
    pub fn visit<'n>(&mut self, versions: &[u8], bytes: &'n [u8]) -> (&'n [u8], u64) {
        let (name, hash) = self.hasher.take(bytes);
        if self.visited.is_empty() {
            return (name, 0);
        }
        let Ok(index) = self.probe(versions, name, hash) else { return (name, 0) };
        if let Some(visited) = self.visited.get_mut(index) {
            *visited = true;
        }
        (name, self.crc(versions, index))
    }

    /// Names and checksums of the entries that nobody visited, in their order.
    pub fn unvisited<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = (&'a [u8], u64)> {
        let left = self.visited.iter().enumerate().filter(|(_, visited)| !**visited);
        left.map(|(index, _)| {
            let entry = bytes.get(index * ENTRY + self.word..(index + 1) * ENTRY).unwrap_or_default();
            (self.hasher.take(entry).0, self.crc(bytes, index))
        })
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

fn tag(hash: u64) -> u32 {
    #[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
    let tag = (hash >> 32) as u32;
    tag
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
        assert_eq!(versions.visit(&bytes, b"a").1, 1);
        assert_eq!(versions.visit(&bytes, b"nobody").1, 0);
        assert_eq!(versions.visit(&bytes, b"b").1, 2);
        assert_eq!(versions.visit(&bytes, b"a").1, 1);
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
        assert_eq!(versions.visit(&bytes, b"a").1, 0);
        assert_eq!(versions.unvisited(&bytes).count(), 0);
    }
}
