//! Overlays of random content that fit a given base.

use kbt_testkit::random::Random;
use kbt_testkit::tree::join;
use kbt_testkit::{Node, Overlay, Target, Tree};

/// What a random overlay may hang on.
pub struct Base<'a> {
    /// Labels and the nodes that they lead to.
    labels: Vec<(&'a str, &'a Node)>,
    /// Paths and their nodes, but not the metadata.
    paths: Vec<(String, &'a Node)>,
}

impl<'a> Base<'a> {
    /// The labels and nodes of a tree.
    pub fn new(tree: &'a Tree) -> Self {
        let symbols =
            tree.root.node("__symbols__").map(|node| node.properties.as_slice()).unwrap_or_default();
        let text = |value: &'a Vec<u8>| std::str::from_utf8(value).ok()?.strip_suffix('\0');
        let labels = symbols.iter().filter_map(|(label, path)| {
            let node = tree.root.at(text(path)?)?;
            node.property("phandle").map(|_| (label.as_str(), node))
        });
        let labels = labels.collect();
        let paths = tree.root.walk().into_iter().filter(|(path, _)| !path.starts_with("/__")).collect();
        Self { labels, paths }
    }

    /// Whether the base has labels at all.
    pub fn is_labelled(&self) -> bool {
        !self.labels.is_empty()
    }

    /// An overlay of up to 12 fragments; `serial` makes its names its own among overlays that are applied
    /// together. A `loose` one leaves unit addresses away here and there.
    pub fn overlay(&self, random: &mut Random, serial: usize, loose: bool) -> Tree {
        let mut making =
            Making { base: self, random, overlay: Overlay::new(), serial, loose, names: 0, phandles: 0 };
        for _ in 0..1 + making.random.below(12) {
            making.fragment();
        }
        making.overlay.finish()
    }
}

struct Making<'a> {
    base: &'a Base<'a>,
    random: &'a mut Random,
    overlay: Overlay,
    serial: usize,
    loose: bool,
    names: usize,
    phandles: u32,
}

/// What is to be entered into the metadata once the path of the fragment is known: the path below it, the
/// property and the offset.
enum Mark {
    Reference(String, String, u32, String),
    Local(String, String, u32),
    Symbol(String, String),
}

impl Making<'_> {
    fn fragment(&mut self) {
        let (target, node) = if self.random.below(3) > 0 {
            let (label, node) = self.base.labels[self.random.below(self.base.labels.len())];
            (Target::label(label), node)
        } else {
            let (path, node) = &self.base.paths[self.random.below(self.base.paths.len())];
            (Target::path(self.loosened(path)), *node)
        };
        let mut marks = Vec::new();
        let content = self.content(Node::default(), Some(node), "", 0, &mut marks);
        let path = self.overlay.fragment(target, content);
        for mark in marks {
            match mark {
                Mark::Reference(below, property, offset, label) => {
                    self.overlay.reference(&format!("{path}{below}"), &property, offset, &label);
                }
                Mark::Local(below, property, offset) => {
                    self.overlay.local_reference(&format!("{path}{below}"), &property, offset);
                }
                Mark::Symbol(below, label) => self.overlay.symbol(&label, &format!("{path}{below}")),
            }
        }
    }

    /// Fills `node`, which is merged into `old` where there is one; `below` is its path below the fragment.
    fn content(
        &mut self,
        mut node: Node,
        old: Option<&Node>,
        below: &str,
        depth: usize,
        marks: &mut Vec<Mark>,
    ) -> Node {
        for (name, value) in old.map(|old| old.properties.as_slice()).unwrap_or_default() {
            if !name.ends_with("phandle") && self.random.below(8) == 0 {
                let length = [value.len(), 0, value.len() + 5][self.random.below(3)];
                node = node.bytes(
                    name,
                    (0..length).map(|_| self.random.cell().to_be_bytes()[0]).collect::<Vec<_>>(),
                );
            }
        }
        for _ in 0..self.random.below(3) {
            node = self.references(node, below, marks);
        }
        if depth > 0 && self.random.below(2) == 0 {
            self.phandles += 1;
            node = node.phandle(self.phandles);
            if self.random.below(2) == 0 {
                marks.push(Mark::Symbol(below.to_owned(), self.name("label_")));
            }
        }
        if depth < 4 {
            node = self.sub_nodes(node, old, below, depth, marks);
        }
        node
    }

    /// Adds a property of cells, some of which are references.
    fn references(&mut self, node: Node, below: &str, marks: &mut Vec<Mark>) -> Node {
        let name = self.name("property-");
        let cells: Vec<_> = (0..1 + self.random.below(4))
            .map(|n| {
                let offset = 4 * u32::try_from(n).unwrap();
                match self.random.below(4) {
                    0 => {
                        let (label, _) = self.base.labels[self.random.below(self.base.labels.len())];
                        marks.push(Mark::Reference(below.to_owned(), name.clone(), offset, label.to_owned()));
                        u32::MAX
                    }
                    1 if self.phandles > 0 => {
                        marks.push(Mark::Local(below.to_owned(), name.clone(), offset));
                        1 + self.random.cell() % self.phandles
                    }
                    // No number that a comparison could take for a phandle.
                    _ => 0x8000_0000 | self.random.cell(),
                }
            })
            .collect();
        node.cells(&name, &cells)
    }

    /// Adds new nodes and changes of old ones.
    fn sub_nodes(
        &mut self,
        mut node: Node,
        old: Option<&Node>,
        below: &str,
        depth: usize,
        marks: &mut Vec<Mark>,
    ) -> Node {
        for child in old.map(|old| old.children.as_slice()).unwrap_or_default() {
            if self.random.below(6) == 0 && !child.name.starts_with("__") {
                let name = self.loosened(&child.name);
                // libfdt looks names up loosely in the overlay too: beside `port@1` a reference of `port`
                // is FDT_ERR_BADOVERLAY.
                if !self.loose || node.children.iter().all(|other| stem(&other.name) != stem(&name)) {
                    let path = join(below, &name);
                    node = node.child(self.content(Node::new(name), Some(child), &path, depth + 1, marks));
                }
            }
        }
        for _ in 0..self.random.below(3) {
            let name = self.name("new-node@");
            let path = join(below, &name);
            node = node.child(self.content(Node::new(name), None, &path, depth + 1, marks));
        }
        node
    }

    /// A name or a path, in a loose overlay sometimes without its last unit address.
    fn loosened(&mut self, name: &str) -> String {
        match name.rsplit_once('@') {
            Some((loose, address)) if self.loose && !address.contains('/') && self.random.below(3) == 0 => {
                loose.to_owned()
            }
            _ => name.to_owned(),
        }
    }

    fn name(&mut self, stem: &str) -> String {
        self.names += 1;
        format!("{stem}{}{:03}", self.serial, self.names)
    }
}

fn stem(name: &str) -> &str {
    name.split_once('@').map_or(name, |(stem, _)| stem)
}
