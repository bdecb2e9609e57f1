//! Reading a structure block: every token is checked once, and the tree's lists are made on the way.
//!
//! Limits: [`MAX_DEPTH`] levels. The pass does not recurse.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::mem;

use crate::error::{Block, Error, ErrorKind};
use crate::strings::{StringsBlock, StringsOffset};
use crate::structure::{StructureBlock, Tag, offset};
use crate::tree::{MAX_DEPTH, Node, PhandleProperty, Phandles, Tree, TreeMemory, index};
use crate::words::{words_of_name, words_of_value};

// The tags as they stand in the block, so that the scan need not turn every word round.
const BEGIN_NODE: u32 = Tag::BEGIN_NODE.to_be();
const END_NODE: u32 = Tag::END_NODE.to_be();
const PROP: u32 = Tag::PROP.to_be();
const NOP: u32 = Tag::NOP.to_be();

/// A tree that is being read.
struct Scan {
    nodes: Vec<Node>,
    /// Of each node its `phandle`, else its `linux,phandle`; 0 where it has neither, as nothing may be numbered 0. Empty
    /// up to the first phandle, so that a tree without any takes nothing for them.
    phandle_of: Vec<u32>,
    phandles: Vec<PhandleProperty>,
    /// Whether the lists are those of another tree, whose length stays.
    reused: bool,
    /// Whether `phandles` is wanted.
    lists_phandles: bool,
    largest_phandle: u32,
    depth: u32,
}

/// There is room at first for a node or phandle in so many bytes, and then for as many as there will be if all of the
/// tree is as dense as what was read.
const BYTES_A_RECORD: usize = 1024;

impl Tree {
    /// The same in the memory of another tree; `lists_phandles` says whether phandle properties are listed.
    ///
    /// # Errors
    /// As [`Tree::scan`].
    pub fn scan_in(
        memory: TreeMemory,
        structure: StructureBlock<'_>,
        strings: StringsBlock<'_>,
        lists_phandles: bool,
    ) -> Result<Self, Error> {
        let (words, _) = structure.bytes().as_chunks::<4>();
        let size = structure.bytes().len();
        if u32::try_from(size).is_err() {
            return Err(Error::new(ErrorKind::BlockOutOfBounds(Block::Structure), 0));
        }
        let mut scan = Scan::new(memory, size, lists_phandles);
        let root = skip_nops(words, 0);
        match words.get(root).map(|word| u32::from_be_bytes(*word)) {
            Some(Tag::BEGIN_NODE) => {}
            Some(Tag::PROP) => return fail(ErrorKind::PropertyOutsideNode, root),
            Some(Tag::END_NODE) => return fail(ErrorKind::UnopenedEnd, root),
            Some(Tag::END) | None => return fail(ErrorKind::MissingRoot, root),
            Some(other) => return fail(ErrorKind::BadToken(other), root),
        }
        let behind = scan.root(words, strings, root)?;
        let end = skip_nops(words, behind);
        match words.get(end).map(|word| u32::from_be_bytes(*word)) {
            Some(Tag::END) => Ok(scan.finish(offset(end + 1).0)),
            Some(Tag::BEGIN_NODE) => fail(ErrorKind::SecondRoot, end),
            Some(Tag::PROP) => fail(ErrorKind::PropertyOutsideNode, end),
            Some(Tag::END_NODE) => fail(ErrorKind::UnopenedEnd, end),
            Some(other) => fail(ErrorKind::BadToken(other), end),
            None => fail(ErrorKind::MissingEnd, end),
        }
    }
}

impl Scan {
    /// A tree of `size` bytes.
    fn new(memory: TreeMemory, size: usize, lists_phandles: bool) -> Self {
        let TreeMemory { mut nodes, mut phandle_of, mut phandles } = memory;
        let reused = nodes.capacity() > 0;
        nodes.clear();
        phandle_of.clear();
        phandles.clear();
        if !reused {
            nodes.reserve_exact(size / BYTES_A_RECORD + 1);
            phandles.reserve_exact(if lists_phandles { size / BYTES_A_RECORD } else { 0 });
        }
        Self { nodes, phandle_of, phandles, reused, lists_phandles, largest_phandle: 0, depth: 0 }
    }

