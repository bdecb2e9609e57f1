//! The places of an overlay that hold phandles, as `__fixups__` and `__local_fixups__` list them.

use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property, StructureOffset};

use crate::index::{IndexedTree, cell_at};
use crate::references::{Reference, Referent};
use crate::text::is_label;

/// An entry of `__fixups__`: `path:property:offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParsedFixup<'a> {
    /// The node's absolute path.
    pub path: &'a [u8],
    /// The property's name.
    pub property: &'a [u8],
    /// Where the phandle goes in its value, in bytes.
    pub offset: u32,
}

/// Takes an entry of `__fixups__` apart.
pub fn parse_fixup(entry: &[u8]) -> Option<ParsedFixup<'_>> {
    let mut parts = entry.split(|&byte| byte == b':');
    let (path, property, offset) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = !offset.is_empty() && offset.iter().all(u8::is_ascii_digit);
    let offset = str::from_utf8(offset).ok().filter(|_| is_number)?.parse().ok()?;
    parts.next().is_none().then_some(ParsedFixup { path, property, offset })
}

/// What the two nodes say.
#[derive(Debug, Clone, Default)]
pub struct Fixups<'a> {
    /// Sorted by place; no two share a byte.
    references: Vec<Reference<'a>>,
    /// Nodes that a local reference leads to, sorted.
    referred: Vec<NodeIndex>,
    /// Entries of `__fixups__` that lead nowhere: the label's property and the entry.
    rest: Vec<(Property, &'a [u8])>,
    /// Properties below `__local_fixups__` of which some entry leads nowhere.
    local_rest: Vec<(NodeIndex, Property)>,
}

impl<'a> Fixups<'a> {
    /// Reads both nodes.
    pub fn read(tree: &IndexedTree<'a>) -> Self {
        let mut fixups = Self::default();
        let locals = tree.child(NodeIndex::ROOT, b"__local_fixups__");
        if let Some(top) = locals {
            fixups.read_locals(tree, top);
        }
        if let Some(node) = tree.child(NodeIndex::ROOT, b"__fixups__") {
            fixups.read_labels(tree, node);
        }
        fixups.referred = fixups.references.iter().filter_map(|reference| reference.to.node()).collect();
        fixups.referred.sort_unstable();
        fixups.referred.dedup();
        fixups
    }

    fn read_locals(&mut self, tree: &IndexedTree<'a>, top: NodeIndex) {
        let end = tree.node(top).subtree_end;
        // Of each node below `top` the node that it mirrors.
        let mut mirrored = alloc::vec![None; (end.0 - top.0) as usize];
        for index in top.0..end.0 {
            let node = NodeIndex(index);
            let mirrors = if node == top {
                Some(NodeIndex::ROOT)
            } else {
                let above = mirrored.get((tree.node(node).parent.0 - top.0) as usize).copied().flatten();
                above.and_then(|above| tree.child(above, tree.name(node)))
            };
            mirrored[(index - top.0) as usize] = mirrors;
            for list in tree.properties(node) {
                let mirrors = mirrors.and_then(|node| tree.property(node, tree.property_name(&list)));
                let found = mirrors.and_then(|property| local_references(tree, &property, &list));
                match found {
                    Some(mut found) => self.references.append(&mut found),
                    None => self.local_rest.push((node, list)),
                }
            }
        }
        self.references.sort_by_key(|reference| (reference.property, reference.offset));
        // Two lists never speak of one property unless a node has the property twice.
        self.references.dedup_by(|later, earlier| later.overlaps(earlier));
    }

    fn read_labels(&mut self, tree: &IndexedTree<'a>, node: NodeIndex) {
        let mut found = Vec::new();
        for property in tree.properties(node) {
            let label = tree.property_name(&property);
            let value = tree.value(&property);
            for entry in value.strip_suffix(b"\0").unwrap_or(value).split(|&byte| byte == 0) {
                match label_reference(tree, label, entry).filter(|reference| self.is_free(reference)) {
                    Some(reference) => found.push((reference, property, entry)),
                    None if value.is_empty() => {}
                    None => self.rest.push((property, entry)),
                }
            }
        }
        found.sort_by_key(|(reference, ..)| (reference.property, reference.offset));
        let mut last: Option<Reference<'a>> = None;
        for (reference, property, entry) in found {
            if last.is_some_and(|last| last.overlaps(&reference)) {
                self.rest.push((property, entry));
            } else {
                last = Some(reference);
                self.references.push(reference);
            }
        }
        self.references.sort_by_key(|reference| (reference.property, reference.offset));
        self.rest.sort_by_key(|(property, _)| property.at);
    }

