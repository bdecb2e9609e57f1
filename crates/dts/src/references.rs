//! A place in a value that holds a node's phandle.

use kbt_fdt::{NodeIndex, StructureOffset};

/// What a phandle stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Referent<'a> {
    /// A node of the same tree.
    Node(NodeIndex),
    /// A labelled node of the base.
    Label(&'a [u8]),
}

impl Referent<'_> {
    /// The node of the same tree.
    pub fn node(self) -> Option<NodeIndex> {
        match self {
            Self::Node(node) => Some(node),
            Self::Label(_) => None,
        }
    }
}

/// A phandle in a property's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference<'a> {
    /// Where the property stands.
    pub property: StructureOffset,
    /// The phandle's place in the value, in bytes.
    pub offset: u32,
    /// What it stands for.
    pub to: Referent<'a>,
}

impl Reference<'_> {
    /// Bytes of a phandle.
    pub const SIZE: u32 = 4;

    /// Whether they share a byte.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.property == other.property && self.offset.abs_diff(other.offset) < Self::SIZE
    }
}
