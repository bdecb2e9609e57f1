//! Writing an index.

use core::fmt;
use std::ops::Range;

use super::trie::{Node, build};
use super::{CHARACTERS, HAS_CHILDREN, HAS_PREFIX, HAS_VALUES, HEADER, MAGIC, OFFSET, VERSION, sort};

/// In which order the nodes lie; readers take both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Layout {
    /// A node before its children: kmod 34 and later.
    #[default]
    PreOrder,
    /// A node behind its children: kmod 33 and before.
    PostOrder,
}

/// Why there is no index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// The entry of this number, in the order of adding, has a byte that is no 7-bit character in its key or value.
    NotAscii {
        /// The number of the entry.
        entry: usize,
        /// The byte.
        byte: u8,
    },
    /// The index would pass 256 MiB, which its offsets cannot address.
    TooLarge,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAscii { byte, .. } => write!(f, "byte {byte:#x} is not 7-bit ASCII"),
            Self::TooLarge => f.write_str("the index would pass 256 MiB"),
        }
    }
}

impl core::error::Error for WriteError {}

/// Collects the entries of an index. Keys and values are borrowed; neither may hold a NUL.
#[derive(Debug, Default)]
pub struct IndexBuilder<'t> {
    entries: Vec<Added<'t>>,
}

/// An entry that was there before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicate<'t> {
    /// Its number, in the order of adding.
    pub entry: usize,
    /// Its key.
    pub key: &'t [u8],
    /// Its value.
    pub value: &'t [u8],
}

#[derive(Debug, Clone, Copy)]
struct Added<'t> {
    key: &'t [u8],
    value: &'t [u8],
    priority: u32,
}

impl<'t> IndexBuilder<'t> {
    /// Without entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for that many more entries.
    pub fn reserve(&mut self, count: usize) {
        self.entries.reserve(count);
    }

    /// Adds a value to a key. Values of a lower `priority` come first; of equal ones the later added.
    pub fn insert(&mut self, key: &'t [u8], value: &'t [u8], priority: u32) {
        self.entries.push(Added { key, value, priority });
    }

    /// The entries that repeat the key and the value of an earlier one, in the order of adding.
    pub fn duplicates(&self) -> Vec<Duplicate<'t>> {
        let pair = |index: usize| self.entries.get(index).map(|entry| (entry.key, entry.value));
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&index| pair(index));
        let again = order.windows(2).filter_map(|two| match two {
            &[a, b] if pair(a) == pair(b) => pair(b).map(|(key, value)| Duplicate { entry: b, key, value }),
            _ => None,
        });
        let mut again: Vec<Duplicate<'t>> = again.collect();
        again.sort_unstable_by_key(|duplicate| duplicate.entry);
        again
    }

    /// The index.
    ///
    /// # Errors
    /// A key or value is not ASCII, or it is too large.
    pub fn build(&self, layout: Layout) -> Result<Vec<u8>, WriteError> {
        self.check_ascii()?;
        let (order, starts) = self.sorted()?;
        let firsts = starts.iter().filter_map(|&start| order.get(start as usize));
        let keys: Vec<&[u8]> = firsts.map(|&index| self.key(index)).collect();
        let nodes = build(&keys);
        let writer = Writer { builder: self, order: &order, starts: &starts, keys: &keys, nodes: &nodes };
        writer.write(layout)
    }

    fn check_ascii(&self) -> Result<(), WriteError> {
        for (entry, added) in self.entries.iter().enumerate() {
            if added.key.is_ascii() && added.value.is_ascii() {
                continue;
            }
            let byte = added.key.iter().chain(added.value).copied().find(|byte| *byte >= CHARACTERS);
            return Err(WriteError::NotAscii { entry, byte: byte.unwrap_or_default() });
        }
        Ok(())
    }

    /// The entries by key, each key's values in their order, and where each key begins.
    fn sorted(&self) -> Result<(Vec<u32>, Vec<u32>), WriteError> {
        let count = u32::try_from(self.entries.len()).map_err(|_| WriteError::TooLarge)?;
        let (mut order, starts) = sort::by_key(count, |index| self.key(index));
        let priority = |index: u32| self.entries.get(index as usize).map(|entry| entry.priority);
        for group in starts.array_windows().map(group).filter(|group| group.len() > 1) {
            if let Some(entries) = order.get_mut(group) {
                entries.sort_unstable_by_key(|&index| (priority(index), std::cmp::Reverse(index)));
            }
        }
        Ok((order, starts))
    }

    fn key(&self, index: u32) -> &'t [u8] {
        self.entries.get(index as usize).map(|entry| entry.key).unwrap_or_default()
    }
}

/// The entries of one key, from where it and the next begin.
fn group(&[start, end]: &[u32; 2]) -> Range<usize> {
    start as usize..end as usize
}

/// An index whose nodes are known.
struct Writer<'w, 't> {
    builder: &'w IndexBuilder<'t>,
    order: &'w [u32],
    starts: &'w [u32],
    keys: &'w [&'t [u8]],
    nodes: &'w [Node],
}

