//! Whether two trees mean the same: the order of nodes and properties and the numbers of phandles do not
//! count.
//!
//! Two values agree where their bytes do, or where they are of one length and each cell that differs is, in
//! its own tree, the phandle of a node, and both nodes have one path. References at offsets that are no
//! multiple of four are compared as bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::tree::{Node, Tree, join};

/// A place where two trees differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Path of the node.
    pub path: String,
    /// The property, where the difference is in one.
    pub property: Option<String>,
    /// What the left tree has there; `None`: nothing.
    pub left: Option<String>,
    /// What the right tree has there.
    pub right: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |side: &Option<String>| side.clone().unwrap_or_else(|| "nothing".to_owned());
        write!(f, "{}", self.path)?;
        if let Some(property) = &self.property {
            write!(f, ":{property}")?;
        }
        write!(f, ": {} | {}", of(&self.left), of(&self.right))
    }
}

/// All places where the trees differ, by path; none where they mean the same.
pub fn differences(left: &Tree, right: &Tree) -> Vec<Difference> {
    let mut comparison = Comparison {
        left: paths_by_phandle(&left.root),
        right: paths_by_phandle(&right.root),
        found: Vec::new(),
    };
    if left.boot_cpuid != right.boot_cpuid {
        comparison.add(
            "boot_cpuid_phys",
            None,
            Some(left.boot_cpuid.to_string()),
            Some(right.boot_cpuid.to_string()),
        );
    }
    if left.reservations != right.reservations {
        let text = |entries| Some(format!("{entries:x?}"));
        comparison.add("memory reservations", None, text(&left.reservations), text(&right.reservations));
    }
    let mut open = vec![(String::from("/"), &left.root, &right.root)];
    while let Some((path, left, right)) = open.pop() {
        comparison.properties(&path, left, right);
        let pairs = pair(
            left.children.iter().map(|node| (&node.name, node)),
            right.children.iter().map(|node| (&node.name, node)),
        );
        for (name, pair) in pairs {
            let path = join(&path, name);
            match pair {
                (Some(left), Some(right)) => open.push((path, left, right)),
                (left, right) => comparison.add(&path, None, left.map(outline), right.map(outline)),
            }
        }
    }
    comparison.found.sort_by(|one, other| (&one.path, &one.property).cmp(&(&other.path, &other.property)));
    comparison.found
}

/// The nodes of a base that have another phandle after a merge, or none. [`differences`] cannot see it: a
/// reference that dangles has the same bytes on both sides.
pub fn lost_phandles(base: &Tree, merged: &Tree) -> Vec<Difference> {
    let kept: HashMap<_, _> = merged.root.walk().into_iter().collect();
    let mut lost = Vec::new();
    for (path, node) in base.root.walk() {
        for name in ["phandle", "linux,phandle"] {
            let old = node.property(name);
            let new = kept.get(&path).and_then(|node| node.property(name));
            if old.is_some() && new != old {
                let [left, right] = [old, new].map(|value| value.map(|value| show(value, &HashMap::new())));
                lost.push(Difference { path: path.clone(), property: Some(name.to_owned()), left, right });
            }
        }
    }
    lost
}

/// A test's own assertion: stops with the first differences, one a line.
///
/// # Panics
/// Where the trees differ.
pub fn assert_same(left: &Tree, right: &Tree) {
    let found = differences(left, right);
    let lines: Vec<_> = found.iter().take(20).map(ToString::to_string).collect();
    assert!(found.is_empty(), "{} differences (left | right):\n{}", found.len(), lines.join("\n"));
}

struct Comparison {
    left: HashMap<u32, String>,
    right: HashMap<u32, String>,
    found: Vec<Difference>,
}

impl Comparison {
    fn properties(&mut self, path: &str, left: &Node, right: &Node) {
        let of = |node| <&Node>::clone(node).properties.iter().map(|(name, value)| (name, value.as_slice()));
        for (name, pair) in pair(of(&left), of(&right)) {
            match pair {
                (Some(left), Some(right)) if self.same_value(left, right) => {}
                (left, right) => {
                    let left = left.map(|value| show(value, &self.left));
                    let right = right.map(|value| show(value, &self.right));
                    self.add(path, Some(name.clone()), left, right);
                }
            }
        }
    }

    fn same_value(&self, left: &[u8], right: &[u8]) -> bool {
        if left == right {
            return true;
        }
        let (left_cells, left_rest) = left.as_chunks();
        let (right_cells, right_rest) = right.as_chunks();
        left.len() == right.len()
            && left_rest == right_rest
            && left_cells
                .iter()
                .zip(right_cells)
                .all(|(&left, &right)| left == right || self.same_node(left, right))
    }

    fn same_node(&self, left: [u8; 4], right: [u8; 4]) -> bool {
        let left = self.left.get(&u32::from_be_bytes(left));
        left.is_some() && left == self.right.get(&u32::from_be_bytes(right))
    }

