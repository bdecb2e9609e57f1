//! The merged tree as it stands between two overlays: the sources, and what happens to their nodes.
//!
//! Idea: nothing is rebuilt. A node that an overlay changes gets a [`Patch`]: properties to replace or to
//! append, subtrees to append. A subtree that an overlay adds stays in the overlay's own source and is one
//! entry in its parent's patch; a later fragment or overlay may patch its nodes in turn. Looking up, the live
//! tree is the source's own children and properties, then what the patch adds. [`splice`](crate::splice)
//! finally writes untouched ranges as they are.
//!
//! Limits: a node with more than [`WIDE`] children or properties is looked up in a table from its third
//! look-up on, so that no input makes the merge quadratic.

use alloc::vec::Vec;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use kbt_fdt::{
    MAX_DEPTH, Node, NodeIndex, Property, StringsOffset, StructureBlock, StructureOffset, Tag, Tree,
};

use crate::chain::{Chain, Chains};
use crate::error::{Error, ErrorKind, Place, Warning, WarningKind, text};
use crate::lookup::{Lookup, WALKS, WIDE};
use crate::names::Names;
use crate::phandles::Phandles;
use crate::source::{NodeId, PropertyRef, Source, SourceId};

/// More warnings than this are not kept.
const MAX_WARNINGS: usize = 100;

/// What happens to a node.
#[derive(Debug, Default)]
pub(crate) struct Patch {
    /// The node that this subtree is appended to, where it comes from an overlay.
    pub(crate) parent: Option<NodeId>,
    /// It was merged into an earlier sibling of the same name.
    pub(crate) removed: bool,
    /// Subtrees to append.
    pub(crate) children: Chain,
    /// Properties to append.
    pub(crate) additions: Chain,
    /// Places of own properties to replace.
    pub(crate) overridden: Chain,
    walks: u8,
    children_indexed: bool,
    properties_indexed: bool,
}

/// Where a node keeps a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// Among its own, at this place.
    Source(StructureOffset),
    /// Among those appended, as this link.
    Added(u32),
}

/// A property's name to look for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'k> {
    pub(crate) text: &'k [u8],
    /// A place of it in the merged strings block, if one is known.
    pub(crate) offset: Option<StringsOffset>,
}

impl<'k> From<&'k [u8]> for Key<'k> {
    fn from(text: &'k [u8]) -> Self {
        Self { text, offset: None }
    }
}

impl<'k, const N: usize> From<&'k [u8; N]> for Key<'k> {
    fn from(text: &'k [u8; N]) -> Self {
        Self { text, offset: None }
    }
}

/// A child in the table: its node, and how much of its name is the key.
type IndexedChild = (NodeId, u32);

/// The merged tree.
#[derive(Debug)]
pub(crate) struct Live<'a> {
    pub(crate) sources: Vec<Source<'a>>,
    pub(crate) names: Names<'a>,
    pub(crate) phandles: Phandles,
    pub(crate) patches: Vec<Patch>,
    pub(crate) children: Chains<NodeId>,
    pub(crate) additions: Chains<Option<PropertyRef>>,
    pub(crate) overridden: Chains<StructureOffset>,
    /// What stands in the place of a property; nothing where it is removed.
    pub(crate) overrides: HashMap<PropertyRef, Option<PropertyRef>, RandomState>,
    pub(crate) warnings: Vec<Warning>,
    /// `/__symbols__`, once it was looked for.
    pub(crate) symbols: Option<NodeId>,
    indexed_children: Lookup<IndexedChild>,
    loose_children: Lookup<IndexedChild>,
    indexed_properties: Lookup<(Slot, StringsOffset)>,
    loose_names: bool,
}

impl<'a> Live<'a> {
    pub(crate) fn new(sources: Vec<Source<'a>>, names: Names<'a>, loose_names: bool) -> Self {
        let phandles = sources.iter().map(|source| source.tree.phandles().len()).sum();
        let added: usize = sources.iter().skip(1).map(|source| source.tree.nodes().len()).sum();
        Self {
            sources,
            names,
            phandles: Phandles::new(phandles),
            patches: Vec::with_capacity(added),
            children: Chains::default(),
            additions: Chains::default(),
            overridden: Chains::default(),
            overrides: HashMap::default(),
            warnings: Vec::new(),
            symbols: None,
            indexed_children: Lookup::default(),
            loose_children: Lookup::default(),
            indexed_properties: Lookup::default(),
            loose_names,
        }
    }

