//! Overlays for one base that set a property to different values: together they depend on their order.
//!
//! Each overlay is read once ([`Content`]). For a base its targets and references become paths of the merged tree, and two values
//! are the same where their bytes are and their references lead to the same nodes. Of a base only names are looked up.
//!
//! Limits: a name that libfdt matches loosely is taken for what it says.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use kbt_dts::path_components;
use kbt_fdt::{Blob, NodeIndex, Tree};

use super::content::{Content, Entry, Meaning, Place, Target};

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

/// A property of a node as an overlay sets it: node, property, place of the overlay in the order, value, and its source.
type Set<'s> = (Vec<u8>, &'s [u8], usize, Cow<'s, [u8]>, &'s [u8]);

/// The properties that several of these overlays, which all apply to the base, set differently. They are given in their order;
/// where they are `stacked`, each may refer to labels of those before it.
pub fn find(
    base: usize,
    blob: &Blob<'_>,
    tree: &Tree,
    overlays: &[(usize, &Content)],
    stacked: bool,
) -> Vec<Conflict> {
    let wanted: BTreeSet<&[u8]> = overlays.iter().flat_map(|(_, content)| content.labels()).collect();
    let mut names = Names {
        symbols: values(blob, tree, b"__symbols__", |name| wanted.contains(name)),
        aliases: values(blob, tree, b"aliases", |_| true),
    };
    let mut set: Vec<Set<'_>> = Vec::new();
    for (position, (_, content)) in overlays.iter().enumerate() {
        let tops = names.tops(content);
        for (fragment, top) in content.fragments.iter().zip(&tops) {
            let Some(top) = top else { continue };
            set.extend(fragment.entries.iter().map(|entry| {
                let node = [top, entry.below.as_slice()].concat();
                let value = names.meaning(entry, &tops);
                (node, entry.property.as_slice(), position, value, entry.shown.as_slice())
            }));
        }
        if stacked {
            names.add(content, &tops);
        }
    }
    // What one overlay sets twice keeps its order: the last counts.
    set.sort_by(|one, other| (&one.0, one.1, one.2).cmp(&(&other.0, other.1, other.2)));
    let mut found = Vec::new();
    for same in set.chunk_by(|one, other| (&one.0, one.1) == (&other.0, other.1)) {
        let Some((node, property, _, value, _)) = same.first() else { continue };
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
        let Some((_, _, position, value, source)) = own.last() else { continue };
        let place = *places.entry(value.as_ref()).or_insert(values.len());
        if place == values.len() {
            values.push(Value::new(source));
        }
        if let (Some(value), Some((overlay, _))) = (values.get_mut(place), overlays.get(*position)) {
            value.overlays.push(*overlay);
        }
    }
    values
}

/// What names lead to, as paths without a slash at the end.
struct Names<'n> {
    symbols: BTreeMap<&'n [u8], Vec<u8>>,
    aliases: BTreeMap<&'n [u8], Vec<u8>>,
}

impl<'n> Names<'n> {
    /// The target of each fragment.
    fn tops(&self, content: &Content) -> Vec<Option<Vec<u8>>> {
        let mut tops: Vec<Option<Vec<u8>>> = Vec::with_capacity(content.fragments.len());
        for fragment in &content.fragments {
            let top = match &fragment.target {
                Target::Label(label) => self.symbols.get(label.as_slice()).cloned(),
                Target::Path(path) => self.path(path),
                // What a later fragment brings is not there yet.
                Target::Own(place) => within(place, &tops),
                Target::Unknown => None,
            };
            tops.push(top);
        }
        tops
    }

    fn path(&self, path: &[u8]) -> Option<Vec<u8>> {
        if path.first() == Some(&b'/') {
            return Some(joined(path));
        }
        let end = path.iter().position(|&byte| byte == b'/').unwrap_or(path.len());
        let (alias, rest) = path.split_at(end);
        self.aliases.get(alias).map(|top| [top.as_slice(), &joined(rest)].concat())
    }

    /// A value in which each phandle is the path of its node.
    fn meaning<'e>(&self, entry: &'e Entry, tops: &[Option<Vec<u8>>]) -> Cow<'e, [u8]> {
        if entry.references.is_empty() {
            return Cow::Borrowed(&entry.value);
        }
        let (mut meaning, mut at) = (Vec::new(), 0);
        for (offset, to) in &entry.references {
            meaning.extend_from_slice(entry.value.get(at..*offset).unwrap_or_default());
            at = offset + 4;
            let (mark, path) = match to {
                Meaning::Label(label) => match self.symbols.get(label.as_slice()) {
                    Some(path) => (b"&", Cow::Borrowed(path.as_slice())),
                    None => (b"?", Cow::Borrowed(label.as_slice())),
                },
                Meaning::Own(place) => match within(place, tops) {
                    Some(path) => (b"&", Cow::Owned(path)),
                    None => (b"?", Cow::Borrowed(place.below.as_slice())),
                },
            };
            meaning.extend_from_slice(mark);
            meaning.extend_from_slice(&path);
            meaning.push(0);
        }
        meaning.extend_from_slice(entry.value.get(at..).unwrap_or_default());
        Cow::Owned(meaning)
    }

    /// Adds an overlay's labels, as the merge does.
    fn add(&mut self, content: &'n Content, tops: &[Option<Vec<u8>>]) {
        for (label, place) in &content.symbols {
            if let Some(path) = within(place, tops) {
                self.symbols.insert(label, path);
            }
        }
    }
}

/// The path of a node that a fragment brings.
fn within(place: &Place, tops: &[Option<Vec<u8>>]) -> Option<Vec<u8>> {
    let top = tops.get(place.fragment)?.as_ref()?;
    Some([top.as_slice(), &place.below].concat())
}

/// A path with one slash in front of each part.
fn joined(path: &[u8]) -> Vec<u8> {
    path_components(path).flat_map(|part| [b"/", part].concat()).collect()
}

/// The properties of a child of the root that are paths.
fn values<'a>(
    blob: &Blob<'a>,
    tree: &Tree,
    child: &[u8],
    wanted: impl Fn(&[u8]) -> bool,
) -> BTreeMap<&'a [u8], Vec<u8>> {
    let structure = blob.structure();
    let node = tree.child_nodes(NodeIndex::ROOT).find(|(_, node)| structure.name_is(node, child));
    let properties = node.into_iter().flat_map(|(_, node)| structure.properties(node));
    let pairs = properties.filter_map(|property| {
        let name = blob.strings().get(property.name).filter(|name| wanted(name))?;
        Some((name, joined(structure.value(&property).strip_suffix(b"\0")?)))
    });
    pairs.collect()
}
