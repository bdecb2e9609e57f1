//! A checked tree whose nodes are found by name, path and phandle.
//!
//! Idea: the children of each node are sorted by name once, in one array of node numbers; phandles likewise. The
//! properties of a node are read where they stand, except in nodes of many: those are sorted, too, so that no
//! look-up is linear in what a file chooses.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use kbt_fdt::{Blob, Node, NodeIndex, Properties, Property, Tree};

use crate::error::{Error, ErrorKind};
use crate::text::path_components;

/// The longest name of a property, in bytes: names may share the strings block, so that a small file could hold many
/// long ones. The specification allows 31.
pub const MAX_PROPERTY_NAME: usize = 1024;

/// Nodes of more properties have them sorted.
const FEW: usize = 24;

/// A tree and where its nodes are.
#[derive(Debug, Clone)]
pub struct IndexedTree<'a> {
    blob: Blob<'a>,
    tree: Tree,
    /// The children of all nodes, those of one node together, sorted by name.
    children: Vec<NodeIndex>,
    /// Of each node where its children start in `children`; one more at the end.
    first: Vec<u32>,
    /// Phandles and their nodes, sorted; the first node of a phandle counts.
    phandles: Vec<(u32, NodeIndex)>,
    /// The properties of nodes of many, sorted by name; the first of a name first.
    wide: BTreeMap<NodeIndex, Vec<Property>>,
}