    /// Whether no reference so far shares a byte with this one.
    fn is_free(&self, reference: &Reference<'a>) -> bool {
        let place = (reference.property, reference.offset);
        let at = self.references.partition_point(|other| (other.property, other.offset) < place);
        let near =
            [at.checked_sub(1).and_then(|before| self.references.get(before)), self.references.get(at)];
        near.into_iter().flatten().all(|other| !other.overlaps(reference))
    }

    /// The references in the property at `at`, in order.
    pub fn of(&self, at: StructureOffset) -> &[Reference<'a>] {
        let from = self.references.partition_point(|reference| reference.property < at);
        let rest = &self.references[from..];
        &rest[..rest.partition_point(|reference| reference.property == at)]
    }

    /// All references, sorted by place.
    pub fn references(&self) -> &[Reference<'a>] {
        &self.references
    }

    /// Whether a local reference leads to the node.
    pub fn refers_to(&self, node: NodeIndex) -> bool {
        self.referred.binary_search(&node).is_ok()
    }

    /// The labels of the base that are wanted.
    pub fn wanted<'t>(tree: &'t IndexedTree<'_>) -> impl Iterator<Item = &'t [u8]> {
        let fixups = tree.child(NodeIndex::ROOT, b"__fixups__");
        fixups
            .into_iter()
            .flat_map(|node| tree.properties(node))
            .map(|property| tree.property_name(&property))
    }

    /// Whether a label of the base is wanted under this name.
    pub fn wants(tree: &IndexedTree<'_>, label: &[u8]) -> bool {
        tree.child(NodeIndex::ROOT, b"__fixups__").is_some_and(|node| tree.property(node, label).is_some())
    }

    /// Entries of `__fixups__` that lead nowhere, with the property that has them.
    pub fn rest(&self) -> &[(Property, &'a [u8])] {
        &self.rest
    }

    /// Properties below `__local_fixups__` that have an entry which leads nowhere.
    pub fn local_rest(&self) -> &[(NodeIndex, Property)] {
        &self.local_rest
    }
}

/// The references that a list of offsets gives; none where one of them is no reference.
fn local_references<'a>(
    tree: &IndexedTree<'a>,
    property: &Property,
    list: &Property,
) -> Option<Vec<Reference<'a>>> {
    let value = tree.value(property);
    let (offsets, []) = tree.value(list).as_chunks::<4>() else { return None };
    let mut found = Vec::with_capacity(offsets.len());
    for offset in offsets {
        let offset = u32::from_be_bytes(*offset);
        let to = tree.node_with_phandle(cell_at(value, offset as usize)?)?;
        found.push(Reference { property: property.at, offset, to: Referent::Node(to) });
    }
    found.sort_by_key(|reference| reference.offset);
    let apart = found.windows(2).all(|pair| !pair[0].overlaps(&pair[1]));
    (apart && !found.is_empty()).then_some(found)
}

/// The reference that an entry of `__fixups__` gives.
fn label_reference<'a>(tree: &IndexedTree<'a>, label: &'a [u8], entry: &[u8]) -> Option<Reference<'a>> {
    let fixup = parse_fixup(entry).filter(|_| is_label(label))?;
    let property = tree.property(tree.find(fixup.path)?, fixup.property)?;
    cell_at(tree.value(&property), fixup.offset as usize)?;
    Some(Reference { property: property.at, offset: fixup.offset, to: Referent::Label(label) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fixup_has_three_parts() {
        let fixup = ParsedFixup { path: b"/a", property: b"b", offset: 4 };
        assert_eq!(parse_fixup(b"/a:b:4"), Some(fixup));
        for bad in [&b""[..], b"/a:b", b"/a:b:", b"/a:b:x", b"/a:b:+4", b"/a:b:4:5", b"/a:b:4294967296"] {
            assert_eq!(parse_fixup(bad), None);
        }
    }
}
