//! Trees of the smallest nodes and properties that there are, so many that what a merge remembers of each of them shows
//! in its memory.
//!
//! An empty node takes 12 bytes, an empty property as many and its name; a record of 60 bytes beside each of them
//! would be five times the input.

use crate::cases::Case;

/// The shapes, each of some megabytes; `scale` 1000 is what the benchmark takes.
pub fn shapes(scale: u32) -> Vec<Case> {
    let n = |thousands: u32| thousands * scale;
    let shapes: Vec<(&str, Shape)> = vec![
        ("base nodes", base_nodes(n(1000))),
        ("base nodes with phandles", base_phandles(n(300))),
        ("new nodes", (root(|_| {}), vec![one_fragment(|tree| nodes(tree, n(300), &|_, _| {}))])),
        (
            "new nodes side by side with others",
            (root(|tree| tree.node("b", |_| {})), vec![one_fragment(|tree| nodes(tree, n(300), &|_, _| {}))]),
        ),
        ("new nodes with a property", (root(|_| {}), vec![property_in_each(n(200))])),
        ("new nodes, nested", (root(|_| {}), vec![one_fragment(|tree| nested(tree, n(1)))])),
        ("distinct properties", (root(|_| {}), vec![one_fragment(|tree| properties(tree, n(150)))])),
        (
            "properties replaced",
            (root(|tree| properties(tree, n(150))), vec![one_fragment(|tree| properties(tree, n(150)))]),
        ),
        ("one property again and again", (root(|_| {}), vec![one_fragment(|tree| repeated(tree, n(300)))])),
        (
            "nodes merged",
            (
                root(|tree| nodes(tree, n(300), &|_, _| {})),
                vec![one_fragment(|tree| nodes(tree, n(300), &|_, _| {}))],
            ),
        ),
        (
            "nodes merged, a property each",
            (root(|tree| nodes(tree, n(200), &|_, _| {})), vec![property_in_each(n(200))]),
        ),
        (
            "nodes merged, a node each",
            (
                root(|tree| nodes(tree, n(100), &|_, _| {})),
                vec![one_fragment(|tree| nodes(tree, n(100), &|tree, _| tree.node("c", |_| {})))],
            ),
        ),
        ("nodes merged, a phandle each", phandles_merged(n(100))),
        ("fragments by path", (root(|_| {}), vec![fragments_by_path(n(60))])),
        ("fragments by path, a node each", (root(|_| {}), vec![fragments_with_nodes(n(60))])),
        ("fragments by label", (labelled(1), vec![fragments_by_label(n(60))])),
        ("fixups of one label", (labelled(1), vec![fixups(n(300))])),
        ("labels", (labelled(n(100)), vec![wanted_labels(n(100))])),
        ("symbols", (root(|_| {}), vec![symbols(n(100))])),
        ("local fixups", (root(|_| {}), vec![local_fixups(n(600))])),
        ("local fixups, a property each", (root(|_| {}), vec![local_fixups_each(n(100))])),
        ("nodes of local fixups", (root(|_| {}), vec![mirrors(n(300))])),
        ("new phandles", (root(|_| {}), vec![new_phandles(n(150), 1)])),
        ("new phandles far apart", (root(|_| {}), vec![new_phandles(n(150), 10_000)])),
        ("overlays", (root(|_| {}), vec![one_fragment(|_| {}); n(10) as usize])),
    ];
    shapes
        .into_iter()
        .map(|(name, (base, overlays))| Case { name: name.to_owned(), base, overlays })
        .collect()
}

type Shape = (Vec<u8>, Vec<Vec<u8>>);

/// A tree in the making, a token at a time.
#[derive(Debug, Default)]
struct Tokens {
    structure: Vec<u8>,
    strings: Vec<u8>,
}

impl Tokens {
    fn word(&mut self, word: u32) {
        self.structure.extend(word.to_be_bytes());
    }

    fn align(&mut self) {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }

    fn node(&mut self, name: &str, content: impl FnOnce(&mut Self)) {
        self.word(1);
        self.structure.extend(name.as_bytes());
        self.structure.push(0);
        self.align();
        content(self);
        self.word(2);
    }

