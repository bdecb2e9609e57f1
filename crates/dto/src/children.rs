//! The live tree's nodes: looking up a child, appending one, finding siblings of one name.

use alloc::vec::Vec;
use core::mem;

use kbt_fdt::{MAX_DEPTH, Node, NodeIndex, StructureBlock, Tag, Tree, find_byte, same};

use crate::error::{Error, ErrorKind, WarningKind, text};
use crate::links::{Change, Rest};
use crate::live::{Appended, Live, Run};
use crate::lookup::{Lookup, Slots, WALKS, WIDE};
use crate::source::{NodeId, SourceId};

/// What an item of a table has beside the child's number: whether it stands there under its name without the unit
/// address, and two bits of its key's hash, so that most of the others need not be compared.
const SHORT: u32 = 1 << 29;
const NUMBER: u32 = SHORT - 1;
const HASH_AT: u32 = 30;

impl<'a> Live<'a> {
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
        match self.children_table(parent) {
            Some(table) => self.look_into_table(table, name, loose),
            None => self.look_among_children(parent, name, loose),
        }
    }

    /// The number of the node's tables, if there is one of its children.
    #[inline]
    pub(crate) fn children_table(&self, parent: NodeId) -> Option<usize> {
        let state = self.state(parent);
        state.children_indexed.then(|| state.lookup as usize - 1)
    }

    /// [`Live::find_child`] of the node that these tables are of.
    #[inline]
    pub(crate) fn find_in_table(&self, table: usize, name: &[u8]) -> Option<NodeId> {
        self.look_into_table(table, name, self.loose_names)
    }

    #[inline]
    fn look_into_table(&self, table: usize, name: &[u8], loose: bool) -> Option<NodeId> {
        // Names in a block are compared up to their NUL and, where more is asked for, into the padding.
        debug_assert!(!name.contains(&0), "whoever looks a name up has cut it at the first NUL");
        let lookup = &self.lookups[table];
        let table = if loose { &lookup.loose_children } else { &lookup.children };
        let hash = self.seed.hash(name);
        let found = table.find(hash, |child| self.is_key(child, name, hash))?;
        Some(self.numbered(found & NUMBER))
    }

    #[inline(never)]
    fn look_among_children(&mut self, parent: NodeId, name: &[u8], loose: bool) -> Option<NodeId> {
        if self.state(parent).walks >= WALKS {
            self.index_children(parent);
            return self.look_up_child(parent, name, loose);
        }
        let (found, wide) = self.walk_children(parent, name, loose);
        if wide {
            self.change_state(parent, |state| state.walks += 1);
        }
        found
    }

    /// Notes that children of `parent` will be looked up again and again: if they may be many, the next look-up makes a
    /// table of them.
    pub(crate) fn expect_look_ups(&mut self, parent: NodeId) {
        if self.is_wide(parent) {
            self.change_state(parent, |state| state.walks = WALKS);
        }
    }

    /// Whether the node was read with so many nodes below it that many may be its children.
    pub(crate) fn is_wide(&self, parent: NodeId) -> bool {
        (self.node(parent).subtree_end.0 - parent.node.0) as usize > WIDE
    }

    /// Compares the children one by one; says whether there may be many.
    fn walk_children(&mut self, parent: NodeId, name: &[u8], loose: bool) -> (Option<NodeId>, bool) {
        debug_assert!(!name.contains(&0), "whoever looks a name up has cut it at the first NUL");
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
        let list = self.list(parent);
        if !list.is_empty() {
            let mut appended = self.appended(list);
            // Changes of other kinds are walked over, too.
            wide |= self.links.iter(list).nth(WIDE).is_some();
            let mut count = 0;
            while let Some(child) = self.next_appended(&mut appended) {
                count += 1;
                wide |= count > WIDE;
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
        self.state(node).piecewise
    }

    /// The key under which a child is in a table.
    fn key(&self, child: u32) -> &'a [u8] {
        let name = self.name(self.numbered(child & NUMBER));
        if child & SHORT == 0 { name } else { without_unit_address(name).unwrap_or(name) }
    }

    /// Whether that is `name`.
    #[inline(always)]
    fn is_key(&self, child: u32, name: &[u8], hash: u32) -> bool {
        if (child >> HASH_AT) != (hash & 3) {
            return false;
        }
        if child & SHORT != 0 {
            return self.key(child) == name;
        }
        let id = self.numbered(child & NUMBER);
        let source = self.source(id.source);
        let start = source.tree.node(id.node).begin.index() + Tag::SIZE as usize;
        let end = start + name.len();
        let bytes = source.original.bytes();
        bytes.get(end) == Some(&0) && bytes.get(start..end).is_some_and(|own| same(own, name))
    }

    pub(crate) fn warn_duplicate(&mut self, node: NodeId) {
        let (name, at) = (text(self.name(node)), self.node(node).begin);
        self.warn(WarningKind::DuplicateNode { name }, node.source, Some(at));
    }

    /// Puts the children of `parent` into a table.
    #[inline(never)]
    fn index_children(&mut self, parent: NodeId) {
        let number = self.lookup(parent);
        let Lookup { children, loose_children, .. } = &mut self.lookups[number];
        let mut table = mem::take(children).emptied();
        let mut loose = mem::take(loose_children).emptied();
        let mut duplicates = Vec::new();
        if !self.is_piecewise(parent) {
            duplicates = self.index_own_children(&mut table, parent);
            if self.loose_names {
                // libfdt puts new nodes in front, so among an overlay's the last one is met first.
                let newest_first = parent.source != SourceId::BASE;
                for node in self.source(parent.source).tree.children(parent.node) {
                    let child = NodeId { source: parent.source, node };
                    self.index_child_loosely(&mut loose, child, newest_first);
                }
            }
        }
        for child in self.appended_children(parent) {
            self.index_child(&mut table, child);
            self.index_child_loosely(&mut loose, child, true);
        }
        (self.lookups[number].children, self.lookups[number].loose_children) = (table, loose);
        self.change_state(parent, |state| state.children_indexed = true);
        for later in duplicates {
            self.warn_duplicate(later);
        }
    }

    /// Puts the children that `parent` was read with into a table that is empty; gives those whose name is there already.
    fn index_own_children(&self, table: &mut Slots, parent: NodeId) -> Vec<NodeId> {
        let source = self.source(parent.source);
        let (tree, block, first) = (&source.tree, source.original, source.first_node);
        table.reserve(tree.children(parent.node).count(), |_| 0);
        let mut duplicates = Vec::new();
        for (node, record) in tree.child_nodes(parent.node) {
            let name = block.name(record);
            let hash = self.seed.hash(name);
            let tag = hash << HASH_AT;
            let is = |other: u32| {
                other & !NUMBER == tag && block.name_is(tree.node(NodeIndex((other & NUMBER) - first)), name)
            };
            if table.insert_reserved(hash, (first + node.0) | tag, is, false).is_some() {
                duplicates.push(NodeId { source: parent.source, node });
            }
        }
        duplicates
    }

    /// Puts one child into a table by its name, if none of that name is there; gives that.
    #[inline]
    fn index_child(&self, table: &mut Slots, child: NodeId) -> Option<u32> {
        let name = self.name(child);
        let hash = self.seed.hash(name);
        let is = |other| self.is_key(other, name, hash);
        let hash_of = |other| self.seed.hash(self.key(other));
        table.insert(hash, self.number(child) | hash << HASH_AT, is, hash_of, false)
    }

    /// Puts one child into the table for loose names, if they are allowed, also without its unit address.
    #[inline]
    fn index_child_loosely(&self, table: &mut Slots, child: NodeId, newest_first: bool) {
        if !self.loose_names {
            return;
        }
        let (name, number) = (self.name(child), self.number(child));
        let keys = [Some((name, number)), without_unit_address(name).map(|name| (name, number | SHORT))];
        for (key, item) in keys.into_iter().flatten() {
            let hash = self.seed.hash(key);
            let is = |other| self.is_key(other, key, hash);
            let hash_of = |other| self.seed.hash(self.key(other));
            table.insert(hash, item | hash << HASH_AT, is, hash_of, newest_first);
        }
    }

    /// The only child of `parent` that is called `name` and a unit address.
    pub(crate) fn only_with_unit_address(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let own = self.source(parent.source).tree.children(parent.node);
        let own = own.filter(|_| !self.is_piecewise(parent));
        let own = own.map(|node| NodeId { source: parent.source, node });
        let mut found = own.chain(self.appended_children(parent)).filter(|&child| {
            self.name(child).strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'@'))
        });
        found.next().filter(|_| found.next().is_none())
    }

    pub(crate) fn has_children(&self, node: NodeId) -> bool {
        let state = self.state(node);
        if state.children_indexed {
            return self.lookups[state.lookup as usize - 1].children.len() > 0;
        }
        self.source(node.source).tree.first_child(node.node).is_some() && !state.piecewise
            || self.next_appended(&mut self.appended(self.list(node))).is_some()
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
            self.change_state(child, |state| {
                (state.piecewise, state.children_indexed, state.walks) = (true, false, 0);
            });
        }
        self.append_child(parent, child);
        Ok(())
    }

    /// Appends subtrees to `parent`, deep enough for whom was asked before.
    pub(crate) fn attach_runs(&mut self, parent: NodeId, runs: impl ExactSizeIterator<Item = Run>) {
        if runs.len() == 0 {
            return;
        }
        let mut indexed = self.state(parent).children_indexed;
        let number = if indexed { self.lookup(parent) } else { 0 };
        if indexed && runs.len() > self.lookups[number].children.len() {
            // Mostly nobody asks for these again; who does waits for a new table.
            indexed = false;
            self.change_state(parent, |state| state.children_indexed = false);
            (self.lookups[number].children, self.lookups[number].loose_children) = Default::default();
        }
        for run in runs {
            self.append_run(parent, run);
            let mut left = Appended { run, rest: Rest::default() };
            while indexed && let Some(child) = self.next_appended(&mut left) {
                self.index_appended(number, child);
            }
        }
    }

    fn append_child(&mut self, parent: NodeId, child: NodeId) {
        let to = self.node(child).subtree_end;
        self.append_run(parent, Run { source: child.source, from: child.node, to });
        if self.state(parent).children_indexed {
            let number = self.lookup(parent);
            self.index_appended(number, child);
        }
    }

    /// Puts a child that was appended into the tables of that number.
    fn index_appended(&mut self, number: usize, child: NodeId) {
        let mut lookup = core::mem::take(&mut self.lookups[number]);
        self.index_child(&mut lookup.children, child);
        self.index_child_loosely(&mut lookup.loose_children, child, true);
        self.lookups[number] = lookup;
    }

    /// Appends subtrees to `parent`.
    #[inline]
    fn append_run(&mut self, parent: NodeId, run: Run) {
        let first = self.source(run.source).first_node;
        let (from, to) = (first + run.from.0, first + run.to.0);
        let list = self.list(parent);
        // No run begins with a root node, so none goes on in the next source.
        if !self.links.extend_run(list, from, to) {
            self.push_change(parent, list, Change::Run { from, to });
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
        let from = NodeIndex(content.node.0 + 1);
        self.check_depth(content, from, depth)?;
        let to = self.node(content).subtree_end;
        if self.state(parent).children_indexed {
            // A table of no children; who asks again waits for a new one.
            self.change_state(parent, |state| state.children_indexed = false);
        }
        self.append_run(parent, Run { source: content.source, from, to });
        Ok(())
    }

    /// Whether the subtree of `top`, from node `from` on, can be appended to a node that is `depth` levels deep.
    pub(crate) fn check_depth(&self, top: NodeId, from: NodeIndex, depth: u32) -> Result<(), Error> {
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

/// A node's name up to its unit address; none where it has none.
fn without_unit_address(name: &[u8]) -> Option<&[u8]> {
    find_byte(name, b'@').map(|at_sign| &name[..at_sign])
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
        if let Some(last) = name.last_chunk::<8>().filter(|_| !loose) {
            let (value, end) = (u64::from_le_bytes(*last) >> 8, Tag::SIZE as usize + name.len() + 1);
            return Self { name, loose, end, value, mask: u64::MAX };
        }
        let loose = loose && !name.contains(&b'@');
        let nul: &[u8] = if loose { b"" } else { b"\0" };
        let (mut value, mut mask) = ([0; 8], [0; 8]);
        let ends = nul.iter().chain(name.iter().rev());
        for ((value, mask), byte) in value.iter_mut().zip(&mut mask).rev().zip(ends) {
            (*value, *mask) = (*byte, 0xff);
        }
        let (value, mask) = (u64::from_le_bytes(value), u64::from_le_bytes(mask));
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
        last.is_some_and(|last| u64::from_le_bytes(*last) & self.mask == self.value) && self.is(block, node)
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
