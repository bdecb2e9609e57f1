//! What two trees mean differently.
//!
//! Idea: nodes of one path are paired, siblings by name; the fragments of two overlays by what they are merged into.
//! Then the properties of each pair are compared by name. A value is the same where its bytes are, but for phandles: a
//! cell that is known to be one is the node that it leads to, and is the same where both nodes are a pair. Cells that
//! differ and are both phandles of a pair are the same, too, though no binding tells of them.
//!
//! Phandles themselves, the order of nodes and properties, and what only says where phandles are (`__fixups__`,
//! `__local_fixups__`) mean nothing. A symbol means the node that its path leads to.
//!
//! Nothing recurses; the cost is that of sorting the names of siblings.

use alloc::vec::Vec;
use core::cmp::Ordering;

use kbt_fdt::{NodeIndex, Property};

use crate::dts::Dts;
use crate::fragments::{self, FragmentTarget};
use crate::index::cell_at;
use crate::references::{Reference, Referent};

/// One of the two trees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The first.
    Left,
    /// The second.
    Right,
}

/// A property that differs; one side may lack it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// The left tree's.
    pub left: Option<Property>,
    /// The right tree's.
    pub right: Option<Property>,
}

/// A node that differs: on one side alone, or on both with these properties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDifference {
    /// The left tree's.
    pub left: Option<NodeIndex>,
    /// The right tree's.
    pub right: Option<NodeIndex>,
    /// Its properties that differ, sorted by name; none where one side lacks the node.
    pub properties: Vec<Difference>,
}

/// Where the trees differ, in the order of the left tree's nodes; nodes that the right tree alone has stand behind their
/// parent's properties. The header is not looked at.
pub fn compare(left: &Dts<'_>, right: &Dts<'_>) -> Vec<NodeDifference> {
    let pairing = Pairing::new(left, right);
    let mut found = Vec::new();
    for node in left.tree().indices() {
        let Some(other) = pairing.right_of(node) else {
            let parent = left.tree().node(node).parent;
            let of_a_pair = node != NodeIndex::ROOT && pairing.right_of(parent).is_some();
            if of_a_pair && !pairing.is_ignored(left, node) {
                found.push(NodeDifference { left: Some(node), right: None, properties: Vec::new() });
            }
            continue;
        };
        if pairing.is_ignored(left, node) && pairing.is_ignored(right, other) {
            continue;
        }
        let properties = pairing.properties(node, other);
        if !properties.is_empty() {
            found.push(NodeDifference { left: Some(node), right: Some(other), properties });
        }
        let added = right.tree().children(other);
        let added =
            added.filter(|&child| pairing.left_of(child).is_none() && !pairing.is_ignored(right, child));
        found.extend(added.map(|child| NodeDifference {
            left: None,
            right: Some(child),
            properties: Vec::new(),
        }));
    }
    found
}

struct Pairing<'d, 'a, 'b> {
    left: &'d Dts<'a>,
    right: &'d Dts<'b>,
    /// Of each left node its right one plus one, 0 for none.
    to_right: Vec<u32>,
    /// Of each right node its left one plus one.
    to_left: Vec<u32>,
    /// Whether all that `__fixups__` and `__local_fixups__` say was understood, so that they mean nothing more.
    fixups_read: bool,
}

impl<'d, 'a, 'b> Pairing<'d, 'a, 'b> {
    fn new(left: &'d Dts<'a>, right: &'d Dts<'b>) -> Self {
        let count = |nodes: usize| alloc::vec![0; nodes];
        let is_read = |rest: usize, local_rest: usize| rest == 0 && local_rest == 0;
        let mut pairing = Self {
            left,
            right,
            to_right: count(left.tree().tree().nodes().len()),
            to_left: count(right.tree().tree().nodes().len()),
            fixups_read: is_read(left.fixups().rest().len(), left.fixups().local_rest().len())
                && is_read(right.fixups().rest().len(), right.fixups().local_rest().len()),
        };
        pairing.join(NodeIndex::ROOT, NodeIndex::ROOT);
        if left.is_overlay() && right.is_overlay() {
            pairing.join_fragments();
        }
        for node in left.tree().indices() {
            if let Some(other) = pairing.right_of(node) {
                pairing.join_children(node, other);
            }
        }
        pairing
    }

    fn join(&mut self, left: NodeIndex, right: NodeIndex) {
        self.to_right[left.index()] = right.0 + 1;
        self.to_left[right.index()] = left.0 + 1;
    }

