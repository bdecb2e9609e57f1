//! The trees that the benchmarks measure: the same bytes in every run.
//!
//! Two are named pages, since they are of the size of a tree whose figures are published as a page of a
//! table: 70,616 bytes of base and 8,564 of overlay. Page A counts 2405 and 283 nodes, page B as many nodes
//! and properties together.

use crate::overlay::{Overlay, Target};
use crate::random::Random;
use crate::tree::{Node, Tree, join};
use crate::write::write;

const PAGE_BASE: usize = 70_616;
const PAGE_OVERLAY: usize = 8_564;

/// A base and what is applied to it, as files.
#[derive(Debug, Clone)]
pub struct Case {
    /// How tables and file names call it.
    pub name: String,
    /// The base tree.
    pub base: Vec<u8>,
    /// The overlays in order.
    pub overlays: Vec<Vec<u8>>,
}

impl Case {
    fn new(name: impl Into<String>, base: &Tree, overlays: impl IntoIterator<Item = Tree>) -> Self {
        let overlays = overlays.into_iter().map(|overlay| write(&overlay)).collect();
        Self { name: name.into(), base: write(base), overlays }
    }

    /// Bytes of the base and of all overlays.
    pub fn size(&self) -> usize {
        self.base.len() + self.overlays.iter().map(Vec::len).sum::<usize>()
    }
}

/// The cases that have a limit of their own, in the order of the table.
pub fn named() -> Vec<Case> {
    vec![
        page_a(),
        page_b(),
        flat(2000, 1000, Change::Append),
        flat(2000, 1000, Change::Override),
        tree(50_000, 1000, 1),
    ]
}

/// 2405 nodes of which 60 are labelled; 40 fragments by 40 fixups bring 201 new nodes.
pub fn page_a() -> Case {
    let base = fit(PAGE_BASE, |with_reg| {
        let mut symbols = Node::new("__symbols__");
        let mut buses = Vec::new();
        for bus in 0..60 {
            let bus_name = format!("bus@{bus:x}");
            let devices = (0..39).map(|n| {
                let index = bus * 39 + n;
                let mut device = Node::new(format!("device@{:07x}", 0x1000 * index));
                if index % 10 == 0 && index / 10 < with_reg {
                    device = device.cells("reg", &[cell(index); 8]);
                }
                if n == bus % 39 {
                    device = device.phandle(cell(1 + bus));
                    symbols = std::mem::take(&mut symbols)
                        .text(&format!("dev{bus}"), &format!("/{bus_name}/{}", device.name));
                }
                device
            });
            let devices: Vec<_> = devices.collect();
            buses.push(Node::new(bus_name).children(devices));
        }
        // 60 buses of 39 devices, chosen, aliases, cpus, __symbols__ and the root.
        let root = Node::new("").children([Node::new("chosen"), Node::new("aliases"), Node::new("cpus")]);
        Tree::from(root.children(buses).child(symbols))
    });
    let overlay = fit(PAGE_OVERLAY, |with_reg| {
        let mut overlay = Overlay::new();
        let mut made = 0;
        for n in 0..40 {
            // Two labels of three.
            let label = format!("dev{}", n / 2 * 3 + n % 2);
            let count = if n == 0 { 6 } else { 5 };
            let new = (0..count).map(|_| {
                made += 1;
                let node = Node::new(format!("n@{made:x}"));
                if made <= with_reg { node.cells("reg", &[cell(made)]) } else { node }
            });
            overlay.fragment(Target::Label(label), Node::default().children(new));
        }
        overlay.finish()
    });
    Case::new("page A", &base, [overlay])
}

