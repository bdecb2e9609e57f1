//! The live tree's nodes: looking up a child, appending one, finding siblings of one name.

use alloc::vec::Vec;

use kbt_fdt::{MAX_DEPTH, Node, NodeIndex, StructureBlock, StructureOffset, Tag, Tree, find_byte, same};

use crate::error::{Error, ErrorKind, WarningKind, text};
use crate::live::Live;
use crate::lookup::{WALKS, WIDE};
use crate::source::{NodeId, Source, SourceId};

/// A child in the table, and where the part of its name stands that is the key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IndexedChild {
    child: NodeId,
    start: StructureOffset,
    length: u32,
}

impl IndexedChild {
    fn new(child: NodeId, node: &Node, key: &[u8]) -> Self {
        let start = node.begin.plus(Tag::SIZE);
        Self { child, start, length: u32::try_from(key.len()).unwrap_or(u32::MAX) }
    }

    #[inline(always)]
    fn is(self, sources: &[Source<'_>], key: &[u8]) -> bool {
        let bytes = sources[self.child.source.0 as usize].original.bytes();
        let own = bytes.get(self.start.index()..).and_then(|rest| rest.get(..self.length as usize));
        own.is_some_and(|own| same(own, key))
    }
}

impl Live<'_> {
    /// The child of `parent` that is called `name`; where loose names are allowed, the one that libfdt takes.
    pub(crate) fn find_child(&mut self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.look_up_child(parent, name, self.loose_names)
    }

    /// The child of `parent` whose name is `name` to the letter.
    pub(crate) fn find_exact_child(&mut self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.look_up_child(parent, name, false)
    }

    #[inline]
    fn look_up_child(&mut self, parent: NodeId, name: &[u8], loose: bool) -> Option<NodeId> {
        if let Some(patch) = self.patch_number(parent)
            && self.patches[patch as usize].children_indexed
        {
            let owner = self.owner(patch);
            let index = if loose { &self.loose_children } else { &self.indexed_children };
            let is = |item: IndexedChild| item.is(&self.sources, name);
            return index.find(owner, name, is).map(|item| item.child);
        }
        self.look_among_children(parent, name, loose)
    }

    #[inline(never)]
    fn look_among_children(&mut self, parent: NodeId, name: &[u8], loose: bool) -> Option<NodeId> {
        if self.patch(parent).is_some_and(|patch| patch.walks >= WALKS) {
            self.index_children(parent);
            return self.look_up_child(parent, name, loose);
        }
        let (found, wide) = self.walk_children(parent, name, loose);
        if wide {
            self.patch_mut(parent).walks += 1;
        }
        found
    }

    /// Notes that children of `parent` will be looked up again and again: if they may be many, the next look-up makes a
    /// table of them.
    pub(crate) fn expect_look_ups(&mut self, parent: NodeId) {
        if (self.node(parent).subtree_end.0 - parent.node.0) as usize > WIDE {
            self.patch_mut(parent).walks = WALKS;
        }
    }

    /// Compares the children one by one; says whether there may be many.
    fn walk_children(&mut self, parent: NodeId, name: &[u8], loose: bool) -> (Option<NodeId>, bool) {
        // To the names in the block a NUL is an end.
        if name.contains(&0) {
            return (None, false);
        }
        let source = self.source(parent.source);
        let matches = Matcher::new(name, loose);
        let (mut found, mut second) = (None, None);
        let end = source.tree.node(parent.node).subtree_end;
        let mut next = if self.is_piecewise(parent) { end } else { NodeIndex(parent.node.0 + 1) };
        // A count of descendants is at hand, one of children is not; a table of few children does no harm.
        let mut wide = (end.0 - next.0) as usize > WIDE;
        // To the last one: another of the name is worth a warning.
        while let Some(child) = matches.next(source.original, &source.tree, parent.node, next) {
            // libfdt puts new nodes in front, so among an overlay's the last one is met first.
            if found.is_none() || loose && parent.source != SourceId::BASE {
                found = Some(child);
            } else {
                second = second.or(Some(child));
            }
            next = source.tree.node(child).subtree_end;
        }
        let mut found = found.map(|node| NodeId { source: parent.source, node });
        if let Some(patch) = self.patch(parent) {
            for (count, (_, child)) in self.children.iter(patch.children).enumerate() {
                wide |= count == WIDE;
                let block = self.source(child.source).original;
                if (found.is_none() || loose) && matches.accepts(block, self.node(child)) {
                    found = Some(child);
                }
            }
        }
        if let Some(second) = second.filter(|_| !loose) {
            self.warn_duplicate(NodeId { source: parent.source, node: second });
        }
        (found, wide)
    }

    /// Whether the children that a node was read with are not its children any more.
    fn is_piecewise(&self, node: NodeId) -> bool {
        self.patch(node).is_some_and(|patch| patch.piecewise)
    }