    fn right_of(&self, left: NodeIndex) -> Option<NodeIndex> {
        self.to_right[left.index()].checked_sub(1).map(NodeIndex)
    }

    fn left_of(&self, right: NodeIndex) -> Option<NodeIndex> {
        self.to_left[right.index()].checked_sub(1).map(NodeIndex)
    }

    /// Pairs fragments of one target, the first of a target with the first.
    fn join_fragments(&mut self) {
        let [left, right] = [sorted_fragments(self.left), sorted_fragments(self.right)];
        let by_target = |one: &(FragmentTarget<'_>, NodeIndex), other: &(FragmentTarget<'_>, NodeIndex)| {
            same_order(&one.0, &other.0)
        };
        let mut pairs = Vec::new();
        merge_join(&left, &right, by_target, |one, other| {
            if let (Some(one), Some(other)) = (one, other) {
                pairs.push((one.1, other.1));
            }
        });
        for (one, other) in pairs {
            self.join(one, other);
        }
    }

    /// Pairs the children of a pair by name, the first of a name with the first.
    fn join_children(&mut self, left: NodeIndex, right: NodeIndex) {
        let (left_tree, right_tree) = (self.left.tree(), self.right.tree());
        let free = |to: &[u32], children: &[NodeIndex]| {
            children.iter().copied().filter(|child| to[child.index()] == 0).collect::<Vec<_>>()
        };
        let one = free(&self.to_right, left_tree.children_by_name(left));
        let other = free(&self.to_left, right_tree.children_by_name(right));
        let mut pairs = Vec::new();
        merge_join(
            &one,
            &other,
            |&one, &other| left_tree.name(one).cmp(right_tree.name(other)),
            |one, other| {
                if let (Some(&one), Some(&other)) = (one, other) {
                    pairs.push((one, other));
                }
            },
        );
        for (one, other) in pairs {
            self.join(one, other);
        }
    }

    /// Whether the node only says where phandles are.
    fn is_ignored(&self, dts: &Dts<'_>, node: NodeIndex) -> bool {
        if !self.fixups_read || !dts.is_overlay() {
            return false;
        }
        let tree = dts.tree();
        let within = |name| {
            let top = tree.child(NodeIndex::ROOT, name);
            top.is_some_and(|top| (top..tree.node(top).subtree_end).contains(&node))
        };
        within(b"__fixups__") || within(b"__local_fixups__")
    }

    /// The properties of a pair that differ.
    fn properties(&self, left: NodeIndex, right: NodeIndex) -> Vec<Difference> {
        let (left_tree, right_tree) = (self.left.tree(), self.right.tree());
        let one = sorted_properties(self.left, left);
        let other = sorted_properties(self.right, right);
        let mut found = Vec::new();
        merge_join(
            &one,
            &other,
            |one, other| left_tree.property_name(one).cmp(right_tree.property_name(other)),
            |one, other| {
                let same = match (one, other) {
                    (Some(one), Some(other)) => self.is_same_value((left, one), (right, other)),
                    _ => false,
                };
                if !same {
                    found.push(Difference { left: one.copied(), right: other.copied() });
                }
            },
        );
        found
    }

    fn is_same_value(&self, left: (NodeIndex, &Property), right: (NodeIndex, &Property)) -> bool {
        let (one, other) = (self.left.tree().value(left.1), self.right.tree().value(right.1));
        if self.is_symbol(left.0) {
            return self.is_same_symbol(one, other);
        }
        if one.len() != other.len() {
            return false;
        }
        let known = [self.left.references(left.0, left.1), self.right.references(right.0, right.1)];
        if known.iter().all(Vec::is_empty) {
            return one == other || self.is_same_in_cells(one, other);
        }
        self.is_same_with(one, other, &known[0], &known[1])
    }

    fn is_symbol(&self, left: NodeIndex) -> bool {
        let tree = self.left.tree();
        tree.node(left).parent == NodeIndex::ROOT && tree.name(left) == b"__symbols__"
    }

    fn is_same_symbol(&self, left: &[u8], right: &[u8]) -> bool {
        let node = |dts: &Dts<'_>, path: &[u8]| dts.tree().find(path.strip_suffix(b"\0")?);
        match (node(self.left, left), node(self.right, right)) {
            (Some(left), Some(right)) => self.right_of(left) == Some(right),
            _ => left == right,
        }
    }