/// 500 devices of 3 properties and 120 labels, 2405 nodes and properties in all; 45 fragments.
pub fn page_b() -> Case {
    let base = fit(PAGE_BASE, |words| {
        let mut symbols = Node::new("__symbols__");
        let devices = (0..500).map(|n| {
            let mut device = Node::new(format!("device@{n:x}"))
                .bytes("compatible", vec![b'c'; 4 * ((words + 499 - n) / 500)])
                .cells("reg", &[cell(n), 0x1000])
                .text("status", "okay");
            if n < 154 {
                device = device.cells("clocks", &[1 + cell(n) % 120]);
            }
            if n < 120 {
                device = device.phandle(cell(1 + n));
                symbols = std::mem::take(&mut symbols).text(&format!("dev{n}"), &join("/soc", &device.name));
            }
            device
        });
        let devices: Vec<_> = devices.collect();
        // 504 nodes; 1500 + 154 + 120 properties of devices, 120 symbols, 6 more here and `fit`'s of the
        // root.
        let soc = Node::new("soc")
            .cells("#address-cells", &[1])
            .cells("#size-cells", &[1])
            .text("compatible", "simple-bus")
            .flag("ranges")
            .children(devices);
        let chosen = Node::new("chosen").text("bootargs", "console=ttyS0");
        Tree::from(Node::new("").text("compatible", "vendor,board").children([chosen, soc, symbols]))
    });
    let overlay = fit(PAGE_OVERLAY, |words| {
        let mut overlay = Overlay::new();
        for n in 0..45 {
            let value = vec![b'v'; 4 * ((words + 44 - n) / 45)];
            let mut content = Node::default();
            if n < 10 {
                content = content.cells("link", &[1 + cell(n)]).child(Node::new("new").phandle(1 + cell(n)));
            } else if n < 38 {
                content = content.bytes("compatible", value);
            }
            let path = overlay.fragment(Target::Label(format!("dev{}", n * 2)), content);
            if n < 10 {
                overlay.local_reference(&path, "link", 0);
                overlay.symbol(&format!("new{n}"), &join(&path, "new"));
            }
        }
        overlay.finish()
    });
    Case::new("page B", &base, [overlay])
}

/// What a fragment of [`flat`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It brings a property that the node does not have.
    Append,
    /// It brings a longer value of one that the node has.
    Override,
}

/// Labelled nodes side by side in one bus; each fragment changes a property of another one.
pub fn flat(nodes: usize, fragments: usize, change: Change) -> Case {
    let mut soc = Node::new("soc").text("compatible", "simple-bus");
    let mut symbols = Node::new("__symbols__");
    for n in 0..nodes {
        let node = Node::new(format!("device@{n:x}")).text("status", "okay").phandle(cell(n + 1));
        symbols = symbols.text(&format!("device_{n}"), &join("/soc", &node.name));
        soc = soc.child(node);
    }
    let root = Node::new("").text("compatible", "vendor,board").child(soc).child(symbols);
    let mut overlay = Overlay::new();
    for n in 0..fragments {
        let label = format!("device_{}", n * nodes / fragments);
        let content = match change {
            Change::Append => Node::default().cells("clock-frequency", &[cell(n)]),
            Change::Override => Node::default().text("status", "disabled"),
        };
        overlay.fragment(Target::Label(label), content);
    }
    let verb = match change {
        Change::Append => "append",
        Change::Override => "override",
    };
    Case::new(format!("flat {nodes} {verb} {fragments}"), &Tree::from(root), [overlay.finish()])
}

