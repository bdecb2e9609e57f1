//! How much memory a call takes at most, counted before it begins (see [`host`](crate::host)).
//!
//! Idea: whatever the merge keeps is kept for a node, a property, a byte of a name or a cell of an input, so one pass
//! over the tokens counts those, and a constant each says what it may cost. The constants are twice the size of the
//! records of `kbt-fdt` and `kbt-dto`, and twice that where a list grows by doubling and leaves its old place behind.
//!
//! The pass checks nothing: it stops where a tree is odd, and there the merge stops as well.
//!
//! Limits: the merged tree itself is not counted; the merge asks for it in a way that may fail. Nothing here makes sure
//! that the constants fit those crates, but tests do: over real trees, made ones and mutated ones, no call takes
//! a block of the host beside this one and the result.

use kbt_fdt::{Blob, MAX_DEPTH, Tag, find_byte};

use crate::inflate;

/// Room for what every call has: empty tables, warnings, the error's place.
const EVERY_CALL: usize = 32 << 10;
/// As many warnings are kept, each with a name.
const WARNINGS: usize = 100;
/// Properties or children of a node up to which no table is made of them.
const WIDE: usize = 16;

/// What a tree has of everything that costs.
#[derive(Default)]
struct Counts {
    /// Bytes of the structure block.
    structure: usize,
    /// Bytes of the strings block.
    strings: usize,
    nodes: usize,
    properties: usize,
    /// Properties of nodes that have many.
    wide: usize,
    /// Properties that may be phandles, since their values have four bytes and their names the first letter.
    phandles: usize,
    /// Properties of nodes that are called `__symbols__`.
    symbols: usize,
    /// Bytes of values below `__local_fixups__`.
    local: usize,
    /// Bytes of the longest path.
    longest: usize,
}

/// Bytes that merging takes, the merged tree not counted; `None` where an overlay is a null pointer.
pub fn of_merge<'a>(
    base: &[u8],
    overlays: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
    loose_names: bool,
) -> Option<usize> {
    let base = Counts::of(base);
    // A table of children for either kind of names.
    let tables = if loose_names { 3 } else { 1 };
    let mut longest = base.longest;
    let mut size = Size(EVERY_CALL);
    size.add(overlays.len(), 512);
    base.add_scan(&mut size);
    size.add(base.nodes, 96 * tables);
    size.add(base.wide, 96);
    let mut symbols = 0;
    for overlay in overlays {
        let overlay = Counts::of(overlay?);
        overlay.add_scan(&mut size);
        size.add(overlay.structure, 2);
        size.add(overlay.strings, 8);
        size.add(overlay.nodes, 256 + 96 * tables);
        size.add(overlay.properties, 256);
        size.add(overlay.wide, 96);
        size.add(overlay.local, 16);
        symbols += overlay.symbols;
        longest += overlay.longest;
        // What a symbol becomes: the target's path, and the rest of its own, which is in the structure's bytes.
        size.add(overlay.symbols.saturating_mul(longest + 64), 3);
        size.add(overlay.structure, 4);
    }
    size.add(symbols, 64);
    size.add(longest, WARNINGS + 16);
    Some(size.0)
}

/// Bytes that the table of an image takes.
pub fn of_image(image: &[u8]) -> usize {
    // Where the header states more entries than there is room for, the table is refused before it is read.
    const SMALLEST_ENTRY: usize = 32;
    let stated = image.get(16..).and_then(<[u8]>::first_chunk).map_or(0, |word| u32::from_be_bytes(*word));
    let mut size = Size(EVERY_CALL);
    size.add((stated as usize).min(image.len() / SMALLEST_ENTRY), size_of::<kbt_dtbo_image::DtTableEntry>());
    size.0
}

/// Bytes that inflating takes.
pub fn of_inflate() -> usize {
    const BESIDE: usize = 64;
    inflate::WINDOW + inflate::DECODER + BESIDE
}