    /// Compares values of one length with known phandles, which are in order.
    fn is_same_with(
        &self,
        one: &[u8],
        other: &[u8],
        left: &[Reference<'_>],
        right: &[Reference<'_>],
    ) -> bool {
        let mut same = true;
        let mut at = 0;
        let mut gap = |to: usize, next: usize| {
            let range = at.min(to)..to;
            at = next;
            one.get(range.clone()) == other.get(range)
        };
        merge_join(
            left,
            right,
            |left, right| left.offset.cmp(&right.offset),
            |left, right| {
                let Some(offset) = left.or(right).map(|reference| reference.offset as usize) else { return };
                let number = |value| cell_at(value, offset);
                same &= gap(offset, offset + 4)
                    && match (left.map(|it| it.to), right.map(|it| it.to)) {
                        (Some(left), Some(right)) => self.is_same_referent(left, right),
                        (Some(Referent::Node(left)), None) if !self.right.is_overlay() => {
                            is_pair(self.right_of(left), self.right_node(number(other)))
                        }
                        (None, Some(Referent::Node(right))) if !self.left.is_overlay() => {
                            is_pair(self.left_of(right), self.left_node(number(one)))
                        }
                        _ => false,
                    };
            },
        );
        same && gap(one.len(), one.len())
    }

    fn left_node(&self, phandle: Option<u32>) -> Option<NodeIndex> {
        self.left.tree().node_with_phandle(phandle?)
    }

    fn right_node(&self, phandle: Option<u32>) -> Option<NodeIndex> {
        self.right.tree().node_with_phandle(phandle?)
    }

    fn is_same_referent(&self, left: Referent<'_>, right: Referent<'_>) -> bool {
        match (left, right) {
            (Referent::Node(left), Referent::Node(right)) => self.right_of(left) == Some(right),
            (Referent::Label(left), Referent::Label(right)) => left == right,
            _ => false,
        }
    }

    /// Whether each cell that differs is the phandle of a pair, in trees that do not say where phandles are.
    fn is_same_in_cells(&self, one: &[u8], other: &[u8]) -> bool {
        if self.left.is_overlay() || self.right.is_overlay() {
            return false;
        }
        let ((left, left_rest), (right, right_rest)) = (one.as_chunks::<4>(), other.as_chunks::<4>());
        left_rest == right_rest
            && left.iter().zip(right).all(|(one, other)| {
                let node =
                    |dts: &Dts<'_>, cell: &[u8; 4]| dts.tree().node_with_phandle(u32::from_be_bytes(*cell));
                one == other
                    || is_pair(
                        node(self.left, one).and_then(|left| self.right_of(left)),
                        node(self.right, other),
                    )
            })
    }
}

/// Whether a node's other half is that node. Two that are not there are no pair.
fn is_pair(half: Option<NodeIndex>, other: Option<NodeIndex>) -> bool {
    half.is_some() && half == other
}

/// Properties but phandles, sorted by name.
fn sorted_properties(dts: &Dts<'_>, node: NodeIndex) -> Vec<Property> {
    let tree = dts.tree();
    let mut properties: Vec<_> = tree.properties(node).collect();
    properties.retain(|property| !matches!(tree.property_name(property), b"phandle" | b"linux,phandle"));
    properties.sort_by_key(|property| tree.property_name(property));
    properties
}

/// The fragments whose targets can be read, sorted by target, then by place.
fn sorted_fragments<'a>(dts: &Dts<'a>) -> Vec<(FragmentTarget<'a>, NodeIndex)> {
    let tree = dts.tree();
    let fragments = tree.children(NodeIndex::ROOT).filter(|&node| tree.child(node, b"__overlay__").is_some());
    let targets = fragments.filter_map(|node| Some((fragments::target(dts, node)?, node)));
    // Numbers of nodes mean nothing in another tree.
    let mut targets: Vec<_> = targets
        .filter(|(target, _)| !matches!(target, FragmentTarget::Own(_) | FragmentTarget::Number(_)))
        .collect();
    targets.sort();
    targets
}

fn same_order(one: &FragmentTarget<'_>, other: &FragmentTarget<'_>) -> Ordering {
    one.partial_cmp(other).unwrap_or(Ordering::Equal)
}

/// Goes through two sorted lists side by side: what is equal together, the rest alone.
fn merge_join<T, U>(
    left: &[T],
    right: &[U],
    order: impl Fn(&T, &U) -> Ordering,
    mut each: impl FnMut(Option<&T>, Option<&U>),
) {
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    loop {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => order(one, other),
        };
        match order {
            Ordering::Less => each(left.next(), None),
            Ordering::Greater => each(None, right.next()),
            Ordering::Equal => each(left.next(), right.next()),
        }
    }
}