    /// Writes a name to the strings block, be it there or not; its place.
    fn name(&mut self, name: &str) -> u32 {
        let place = cell(self.strings.len());
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        place
    }

    fn property_at(&mut self, name: u32, value: &[u8]) {
        self.word(3);
        self.word(cell(value.len()));
        self.word(name);
        self.structure.extend(value);
        self.align();
    }

    fn property(&mut self, name: &str, value: &[u8]) {
        let name = self.name(name);
        self.property_at(name, value);
    }

    fn finish(mut self) -> Vec<u8> {
        self.word(9);
        let (structure, strings) = (cell(self.structure.len()), cell(self.strings.len()));
        let total = 56 + structure + strings;
        let header = [0xd00d_feed, total, 56, 56 + structure, 40, 17, 16, 0, strings, structure, 0, 0, 0, 0];
        let mut file: Vec<u8> = header.into_iter().flat_map(u32::to_be_bytes).collect();
        file.extend(self.structure);
        file.extend(self.strings);
        file
    }
}

/// A tree with this in its root node.
fn root(content: impl FnOnce(&mut Tokens)) -> Vec<u8> {
    let mut tree = Tokens::default();
    tree.node("", content);
    tree.finish()
}

/// An overlay that puts this into the root node.
fn one_fragment(content: impl FnOnce(&mut Tokens)) -> Vec<u8> {
    root(|tree| fragment(tree, content))
}

fn fragment(tree: &mut Tokens, content: impl FnOnce(&mut Tokens)) {
    tree.node("f", |tree| {
        tree.property("target-path", b"/\0");
        tree.node("__overlay__", content);
    });
}

/// Nodes side by side.
fn nodes(tree: &mut Tokens, count: u32, content: &dyn Fn(&mut Tokens, u32)) {
    for number in 0..count {
        tree.node(&short(number), |tree| content(tree, number));
    }
}

/// So many properties with names of their own.
fn properties(tree: &mut Tokens, count: u32) {
    (0..count).for_each(|number| tree.property(&short(number), b""));
}

fn repeated(tree: &mut Tokens, count: u32) {
    let name = tree.name("p");
    (0..count).for_each(|_| tree.property_at(name, b""));
}

fn property_in_each(count: u32) -> Vec<u8> {
    one_fragment(|tree| {
        let name = tree.name("p");
        nodes(tree, count, &|tree, _| tree.property_at(name, b""));
    })
}

/// Chains of 300 nodes.
fn nested(tree: &mut Tokens, chains: u32) {
    for chain in 0..chains {
        let below = |tree: &mut Tokens| {
            for _ in 0..299 {
                tree.word(1);
                tree.structure.extend(*b"n\0\0\0");
            }
            (0..299).for_each(|_| tree.word(2));
        };
        tree.node(&short(chain), below);
    }
}

fn base_nodes(count: u32) -> Shape {
    (root(|tree| nodes(tree, count, &|_, _| {})), vec![one_fragment(|tree| tree.property("p", b""))])
}

/// The overlay's target is the last phandle, so that all of them have to be known.
fn base_phandles(count: u32) -> Shape {
    let base = root(|tree| {
        let name = tree.name("phandle");
        nodes(tree, count, &|tree, n| tree.property_at(name, &(n + 1).to_be_bytes()));
    });
    let overlay = root(|tree| {
        tree.node("f", |tree| {
            tree.property("target", &count.to_be_bytes());
            tree.node("__overlay__", |_| {});
        });
    });
    (base, vec![overlay])
}

fn phandles_merged(count: u32) -> Shape {
    let all = |tree: &mut Tokens| {
        let name = tree.name("phandle");
        nodes(tree, count, &|tree, n| tree.property_at(name, &(n + 1).to_be_bytes()));
    };
    (root(all), vec![one_fragment(all)])
}

fn fragments_by_path(count: u32) -> Vec<u8> {
    root(|tree| {
        let name = tree.name("target-path");
        nodes(tree, count, &|tree, _| {
            tree.property_at(name, b"/\0");
            tree.node("__overlay__", |_| {});
        });
    })
}

