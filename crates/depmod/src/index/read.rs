//! Reading an index.
//!
//! Every offset is checked, and no node is visited twice: an index whose nodes share children, or lead back, would have
//! more keys than memory.

use core::fmt;

use super::{CHARACTERS, HAS_CHILDREN, HAS_PREFIX, HAS_VALUES, MAGIC, OFFSET, VERSION};

/// The longest key that is followed; depmod's own are shorter.
const MAX_KEY: usize = 1 << 13;

/// Why a file is no index, with the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// It does not begin with the magic number.
    BadMagic,
    /// Its major version is not 2.
    BadVersion(u32),
    /// It ends within the node at this offset.
    Truncated(u32),
    /// The bytes of the first and the last child of the node at this offset make no range of 7-bit characters.
    BadRange(u32),
    /// The node at this offset can be reached in two ways.
    Shared(u32),
    /// The key of the node at this offset is absurdly long.
    LongKey(u32),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadMagic => f.write_str("no index of modules: the magic number is wrong"),
            Self::BadVersion(version) => write!(f, "version {version:#x} of the index is not known"),
            Self::Truncated(at) => write!(f, "the index ends within the node at {at:#x}"),
            Self::BadRange(at) => write!(f, "the node at {at:#x} has a wrong range of children"),
            Self::Shared(at) => write!(f, "the node at {at:#x} can be reached in two ways"),
            Self::LongKey(at) => write!(f, "the key of the node at {at:#x} is too long"),
        }
    }
}

impl core::error::Error for ReadError {}

/// An index, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Index<'b> {
    bytes: &'b [u8],
    root: u32,
}

/// A value of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'b> {
    /// The key.
    pub key: Vec<u8>,
    /// The value.
    pub value: &'b [u8],
    /// Its priority: lower ones come first.
    pub priority: u32,
}

/// A node, read.
struct Node<'b> {
    at: u32,
    prefix: &'b [u8],
    first: u8,
    /// The offsets of the children, four bytes each.
    children: &'b [u8],
    count: u32,
    /// Where the values begin.
    values: &'b [u8],
}

impl<'b> Index<'b> {
    /// Checks the header.
    ///
    /// # Errors
    /// These bytes are no index.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, ReadError> {
        let mut rest = bytes;
        if word(&mut rest) != Some(MAGIC) {
            return Err(ReadError::BadMagic);
        }
        let version = word(&mut rest).ok_or(ReadError::Truncated(0))?;
        if version >> 16 != VERSION >> 16 {
            return Err(ReadError::BadVersion(version));
        }
        let root = word(&mut rest).ok_or(ReadError::Truncated(0))?;
        Ok(Self { bytes, root })
    }

    /// All values of `key`, in their order.
    ///
    /// # Errors
    /// The index is broken on the way.
    pub fn get(&self, key: &[u8]) -> Result<Vec<Entry<'b>>, ReadError> {
        let mut offset = self.root;
        let mut rest = key;
        loop {
            let node = self.node(offset)?;
            let Some(behind) = rest.strip_prefix(node.prefix) else { return Ok(Vec::new()) };
            let Some((&byte, behind)) = behind.split_first() else { return node.entries(key) };
            offset = match node.child(byte) {
                Some(child) => child,
                None => return Ok(Vec::new()),
            };
            rest = behind;
        }
    }

    /// Every key and value, in the order of the keys.
    pub fn entries(&self) -> Entries<'b> {
        Entries::new(*self)
    }

    fn node(&self, word_of_node: u32) -> Result<Node<'b>, ReadError> {
        let at = word_of_node & OFFSET;
        let cut = ReadError::Truncated(at);
        let mut rest = self.bytes.get(at as usize..).ok_or(cut)?;
        let mut node = Node { at, prefix: &[], first: 0, children: &[], count: 0, values: &[] };
        if word_of_node & HAS_PREFIX != 0 {
            node.prefix = string(&mut rest).ok_or(cut)?;
        }
        if word_of_node & HAS_CHILDREN != 0 {
            let (&[first, last], behind) = rest.split_first_chunk().ok_or(cut)?;
            if first > last || last >= CHARACTERS {
                return Err(ReadError::BadRange(at));
            }
            node.first = first;
            (node.children, rest) =
                behind.split_at_checked(4 * (usize::from(last - first) + 1)).ok_or(cut)?;
        }
        if word_of_node & HAS_VALUES != 0 {
            node.count = word(&mut rest).ok_or(cut)?;
            node.values = rest;
        }
        Ok(node)
    }
}

