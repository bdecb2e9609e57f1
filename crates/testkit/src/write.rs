//! A tree as a flattened device tree (Devicetree Specification 0.4, chapter 5), tidy or odd.

use std::collections::HashMap;

use crate::tree::{Node, Tree};

/// How names of properties share the strings block.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StringSharing {
    /// Each name once.
    #[default]
    Once,
    /// A name that ends an earlier one points into it, as libfdt's sequential writer does.
    Suffix,
    /// A copy for each property.
    Never,
}

/// The order of the blocks behind the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BlockOrder {
    /// Reservations, structure, strings: what dtc writes.
    #[default]
    Usual,
    /// Strings, structure, reservations.
    Reversed,
    /// Structure, reservations, strings.
    StructureFirst,
}

/// What a file may do differently without meaning something else.
#[derive(Debug, Clone, Copy)]
pub struct WriteOptions {
    /// 17, or 16, whose header has no size of the structure block.
    pub version: u32,
    /// How names share the strings block.
    pub sharing: StringSharing,
    /// The order of the blocks.
    pub order: BlockOrder,
    /// A NOP token before each other token but the first: libfdt takes the root node to be at offset 0.
    pub nops: bool,
    /// Bytes between two blocks, beyond what alignment asks for.
    pub gap: usize,
    /// Zero bytes at the end, inside `totalsize`.
    pub padding: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            version: 17,
            sharing: StringSharing::default(),
            order: BlockOrder::default(),
            nops: false,
            gap: 0,
            padding: 0,
        }
    }
}

/// The tree as dtc would lay it out.
pub fn write(tree: &Tree) -> Vec<u8> {
    write_with(tree, &WriteOptions::default())
}

/// The tree in an unusual form.
pub fn write_with(tree: &Tree, options: &WriteOptions) -> Vec<u8> {
    let mut blocks =
        Blocks { options: *options, structure: Vec::new(), strings: Strings::new(options.sharing) };
    blocks.node(&tree.root);
    blocks.token(9);
    let mut reservations = Vec::new();
    for (address, size) in tree.reservations.iter().chain([&(0, 0)]) {
        reservations.extend(address.to_be_bytes());
        reservations.extend(size.to_be_bytes());
    }
    let (structure, strings) = (blocks.structure, blocks.strings.block);
    let header_size = if options.version >= 17 { 40 } else { 36 };
    let mut file = vec![0; header_size];
    let mut place = |block: &[u8], alignment: usize| {
        let start = (file.len() + options.gap).next_multiple_of(alignment);
        file.resize(start, 0);
        file.extend(block);
        start
    };
    let (reservations_at, structure_at, strings_at);
    match options.order {
        BlockOrder::Usual => {
            reservations_at = place(&reservations, 8);
            structure_at = place(&structure, 4);
            strings_at = place(&strings, 1);
        }
        BlockOrder::Reversed => {
            strings_at = place(&strings, 1);
            structure_at = place(&structure, 4);
            reservations_at = place(&reservations, 8);
        }
        BlockOrder::StructureFirst => {
            structure_at = place(&structure, 4);
            reservations_at = place(&reservations, 8);
            strings_at = place(&strings, 1);
        }
    }
    file.resize(file.len() + options.padding, 0);
    let header = [
        0xd00d_feed,
        cell(file.len()),
        cell(structure_at),
        cell(strings_at),
        cell(reservations_at),
        options.version,
        16,
        tree.boot_cpuid,
        cell(strings.len()),
        cell(structure.len()),
    ];
    for (field, value) in file[..header_size].chunks_exact_mut(4).zip(header) {
        field.copy_from_slice(&value.to_be_bytes());
    }
    file
}

struct Blocks {
    options: WriteOptions,
    structure: Vec<u8>,
    strings: Strings,
}

impl Blocks {
    /// Writes a node with its own stack, so that a test of depth does not overflow this one.
    fn node(&mut self, root: &Node) {
        self.begin(root);
        let mut open = vec![root.children.iter()];
        while let Some(children) = open.last_mut() {
            if let Some(child) = children.next() {
                self.begin(child);
                open.push(child.children.iter());
            } else {
                open.pop();
                self.token(2);
            }
        }
    }

    fn begin(&mut self, node: &Node) {
        self.token(1);
        self.structure.extend(node.name.as_bytes());
        self.structure.push(0);
        self.align();
        for (name, value) in &node.properties {
            self.token(3);
            self.structure.extend(cell(value.len()).to_be_bytes());
            self.structure.extend(self.strings.offset(name).to_be_bytes());
            self.structure.extend(value);
            self.align();
        }
    }

    fn token(&mut self, token: u32) {
        if self.options.nops && !self.structure.is_empty() {
            self.structure.extend(4u32.to_be_bytes());
        }
        self.structure.extend(token.to_be_bytes());
    }

    fn align(&mut self) {
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }
}

struct Strings {
    sharing: StringSharing,
    block: Vec<u8>,
    offsets: HashMap<String, u32>,
}

impl Strings {
    fn new(sharing: StringSharing) -> Self {
        Self { sharing, block: Vec::new(), offsets: HashMap::new() }
    }

    fn offset(&mut self, name: &str) -> u32 {
        if self.sharing != StringSharing::Never
            && let Some(&offset) = self.offsets.get(name)
        {
            return offset;
        }
        let terminated = [name.as_bytes(), b"\0"].concat();
        let found = match self.sharing {
            StringSharing::Suffix => self.block.windows(terminated.len()).position(|tail| tail == terminated),
            StringSharing::Once | StringSharing::Never => None,
        };
        let offset = cell(found.unwrap_or(self.block.len()));
        if found.is_none() {
            self.block.extend(terminated);
        }
        self.offsets.insert(name.to_owned(), offset);
        offset
    }
}

fn cell(value: usize) -> u32 {
    u32::try_from(value).unwrap()
}