/// A tree whose nodes have 16 sub-nodes each, and overlays of `fragments` fragments with three new nodes
/// each.
///
/// One node of 17 is labelled; the fragments go to labels all over the tree, each overlay to others where
/// there are enough.
pub fn tree(nodes: usize, fragments: usize, overlays: usize) -> Case {
    let mut labels = Vec::new();
    let root = fan_out(0, nodes, "/", &mut labels);
    let mut symbols = Node::new("__symbols__");
    for (index, path) in &labels {
        symbols = symbols.text(&format!("label_{index}"), path);
    }
    let mut random = Random::new(16);
    let mut made = 0;
    let overlays = (0..overlays).map(|number| {
        let mut overlay = Overlay::new();
        let first = format!("/fragment@0/__overlay__/new@{:x}0", made + 1);
        for _ in 0..fragments {
            let (label, _) = &labels[random.below(labels.len())];
            made += 1;
            let new = |n: usize| {
                Node::new(format!("new@{made:x}{n}"))
                    .text("compatible", "vendor,addition")
                    .cells("reg", &[cell(n), 1])
            };
            let content = Node::default().child(new(0).child(new(1))).child(new(2));
            overlay.fragment(Target::Label(format!("label_{label}")), content);
        }
        if overlays > 1 {
            overlay.symbol(&format!("overlay_{number}"), &first);
        }
        overlay.finish()
    });
    let overlays: Vec<_> = overlays.collect();
    let name = match overlays.len() {
        1 => format!("tree {nodes} + {fragments}"),
        count => format!("tree {nodes} + {count} x {fragments}"),
    };
    Case::new(name, &Tree::from(root.child(symbols)), overlays)
}

fn fan_out(index: usize, nodes: usize, path: &str, labels: &mut Vec<(usize, String)>) -> Node {
    let name = if index == 0 { String::new() } else { format!("node@{index:x}") };
    let path = if index == 0 { path.to_owned() } else { join(path, &name) };
    let mut node = Node::new(name)
        .text("compatible", &format!("vendor,device-{:03}", index % 500))
        .cells("reg", &[cell(index)])
        .text("status", "okay");
    // Not 16, which would take all of a level from the same place among its siblings.
    if index % 17 == 1 {
        labels.push((index, path.clone()));
        node = node.phandle(cell(labels.len()));
    }
    let children = 16 * index + 1..(16 * index + 17).min(nodes);
    node.children(children.map(|child| fan_out(child, nodes, &path, labels)).collect::<Vec<_>>())
}

/// The tree of the largest amount that still fits, filled up to exactly `bytes` by a property of the root.
fn fit(bytes: usize, build: impl Fn(usize) -> Tree) -> Tree {
    // Names of every length modulo 4, since nothing else in the strings block is in steps of one byte.
    let fillers = ["model", "serial", "padding", "fillings"].map(str::to_owned);
    let room = |amount| bytes.checked_sub(write(&build(amount)).len()).filter(|room| *room > 12 + 9);
    let (mut fits, mut exceeds) = (0, bytes);
    while exceeds - fits > 1 {
        let middle = usize::midpoint(fits, exceeds);
        if room(middle).is_some() { fits = middle } else { exceeds = middle }
    }
    let room = room(fits).unwrap();
    let name = fillers.iter().find(|name| (room - 13 - name.len()).is_multiple_of(4)).unwrap();
    let mut tree = build(fits);
    tree.root.properties.push((name.clone(), vec![b'f'; room - 13 - name.len()]));
    tree
}

fn cell(value: usize) -> u32 {
    u32::try_from(value).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn counts(file: &[u8]) -> (usize, usize) {
        let tree = read(file).unwrap();
        let nodes = tree.root.walk();
        (nodes.len(), nodes.iter().map(|(_, node)| node.properties.len()).sum())
    }

    #[test]
    fn pages_have_the_sizes_that_they_are_named_for() {
        for case in [page_a(), page_b()] {
            assert_eq!((case.base.len(), case.overlays[0].len()), (PAGE_BASE, PAGE_OVERLAY), "{}", case.name);
        }
        let (a, b) = (page_a(), page_b());
        assert_eq!((counts(&a.base).0, counts(&a.overlays[0]).0), (2405, 283));
        let all = |file| counts(file).0 + counts(file).1;
        assert_eq!((all(&b.base), all(&b.overlays[0])), (2405, 283));
    }

    #[test]
    fn the_tree_has_its_nodes_and_about_its_bytes() {
        let case = tree(50_000, 1000, 1);
        // The nodes and __symbols__.
        assert_eq!(counts(&case.base).0, 50_001);
        assert!((4_600_000..4_800_000).contains(&case.base.len()), "{}", case.base.len());
    }
}
