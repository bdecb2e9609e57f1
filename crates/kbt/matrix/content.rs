//! What an overlay sets, read once and without a base: nodes as places below its targets, references as what they stand for.

use kbt_dts::fragments::{self, FragmentTarget};
use kbt_dts::{Dts, Referent};
use kbt_fdt::{NodeIndex, Property};

/// What an overlay sets.
#[derive(Debug, Default)]
pub struct Content {
    /// In their order.
    pub fragments: Vec<Fragment>,
    /// Its labels.
    pub symbols: Vec<(Vec<u8>, Place)>,
}

/// A fragment.
#[derive(Debug)]
pub struct Fragment {
    pub target: Target,
    pub entries: Vec<Entry>,
}

/// What a fragment is merged into.
#[derive(Debug)]
pub enum Target {
    Label(Vec<u8>),
    Path(Vec<u8>),
    /// What the overlay itself has brought.
    Own(Place),
    /// None that can be told without the base's numbers.
    Unknown,
}

/// A node of the overlay.
#[derive(Debug, Clone)]
pub struct Place {
    /// The number of the fragment.
    pub fragment: usize,
    /// Path below its target, each part with a `/` in front.
    pub below: Vec<u8>,
}

/// What a phandle stands for.
#[derive(Debug)]
pub enum Meaning {
    Label(Vec<u8>),
    Own(Place),
}

/// A property that is set.
#[derive(Debug)]
pub struct Entry {
    /// Path of the node below the target.
    pub below: Vec<u8>,
    pub property: Vec<u8>,
    pub value: Vec<u8>,
    /// Where phandles stand in the value, in order.
    pub references: Vec<(usize, Meaning)>,
    /// The property as source.
    pub shown: Vec<u8>,
}

/// An overlay's paths and values take no more bytes than this; what is behind is left out.
const MOST: usize = 64 << 20;

impl Content {
    /// Reads an overlay; of what is none, nothing.
    pub fn read(bytes: &[u8]) -> Self {
        Dts::parse(bytes).map(|dts| Reader::new(&dts).read()).unwrap_or_default()
    }

    /// Every label that it refers to.
    pub fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.fragments.iter().flat_map(|fragment| {
            let target = match &fragment.target {
                Target::Label(label) => Some(label.as_slice()),
                _ => None,
            };
            let references = fragment.entries.iter().flat_map(|entry| &entry.references);
            let labels = references.filter_map(|(_, meaning)| match meaning {
                Meaning::Label(label) => Some(label.as_slice()),
                Meaning::Own(_) => None,
            });
            target.into_iter().chain(labels)
        })
    }
}

struct Reader<'d, 'a> {
    dts: &'d Dts<'a>,
    /// Fragments, each with its `__overlay__`.
    fragments: Vec<(NodeIndex, NodeIndex)>,
    /// Bytes that may still be taken.
    room: usize,
}

impl<'d, 'a> Reader<'d, 'a> {
    fn new(dts: &'d Dts<'a>) -> Self {
        let tree = dts.tree();
        let content = |node| Some((node, tree.child(node, b"__overlay__")?));
        Self { dts, fragments: tree.children(NodeIndex::ROOT).filter_map(content).collect(), room: MOST }
    }

    fn read(mut self) -> Content {
        let mut content = Content::default();
        for index in 0..self.fragments.len() {
            let Some(&(node, top)) = self.fragments.get(index) else { break };
            let target = match fragments::target(self.dts, node) {
                Some(FragmentTarget::Label(label)) => Target::Label(label.to_vec()),
                Some(FragmentTarget::Path(path)) => Target::Path(path.to_vec()),
                Some(FragmentTarget::Own(node)) => self.place(node).map_or(Target::Unknown, Target::Own),
                Some(FragmentTarget::Number(_)) | None => Target::Unknown,
            };
            let entries = self.entries(top);
            content.fragments.push(Fragment { target, entries });
        }
        let tree = self.dts.tree();
        let symbols = tree.child(NodeIndex::ROOT, b"__symbols__");
        for symbol in symbols.into_iter().flat_map(|symbols| tree.properties(symbols)) {
            let path = tree.value(&symbol).strip_suffix(b"\0");
            if let Some(place) = path.and_then(|path| self.place(tree.find(path)?)) {
                content.symbols.push((tree.property_name(&symbol).to_vec(), place));
            }
        }
        content
    }

    /// Where a node is, if it is in a fragment's content.
    fn place(&self, node: NodeIndex) -> Option<Place> {
        let tree = self.dts.tree();
        let fragment = self.fragments.partition_point(|(_, top)| *top <= node).checked_sub(1)?;
        let (_, top) = self.fragments.get(fragment)?;
        if node >= tree.node(*top).subtree_end {
            return None;
        }
        let mut path = Vec::new();
        tree.push_path(node, &mut path);
        Some(Place { fragment, below: path.get(tree.path_length(*top)..).unwrap_or_default().to_vec() })
    }

    fn entries(&mut self, top: NodeIndex) -> Vec<Entry> {
        let tree = self.dts.tree();
        let above = tree.path_length(top);
        let mut entries = Vec::new();
        for index in top.0..tree.node(top).subtree_end.0 {
            let node = NodeIndex(index);
            let mut path = Vec::new();
            for property in tree.properties(node) {
                if matches!(tree.property_name(&property), b"phandle" | b"linux,phandle") {
                    continue;
                }
                if path.is_empty() {
                    tree.push_path(node, &mut path);
                }
                let entry = self.entry(node, &property, path.get(above..).unwrap_or_default());
                let size = entry.below.len() + entry.value.len() + entry.shown.len();
                let Some(left) = self.room.checked_sub(size) else { return entries };
                self.room = left;
                entries.push(entry);
            }
        }
        entries
    }

    fn entry(&self, node: NodeIndex, property: &Property, below: &[u8]) -> Entry {
        let tree = self.dts.tree();
        let references = self.dts.fixups().of(property.at).iter().filter_map(|reference| {
            let meaning = match reference.to {
                Referent::Label(label) => Meaning::Label(label.to_vec()),
                Referent::Node(node) => Meaning::Own(self.place(node)?),
            };
            Some((reference.offset as usize, meaning))
        });
        Entry {
            below: below.to_vec(),
            property: tree.property_name(property).to_vec(),
            value: tree.value(property).to_vec(),
            references: references.collect(),
            shown: self.dts.show_property(node, property, 0),
        }
    }
}
