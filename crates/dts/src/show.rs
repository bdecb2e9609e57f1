//! The text of a tree: dts source, from which `dtc -@` makes the same tree.
//!
//! Of a base each phandle stays a number beside the references, since no tree says where all of them are. Of an overlay
//! the places are stated, so that a phandle which a label or a reference brings back is left out. What `__symbols__`,
//! `__fixups__` and `__local_fixups__` say and source cannot (paths that lead nowhere) is printed as these nodes;
//! dtc adds its own to them.
//!
//! The walk does not recurse. The text is at most a fixed multiple of the blob: else it is an error.

use alloc::string::String;
use alloc::vec::Vec;

use kbt_fdt::{NodeIndex, Property};

use crate::dts::Dts;
use crate::error::{Error, ErrorKind};
use crate::fragments;
use crate::references::Referent;
use crate::text::{is_name, is_node_name, is_property_name};
use crate::value::{self, Written};

/// What keeps dtc from making the same tree of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// The name of a node that source cannot spell; the path of its parent.
    NodeName {
        /// Path of the parent.
        parent: String,
        /// The name, with escapes.
        name: String,
    },
    /// The name of a property that source cannot spell.
    PropertyName {
        /// Path of the node.
        node: String,
        /// The name, with escapes.
        name: String,
    },
    /// Siblings of one name.
    DuplicateNode {
        /// Path of the node.
        node: String,
    },
    /// A node has two properties of one name.
    DuplicateProperty {
        /// Path of the node.
        node: String,
        /// The property.
        name: String,
    },
    /// The header's `boot_cpuid_phys`, which is not the one that dtc takes from `/cpus`.
    BootCpuid(u32),
}

/// A tree's text.
#[derive(Debug, Clone)]
pub struct Shown {
    /// ASCII, lines indented by tabs.
    pub text: Vec<u8>,
    /// Why it does not compile to the same tree; at most 100 of a kind.
    pub oddities: Vec<Oddity>,
}

/// Every byte of a blob may become so many of text, besides [`ALWAYS`].
const GROWTH: usize = 64;
/// A text of so many bytes is never too large.
const ALWAYS: usize = 1 << 20;
/// No more oddities of a kind are kept.
const MAX_ODDITIES: usize = 100;
/// A reference in a base that would take a longer path stays a number.
const LONGEST_PATH: usize = 512;

impl<'a> Dts<'a> {
    /// The whole tree as source.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`].
    pub fn show(&self) -> Result<Shown, Error> {
        let mut printer = Printer::new(self);
        printer.push_front();
        let children: Vec<_> = self.tree().children(NodeIndex::ROOT).collect();
        let mut fragment = 0;
        let mut block = Block::None;
        for child in children {
            let short = if self.is_overlay() { fragments::short_form(self, child, fragment) } else { None };
            if let Some((overlay, head)) = short {
                fragment += 1;
                printer.open_root(&mut block, false);
                printer.out.push(b'\n');
                printer.push_subtree(overlay, 0, Some(&head))?;
            } else if printer.is_shown(child) {
                printer.open_root(&mut block, true);
                printer.out.push(b'\n');
                printer.push_subtree(child, 1, None)?;
            }
        }
        if !self.is_overlay() || block == Block::None {
            printer.open_root(&mut block, true);
        }
        printer.open_root(&mut block, false);
        printer.find_duplicate_nodes();
        Ok(Shown { text: printer.out, oddities: printer.oddities })
    }

    /// A node with all below it as source, indented by `depth` tabs.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`].
    pub fn show_subtree(&self, node: NodeIndex, depth: usize) -> Result<Vec<u8>, Error> {
        let mut printer = Printer::new(self);
        printer.complete = true;
        printer.push_subtree(node, depth, None)?;
        Ok(printer.out)
    }

