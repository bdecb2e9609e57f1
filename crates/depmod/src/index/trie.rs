//! The trie over sorted keys, its nodes in pre-order.
//!
//! **Idea.** In sorted keys every node is a range: what all of it begins with is the node's prefix, a key that ends there
//! comes first, and each further byte is a child, a range again. A node whose only content is one child is never made,
//! but for the root, whose prefix is empty.
//!
//! **Limits.** No recursion: keys may be as deep as they are long. The work is in proportion to the bytes of the keys.

use std::ops::Range;

/// A node.
pub(super) struct Node {
    /// The node above, and the byte that leads here.
    pub(super) parent: u32,
    pub(super) byte: u8,
    /// The key whose bytes are the prefix, and which of them.
    pub(super) key: u32,
    pub(super) prefix: Range<u32>,
    /// Whether `key` ends here and has values.
    pub(super) values: bool,
    /// The bytes of the first and the last child, where there are any.
    pub(super) children: Option<(u8, u8)>,
}

/// A range of keys that becomes a node below `parent`; the keys share `depth` bytes.
struct Open {
    keys: Range<usize>,
    depth: usize,
    parent: u32,
    byte: u8,
}

/// The nodes over `keys`, which are sorted and differ; the root comes first, a node before its children.
pub(super) fn build(keys: &[&[u8]]) -> Vec<Node> {
    let shared = shared_lengths(keys);
    let mut nodes = Vec::with_capacity(keys.len() * 2 + 1);
    let mut open = vec![Open { keys: 0..keys.len(), depth: 0, parent: u32::MAX, byte: 0 }];
    let mut starts = Vec::new();
    while let Some(Open { keys: range, depth, parent, byte }) = open.pop() {
        let first = keys.get(range.start).copied().unwrap_or_default();
        let last = range.end.checked_sub(1).and_then(|last| keys.get(last)).copied().unwrap_or_default();
        let is_root = nodes.is_empty();
        let end = match () {
            () if is_root => 0,
            () if range.len() == 1 => first.len(),
            () => depth + shared_length(first.get(depth..), last.get(depth..)),
        };
        let values = !range.is_empty() && first.len() == end;
        let index = narrow(nodes.len());
        starts.clear();
        let rest = range.start + usize::from(values)..range.end;
        if !rest.is_empty() {
            starts.push(rest.start);
        }
        let later = shared.get(rest.start + 1..rest.end).unwrap_or_default();
        starts.extend(
            (rest.start + 1..).zip(later).filter(|(_, shared)| **shared as usize == end).map(|(at, _)| at),
        );
        let byte_of = |at: &usize| keys.get(*at).and_then(|key| key.get(end)).copied().unwrap_or_default();
        let mut upper = rest.end;
        for &start in starts.iter().rev() {
            open.push(Open { keys: start..upper, depth: end + 1, parent: index, byte: byte_of(&start) });
            upper = start;
        }
        nodes.push(Node {
            parent,
            byte,
            key: narrow(range.start),
            prefix: narrow(depth)..narrow(end),
            values,
            children: starts.first().map(byte_of).zip(starts.last().map(byte_of)),
        });
    }
    nodes
}

/// Of each key how many bytes it shares with the one before it.
fn shared_lengths(keys: &[&[u8]]) -> Vec<u32> {
    let pairs = keys.windows(2).map(|pair| shared_length(pair.first().copied(), pair.get(1).copied()));
    std::iter::once(0).chain(pairs.map(narrow)).collect()
}

fn shared_length(a: Option<&[u8]>, b: Option<&[u8]>) -> usize {
    let (a, b) = (a.unwrap_or_default(), b.unwrap_or_default());
    let words = a.chunks_exact(8).zip(b.chunks_exact(8)).take_while(|(a, b)| a == b).count() * 8;
    let (a, b) = (a.get(words..).unwrap_or_default(), b.get(words..).unwrap_or_default());
    words + a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// The builder refuses more text than 32 bits count.
fn narrow(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
