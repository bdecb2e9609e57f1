//! What one module says of itself, as far as depmod needs it: two allocations a module, whatever it holds.
//!
//! A reader fills a [`FactsBuilder`], which is kept for all modules of a worker, and takes the facts out of it with
//! [`FactsBuilder::finish`]; they own copies of the names and nothing of the module's bytes.

use core::fmt;
use core::ops::Range;

/// Bytes of names and values that one module may have. A symbol table may name one long string many times over, so
/// the size of the file is no bound.
pub const MAX_TEXT: usize = 64 << 20;

/// An exported symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Export<'f> {
    /// Its name, of any bytes but NUL.
    pub name: &'f [u8],
    /// The checksum of its type, 0 where the module has none.
    pub crc: u64,
}

/// A symbol that the module wants from the kernel or from another module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Import<'f> {
    /// Its name, of any bytes but NUL.
    pub name: &'f [u8],
    /// The checksum that the module was built against, 0 where it has none.
    pub crc: u64,
    /// Whether the module loads without it (`STB_WEAK`).
    pub weak: bool,
}

/// The facts of one module, in the order in which kmod lists them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModuleFacts {
    text: Box<[u8]>,
    /// Aliases, softdeps, weakdeps, exports, imports, one kind after the other.
    records: Box<[Record]>,
    /// Where each kind but the last ends in `records`.
    ends: [u32; 4],
}

/// A piece of text with what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Record {
    start: u32,
    /// The length; the top bit tells a weak symbol.
    length: u32,
    crc: u64,
}

const WEAK: u32 = 1 << 31;

#[derive(Clone, Copy)]
enum Kind {
    Alias,
    Softdep,
    Weakdep,
    Export,
    Import,
}

impl ModuleFacts {
    /// Values of `alias=` in `.modinfo`, raw.
    pub fn aliases(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.texts(Kind::Alias)
    }

    /// Values of `softdep=` in `.modinfo`, raw.
    pub fn softdeps(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.texts(Kind::Softdep)
    }

    /// Values of `weakdep=` in `.modinfo`, raw.
    pub fn weakdeps(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.texts(Kind::Weakdep)
    }

    /// The symbols that the module exports, in the order of kmod's list.
    pub fn exports(&self) -> impl ExactSizeIterator<Item = Export<'_>> {
        let export = |record: &Record| Export { name: self.text(record), crc: record.crc };
        self.records(Kind::Export).iter().map(export)
    }

    /// The symbols that it wants: undefined entries of `.symtab` in their order, then the names that only `__versions` has.
    pub fn imports(&self) -> impl ExactSizeIterator<Item = Import<'_>> {
        let import = |record: &Record| Import {
            name: self.text(record),
            crc: record.crc,
            weak: record.length & WEAK != 0,
        };
        self.records(Kind::Import).iter().map(import)
    }

    fn texts(&self, kind: Kind) -> impl ExactSizeIterator<Item = &[u8]> {
        self.records(kind).iter().map(|record| self.text(record))
    }

    fn records(&self, kind: Kind) -> &[Record] {
        let end = |index: usize| self.ends.get(index).map_or(self.records.len(), |&end| end as usize);
        let index = kind as usize;
        let range: Range<usize> = if index == 0 { 0..end(0) } else { end(index - 1)..end(index) };
        self.records.get(range).unwrap_or_default()
    }

    fn text(&self, record: &Record) -> &[u8] {
        let start = record.start as usize;
        self.text.get(start..start + (record.length & !WEAK) as usize).unwrap_or_default()
    }
}

/// The names and values of a module pass [`MAX_TEXT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMuchText;

impl fmt::Display for TooMuchText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the module's names and values pass {} MiB", MAX_TEXT >> 20)
    }
}

impl core::error::Error for TooMuchText {}

/// Collects the facts of one module after the other; its buffers are kept.
#[derive(Debug, Default)]
pub struct FactsBuilder {
    text: Vec<u8>,
    records: [Vec<Record>; 5],
    overflow: bool,
}

