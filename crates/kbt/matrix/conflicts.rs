//! Overlays for one base that set a property to different values: together they depend on their order.
//!
//! Each overlay is read once into what it sets, as paths below its targets and values as source, so that a phandle is
//! the label or node that it stands for. Of a base only the paths of the targets are looked up.

use std::collections::{BTreeMap, BTreeSet};

use kbt_dts::Dts;
use kbt_dts::fragments::{self, FragmentTarget};
use kbt_fdt::{Blob, NodeIndex, Tree};

/// What an overlay sets.
#[derive(Debug, Default)]
pub struct Content {
    fragments: Vec<(Target, Vec<Entry>)>,
}

#[derive(Debug)]
enum Target {
    Label(Vec<u8>),
    Path(Vec<u8>),
}

#[derive(Debug)]
struct Entry {
    /// Path below the target, each part with a `/` in front.
    below: Vec<u8>,
    property: Vec<u8>,
    value: Vec<u8>,
}

/// A property that several overlays set, and not all to one value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// The base's number.
    pub base: usize,
    /// Path of the node.
    pub node: String,
    /// The property.
    pub property: String,
    /// Each value with the numbers of the overlays that set it, in their order; the value whose first overlay comes first is
    /// the first.
    pub values: Vec<Value>,
}

/// A value, and who sets it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    /// The numbers of the overlays.
    pub overlays: Vec<usize>,
    /// The property as source, in one line, cut where it is very long.
    pub shown: String,
}

impl Value {
    fn new(source: &[u8]) -> Self {
        const LONGEST: usize = 200;
        let text = String::from_utf8_lossy(source);
        let mut shown = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((cut, _)) = shown.char_indices().nth(LONGEST) {
            shown.truncate(cut);
            shown.push_str("...");
        }
        Self { overlays: Vec::new(), shown }
    }
}

/// An overlay's paths and values take no more bytes than this; what is behind is left out.
const MOST: usize = 64 << 20;

impl Content {
    /// Reads an overlay; of what is none, nothing.
    pub fn read(bytes: &[u8]) -> Self {
        let Ok(dts) = Dts::parse(bytes) else { return Self::default() };
        let tree = dts.tree();
        let mut content = Self::default();
        let mut room = MOST;
        for node in tree.children(NodeIndex::ROOT) {
            let Some(top) = tree.child(node, b"__overlay__") else { continue };
            let target = match fragments::target(&dts, node) {
                Some(FragmentTarget::Label(label)) => Target::Label(label.to_vec()),
                Some(FragmentTarget::Path(path)) => Target::Path(path.to_vec()),
                // A node of its own is nobody else's.
                _ => continue,
            };
            content.fragments.push((target, entries(&dts, top, &mut room)));
        }
        content
    }

    /// The targets' labels.
    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        self.fragments.iter().filter_map(|(target, _)| match target {
            Target::Label(label) => Some(label.as_slice()),
            Target::Path(_) => None,
        })
    }
}

fn entries(dts: &Dts<'_>, top: NodeIndex, room: &mut usize) -> Vec<Entry> {
    let tree = dts.tree();
    let above = tree.path_length(top);
    let mut entries = Vec::new();
    for index in top.0..tree.node(top).subtree_end.0 {
        let node = NodeIndex(index);
        let mut path = Vec::new();
        for property in tree.properties(node) {
            let name = tree.property_name(&property);
            if matches!(name, b"phandle" | b"linux,phandle") {
                continue;
            }
            if path.is_empty() {
                tree.push_path(node, &mut path);
            }
            let below = path.get(above..).unwrap_or_default().to_vec();
            let value = dts.show_property(node, &property, 0);
            let Some(left) = room.checked_sub(below.len() + value.len()) else { return entries };
            *room = left;
            entries.push(Entry { below, property: name.to_vec(), value });
        }
    }
    entries
}

/// A property of a node as an overlay sets it: node, property, place of the overlay in the order, value.
type Set<'s> = (Vec<u8>, &'s [u8], usize, &'s [u8]);

/// The properties that several of these overlays, which all apply to the base, set differently. They are given in their order.
pub fn find(base: usize, blob: &Blob<'_>, tree: &Tree, overlays: &[(usize, &Content)]) -> Vec<Conflict> {
    let wanted: BTreeSet<&[u8]> = overlays.iter().flat_map(|(_, content)| content.labels()).collect();
    let symbols = values(blob, tree, b"__symbols__", |name| wanted.contains(name));
    let aliases = values(blob, tree, b"aliases", |_| true);
    let mut set: Vec<Set<'_>> = Vec::new();
    for (position, (_, content)) in overlays.iter().enumerate() {
        for (target, entries) in &content.fragments {
            let Some(top) = path(target, &symbols, &aliases) else { continue };
            let top = top.strip_suffix(b"/").unwrap_or(&top);
            set.extend(entries.iter().map(|entry| {
                let node = [top, entry.below.as_slice()].concat();
                (node, entry.property.as_slice(), position, entry.value.as_slice())
            }));
        }
    }
    // What one overlay sets twice keeps its order: the last counts.
    set.sort_by(|one, other| (&one.0, one.1, one.2).cmp(&(&other.0, other.1, other.2)));
    let mut found = Vec::new();
    for same in set.chunk_by(|one, other| (&one.0, one.1) == (&other.0, other.1)) {
        let Some((node, property, _, value)) = same.first() else { continue };
        if same.iter().all(|other| other.3 == *value) {
            continue;
        }
        let values = values_of(same, overlays);
        if values.len() > 1 {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            let node = if node.is_empty() { "/".to_owned() } else { text(node) };
            found.push(Conflict { base, node, property: text(property), values });
        }
    }
    found
}

/// The values of one property, by the overlays' order; of each overlay the one that it sets last.
fn values_of(same: &[Set<'_>], overlays: &[(usize, &Content)]) -> Vec<Value> {
    let mut places: BTreeMap<&[u8], usize> = BTreeMap::new();
    let mut values: Vec<Value> = Vec::new();
    for own in same.chunk_by(|one, other| one.2 == other.2) {
        let Some(&(_, _, position, source)) = own.last() else { continue };
        let place = *places.entry(source).or_insert(values.len());
        if place == values.len() {
            values.push(Value::new(source));
        }
        if let (Some(value), Some((overlay, _))) = (values.get_mut(place), overlays.get(position)) {
            value.overlays.push(*overlay);
        }
    }
    values
}

/// The properties of a child of the root that are strings, without their NUL.
fn values<'a>(
    blob: &Blob<'a>,
    tree: &Tree,
    child: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
) -> BTreeMap<&'a [u8], &'a [u8]> {
    let structure = blob.structure();
    let node = tree.child_nodes(NodeIndex::ROOT).find(|(_, node)| structure.name_is(node, child));
    let properties = node.into_iter().flat_map(|(_, node)| structure.properties(node));
    let pairs = properties.filter_map(|property| {
        let name = blob.strings().get(property.name).filter(|name| wanted(name))?;
        Some((name, structure.value(&property).strip_suffix(b"\0")?))
    });
    pairs.collect()
}

fn path(
    target: &Target,
    symbols: &BTreeMap<&[u8], &[u8]>,
    aliases: &BTreeMap<&[u8], &[u8]>,
) -> Option<Vec<u8>> {
    match target {
        Target::Label(label) => symbols.get(label.as_slice()).map(|path| path.to_vec()),
        Target::Path(path) if path.first() == Some(&b'/') => Some(path.clone()),
        Target::Path(path) => {
            let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
            let (alias, rest) = path.split_at(end);
            aliases.get(alias).map(|top| [top, rest].concat())
        }
    }
}
