//! Which entries point at the same bytes of the image.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// How entries are spread over blobs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sharing {
    /// For each entry, the blob that it points at.
    pub blob_of: Vec<usize>,
    /// For each blob, the first entry that points at it.
    pub first_entry: Vec<usize>,
}

impl Sharing {
    /// Every entry has a blob of its own.
    pub fn none(entries: usize) -> Self {
        Self { blob_of: (0..entries).collect(), first_entry: (0..entries).collect() }
    }

    fn add(&mut self, entry: usize, shared: Option<usize>) {
        let blob = shared.unwrap_or_else(|| {
            self.first_entry.push(entry);
            self.first_entry.len() - 1
        });
        self.blob_of.push(blob);
    }
}

/// mkdtboimg's rule: an entry shares with the *first* earlier entry of its source, and only where both are
/// compressed alike. A source given three times as raw, zlib, zlib is therefore stored three times.
pub fn share_first<S: Ord, C: PartialEq>(entries: impl IntoIterator<Item = (S, C)>) -> Sharing {
    let mut first: BTreeMap<S, (C, usize)> = BTreeMap::new();
    let mut sharing = Sharing::default();
    for (entry, (source, compression)) in entries.into_iter().enumerate() {
        match first.get(&source) {
            Some((other, blob)) => sharing.add(entry, (*other == compression).then_some(*blob)),
            None => {
                first.insert(source, (compression, sharing.first_entry.len()));
                sharing.add(entry, None);
            }
        }
    }
    sharing
}

/// An entry shares with any earlier one of the same key.
pub fn share_any<K: Ord>(entries: impl IntoIterator<Item = K>) -> Sharing {
    let mut blobs = BTreeMap::new();
    let mut sharing = Sharing::default();
    for (entry, key) in entries.into_iter().enumerate() {
        let next = sharing.first_entry.len();
        let blob = *blobs.entry(key).or_insert(next);
        sharing.add(entry, (blob != next).then_some(blob));
    }
    sharing
}