fn fragments_with_nodes(count: u32) -> Vec<u8> {
    root(|tree| {
        let name = tree.name("target-path");
        nodes(tree, count, &|tree, number| {
            tree.property_at(name, b"/\0");
            tree.node("__overlay__", |tree| tree.node(&short(number), |_| {}));
        });
    })
}

fn fragments_by_label(count: u32) -> Vec<u8> {
    root(|tree| {
        let name = tree.name("target");
        nodes(tree, count, &|tree, _| {
            tree.property_at(name, &[0xff; 4]);
            tree.node("__overlay__", |_| {});
        });
        let places: String = (0..count).map(|n| format!("/{}:target:0\0", short(n))).collect();
        tree.node("__fixups__", |tree| tree.property(&short(0), places.as_bytes()));
    })
}

/// A base with so many labels, all of one node.
fn labelled(count: u32) -> Vec<u8> {
    root(|tree| {
        tree.node("a", |_| {});
        tree.node("__symbols__", |tree| (0..count).for_each(|n| tree.property(&short(n), b"/a\0")));
    })
}

fn fixups(count: u32) -> Vec<u8> {
    root(|tree| {
        fragment(tree, |_| {});
        tree.node("x", |tree| tree.property("p", &[0; 4]));
        tree.node("__fixups__", |tree| {
            tree.property(&short(0), "/x:p:0\0".repeat(count as usize).as_bytes());
        });
    })
}

fn wanted_labels(count: u32) -> Vec<u8> {
    root(|tree| {
        fragment(tree, |_| {});
        tree.node("x", |tree| tree.property("p", &[0; 4]));
        tree.node("__fixups__", |tree| (0..count).for_each(|n| tree.property(&short(n), b"/x:p:0\0")));
    })
}

fn symbols(count: u32) -> Vec<u8> {
    root(|tree| {
        fragment(tree, |_| {});
        tree.node("__symbols__", |tree| {
            (0..count).for_each(|n| tree.property(&short(n), b"/f/__overlay__\0"));
        });
    })
}

fn local_fixups(count: u32) -> Vec<u8> {
    root(|tree| {
        tree.node("x", |tree| tree.property("p", &[0; 4]));
        tree.node("__local_fixups__", |tree| {
            tree.node("x", |tree| tree.property("p", &vec![0; 4 * count as usize]));
        });
        fragment(tree, |_| {});
    })
}

fn local_fixups_each(count: u32) -> Vec<u8> {
    root(|tree| {
        fragment(tree, |tree| (0..count).for_each(|n| tree.property(&short(n), &[0; 4])));
        tree.node("__local_fixups__", |tree| {
            tree.node("f", |tree| {
                tree.node("__overlay__", |tree| {
                    // The names again, where the overlay's properties have them.
                    (0..count).for_each(|n| tree.property_at(12 + n * 4, &[0; 4]));
                });
            });
        });
    })
}

fn mirrors(count: u32) -> Vec<u8> {
    root(|tree| {
        tree.node("x", |_| {});
        tree.node("__local_fixups__", |tree| (0..count).for_each(|_| tree.node("x", |_| {})));
        fragment(tree, |_| {});
    })
}

fn new_phandles(count: u32, apart: u32) -> Vec<u8> {
    one_fragment(|tree| {
        let name = tree.name("phandle");
        nodes(tree, count, &|tree, n| tree.property_at(name, &(n * apart + 1).to_be_bytes()));
    })
}

/// A name of three letters; they are all different up to 700,000.
fn short(number: u32) -> String {
    // What is printed, but for what means something in a path or a fixup.
    let letters: Vec<u8> = (b'!'..=b'~').filter(|letter| !b"/:@".contains(letter)).collect();
    let count = cell(letters.len());
    [number / count / count, number / count, number]
        .map(|n| char::from(letters[(n % count) as usize]))
        .into_iter()
        .collect()
}

fn cell(number: usize) -> u32 {
    u32::try_from(number).expect("a tree below 4 GiB")
}
