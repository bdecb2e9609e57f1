//! Sorting the entries of an index by key, eight bytes of all keys at a time.
//!
//! **Idea.** The next eight bytes of each key make one number; entries of one number are a group that the following eight
//! bytes split further. Aliases share long beginnings (`pci:v00008086d...`), which so are compared once a level and
//! not once a comparison.
//!
//! **Limits.** Keys hold no NUL, so that zeros behind a key's end sort in front of every byte. There are fewer than 2^32.

/// The numbers of `count` entries sorted by their keys, those of one key in no order; and where each key begins among
/// them, the end last.
pub(super) fn by_key<'k>(count: u32, key: impl Fn(u32) -> &'k [u8]) -> (Vec<u32>, Vec<u32>) {
    let mut words: Vec<(u64, u32)> = (0..count).map(|entry| (0, entry)).collect();
    // Whether a key begins here.
    let mut begins = vec![false; words.len()];
    // The groups that are still to be split, each with the count of bytes that its keys share.
    let mut open = vec![(0..words.len(), 0)];
    while let Some((range, depth)) = open.pop() {
        let Some(group) = words.get_mut(range.clone()) else { continue };
        for (word, entry) in &mut *group {
            *word = word_at(key(*entry), depth);
        }
        // Most of these numbers are there many times over, which this sort makes use of.
        group.sort_unstable_by_key(|(word, _)| *word);
        let mut start = range.start;
        for equal in group.chunk_by(|a, b| a.0 == b.0) {
            let range = start..start + equal.len();
            start = range.end;
            // A key that ends within these eight bytes leaves a zero there.
            let ended = equal.first().is_some_and(|(word, _)| word & 0xFF == 0);
            if let Some(begins) = begins.get_mut(range.start) {
                *begins = true;
            }
            if !ended && equal.len() > 1 {
                open.push((range, depth + 8));
            }
        }
    }
    let starts = (0..count).zip(&begins).filter(|(_, begins)| **begins).map(|(start, _)| start);
    let starts = starts.chain([count]).collect();
    (words.into_iter().map(|(_, entry)| entry).collect(), starts)
}

/// The eight bytes of `key` from `depth` on as a number that sorts like them.
fn word_at(key: &[u8], depth: usize) -> u64 {
    let rest = key.get(depth..).unwrap_or_default();
    if let Some(word) = rest.first_chunk() {
        return u64::from_be_bytes(*word);
    }
    let mut word = [0; 8];
    for (place, byte) in word.iter_mut().zip(rest) {
        *place = *byte;
    }
    u64::from_be_bytes(word)
}