impl<'a> IndexedTree<'a> {
    /// Checks a blob and indexes its nodes.
    ///
    /// # Errors
    /// What `kbt_fdt` refuses, and property names that are too long.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let blob = Blob::parse(bytes)?;
        let tree = blob.tree()?;
        let count = tree.nodes().len();
        let mut first = alloc::vec![0_u32; count + 1];
        for node in tree.nodes().iter().skip(1) {
            first[node.parent.index() + 1] += 1;
        }
        for index in 0..count {
            first[index + 1] += first[index];
        }
        let mut next = first.clone();
        let mut children = alloc::vec![NodeIndex::ROOT; count.saturating_sub(1)];
        for (index, node) in (0_u32..).zip(tree.nodes()).skip(1) {
            let slot = &mut next[node.parent.index()];
            children[*slot as usize] = NodeIndex(index);
            *slot += 1;
        }
        let structure = blob.structure();
        for bounds in first.windows(2) {
            let siblings = &mut children[bounds[0] as usize..bounds[1] as usize];
            if siblings.len() > 1 {
                siblings.sort_by_key(|&child| structure.name(tree.node(child)));
            }
        }
        let mut phandles: Vec<_> = (0_u32..)
            .zip(tree.nodes())
            .map(|(index, _)| (tree.phandle(NodeIndex(index)), NodeIndex(index)))
            .collect();
        phandles.retain(|&(phandle, _)| phandle != 0 && phandle != u32::MAX);
        phandles.sort_unstable();
        let mut indexed = Self { blob, tree, children, first, phandles, wide: BTreeMap::new() };
        indexed.check_properties()?;
        Ok(indexed)
    }

    /// Refuses long names and sorts the properties of wide nodes.
    fn check_properties(&mut self) -> Result<(), Error> {
        let strings = self.blob.strings();
        for index in self.indices() {
            let mut count = 0;
            for property in self.properties(index) {
                count += 1;
                let bytes = strings.from(property.name);
                let bytes = bytes.get(..MAX_PROPERTY_NAME + 1).unwrap_or(bytes);
                if kbt_fdt::find_byte(bytes, 0).is_none() {
                    let offset = self.offset(property.at.index());
                    return Err(Error { kind: ErrorKind::PropertyNameTooLong, offset });
                }
            }
            if count > FEW {
                let mut sorted: Vec<_> = self.properties(index).collect();
                sorted.sort_by_key(|property| strings.get(property.name));
                self.wide.insert(index, sorted);
            }
        }
        Ok(())
    }

    /// The blob.
    pub fn blob(&self) -> &Blob<'a> {
        &self.blob
    }

    /// The flat tree.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// All nodes, parents in front of their children.
    pub fn indices(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..u32::try_from(self.tree.nodes().len()).unwrap_or(u32::MAX)).map(NodeIndex)
    }

    /// A node's record.
    pub fn node(&self, node: NodeIndex) -> &Node {
        self.tree.node(node)
    }

    /// A node's phandle; 0 where it has none.
    pub fn phandle(&self, node: NodeIndex) -> u32 {
        self.tree.phandle(node)
    }

    /// A node's name with its unit address; empty for the root.
    pub fn name(&self, node: NodeIndex) -> &'a [u8] {
        self.blob.structure().name(self.tree.node(node))
    }

    /// A node's properties in order.
    pub fn properties(&self, node: NodeIndex) -> Properties<'a> {
        self.blob.structure().properties(self.tree.node(node))
    }

    /// A property's name.
    pub fn property_name(&self, property: &Property) -> &'a [u8] {
        self.blob.strings().get(property.name).unwrap_or_default()
    }

    /// A property's value.
    pub fn value(&self, property: &Property) -> &'a [u8] {
        self.blob.structure().value(property)
    }

    /// The byte offset in the blob of a place in the structure block.
    pub fn offset(&self, at: usize) -> usize {
        self.blob.header().off_dt_struct as usize + at
    }

    /// The first property of that name.
    pub fn property(&self, node: NodeIndex, name: &[u8]) -> Option<Property> {
        let strings = self.blob.strings();
        match self.wide.get(&node) {
            Some(sorted) => {
                let at = sorted.partition_point(|property| strings.get(property.name) < Some(name));
                sorted.get(at).copied().filter(|property| strings.is(property.name, name))
            }
            None => self.properties(node).find(|property| strings.is(property.name, name)),
        }
    }

    /// The value of the first property of that name.
    pub fn property_value(&self, node: NodeIndex, name: &[u8]) -> Option<&'a [u8]> {
        self.property(node, name).map(|property| self.value(&property))
    }

    /// The children of a node, sorted by name; the first of a name first.
    pub fn children_by_name(&self, parent: NodeIndex) -> &[NodeIndex] {
        let bounds = self.first.get(parent.index()..).and_then(<[u32]>::first_chunk::<2>);
        bounds.and_then(|&[start, end]| self.children.get(start as usize..end as usize)).unwrap_or_default()
    }

    /// The children of a node in their order.
    pub fn children(&self, parent: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        self.tree.children(parent)
    }

    /// The first child of exactly that name.
    pub fn child(&self, parent: NodeIndex, name: &[u8]) -> Option<NodeIndex> {
        let children = self.children_by_name(parent);
        let at = children.partition_point(|&child| self.name(child) < name);
        children.get(at).copied().filter(|&child| self.name(child) == name)
    }

    /// The children whose names are `name` and a unit address.
    pub fn children_with_unit_address<'s>(
        &'s self,
        parent: NodeIndex,
        name: &'s [u8],
    ) -> impl Iterator<Item = NodeIndex> + 's {
        let children = self.children_by_name(parent);
        let is_behind =
            |child: &NodeIndex| self.name(*child).iter().lt(name.iter().chain(core::iter::once(&b'@')));
        let from = children.partition_point(is_behind);
        let fits = move |child: &NodeIndex| {
            self.name(*child).strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b'@'))
        };
        children[from..].iter().copied().take_while(fits)
    }

    /// The node at an absolute path of exact names; `/` is the root node.
    pub fn find(&self, path: &[u8]) -> Option<NodeIndex> {
        if path.first() != Some(&b'/') {
            return None;
        }
        path_components(path).try_fold(NodeIndex::ROOT, |node, name| self.child(node, name))
    }

    /// The first node with that phandle.
    pub fn node_with_phandle(&self, phandle: u32) -> Option<NodeIndex> {
        let at = self.phandles.partition_point(|&(other, _)| other < phandle);
        self.phandles.get(at).filter(|&&(other, _)| other == phandle).map(|&(_, node)| node)
    }

    /// Phandles and their nodes, sorted by phandle, then by node.
    pub fn phandles(&self) -> &[(u32, NodeIndex)] {
        &self.phandles
    }

    /// The nodes from the root's child down to `node`; empty for the root.
    pub fn ancestry(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let mut nodes = Vec::new();
        let mut next = node;
        while next != NodeIndex::ROOT {
            nodes.push(next);
            next = self.tree.node(next).parent;
        }
        nodes.reverse();
        nodes
    }

    /// How many bytes a node's path has.
    pub fn path_length(&self, node: NodeIndex) -> usize {
        let mut length = 0;
        let mut next = node;
        while next != NodeIndex::ROOT {
            length += 1 + self.name(next).len();
            next = self.tree.node(next).parent;
        }
        length.max(1)
    }

    /// Appends a node's absolute path to `out`; the root node's is `/`.
    pub fn push_path(&self, node: NodeIndex, out: &mut Vec<u8>) {
        if node == NodeIndex::ROOT {
            out.push(b'/');
        }
        for node in self.ancestry(node) {
            out.push(b'/');
            out.extend_from_slice(self.name(node));
        }
    }

    /// A node's absolute path for messages: what is not UTF-8 is shown as U+FFFD, and of a very long path only the
    /// end.
    pub fn path(&self, node: NodeIndex) -> String {
        const LONGEST: usize = 512;
        let mut path = Vec::new();
        self.push_path(node, &mut path);
        match path.len().checked_sub(LONGEST) {
            None | Some(0) => String::from_utf8_lossy(&path).into_owned(),
            Some(cut) => alloc::format!("...{}", String::from_utf8_lossy(&path[cut..])),
        }
    }
}

/// A cell of a value.
pub(crate) fn cell_at(value: &[u8], offset: usize) -> Option<u32> {
    value.get(offset..)?.first_chunk().map(|cell| u32::from_be_bytes(*cell))
}