    /// The tree that was read; nothing of it is longer than it has to be.
    fn finish(self, size: u32) -> Tree {
        let Self { mut nodes, phandle_of: mut of, phandles: mut properties, largest_phandle, depth, .. } =
            self;
        of.truncate(nodes.len());
        if !self.reused {
            nodes.shrink_to_fit();
            of.shrink_to_fit();
            properties.shrink_to_fit();
        }
        let phandles = (!of.is_empty() || self.reused).then(|| Box::new(Phandles { of, properties }));
        Tree { nodes, phandles, largest_phandle, depth, size }
    }

    /// Reads the root node, whose `FDT_BEGIN_NODE` is word number `root`; gives the word behind it.
    ///
    /// This loop sees every token of every input: its state is a handful of locals, what is rare is called, and
    /// what is wrong is found out afterwards, by [`diagnose`].
    fn root(&mut self, words: &[[u8; 4]], strings: StringsBlock<'_>, root: usize) -> Result<usize, Error> {
        // The open node, and how many levels more it may have below it before the tree is deeper than so far.
        let (mut open, mut room) = (0, 0_i32);
        // A place of the name `phandle`, once it was met: mostly there is one for the whole tree.
        let mut phandle = StringsOffset(u32::MAX);
        // The node whose phandle is a `linux,phandle`.
        let mut legacy_of = usize::MAX;
        let mut at = root;
        while let Some(tag) = words.get(at) {
            let tag = u32::from_ne_bytes(*tag);
            if tag == BEGIN_NODE {
                let name = words_of_name(&words[at..]);
                if name == 0 {
                    break;
                }
                room -= 1;
                if room < 0 {
                    room = 0;
                    if !self.deepen() {
                        break;
                    }
                }
                let (begin, body) = (offset(at), offset(at + 1 + name));
                let (parent, subtree_end) = (index(open), index(self.nodes.len()));
                open = self.nodes.len();
                if open == self.nodes.capacity() {
                    make_room(&mut self.nodes, at, words.len());
                }
                self.nodes.push(Node { begin, body, end: begin, parent, subtree_end });
                at += 1 + name;
                while let Some(Checked { length, name, next }) = check_property(words, strings, at) {
                    if length == 4 && (name == phandle || may_be_phandle(strings, name)) {
                        let Some(value) = words.get(at + 3) else { break };
                        let all = words.len();
                        if name == phandle && self.note_first_phandle(*value, open, at, all) {
                            // Done.
                        } else if self.note_phandle(*value, strings.from(name), open, at, &mut legacy_of) {
                            phandle = name;
                        }
                    }
                    at = next;
                }
            } else if tag == END_NODE {
                let count = self.nodes.len();
                let Some(node) = self.nodes.get_mut(open) else { break };
                node.end = offset(at);
                node.subtree_end = index(count);
                at += 1;
                if open == 0 {
                    return Ok(at);
                }
                open = node.parent.index();
                room += 1;
            } else if let Some(next) = self.rare_token(words, strings, open, at, &mut legacy_of) {
                at = next;
            } else {
                break;
            }
        }
        fail(diagnose(words, at, self.depth), at)
    }

    /// Notes that there is one more level; says whether it is allowed.
    #[inline(never)]
    fn deepen(&mut self) -> bool {
        self.depth += 1;
        self.depth <= MAX_DEPTH
    }

    /// Reads the token at word number `at` if it is `FDT_NOP` or a property, which mostly stands right behind a node's
    /// name or another property; gives the word behind it.
    #[cold]
    #[inline(never)]
    fn rare_token(
        &mut self,
        words: &[[u8; 4]],
        strings: StringsBlock<'_>,
        open: usize,
        at: usize,
        legacy_of: &mut usize,
    ) -> Option<usize> {
        if words.get(at) == Some(&NOP.to_ne_bytes()) {
            return Some(at + 1);
        }
        let Checked { length, name, next } = check_property(words, strings, at)?;
        if length == 4 {
            self.note_phandle(*words.get(at + 3)?, strings.from(name), open, at, legacy_of);
        }
        Some(next)
    }