    /// A property as source, indented by `depth` tabs, with its line end.
    pub fn show_property(&self, node: NodeIndex, property: &Property, depth: usize) -> Vec<u8> {
        let mut printer = Printer::new(self);
        printer.complete = true;
        printer.push_property(node, property, depth);
        printer.out
    }
}

/// Which block of the root is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    /// None so far.
    None,
    /// `/ {`.
    Open,
    /// A fragment was written; the root may be opened again.
    Closed,
}

struct Printer<'d, 'a> {
    dts: &'d Dts<'a>,
    out: Vec<u8>,
    oddities: Vec<Oddity>,
    /// Bytes that paths in references may take.
    room: usize,
    /// Whether the nodes that dtc makes are printed, too.
    complete: bool,
}

impl<'d, 'a> Printer<'d, 'a> {
    fn new(dts: &'d Dts<'a>) -> Self {
        let room = ALWAYS + dts.tree().blob().header().totalsize as usize * 8;
        Self { dts, out: Vec::new(), oddities: Vec::new(), room, complete: false }
    }

    /// Version, plugin, reservations.
    fn push_front(&mut self) {
        self.out.extend_from_slice(b"/dts-v1/;\n");
        if self.dts.is_overlay() {
            self.out.extend_from_slice(b"/plugin/;\n");
        }
        let blob = self.dts.tree().blob();
        let cpu = blob.header().boot_cpuid_phys;
        if cpu != self.first_cpu() {
            self.out.extend_from_slice(alloc::format!("/* compile with dtc -b {cpu} */\n").as_bytes());
            self.odd(Oddity::BootCpuid(cpu));
        }
        self.out.push(b'\n');
        let mut any = false;
        for entry in blob.reservations().iter() {
            let line = alloc::format!("/memreserve/\t{:#018x} {:#018x};\n", entry.address, entry.size);
            self.out.extend_from_slice(line.as_bytes());
            any = true;
        }
        if any {
            self.out.push(b'\n');
        }
    }

    /// What dtc takes for `boot_cpuid_phys`: the `reg` of the first node below `/cpus`, where it is one cell.
    fn first_cpu(&self) -> u32 {
        let tree = self.dts.tree();
        let first = tree.child(NodeIndex::ROOT, b"cpus").and_then(|cpus| tree.tree().first_child(cpus));
        let reg = first.and_then(|cpu| tree.property_value(cpu, b"reg"));
        reg.and_then(|reg| reg.as_array()).map_or(0, |cell| u32::from_be_bytes(*cell))
    }

    /// Opens or closes the root's block.
    fn open_root(&mut self, block: &mut Block, open: bool) {
        match (*block, open) {
            (Block::None, true) => {
                self.out.extend_from_slice(b"/ {\n");
                self.push_properties(NodeIndex::ROOT, 1);
                *block = Block::Open;
            }
            (Block::Closed, true) => {
                self.out.extend_from_slice(b"\n/ {\n");
                *block = Block::Open;
            }
            (Block::Open, false) => {
                self.out.extend_from_slice(b"};\n");
                *block = Block::Closed;
            }
            (Block::None, false) if self.dts.tree().properties(NodeIndex::ROOT).next().is_some() => {
                self.open_root(block, true);
                self.open_root(block, false);
            }
            (Block::None, false) => {
                // The blank line of the front is there already.
                self.out.pop();
                *block = Block::Closed;
            }
            _ => {}
        }
    }

    /// Whether a child of the root is printed: not where dtc makes all of it.
    fn is_shown(&self, child: NodeIndex) -> bool {
        let (tree, dts) = (self.dts.tree(), self.dts);
        match tree.name(child) {
            b"__symbols__" => !dts.labels().rest().is_empty() || tree.children(child).next().is_some(),
            b"__fixups__" => !dts.fixups().rest().is_empty(),
            b"__local_fixups__" => !dts.fixups().local_rest().is_empty(),
            _ => true,
        }
    }