/// A sum that stays at the largest number: no host has that much, and the call fails in order.
struct Size(usize);

impl Size {
    fn add(&mut self, count: usize, bytes: usize) {
        self.0 = self.0.saturating_add(count.saturating_mul(bytes));
    }
}

impl Counts {
    fn of(tree: &[u8]) -> Self {
        let Ok(blob) = Blob::parse(tree) else { return Self::default() };
        let structure = blob.structure().bytes();
        let mut counts =
            Self { structure: structure.len(), strings: blob.strings().bytes().len(), ..Self::default() };
        let mut walk = Walk { words: structure.as_chunks().0, at: 0, strings: blob.strings().bytes() };
        walk.count(&mut counts);
        counts
    }

    /// The list of nodes and what goes with each, and the phandles.
    fn add_scan(&self, size: &mut Size) {
        // Room for as many as a tree of this size has in practice is taken at once: 20 bytes, and 4 for its phandle,
        // for each 16 of the structure, and 12 for each 48.
        size.add(self.structure, 2);
        size.add(self.nodes, 8);
        if self.nodes > self.structure / 16 {
            size.add(self.nodes, 72);
        }
        size.add(self.phandles, 24);
        if self.phandles > self.structure / 48 {
            size.add(self.phandles, 64);
        }
    }
}

struct Walk<'t> {
    words: &'t [[u8; 4]],
    at: usize,
    strings: &'t [u8],
}

impl<'t> Walk<'t> {
    fn count(&mut self, counts: &mut Counts) {
        // Of each open node the length of its path; the depth of an open __local_fixups__.
        let (mut paths, mut depth, mut local) = ([0_u32; MAX_DEPTH as usize + 1], 0, None);
        let (mut properties, mut is_symbols) = (0, false);
        while let Some(tag) = self.words.get(self.at) {
            self.at += 1;
            match u32::from_be_bytes(*tag) {
                Tag::PROP => {
                    let Some(length) = self.property(counts) else { return };
                    properties += 1;
                    counts.symbols += usize::from(is_symbols);
                    // With the first one too many the others are, too.
                    counts.wide +=
                        if properties == WIDE + 1 { properties } else { usize::from(properties > WIDE) };
                    counts.local += if local.is_some() { length } else { 0 };
                    continue;
                }
                Tag::BEGIN_NODE => {
                    let Some(name) = self.name() else { return };
                    let above = paths.get(depth).copied().unwrap_or(0);
                    depth += 1;
                    let Some(path) = paths.get_mut(depth) else { return };
                    *path =
                        above.saturating_add(u32::try_from(name.len()).unwrap_or(u32::MAX)).saturating_add(1);
                    counts.nodes += 1;
                    counts.longest = counts.longest.max(*path as usize);
                    is_symbols = name == b"__symbols__";
                    if name == b"__local_fixups__" {
                        local.get_or_insert(depth);
                    }
                }
                Tag::END_NODE if depth > 1 => {
                    local = local.filter(|&top| top < depth);
                    depth -= 1;
                    is_symbols = false;
                }
                Tag::NOP => continue,
                _ => return,
            }
            properties = 0;
        }
    }

    /// Passes a property, behind its tag, and gives its length.
    fn property(&mut self, counts: &mut Counts) -> Option<usize> {
        let [length, name] = self.words.get(self.at..)?.first_chunk()?;
        let (length, name) = (u32::from_be_bytes(*length) as usize, u32::from_be_bytes(*name) as usize);
        self.at = self.at.checked_add(2 + length.div_ceil(4))?;
        counts.properties += 1;
        counts.phandles += usize::from(length == 4 && matches!(self.strings.get(name), Some(b'p' | b'l')));
        Some(length)
    }

    /// Passes a node's name, behind the tag.
    fn name(&mut self) -> Option<&'t [u8]> {
        let rest = self.words.get(self.at..)?.as_flattened();
        let length = find_byte(rest, 0)?;
        self.at += length / 4 + 1;
        rest.get(..length)
    }
}