    pub(crate) fn source(&self, id: SourceId) -> &Source<'a> {
        &self.sources[id.0 as usize]
    }

    pub(crate) fn source_mut(&mut self, id: SourceId) -> &mut Source<'a> {
        &mut self.sources[id.0 as usize]
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.source(id.source).tree.node(id.node)
    }

    pub(crate) fn name(&self, id: NodeId) -> &'a [u8] {
        self.source(id.source).name(id.node)
    }

    /// The node's patch, if anything happens to it.
    pub(crate) fn patch(&self, id: NodeId) -> Option<&Patch> {
        let number = self.source(id.source).patch_of[id.node.index()];
        self.patches.get((number as usize).wrapping_sub(1))
    }

    /// The number of the node's patch, made if there is none.
    pub(crate) fn touch(&mut self, id: NodeId) -> u32 {
        let slot = &mut self.sources[id.source.0 as usize].patch_of[id.node.index()];
        if *slot == 0 {
            self.patches.push(Patch::default());
            // A patch stands for a node, and all nodes together are counted in 32 bits.
            *slot = u32::try_from(self.patches.len()).unwrap_or(u32::MAX);
        }
        *slot - 1
    }

    fn patch_mut(&mut self, id: NodeId) -> &mut Patch {
        let number = self.touch(id);
        &mut self.patches[number as usize]
    }

    /// Keeps a warning, once.
    pub(crate) fn warn(&mut self, kind: WarningKind, source: SourceId, at: Option<StructureOffset>) {
        let offset = at.map(|at| self.source(source).offset + at.index());
        let place = Place { input: source.input(), offset, fragment: None, property: None };
        self.keep(Warning { kind, place });
    }

    pub(crate) fn keep(&mut self, warning: Warning) {
        if self.warnings.len() < MAX_WARNINGS && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    // Nodes

    /// The child of `parent` that is called `name`; where loose names are allowed, the one that libfdt takes.
    pub(crate) fn find_child(&mut self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.look_up_child(parent, name, self.loose_names)
    }

    /// The child of `parent` whose name is `name` to the letter.
    pub(crate) fn find_exact_child(&mut self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        self.look_up_child(parent, name, false)
    }

    fn look_up_child(&mut self, parent: NodeId, name: &[u8], loose: bool) -> Option<NodeId> {
        if self.patch(parent).is_some_and(|patch| patch.children_indexed) {
            let owner = self.touch(parent);
            let is = |item| child_key(&self.sources, item) == name;
            let index = if loose { &self.loose_children } else { &self.indexed_children };
            return index.find(owner, name, is).map(|(child, _)| child);
        }
        let (found, wide) = self.walk_children(parent, name, loose);
        if wide {
            let patch = self.patch_mut(parent);
            patch.walks = patch.walks.saturating_add(1);
            if patch.walks >= WALKS {
                self.index_children(parent);
            }
        }
        found
    }

    /// Compares the children one by one; says whether there are many.
    fn walk_children(&mut self, parent: NodeId, name: &[u8], loose: bool) -> (Option<NodeId>, bool) {
        let source = self.source(parent.source);
        let matches = Matcher::new(name, loose);
        let block = source.original;
        let (mut found, mut second) = (None, None);
        let mut next = NodeIndex(parent.node.0 + 1);
        // To the last one: another of the name is worth a warning.
        while let Some(child) = matches.next(block, &source.tree, parent.node, next) {
            // libfdt puts new nodes in front, so among an overlay's the last one is met first.
            if found.is_none() || loose && parent.source != SourceId::BASE {
                found = Some(child);
            } else {
                second = second.or(Some(child));
            }
            next = source.tree.node(child).subtree_end;
        }
        let mut wide = source.tree.has_more_children(parent.node, WIDE);
        let mut found = found.map(|node| NodeId { source: parent.source, node });
        if let Some(patch) = self.patch(parent) {
            for (count, (_, child)) in self.children.iter(patch.children).enumerate() {
                wide |= count == WIDE;
                if (found.is_none() || loose)
                    && matches.is(self.source(child.source).original, self.node(child))
                {
                    found = Some(child);
                }
            }
        }
        if let Some(second) = second.filter(|_| !loose) {
            let at = self.source(parent.source).tree.node(second).begin;
            self.warn(WarningKind::DuplicateNode { name: text(name) }, parent.source, Some(at));
        }
        (found, wide)
    }

    /// Puts the children of `parent` into the table. Gives pairs of one name, (first, later).
    fn index_children(&mut self, parent: NodeId) -> Vec<(NodeId, NodeId)> {
        let mut pairs = Vec::new();
        let owner = self.touch(parent);
        let own: Vec<NodeIndex> = self.source(parent.source).tree.children(parent.node).collect();
        self.indexed_children.reserve(own.len());
        let newest_first = parent.source != SourceId::BASE;
        for node in own {
            let child = NodeId { source: parent.source, node };
            if let Some(first) = self.index_child(owner, child, newest_first) {
                pairs.push((first, child));
                let name = text(self.name(child));
                let at = self.node(child).begin;
                self.warn(WarningKind::DuplicateNode { name }, child.source, Some(at));
            }
        }
        let added: Vec<NodeId> =
            self.children.iter(self.patches[owner as usize].children).map(|(_, child)| child).collect();
        for child in added {
            self.index_child(owner, child, true);
        }
        self.patches[owner as usize].children_indexed = true;
        pairs
    }

    /// Puts one child into the table, and for loose names into the table of those, there also without its
    /// unit address. Gives an earlier one that the child is to be merged into.
    fn index_child(&mut self, owner: u32, child: NodeId, newest_first: bool) -> Option<NodeId> {
        let name = self.name(child);
        let sources = &self.sources;
        let insert = |index: &mut Lookup<IndexedChild>, key: &[u8], replace: bool| {
            let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
            let is = |item| child_key(sources, item) == key;
            index.insert(owner, key, (child, length), is, replace).map(|(old, _)| old)
        };
        let exact = insert(&mut self.indexed_children, name, false);
        if !self.loose_names {
            return exact;
        }
        let loose = insert(&mut self.loose_children, name, newest_first);
        if let Some(at_sign) = name.iter().position(|&byte| byte == b'@') {
            insert(&mut self.loose_children, &name[..at_sign], newest_first);
        }
        loose
    }

    /// The only child of `parent` that is called `name` and a unit address.
    pub(crate) fn only_with_unit_address(&self, parent: NodeId, name: &[u8]) -> Option<NodeId> {
        let own = self.source(parent.source).tree.children(parent.node);
        let own = own.map(|node| NodeId { source: parent.source, node });
        let added = self.patch(parent).map(|patch| patch.children).unwrap_or_default();
        let added = self.children.iter(added).map(|(_, child)| child);
        let mut found = own.chain(added).filter(|&child| {
            self.name(child).strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'@'))
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// Appends `child`, with its subtree, to `parent`, which is `depth` levels deep.
    pub(crate) fn attach(&mut self, parent: NodeId, child: NodeId, depth: u32) -> Result<(), Error> {
        let depth = depth.saturating_add(self.source(child.source).tree.depth());
        if depth > MAX_DEPTH {
            let at = self.node(child).begin;
            return Err(self.source(child.source).error(ErrorKind::TooDeep, child.source, at));
        }
        self.patch_mut(child).parent = Some(parent);
        let owner = self.touch(parent);
        let patch = &mut self.patches[owner as usize];
        self.children.push(&mut patch.children, child);
        if patch.children_indexed {
            self.index_child(owner, child, true);
        }
        Ok(())
    }

    /// Siblings of one name below `parent`, a node that an overlay brings along: (first, later).
    pub(crate) fn duplicate_children(&mut self, parent: NodeId) -> Vec<(NodeId, NodeId)> {
        let source = self.source(parent.source);
        let mut few = [NodeIndex::ROOT; WIDE];
        let mut count = 0;
        for (slot, child) in few.iter_mut().zip(source.tree.children(parent.node)) {
            *slot = child;
            count += 1;
        }
        if source.tree.has_more_children(parent.node, WIDE) {
            return self.index_children(parent);
        }
        let mut pairs = Vec::new();
        for (index, &later) in few[..count].iter().enumerate().skip(1) {
            let name = source.name(later);
            let matches = Matcher::new(name, self.loose_names);
            let mut earlier = few[..index].iter();
            let same = |&&node: &&NodeIndex| matches.is(source.original, source.tree.node(node));
            let first = if self.loose_names { earlier.rfind(same) } else { earlier.find(same) };
            if let Some(&first) = first {
                let id = |node| NodeId { source: parent.source, node };
                pairs.push((id(first), id(later)));
            }
        }
        for &(_, later) in &pairs {
            let (name, at) = (text(self.name(later)), self.node(later).begin);
            self.warn(WarningKind::DuplicateNode { name }, later.source, Some(at));
        }
        pairs
    }

    /// Takes a node that was merged into its earlier sibling out of the tree.
    pub(crate) fn remove(&mut self, id: NodeId) {
        self.patch_mut(id).removed = true;
    }

    /// The parent in the merged tree; none for the root node.
    pub(crate) fn parent(&self, id: NodeId) -> Option<NodeId> {
        if let Some(parent) = self.patch(id).and_then(|patch| patch.parent) {
            return Some(parent);
        }
        if id.node == NodeIndex::ROOT {
            return None;
        }
        Some(NodeId { source: id.source, node: self.node(id).parent })
    }

    /// How deep a node is; the root node is 1 level deep.
    pub(crate) fn depth(&self, id: NodeId) -> u32 {
        let mut depth = 1;
        let mut next = id;
        while let Some(parent) = self.parent(next) {
            depth += 1;
            next = parent;
        }
        depth
    }

    /// Appends the absolute path of a node to `out`; the root node's is empty.
    pub(crate) fn push_path(&self, id: NodeId, out: &mut Vec<u8>) {
        let mut names: Vec<&[u8]> = Vec::new();
        let mut next = id;
        while let Some(parent) = self.parent(next) {
            names.push(self.name(next));
            next = parent;
        }
        for name in names.iter().rev() {
            out.push(b'/');
            out.extend_from_slice(name);
        }
    }

    // Properties

    /// Where `node` keeps the property `key`.
    pub(crate) fn find_property(&mut self, node: NodeId, key: Key<'_>) -> Option<Slot> {
        if self.patch(node).is_some_and(|patch| patch.properties_indexed) {
            let owner = self.touch(node);
            let is = |(_, name)| self.names.is(name, key.text);
            return self.indexed_properties.find(owner, key.text, is).map(|(slot, _)| slot);
        }
        let (found, seen) = self.walk_properties(node, key);
        if seen > WIDE {
            let patch = self.patch_mut(node);
            patch.walks = patch.walks.saturating_add(1);
            if patch.walks >= WALKS {
                self.index_properties(node);
            }
        }
        found
    }

    fn walk_properties(&self, node: NodeId, key: Key<'_>) -> (Option<Slot>, usize) {
        let is = |name| key.offset == Some(name) || self.names.is(name, key.text);
        let mut seen = 0;
        for property in self.own_properties(node) {
            if is(property.name) {
                return (Some(Slot::Source(property.at)), seen);
            }
            seen += 1;
        }
        let additions = self.patch(node).map(|patch| patch.additions).unwrap_or_default();
        for (link, addition) in self.additions.iter(additions) {
            if addition.is_some_and(|addition| is(self.property_at(addition).name)) {
                return (Some(Slot::Added(link)), seen);
            }
            seen += 1;
        }
        (None, seen)
    }

    fn index_properties(&mut self, node: NodeId) {
        let owner = self.touch(node);
        let own = self.own_properties(node).map(|property| (Slot::Source(property.at), property.name));
        let added = self.additions.iter(self.patches[owner as usize].additions);
        let added = added.filter_map(|(link, addition)| {
            addition.map(|addition| (Slot::Added(link), self.property_at(addition).name))
        });
        let items: Vec<_> = own.chain(added).collect();
        self.indexed_properties.reserve(items.len());
        for item in items {
            self.index_property(owner, item);
        }
        self.patches[owner as usize].properties_indexed = true;
    }

    fn index_property(&mut self, owner: u32, item: (Slot, StringsOffset)) {
        let text = self.names.get(item.1);
        let is = |(_, name)| self.names.is(name, text);
        self.indexed_properties.insert(owner, text, item, is, false);
    }

    /// The properties of the node's own source, names in the merged strings block.
    fn own_properties(&self, node: NodeId) -> kbt_fdt::Properties<'_> {
        StructureBlock::new(&self.source(node.source).bytes).properties(self.node(node))
    }

    /// The property that a reference stands for.
    pub(crate) fn property_at(&self, property: PropertyRef) -> Property {
        let found = StructureBlock::new(&self.source(property.source).bytes).property(property.at);
        found.unwrap_or(Property { at: property.at, name: StringsOffset(0), length: 0 })
    }

    /// The property in a slot as it is now.
    pub(crate) fn current(&self, node: NodeId, slot: Slot) -> Option<PropertyRef> {
        match slot {
            Slot::Source(at) => {
                let own = PropertyRef { source: node.source, at };
                self.overrides.get(&own).copied().unwrap_or(Some(own))
            }
            Slot::Added(link) => self.additions.get(link).flatten(),
        }
    }

    /// The value of the node's property `key`.
    pub(crate) fn value(&mut self, node: NodeId, key: Key<'_>) -> Option<&[u8]> {
        let slot = self.find_property(node, key)?;
        let property = self.current(node, slot)?;
        Some(self.value_of(property))
    }

    pub(crate) fn value_of(&self, property: PropertyRef) -> &[u8] {
        self.source(property.source).value(&self.property_at(property))
    }

    /// Sets a property of `node`: in place where it has one of that name, else behind the others.
    pub(crate) fn set_property(&mut self, node: NodeId, key: Key<'_>, property: PropertyRef) -> Slot {
        match self.find_property(node, key) {
            Some(slot) => {
                self.replace_property(node, slot, Some(property));
                slot
            }
            None => self.append_property(node, property),
        }
    }

    /// Appends a property that `node` is known to lack.
    pub(crate) fn append_property(&mut self, node: NodeId, property: PropertyRef) -> Slot {
        let owner = self.touch(node);
        let patch = &mut self.patches[owner as usize];
        let slot = Slot::Added(self.additions.push(&mut patch.additions, Some(property)));
        if patch.properties_indexed {
            let name = self.property_at(property).name;
            self.index_property(owner, (slot, name));
        }
        slot
    }

    /// Puts `property`, or nothing, into a slot of `node`.
    pub(crate) fn replace_property(&mut self, node: NodeId, slot: Slot, property: Option<PropertyRef>) {
        match slot {
            Slot::Added(link) => self.additions.set(link, property),
            Slot::Source(at) => {
                let own = PropertyRef { source: node.source, at };
                if self.overrides.insert(own, property).is_none() {
                    let owner = self.touch(node);
                    let patch = &mut self.patches[owner as usize];
                    self.overridden.push(&mut patch.overridden, at);
                }
            }
        }
    }

    /// The phandle of a node as it is now: its `phandle`, else its `linux,phandle`.
    pub(crate) fn phandle(&mut self, node: NodeId) -> Option<u32> {
        // A node keeps the phandle that it was read with, whatever is merged into it.
        let source = self.source(node.source);
        if let Some(phandle) = source.tree.phandle(node.node) {
            return Some(phandle.wrapping_add(source.shift));
        }
        if self.patch(node).is_none_or(|patch| patch.additions.is_empty()) {
            return None;
        }
        for name in [&b"phandle"[..], b"linux,phandle"] {
            if let Some(value) = self.value(node, name.into())
                && let Some(cell) = cell(value)
            {
                return Some(cell);
            }
        }
        None
    }

    /// The name of an overlay's property in the merged strings block; none where the property was taken out.
    pub(crate) fn placed_name(&self, property: PropertyRef) -> Option<StringsOffset> {
        let block = StructureBlock::new(&self.source(property.source).bytes);
        block.property(property.at).map(|property| property.name)
    }

    /// The names of all properties of a node.
    pub(crate) fn property_names(&self, node: NodeId) -> Vec<&[u8]> {
        let own = self.own_properties(node).map(|property| property.name);
        let additions = self.patch(node).map(|patch| patch.additions).unwrap_or_default();
        let added = self.additions.iter(additions).filter_map(|(_, addition)| addition);
        own.chain(added.map(|addition| self.property_at(addition).name))
            .map(|name| self.names.get(name))
            .collect()
    }

    /// Makes a property whose value is the concatenation of `parts`.
    pub(crate) fn make_property(&mut self, name: StringsOffset, parts: &[&[u8]]) -> PropertyRef {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let bytes = self.sources[SourceId::MADE.0 as usize].bytes.to_mut();
        // Both are bounded by the inputs' sizes; the size of the output is checked when it is written.
        let at = StructureOffset(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        for word in [Tag::PROP, length, name.0] {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        for part in parts {
            bytes.extend_from_slice(part);
        }
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        PropertyRef { source: SourceId::MADE, at }
    }
}

/// The value of a property that is one cell.
pub(crate) fn cell(value: &[u8]) -> Option<u32> {
    value.as_array::<4>().map(|cell| u32::from_be_bytes(*cell))
}

fn child_key<'s>(sources: &'s [Source<'_>], (child, length): IndexedChild) -> &'s [u8] {
    let name = sources[child.source.0 as usize].name(child.node);
    &name[..(length as usize).min(name.len())]
}

/// Compares node names, exactly or as libfdt does: a name without a unit address matches one that has one.
struct Matcher<'n> {
    name: &'n [u8],
    loose: bool,
    /// Which word behind `FDT_BEGIN_NODE` holds the name's last byte, what is in it, and the bits that count.
    word: usize,
    value: u32,
    mask: u32,
}

impl<'n> Matcher<'n> {
    fn new(name: &'n [u8], loose: bool) -> Self {
        let loose = loose && !name.contains(&b'@');
        let start = name.len().saturating_sub(1) / 4 * 4;
        let (mut value, mut mask) = ([0; 4], [0; 4]);
        for ((value, mask), byte) in value.iter_mut().zip(&mut mask).zip(&name[start..]) {
            (*value, *mask) = (*byte, 0xff);
        }
        if let Some(nul) = mask.get_mut(name.len() - start).filter(|_| !loose) {
            *nul = 0xff;
        }
        let (value, mask) = (u32::from_ne_bytes(value), u32::from_ne_bytes(mask));
        Self { name, loose, word: 1 + start / 4, value, mask }
    }

    /// The next child of `parent` from `from` on that matches. Most of the time of a look-up is spent here, so it
    /// stands alone, where its few values have registers. Siblings mostly differ in their last bytes, if not in
    /// length, so those are compared first.
    #[inline(never)]
    fn next(
        &self,
        block: StructureBlock<'_>,
        tree: &Tree,
        parent: NodeIndex,
        from: NodeIndex,
    ) -> Option<NodeIndex> {
        let (words, _) = block.bytes().as_chunks::<4>();
        let Self { word, value, mask, .. } = *self;
        tree.find_child(parent, from, |node| {
            let last = words.get(node.begin.index() / 4 + word);
            last.is_some_and(|last| u32::from_ne_bytes(*last) & mask == value) && self.is(block, node)
        })
    }

    #[inline(never)]
    fn is(&self, block: StructureBlock<'_>, node: &Node) -> bool {
        match block.name(node).strip_prefix(self.name) {
            Some([]) => true,
            Some(rest) => self.loose && rest[0] == b'@',
            None => false,
        }
    }
}