    fn push_subtree(&mut self, top: NodeIndex, depth: usize, head: Option<&[u8]>) -> Result<(), Error> {
        let tree = self.dts.tree();
        let end = tree.node(top).subtree_end;
        let mut open: Vec<NodeIndex> = Vec::new();
        let mut next = top;
        while next < end {
            while open.last().is_some_and(|&last| tree.node(last).subtree_end <= next) {
                open.pop();
                self.close(depth + open.len());
            }
            let level = depth + open.len();
            if next != top {
                self.out.push(b'\n');
            }
            self.push_head(next, level, head.filter(|_| next == top));
            self.push_properties(next, level + 1);
            open.push(next);
            self.check_size(tree.offset(tree.node(next).begin.index()))?;
            next = NodeIndex(next.0 + 1);
        }
        while open.pop().is_some() {
            self.close(depth + open.len());
        }
        Ok(())
    }

    fn check_size(&self, offset: usize) -> Result<(), Error> {
        let most = ALWAYS + (self.dts.tree().blob().header().totalsize as usize).saturating_mul(GROWTH);
        if self.out.len() > most { Err(Error { kind: ErrorKind::TooLarge, offset }) } else { Ok(()) }
    }

    fn push_head(&mut self, node: NodeIndex, depth: usize, head: Option<&[u8]>) {
        self.indent(depth);
        if let Some(head) = head {
            self.out.extend_from_slice(head);
        } else {
            for label in self.dts.labels().of(node) {
                self.out.extend_from_slice(label);
                self.out.extend_from_slice(b": ");
            }
            let tree = self.dts.tree();
            let name = tree.name(node);
            if node == NodeIndex::ROOT {
                self.out.push(b'/');
            } else {
                self.push_name(name);
                if !is_node_name(name) {
                    let parent = tree.path(tree.node(node).parent);
                    self.odd(Oddity::NodeName { parent, name: escaped(name) });
                }
            }
        }
        self.out.extend_from_slice(b" {\n");
    }

    fn close(&mut self, depth: usize) {
        self.indent(depth);
        self.out.extend_from_slice(b"};\n");
    }

    fn indent(&mut self, depth: usize) {
        self.out.resize(self.out.len() + depth, b'\t');
    }

    fn push_name(&mut self, name: &[u8]) {
        if is_name(name) {
            self.out.extend_from_slice(name);
        } else {
            self.out.extend_from_slice(escaped(name).as_bytes());
        }
    }

    fn push_properties(&mut self, node: NodeIndex, depth: usize) {
        let tree = self.dts.tree();
        let parent = tree.node(node).parent;
        let in_symbols = parent == NodeIndex::ROOT && tree.name(node) == b"__symbols__" && !self.complete;
        let in_fixups = parent == NodeIndex::ROOT && tree.name(node) == b"__fixups__" && !self.complete;
        let in_locals = !self.complete && self.is_local_fixup(node);
        let mut names = Vec::new();
        for property in tree.properties(node) {
            let shown = if in_symbols {
                has(self.dts.labels().rest(), &property)
            } else if in_locals {
                let rest = self.dts.fixups().local_rest();
                rest.binary_search_by_key(&property.at, |(_, property)| property.at).is_ok()
            } else {
                self.complete || !self.comes_back(node, &property)
            };
            let name = tree.property_name(&property);
            names.push(name);
            if in_fixups {
                self.push_fixup_rest(&property, depth);
            } else if shown {
                self.push_property(node, &property, depth);
            }
        }
        self.find_duplicates(node, names);
    }

    /// Whether the node stands below `/__local_fixups__`.
    fn is_local_fixup(&self, node: NodeIndex) -> bool {
        let tree = self.dts.tree();
        let top = tree.child(NodeIndex::ROOT, b"__local_fixups__");
        top.is_some_and(|top| (top..tree.node(top).subtree_end).contains(&node))
    }