    /// Remembers a property `phandle` of node number `open`, which is the last one, unless that has one already; says
    /// whether it is so. `all` is the count of words in the tree.
    #[inline(always)]
    fn note_first_phandle(&mut self, value: [u8; 4], open: usize, at: usize, all: usize) -> bool {
        let value = u32::from_be_bytes(value);
        let Some(own) = self.phandle_of.get_mut(open).filter(|own| **own == 0) else { return false };
        *own = value;
        self.largest_phandle = self.largest_phandle.max(value);
        if self.lists_phandles {
            if self.phandles.len() == self.phandles.capacity() {
                make_room(&mut self.phandles, at, all);
            }
            let (node, at) = (index(open), offset(at));
            self.phandles.push(PhandleProperty { value, node, at });
        }
        true
    }

    /// Remembers a property of four bytes of node number `open` if its name, at the start of `name`, is that of a
    /// phandle; says whether it is `phandle`. `legacy_of` is the node that has its phandle from the older name.
    #[inline(never)]
    fn note_phandle(
        &mut self,
        value: [u8; 4],
        name: &[u8],
        open: usize,
        at: usize,
        legacy_of: &mut usize,
    ) -> bool {
        let legacy = !name.starts_with(b"phandle\0");
        if legacy && !name.starts_with(b"linux,phandle\0") {
            return false;
        }
        // A property behind a child is invisible to libfdt and Linux, and so is a phandle there.
        if self.nodes.len() == open + 1 {
            let value = u32::from_be_bytes(value);
            let own = self.phandle_slot(open);
            // The first `phandle` counts, else the first `linux,phandle`.
            if *own == 0 || !legacy && *legacy_of == open {
                *own = value;
                *legacy_of = if legacy { open } else { usize::MAX };
            }
            self.largest_phandle = self.largest_phandle.max(value);
            if self.lists_phandles {
                self.phandles.push(PhandleProperty { value, node: index(open), at: offset(at) });
            }
        }
        !legacy
    }

    /// The place for the phandle of node number `open`, made with those of all nodes that there is room for.
    fn phandle_slot(&mut self, open: usize) -> &mut u32 {
        if self.phandle_of.len() <= open {
            let wanted = self.nodes.capacity();
            if self.phandle_of.capacity() < wanted {
                // Not resized: what is not needed is not touched.
                let old = mem::replace(&mut self.phandle_of, alloc::vec![0; wanted]);
                self.phandle_of[..old.len()].copy_from_slice(&old);
            } else {
                self.phandle_of.resize(wanted, 0);
            }
        }
        &mut self.phandle_of[open]
    }
}

/// Makes room in a list that is full when `done` of `all` words are read: for what the others will bring if they are
/// as dense, but at least for as much again, so that the count of allocations does not grow with the tree.
#[cold]
#[inline(never)]
fn make_room<T>(list: &mut Vec<T>, done: usize, all: usize) {
    let per_word = (all - done) as u64 * list.len() as u64 / (done as u64 + 1);
    let expected = usize::try_from(per_word + per_word / 8).unwrap_or(0);
    // The smallest node takes three words.
    list.reserve_exact(expected.max(list.len()).max(16).min((all - done) / 3 + 1));
}

/// Why the token at word number `at`, inside the root node, was refused.
#[cold]
fn diagnose(words: &[[u8; 4]], at: usize, depth: u32) -> ErrorKind {
    let word = |n: usize| words.get(at + n).map(|word| u32::from_be_bytes(*word));
    match word(0) {
        Some(Tag::BEGIN_NODE) if depth > MAX_DEPTH => ErrorKind::TooDeep,
        Some(Tag::BEGIN_NODE) => ErrorKind::UnterminatedName,
        Some(Tag::PROP) => {
            let (length, name) = (word(1).unwrap_or(0), word(2).unwrap_or(0));
            let end = (at + 3).saturating_add(length.div_ceil(4) as usize);
            if word(2).is_none() || end > words.len() {
                ErrorKind::PropertyOutOfBounds { length }
            } else {
                ErrorKind::BadNameOffset(name)
            }
        }
        Some(Tag::END) => ErrorKind::UnclosedNode,
        Some(other) => ErrorKind::BadToken(other),
        None => ErrorKind::MissingEnd,
    }
}