impl<'t> Writer<'_, 't> {
    fn write(&self, layout: Layout) -> Result<Vec<u8>, WriteError> {
        // One that does not fit makes the sum too large as well.
        let size = |node| u32::try_from(self.size(node)).unwrap_or(u32::MAX);
        let sizes: Vec<u32> = self.nodes.iter().map(size).collect();
        let total = HEADER + sizes.iter().map(|size| *size as usize).sum::<usize>();
        if total > OFFSET as usize {
            return Err(WriteError::TooLarge);
        }
        let offsets = match layout {
            Layout::PreOrder => pre_order(sizes),
            Layout::PostOrder => self.post_order(&sizes),
        };
        let mut bytes = vec![0; total];
        put(&mut bytes, 0, MAGIC);
        put(&mut bytes, 4, VERSION);
        // Where each node's table of children begins, less the first child's byte.
        let mut tables = vec![0_u32; self.nodes.len()];
        for (index, (node, &offset)) in self.nodes.iter().zip(&offsets).enumerate() {
            let slot = match tables.get(node.parent as usize) {
                Some(&table) => table.wrapping_add(4 * u32::from(node.byte)) as usize,
                None => 8,
            };
            put(&mut bytes, slot, offset | flags(node));
            let table = self.put_node(&mut bytes, offset as usize, node);
            if let Some(place) = tables.get_mut(index) {
                *place = table;
            }
        }
        Ok(bytes)
    }

    fn values(&self, node: &Node) -> impl Iterator<Item = &Added<'t>> {
        let bounds = self.starts.get(node.key as usize..).filter(|_| node.values);
        let bounds = bounds.and_then(|starts| starts.first_chunk());
        let entries = bounds.and_then(|bounds| self.order.get(group(bounds))).unwrap_or_default();
        entries.iter().filter_map(|&index| self.builder.entries.get(index as usize))
    }

    fn prefix(&self, node: &Node) -> &'t [u8] {
        let range = node.prefix.start as usize..node.prefix.end as usize;
        self.keys.get(node.key as usize).and_then(|key| key.get(range)).unwrap_or_default()
    }

    fn size(&self, node: &Node) -> usize {
        let prefix = if node.prefix.is_empty() { 0 } else { node.prefix.len() + 1 };
        let children = node.children.map_or(0, |(first, last)| 2 + 4 * (usize::from(last - first) + 1));
        let values = self.values(node).map(|added| 4 + added.value.len() + 1).sum::<usize>();
        prefix + children + values + if node.values { 4 } else { 0 }
    }

    /// Writes the node at its offset, but for its children's; says where the child of byte 0 would have its.
    fn put_node(&self, bytes: &mut [u8], offset: usize, node: &Node) -> u32 {
        let mut at = offset;
        let prefix = self.prefix(node);
        if !prefix.is_empty() {
            at += put_text(bytes, at, prefix);
        }
        let mut table = 0;
        if let Some((first, last)) = node.children {
            put_text(bytes, at, &[first, last]);
            // May wrap below 0; adding the byte of a child that is there brings it back.
            table = u32::try_from(at + 2).unwrap_or_default().wrapping_sub(4 * u32::from(first));
            at += 2 + 4 * (usize::from(last - first) + 1);
        }
        if node.values {
            let count = self.values(node).count();
            put(bytes, at, u32::try_from(count).unwrap_or(u32::MAX));
            at += 4;
            for added in self.values(node) {
                put(bytes, at, added.priority);
                at += 4 + put_text(bytes, at + 4, added.value);
            }
        }
        table
    }

    /// Offsets that put each node behind its children.
    fn post_order(&self, sizes: &[u32]) -> Vec<u32> {
        let mut totals = sizes.to_vec();
        for (index, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let total = totals.get(index).copied().unwrap_or_default();
            if let Some(parent) = totals.get_mut(node.parent as usize) {
                *parent += total;
            }
        }
        // Where the next subtree below each node begins.
        let mut next = vec![first(); self.nodes.len()];
        let mut offsets = Vec::with_capacity(sizes.len());
        for (index, ((node, size), total)) in self.nodes.iter().zip(sizes).zip(&totals).enumerate() {
            let start = match next.get_mut(node.parent as usize) {
                Some(next) => std::mem::replace(next, *next + total),
                None => first(),
            };
            if let Some(next) = next.get_mut(index) {
                *next = start;
            }
            offsets.push(start + total - size);
        }
        offsets
    }
}

/// The offset of the first node.
fn first() -> u32 {
    u32::try_from(HEADER).unwrap_or_default()
}

/// Offsets that put each node in front of its children, in the place of their sizes.
fn pre_order(mut sizes: Vec<u32>) -> Vec<u32> {
    let mut next = first();
    sizes.iter_mut().for_each(|size| next += std::mem::replace(size, next));
    sizes
}

fn flags(node: &Node) -> u32 {
    let prefix = if node.prefix.is_empty() { 0 } else { HAS_PREFIX };
    let values = if node.values { HAS_VALUES } else { 0 };
    prefix | values | if node.children.is_some() { HAS_CHILDREN } else { 0 }
}

fn put(bytes: &mut [u8], at: usize, word: u32) {
    put_text(bytes, at, &word.to_be_bytes());
}

/// Copies `text` to `at`; says how long it is with its NUL, which is there already.
fn put_text(bytes: &mut [u8], at: usize, text: &[u8]) -> usize {
    if let Some(place) = bytes.get_mut(at..at + text.len()) {
        place.copy_from_slice(text);
    }
    text.len() + 1
}