    fn find_duplicates(&mut self, node: NodeIndex, mut names: Vec<&[u8]>) {
        names.sort_unstable();
        let twice = names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| escaped(pair[0]));
        if let Some(name) = twice {
            self.odd(Oddity::DuplicateProperty { node: self.dts.tree().path(node), name });
        }
    }

    /// Whether dtc gives the node its phandle again, because of a label or a reference.
    fn comes_back(&self, node: NodeIndex, property: &Property) -> bool {
        let tree = self.dts.tree();
        if self.dts.keeps_phandles() || property.length != 4 || tree.property_name(property) != b"phandle" {
            return false;
        }
        tree.property(node, b"linux,phandle").is_none()
            && tree.node_with_phandle(tree.phandle(node)) == Some(node)
            && (self.dts.labels().of(node).next().is_some() || self.dts.fixups().refers_to(node))
    }

    /// The entries of a property of `__fixups__` that lead nowhere.
    fn push_fixup_rest(&mut self, property: &Property, depth: usize) {
        let rest = self.dts.fixups().rest();
        let from = rest.partition_point(|(other, _)| other.at < property.at);
        let of_this = rest[from..].iter().take_while(|(other, _)| other.at == property.at);
        for (index, (_, entry)) in of_this.enumerate() {
            if index == 0 {
                self.indent(depth);
                self.push_name(self.dts.tree().property_name(property));
                self.out.extend_from_slice(b" = ");
            } else {
                // Behind the value before, in place of its end.
                self.out.truncate(self.out.len() - 2);
                self.out.extend_from_slice(b", ");
            }
            value::push_string(&mut self.out, entry);
            self.out.extend_from_slice(b";\n");
        }
    }

    fn push_property(&mut self, node: NodeIndex, property: &Property, depth: usize) {
        let tree = self.dts.tree();
        let (name, value) = (tree.property_name(property), tree.value(property));
        if !is_property_name(name) {
            self.odd(Oddity::PropertyName { node: tree.path(node), name: escaped(name) });
        }
        self.indent(depth);
        self.push_name(name);
        if !value.is_empty() {
            self.out.extend_from_slice(b" = ");
            let references = self.written(node, property);
            value::push_value(&mut self.out, value, &references);
        }
        self.out.extend_from_slice(b";\n");
    }

    fn written(&mut self, node: NodeIndex, property: &Property) -> Vec<Written> {
        let mut written = Vec::new();
        for reference in self.dts.references(node, property) {
            let too_long = |node| self.dts.tree().path_length(node) > LONGEST_PATH;
            // In a base the phandle is printed, too; a piece of a tree is for people.
            let number_will_do = !self.dts.is_overlay() || self.complete;
            if number_will_do && matches!(reference.to, Referent::Node(node) if too_long(node)) {
                continue;
            }
            if let Some(text) = self.dts.reference_text(reference.to, &mut self.room) {
                written.push(Written { offset: reference.offset as usize, text });
            }
        }
        written
    }

    fn find_duplicate_nodes(&mut self) {
        let tree = self.dts.tree();
        for node in tree.indices() {
            let twice =
                tree.children_by_name(node).windows(2).find(|pair| tree.name(pair[0]) == tree.name(pair[1]));
            if let Some(pair) = twice {
                self.odd(Oddity::DuplicateNode { node: tree.path(pair[0]) });
            }
        }
    }

    fn odd(&mut self, oddity: Oddity) {
        let kind = core::mem::discriminant(&oddity);
        let like_it = self.oddities.iter().filter(|other| core::mem::discriminant(*other) == kind);
        if like_it.count() < MAX_ODDITIES {
            self.oddities.push(oddity);
        }
    }
}

/// Whether properties in the order of their places have this one.
fn has(sorted: &[Property], property: &Property) -> bool {
    sorted.binary_search_by_key(&property.at, |other| other.at).is_ok()
}

/// Bytes for people: those that no terminal shows as `\x..`.
fn escaped(bytes: &[u8]) -> String {
    bytes.escape_ascii().map(char::from).collect()
}