    fn add(&mut self, path: &str, property: Option<String>, left: Option<String>, right: Option<String>) {
        self.found.push(Difference { path: path.to_owned(), property, left, right });
    }
}

/// What the left and the right tree have of one thing.
type Sides<T> = (Option<T>, Option<T>);

/// Both sides of what has one name; the n-th of a name belongs to the n-th of that name.
fn pair<'a, T: Copy>(
    left: impl Iterator<Item = (&'a String, T)>,
    right: impl Iterator<Item = (&'a String, T)>,
) -> Vec<(&'a String, Sides<T>)> {
    let mut sides: BTreeMap<&String, (Vec<T>, Vec<T>)> = BTreeMap::new();
    left.for_each(|(name, item)| sides.entry(name).or_default().0.push(item));
    right.for_each(|(name, item)| sides.entry(name).or_default().1.push(item));
    let mut pairs = Vec::new();
    for (name, (left, right)) in sides {
        let count = left.len().max(right.len());
        pairs.extend((0..count).map(|n| (name, (left.get(n).copied(), right.get(n).copied()))));
    }
    pairs
}

fn paths_by_phandle(root: &Node) -> HashMap<u32, String> {
    let mut paths = HashMap::new();
    for (path, node) in root.walk() {
        for name in ["phandle", "linux,phandle"] {
            if let Some(phandle) = node.property_cell(name) {
                paths.entry(phandle).or_insert_with(|| path.clone());
            }
        }
    }
    paths
}

fn outline(node: &Node) -> String {
    let properties: Vec<_> = node.properties.iter().map(|(name, _)| name.as_str()).collect();
    format!("a node of {} sub-nodes and the properties [{}]", node.children.len(), properties.join(", "))
}

/// Text as text, cells as `<0x1 ...>`, phandles with the path that they lead to, the rest as hex.
fn show(value: &[u8], paths: &HashMap<u32, String>) -> String {
    let text = value.strip_suffix(b"\0").filter(|text| !text.is_empty());
    if let Some(text) = text.filter(|text| text.iter().all(|byte| (b' '..=b'~').contains(byte) || *byte == 0))
    {
        return format!("{:?}", String::from_utf8_lossy(text).replace('\0', "\", \""));
    }
    match value.as_chunks() {
        (cells, []) => {
            let cells = cells.iter().map(|cell| {
                let cell = u32::from_be_bytes(*cell);
                paths.get(&cell).map_or_else(|| format!("{cell:#x}"), |path| format!("{cell:#x} ({path})"))
            });
            format!("<{}>", cells.collect::<Vec<_>>().join(" "))
        }
        _ => format!("{value:02x?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(first: u32, second: u32, reference: u32) -> Tree {
        Tree::from(
            Node::new("")
                .child(Node::new("a").phandle(first))
                .child(Node::new("b").phandle(second))
                .child(Node::new("c").cells("clocks", &[reference, 7])),
        )
    }

    #[test]
    fn numbers_and_order_of_nodes_do_not_count() {
        let mut other = tree(5, 6, 5);
        other.root.children.reverse();
        assert_same(&tree(1, 2, 1), &other);
    }

    #[test]
    fn a_reference_to_another_node_counts() {
        let found = differences(&tree(1, 2, 1), &tree(5, 6, 6));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "/c:clocks: <0x1 (/a) 0x7> | <0x6 (/b) 0x7>");
    }

    #[test]
    fn a_dangling_reference_counts() {
        assert_eq!(differences(&tree(1, 2, 1), &tree(5, 6, 9)).len(), 1);
    }

    #[test]
    fn a_phandle_that_a_merge_changes_is_lost() {
        assert_eq!(lost_phandles(&tree(1, 2, 1), &tree(1, 2, 9)), []);
        let lost = lost_phandles(&tree(1, 2, 1), &tree(5, 2, 1));
        assert_eq!(lost.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/a:phandle: <0x1> | <0x5>"]);
    }

    #[test]
    fn a_cell_that_is_no_phandle_counts() {
        let with = |value| Tree::from(Node::new("").cells("reg", &[value]));
        assert_eq!(differences(&with(1), &with(2)).len(), 1);
    }

    #[test]
    fn a_missing_node_a_header_field_and_a_length_count() {
        let mut other = tree(1, 2, 1);
        other.root.children.pop();
        other.boot_cpuid = 1;
        other.reservations.push((1, 2));
        other.root.children[0].properties.push(("x".to_owned(), vec![]));
        other.root.children[1].properties[0].1.push(0);
        assert_eq!(differences(&tree(1, 2, 1), &other).len(), 5);
    }

    #[test]
    fn the_second_of_a_name_is_compared_too() {
        let twice = |value| {
            Tree::from(Node::new("").child(Node::new("a")).child(Node::new("a").cells("reg", &[value])))
        };
        assert_eq!(differences(&twice(1), &twice(2)).len(), 1);
    }
}