/// The first word from `at` on that is no `FDT_NOP`.
fn skip_nops(words: &[[u8; 4]], at: usize) -> usize {
    let rest = words.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|word| u32::from_be_bytes(**word) == Tag::NOP).count()
}

/// A property that was checked.
struct Checked {
    length: u32,
    name: StringsOffset,
    /// The word behind it.
    next: usize,
}

/// The property at word number `at`, if there is one and it is sound.
#[inline(always)]
fn check_property(words: &[[u8; 4]], strings: StringsBlock<'_>, at: usize) -> Option<Checked> {
    let [tag, length, name] = words.get(at..at + 3)?.first_chunk()?;
    if u32::from_ne_bytes(*tag) != PROP {
        return None;
    }
    let (length, name) = (u32::from_be_bytes(*length), StringsOffset(u32::from_be_bytes(*name)));
    let next = at + 3 + words_of_value(length);
    // Not one condition: both would be worked out before the branch.
    if next > words.len() {
        return None;
    }
    strings.contains(name).then_some(Checked { length, name, next })
}

/// Whether a name starts like `phandle` or `linux,phandle`.
#[inline(always)]
fn may_be_phandle(strings: StringsBlock<'_>, name: StringsOffset) -> bool {
    matches!(strings.bytes().get(name.0 as usize), Some(b'p' | b'l'))
}

#[cold]
fn fail<T>(kind: ErrorKind, word: usize) -> Result<T, Error> {
    Err(Error::new(kind, word * 4))
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::tree::NodeIndex;

    const STRINGS: &[u8] = b"phandle\0linux,phandle\0reg\0";

    fn property(name: u32, value: u32) -> [u32; 4] {
        [Tag::PROP, 4, name, value]
    }

    /// The phandle of each node, and all phandle properties as (node, value).
    fn phandles(words: &[&[u32]]) -> (Vec<u32>, Vec<(u32, u32)>) {
        let bytes: Vec<u8> = words.concat().into_iter().flat_map(u32::to_be_bytes).collect();
        let tree = Tree::scan(StructureBlock::new(&bytes), StringsBlock::new(STRINGS)).unwrap();
        let properties = tree.phandles().iter().map(|entry| (entry.node.0, entry.value));
        (
            (0..).zip(tree.nodes()).map(|(node, _)| tree.phandle(NodeIndex(node))).collect(),
            properties.collect(),
        )
    }

    #[test]
    fn a_phandle_is_found_wherever_it_may_stand() {
        let (begin, end) = ([Tag::BEGIN_NODE, 0x6100_0000], [Tag::END_NODE]);
        let (current, legacy, other) =
            (|value| property(0, value), |value| property(8, value), property(22, 9));
        let (nodes, properties) = phandles(&[
            &[Tag::BEGIN_NODE, 0],
            // Behind FDT_NOP, and again.
            &[&begin[..], &[Tag::NOP], &other, &[Tag::NOP], &current(1), &current(2), &end].concat(),
            // The older name counts only where there is no other.
            &[&begin[..], &legacy(3), &end].concat(),
            &[&begin[..], &legacy(4), &current(5), &end].concat(),
            &[&begin[..], &current(6), &legacy(7), &end].concat(),
            // Behind a child it does not count.
            &[&begin[..], &begin, &current(8), &end, &current(9), &end].concat(),
            &[Tag::END_NODE, Tag::END],
        ]);
        assert_eq!(nodes, [0, 1, 3, 5, 6, 0, 8]);
        let expected = [(1, 1), (1, 2), (2, 3), (3, 4), (3, 5), (4, 6), (4, 7), (6, 8)];
        assert_eq!(properties, expected);
    }
}