impl FactsBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what was collected and keeps the buffers.
    pub fn clear(&mut self) {
        self.text.clear();
        self.records.iter_mut().for_each(Vec::clear);
        self.overflow = false;
    }

    /// A value of `alias=`.
    pub fn push_alias(&mut self, value: &[u8]) {
        self.push(Kind::Alias, value, 0, false);
    }

    /// A value of `softdep=`.
    pub fn push_softdep(&mut self, value: &[u8]) {
        self.push(Kind::Softdep, value, 0, false);
    }

    /// A value of `weakdep=`.
    pub fn push_weakdep(&mut self, value: &[u8]) {
        self.push(Kind::Weakdep, value, 0, false);
    }

    /// An exported symbol.
    pub fn push_export(&mut self, name: &[u8], crc: u64) {
        self.push(Kind::Export, name, crc, false);
    }

    /// A symbol that the module wants.
    pub fn push_import(&mut self, name: &[u8], crc: u64, weak: bool) {
        self.push(Kind::Import, name, crc, weak);
    }

    /// Forgets the exported symbols: kmod drops the list where its reading fails midway.
    pub fn clear_exports(&mut self) {
        self.records[Kind::Export as usize].clear();
    }

    /// Forgets the wanted symbols, likewise.
    pub fn clear_imports(&mut self) {
        self.records[Kind::Import as usize].clear();
    }

    /// Takes the facts and leaves the builder empty.
    ///
    /// # Errors
    /// More was pushed than a module may say.
    pub fn finish(&mut self) -> Result<ModuleFacts, TooMuchText> {
        let facts = if self.overflow { Err(TooMuchText) } else { Ok(self.facts()) };
        self.clear();
        facts
    }

    fn facts(&self) -> ModuleFacts {
        let mut ends = [0; 4];
        let mut end = 0;
        for (place, records) in ends.iter_mut().zip(&self.records) {
            // Fewer than MAX_TEXT records, see `push`.
            end += u32::try_from(records.len()).unwrap_or(u32::MAX);
            *place = end;
        }
        ModuleFacts { text: self.text.as_slice().into(), records: self.records.concat().into(), ends }
    }

    fn push(&mut self, kind: Kind, text: &[u8], crc: u64, weak: bool) {
        let start = self.text.len();
        // A byte more each, so that the number of empty texts is bounded too.
        if self.overflow || text.len() >= MAX_TEXT - start {
            self.overflow = true;
            return;
        }
        self.text.extend_from_slice(text);
        self.text.push(0);
        let flag = if weak { WEAK } else { 0 };
        let (Ok(start), Ok(length)) = (u32::try_from(start), u32::try_from(text.len())) else { return };
        self.records[kind as usize].push(Record { start, length: length | flag, crc });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_their_order_and_their_own_texts() {
        let mut builder = FactsBuilder::new();
        builder.push_import(b"printk", 7, false);
        builder.push_alias(b"pci:*");
        builder.push_export(b"mine", 9);
        builder.push_import(b"maybe", 0, true);
        builder.push_alias(b"");
        builder.push_weakdep(b"w");
        let facts = builder.finish().unwrap();
        assert_eq!(facts.aliases().collect::<Vec<_>>(), [b"pci:*".as_slice(), b""]);
        assert_eq!(facts.softdeps().len(), 0);
        assert_eq!(facts.weakdeps().collect::<Vec<_>>(), [b"w"]);
        assert_eq!(facts.exports().collect::<Vec<_>>(), [Export { name: b"mine", crc: 9 }]);
        let imports: Vec<_> = facts.imports().map(|import| (import.name, import.crc, import.weak)).collect();
        assert_eq!(imports, [(b"printk".as_slice(), 7, false), (b"maybe", 0, true)]);
        assert_eq!(builder.finish().unwrap(), ModuleFacts::default());
    }

    #[test]
    fn one_string_named_over_and_over_is_refused() {
        let mut builder = FactsBuilder::new();
        let long = vec![b'a'; 1 << 20];
        for _ in 0..65 {
            builder.push_import(&long, 0, false);
        }
        assert_eq!(builder.finish(), Err(TooMuchText));
        assert_eq!(builder.finish(), Ok(ModuleFacts::default()));
    }
}