    /// The number under which a node's children are in the tables: another one since they are piecewise.
    fn owner(&self, patch: u32) -> u32 {
        patch << 1 | u32::from(self.patches[patch as usize].piecewise)
    }

    pub(crate) fn warn_duplicate(&mut self, node: NodeId) {
        let (name, at) = (text(self.name(node)), self.node(node).begin);
        self.warn(WarningKind::DuplicateNode { name }, node.source, Some(at));
    }

    /// Puts the children of `parent` into the table.
    #[inline(never)]
    fn index_children(&mut self, parent: NodeId) {
        let patch = self.touch(parent);
        let owner = self.owner(patch);
        if !self.patches[patch as usize].piecewise {
            self.index_own_children(owner, parent);
        }
        let mut rest = self.patches[patch as usize].children;
        while let Some((child, behind)) = self.children.pop_front(rest) {
            self.index_child(owner, child);
            rest = behind;
        }
        self.patches[patch as usize].children_indexed = true;
    }

    /// The children that `parent` was read with.
    fn index_own_children(&mut self, owner: u32, parent: NodeId) {
        let mut duplicates = Vec::new();
        let Self { sources, indexed_children, .. } = self;
        let source = &sources[parent.source.0 as usize];
        indexed_children.reserve(source.tree.children(parent.node).count());
        for (node, record) in source.tree.child_nodes(parent.node) {
            let child = NodeId { source: parent.source, node };
            let name = source.original.name(record);
            let is = |item: IndexedChild| item.is(sources, name);
            if indexed_children
                .insert(owner, name, IndexedChild::new(child, record, name), is, false)
                .is_some()
            {
                duplicates.push(child);
            }
        }
        for later in duplicates {
            self.warn_duplicate(later);
        }
        if self.loose_names {
            // libfdt puts new nodes in front, so among an overlay's the last one is met first.
            let newest_first = parent.source != SourceId::BASE;
            let own: Vec<NodeIndex> = self.source(parent.source).tree.children(parent.node).collect();
            for node in own {
                self.index_child_loosely(owner, NodeId { source: parent.source, node }, newest_first);
            }
        }
    }

    /// Puts a child that was appended into the table.
    fn index_child(&mut self, owner: u32, child: NodeId) {
        let name = self.name(child);
        let item = IndexedChild::new(child, self.node(child), name);
        let is = |item: IndexedChild| item.is(&self.sources, name);
        self.indexed_children.insert(owner, name, item, is, false);
        if self.loose_names {
            self.index_child_loosely(owner, child, true);
        }
    }

    /// Puts one child into the table for loose names, also without its unit address.
    fn index_child_loosely(&mut self, owner: u32, child: NodeId, newest_first: bool) {
        let name = self.name(child);
        let Self { sources, loose_children, .. } = self;
        let record = sources[child.source.0 as usize].tree.node(child.node);
        let mut insert = |key: &[u8]| {
            let is = |item: IndexedChild| item.is(sources, key);
            loose_children.insert(owner, key, IndexedChild::new(child, record, key), is, newest_first);
        };
        insert(name);
        if let Some(at_sign) = find_byte(name, b'@') {
            insert(&name[..at_sign]);
        }
    }