impl<'b> Node<'b> {
    fn child(&self, byte: u8) -> Option<u32> {
        let index = usize::from(byte.checked_sub(self.first)?);
        let mut child = self.children.get(4 * index..)?;
        word(&mut child).filter(|&child| child != 0)
    }

    fn entries(&self, key: &[u8]) -> Result<Vec<Entry<'b>>, ReadError> {
        let mut rest = self.values;
        let mut entries = Vec::new();
        for _ in 0..self.count {
            let (priority, value) = value(&mut rest, self.at)?;
            entries.push(Entry { key: key.to_vec(), value, priority });
        }
        Ok(entries)
    }
}

/// See [`Index::entries`].
pub struct Entries<'b> {
    index: Index<'b>,
    /// Nodes to visit, the next on top: how long the key above each is, and the byte that leads to it.
    open: Vec<(u32, usize, Option<u8>)>,
    /// The key of the node that was visited last.
    key: Vec<u8>,
    /// What is left of that node's values.
    node: u32,
    count: u32,
    values: &'b [u8],
    /// A bit a byte of the index.
    visited: Vec<u64>,
    /// How many more values there can be in a file of this size.
    budget: usize,
}

impl<'b> Entries<'b> {
    fn new(index: Index<'b>) -> Self {
        Self {
            index,
            open: vec![(index.root, 0, None)],
            key: Vec::new(),
            node: 0,
            count: 0,
            values: &[],
            visited: vec![0; index.bytes.len() / 64 + 1],
            budget: index.bytes.len() / 5 + 1,
        }
    }

    fn visit(&mut self, offset: u32, length: usize, byte: Option<u8>) -> Result<(), ReadError> {
        let node = self.index.node(offset)?;
        let place = self.visited.get_mut(node.at as usize / 64).ok_or(ReadError::Truncated(node.at))?;
        let bit = 1 << (node.at % 64);
        if *place & bit != 0 {
            return Err(ReadError::Shared(node.at));
        }
        *place |= bit;
        // Deeper nodes have only changed what lies behind.
        self.key.truncate(length);
        self.key.extend(byte);
        self.key.extend_from_slice(node.prefix);
        if self.key.len() > MAX_KEY {
            return Err(ReadError::LongKey(node.at));
        }
        (self.node, self.count, self.values) = (node.at, node.count, node.values);
        for (byte, mut child) in (node.first..CHARACTERS).zip(node.children.chunks_exact(4)).rev() {
            if let Some(child) = word(&mut child).filter(|&child| child != 0) {
                self.open.push((child, self.key.len(), Some(byte)));
            }
        }
        Ok(())
    }

    fn value(&mut self) -> Result<Entry<'b>, ReadError> {
        self.count -= 1;
        // Nodes that overlap could name the same bytes over and over.
        self.budget = self.budget.checked_sub(1).ok_or(ReadError::Shared(self.node))?;
        let (priority, value) = value(&mut self.values, self.node)?;
        Ok(Entry { key: self.key.clone(), value, priority })
    }

    fn step(&mut self) -> Result<Option<Entry<'b>>, ReadError> {
        loop {
            if self.count > 0 {
                return self.value().map(Some);
            }
            let Some((offset, length, byte)) = self.open.pop() else { return Ok(None) };
            self.visit(offset, length, byte)?;
        }
    }
}

impl<'b> Iterator for Entries<'b> {
    type Item = Result<Entry<'b>, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.open.clear();
            self.count = 0;
        }
        step.transpose()
    }
}

/// Takes a priority and a value off the values of the node at this offset.
fn value<'b>(rest: &mut &'b [u8], node: u32) -> Result<(u32, &'b [u8]), ReadError> {
    let priority = word(rest).ok_or(ReadError::Truncated(node))?;
    let value = string(rest).ok_or(ReadError::Truncated(node))?;
    Ok((priority, value))
}

/// Takes a big-endian word off the front.
fn word(rest: &mut &[u8]) -> Option<u32> {
    let (word, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u32::from_be_bytes(*word))
}

/// Takes a string and its NUL off the front.
fn string<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let end = rest.iter().position(|&byte| byte == 0)?;
    let (text, behind) = rest.split_at_checked(end)?;
    *rest = behind.get(1..)?;
    Some(text)
}