    /// The only child of `parent` that is called `name` and a unit address.
    pub(crate) fn only_with_unit_address(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let own = self.source(parent.source).tree.children(parent.node);
        let own = own.filter(|_| !self.is_piecewise(parent));
        let own = own.map(|node| NodeId { source: parent.source, node });
        let added = self.patch(parent).map(|patch| patch.children).unwrap_or_default();
        let added = self.children.iter(added).map(|(_, child)| child);
        let mut found = own.chain(added).filter(|&child| {
            self.name(child).strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'@'))
        });
        found.next().filter(|_| found.next().is_none())
    }

    pub(crate) fn has_children(&self, node: NodeId) -> bool {
        self.source(node.source).tree.first_child(node.node).is_some() && !self.is_piecewise(node)
            || self.patch(node).is_some_and(|patch| !patch.children.is_empty())
    }

    /// Appends `child`, with its subtree, to `parent`, which is `depth` levels deep.
    pub(crate) fn attach(&mut self, parent: NodeId, child: NodeId, depth: u32) -> Result<(), Error> {
        self.check_depth(child, child.node, depth)?;
        self.append_child(parent, child);
        Ok(())
    }

    /// Appends `child` to `parent`, which is `depth` levels deep, without its children: those are to be appended or
    /// merged one by one.
    pub(crate) fn attach_alone(&mut self, parent: NodeId, child: NodeId, depth: u32) -> Result<(), Error> {
        if depth >= MAX_DEPTH {
            let source = self.source(child.source);
            return Err(source.error(ErrorKind::TooDeep, child.source, self.node(child).begin));
        }
        if self.source(child.source).tree.first_child(child.node).is_some() {
            let patch = self.patch_mut(child);
            patch.piecewise = true;
            patch.children_indexed = false;
            patch.walks = 0;
        }
        self.append_child(parent, child);
        Ok(())
    }

    fn append_child(&mut self, parent: NodeId, child: NodeId) {
        let number = self.touch(parent);
        let patch = &mut self.patches[number as usize];
        self.children.push(&mut patch.children, child);
        if patch.children_indexed {
            self.index_child(self.owner(number), child);
        }
    }

    /// Appends all children of `content` to `parent`, which has none and is `depth` levels deep.
    pub(crate) fn attach_children(
        &mut self,
        parent: NodeId,
        content: NodeId,
        depth: u32,
    ) -> Result<(), Error> {
        // What is one level above its children there is one level above them here.
        self.check_depth(content, NodeIndex(content.node.0 + 1), depth)?;
        let owner = self.touch(parent);
        let Self { sources, patches, children, .. } = self;
        let chain = &mut patches[owner as usize].children;
        for node in sources[content.source.0 as usize].tree.children(content.node) {
            children.push(chain, NodeId { source: content.source, node });
        }
        Ok(())
    }

    /// Whether the subtree of `top`, from node `from` on, can be appended to a node that is `depth` levels deep.
    fn check_depth(&self, top: NodeId, from: NodeIndex, depth: u32) -> Result<(), Error> {
        let source = self.source(top.source);
        // The whole overlay's depth is at hand and nearly always enough.
        if depth.saturating_add(source.tree.depth()) > MAX_DEPTH
            && depth.saturating_add(levels(&source.tree, from, self.node(top).subtree_end)) > MAX_DEPTH
        {
            return Err(source.error(ErrorKind::TooDeep, top.source, self.node(top).begin));
        }
        Ok(())
    }
}

/// How many levels the nodes from `from` to before `end` have, which are whole subtrees side by side.
fn levels(tree: &Tree, from: NodeIndex, end: NodeIndex) -> u32 {
    let mut open: Vec<NodeIndex> = Vec::new();
    let mut most = 0;
    for node in (from.0..end.0).map(NodeIndex) {
        while open.last().is_some_and(|&end| end <= node) {
            open.pop();
        }
        open.push(tree.node(node).subtree_end);
        most = most.max(open.len());
    }
    // There are fewer levels than nodes.
    u32::try_from(most).unwrap_or(u32::MAX)
}

/// Compares node names, exactly or as libfdt does: a name without a unit address matches one that has one.
struct Matcher<'n> {
    name: &'n [u8],
    loose: bool,
    /// How many bytes behind the start of `FDT_BEGIN_NODE` its last ones end, what is in the eight bytes up to there, and
    /// the bits that count.
    end: usize,
    value: u64,
    mask: u64,
}

impl<'n> Matcher<'n> {
    fn new(name: &'n [u8], loose: bool) -> Self {
        let loose = loose && !name.contains(&b'@');
        let nul: &[u8] = if loose { b"" } else { b"\0" };
        let (mut value, mut mask) = ([0; 8], [0; 8]);
        let ends = nul.iter().chain(name.iter().rev());
        for ((value, mask), byte) in value.iter_mut().zip(&mut mask).rev().zip(ends) {
            (*value, *mask) = (*byte, 0xff);
        }
        let (value, mask) = (u64::from_ne_bytes(value), u64::from_ne_bytes(mask));
        Self { name, loose, end: Tag::SIZE as usize + name.len() + nul.len(), value, mask }
    }

    /// The next child of `parent` from `from` on that matches. Most of the time of a look-up is spent here, so it
    /// stands alone, where its few values have registers.
    #[inline(never)]
    fn next(
        &self,
        block: StructureBlock<'_>,
        tree: &Tree,
        parent: NodeIndex,
        from: NodeIndex,
    ) -> Option<NodeIndex> {
        tree.find_child(parent, from, |node| self.accepts(block, node))
    }

    /// Whether the node's name matches. Siblings mostly differ in their last bytes, if not in length, so those
    /// are compared first.
    #[inline(always)]
    fn accepts(&self, block: StructureBlock<'_>, node: &Node) -> bool {
        let last = block.bytes().get(..node.begin.index() + self.end).and_then(<[u8]>::last_chunk);
        last.is_some_and(|last| u64::from_ne_bytes(*last) & self.mask == self.value) && self.is(block, node)
    }

    #[inline(never)]
    fn is(&self, block: StructureBlock<'_>, node: &Node) -> bool {
        if !self.loose {
            return block.name_is(node, self.name);
        }
        let rest = block.name(node).strip_prefix(self.name);
        rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'@')))
    }
}
