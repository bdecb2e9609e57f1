//! What one module says of itself, as far as depmod needs it: one allocation a module, whatever it holds.
//!
//! A reader fills a [`FactsBuilder`], which is kept for all modules of a worker, and takes the facts out of it with
//! [`FactsBuilder::finish`]; they own copies of the names and nothing of the module's bytes.
//!
//! The allocation is what a cache may keep as it is: [`ModuleFacts::as_bytes`], and back by [`Facts::from_bytes`]. In it
//! numbers are little-endian, and kinds follow each other as in `Kind`:
//!
//! | bytes | what |
//! |---|---|
//! | 5 x 4 | how many there are of each kind |
//! | 5 x 4 | where the text of each kind ends |
//! | 4 | 8 where a checksum takes eight bytes, else 4 |
//! | 4 each | the length of a text; the top bit tells a weak symbol |
//! | 4 or 8 each | the checksum of a symbol |
//! | | the texts |

use core::fmt;

/// Bytes of names and values that one module may have. A symbol table may name one long string many times over, so
/// the size of the file is no bound.
pub const MAX_TEXT: usize = 64 << 20;

/// Kinds of facts.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Alias,
    Softdep,
    Weakdep,
    Export,
    Import,
}

const KINDS: usize = 5;

/// Bytes in front of the lengths.
const HEADER: usize = 4 * (2 * KINDS + 1);

const WEAK: u32 = 1 << 31;

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
    bytes: Box<[u8]>,
}

impl ModuleFacts {
    /// To look at them.
    pub fn view(&self) -> Facts<'_> {
        Facts { bytes: &self.bytes }
    }

    /// What a cache may keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// See [`Facts::aliases`].
    pub fn aliases(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.view().aliases()
    }

    /// See [`Facts::softdeps`].
    pub fn softdeps(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.view().softdeps()
    }

    /// See [`Facts::weakdeps`].
    pub fn weakdeps(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.view().weakdeps()
    }

    /// See [`Facts::exports`].
    pub fn exports(&self) -> impl ExactSizeIterator<Item = Export<'_>> {
        self.view().exports()
    }

    /// See [`Facts::imports`].
    pub fn imports(&self) -> impl ExactSizeIterator<Item = Import<'_>> {
        self.view().imports()
    }
}

/// The facts of one module, borrowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts<'f> {
    bytes: &'f [u8],
}

impl<'f> Facts<'f> {
    /// From what [`ModuleFacts::as_bytes`] gave. Other bytes give other facts, or none, and do no harm.
    pub fn from_bytes(bytes: &'f [u8]) -> Self {
        Self { bytes }
    }

    /// What a cache may keep.
    pub fn as_bytes(self) -> &'f [u8] {
        self.bytes
    }

    /// Values of `alias=` in `.modinfo`, raw.
    pub fn aliases(self) -> impl ExactSizeIterator<Item = &'f [u8]> {
        self.records(Kind::Alias).map(|record| record.text)
    }

    /// Values of `softdep=` in `.modinfo`, raw.
    pub fn softdeps(self) -> impl ExactSizeIterator<Item = &'f [u8]> {
        self.records(Kind::Softdep).map(|record| record.text)
    }

    /// Values of `weakdep=` in `.modinfo`, raw.
    pub fn weakdeps(self) -> impl ExactSizeIterator<Item = &'f [u8]> {
        self.records(Kind::Weakdep).map(|record| record.text)
    }

    /// The symbols that the module exports, in the order of kmod's list.
    pub fn exports(self) -> impl ExactSizeIterator<Item = Export<'f>> {
        self.records(Kind::Export).map(|record| Export { name: record.text, crc: record.crc })
    }

    /// The symbols that it wants: undefined entries of `.symtab` in their order, then the names that only `__versions` has.
    pub fn imports(self) -> impl ExactSizeIterator<Item = Import<'f>> {
        let records = self.records(Kind::Import);
        records.map(|record| Import { name: record.text, crc: record.crc, weak: record.weak })
    }

    fn records(self, kind: Kind) -> Records<'f> {
        self.try_records(kind).unwrap_or_default()
    }

    fn try_records(self, kind: Kind) -> Option<Records<'f>> {
        let kind = kind as usize;
        let (header, rest) = self.bytes.split_at_checked(HEADER)?;
        let (numbers, _) = header.as_chunks::<4>();
        let number = |index: usize| numbers.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        let count = |kinds: core::ops::Range<usize>| kinds.map(number).fold(0_usize, usize::saturating_add);
        let crc_size = number(2 * KINDS);
        let symbols = Kind::Export as usize;
        let (lengths, rest) = rest.split_at_checked(count(0..KINDS).checked_mul(4)?)?;
        let (crcs, text) = rest.split_at_checked(count(symbols..KINDS).checked_mul(crc_size)?)?;
        let text_end = |kind: usize| number(KINDS + kind);
        let start = kind.checked_sub(1).map_or(0, text_end);
        let before = count(0..kind).checked_mul(4)?;
        let crcs_before = count(symbols.min(kind)..kind).checked_mul(crc_size)?;
        Some(Records {
            lengths: lengths.get(before..)?.get(..number(kind).checked_mul(4)?)?,
            crcs: if kind < symbols { &[] } else { crcs.get(crcs_before..)? },
            crc_size,
            text: text.get(start..text_end(kind))?,
        })
    }
}

/// One fact.
struct Record<'f> {
    text: &'f [u8],
    weak: bool,
    crc: u64,
}

/// The facts of one kind that are still to come.
#[derive(Default)]
struct Records<'f> {
    lengths: &'f [u8],
    crcs: &'f [u8],
    crc_size: usize,
    text: &'f [u8],
}

impl<'f> Iterator for Records<'f> {
    type Item = Record<'f>;

    #[inline]
    fn next(&mut self) -> Option<Record<'f>> {
        let (length, lengths) = self.lengths.split_first_chunk()?;
        self.lengths = lengths;
        let length = u32::from_le_bytes(*length);
        let (text, rest) = self.text.split_at_checked((length & !WEAK) as usize).unwrap_or_default();
        self.text = rest;
        Some(Record { text, weak: length & WEAK != 0, crc: self.next_crc() })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let count = self.lengths.len() / 4;
        (count, Some(count))
    }
}

impl ExactSizeIterator for Records<'_> {}

impl Records<'_> {
    #[inline]
    fn next_crc(&mut self) -> u64 {
        if self.crc_size == 4 {
            let Some((crc, rest)) = self.crcs.split_first_chunk() else { return 0 };
            self.crcs = rest;
            return u64::from(u32::from_le_bytes(*crc));
        }
        let Some((crc, rest)) = self.crcs.split_first_chunk() else { return 0 };
        self.crcs = rest;
        u64::from_le_bytes(*crc)
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
    kinds: [Collected; KINDS],
    /// Bytes of what was pushed, with three more a piece, so that the number of empty ones is bounded too.
    used: usize,
    overflow: bool,
}

/// The facts of one kind.
#[derive(Debug, Default)]
struct Collected {
    lengths: Vec<u32>,
    crcs: Vec<u64>,
    text: Vec<u8>,
}

impl FactsBuilder {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets what was collected and keeps the buffers.
    pub fn clear(&mut self) {
        self.kinds.iter_mut().for_each(Collected::clear);
        self.used = 0;
        self.overflow = false;
    }

    /// A value of `alias=`.
    pub fn push_alias(&mut self, value: &[u8]) {
        self.push(Kind::Alias, value, false);
    }

    /// A value of `softdep=`.
    pub fn push_softdep(&mut self, value: &[u8]) {
        self.push(Kind::Softdep, value, false);
    }

    /// A value of `weakdep=`.
    pub fn push_weakdep(&mut self, value: &[u8]) {
        self.push(Kind::Weakdep, value, false);
    }

    /// An exported symbol.
    pub fn push_export(&mut self, name: &[u8], crc: u64) {
        self.push(Kind::Export, name, false);
        self.kinds[Kind::Export as usize].crcs.push(crc);
    }

    /// A symbol that the module wants.
    pub fn push_import(&mut self, name: &[u8], crc: u64, weak: bool) {
        self.push(Kind::Import, name, weak);
        self.kinds[Kind::Import as usize].crcs.push(crc);
    }

    /// Forgets the exported symbols: kmod drops the list where its reading fails midway.
    pub fn clear_exports(&mut self) {
        self.kinds[Kind::Export as usize].clear();
    }

    /// Forgets the wanted symbols, likewise.
    pub fn clear_imports(&mut self) {
        self.kinds[Kind::Import as usize].clear();
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
        let wide = self.crcs().any(|crc| u32::try_from(crc).is_err());
        let crc_size = if wide { 8 } else { 4 };
        let records: usize = self.kinds.iter().map(|kind| kind.lengths.len()).sum();
        if records == 0 {
            return ModuleFacts::default();
        }
        let size = HEADER + 4 * records + crc_size * self.crcs().count() + self.text_size();
        let mut bytes = Vec::with_capacity(size);
        // Counts and texts of one module stay below MAX_TEXT, see `push`.
        let mut put = |number: usize| bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        self.kinds.iter().for_each(|kind| put(kind.lengths.len()));
        let mut end = 0;
        for kind in &self.kinds {
            end += kind.text.len();
            put(end);
        }
        put(crc_size);
        for kind in &self.kinds {
            put_numbers(&mut bytes, &kind.lengths, |length| length.to_le_bytes());
        }
        for kind in &self.kinds {
            if wide {
                put_numbers(&mut bytes, &kind.crcs, |crc| crc.to_le_bytes());
            } else {
                put_numbers(&mut bytes, &kind.crcs, |crc| {
                    let [a, b, c, d, ..] = crc.to_le_bytes();
                    [a, b, c, d]
                });
            }
        }
        self.kinds.iter().for_each(|kind| bytes.extend_from_slice(&kind.text));
        ModuleFacts { bytes: bytes.into_boxed_slice() }
    }

    fn crcs(&self) -> impl Iterator<Item = u64> {
        self.kinds.iter().flat_map(|kind| kind.crcs.iter().copied())
    }

    fn text_size(&self) -> usize {
        self.kinds.iter().map(|kind| kind.text.len()).sum()
    }

    fn push(&mut self, kind: Kind, text: &[u8], weak: bool) {
        self.used = self.used.saturating_add(text.len() + 3);
        if self.used > MAX_TEXT {
            self.overflow = true;
            return;
        }
        let collected = &mut self.kinds[kind as usize];
        collected.text.extend_from_slice(text);
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        collected.lengths.push(if weak { length | WEAK } else { length });
    }
}

/// Appends all numbers at once, which is a copy.
fn put_numbers<T: Copy, const SIZE: usize>(
    bytes: &mut Vec<u8>,
    numbers: &[T],
    put: impl Fn(T) -> [u8; SIZE],
) {
    let start = bytes.len();
    bytes.resize(start + SIZE * numbers.len(), 0);
    let places = bytes.get_mut(start..).unwrap_or_default().as_chunks_mut().0;
    for (place, number) in places.iter_mut().zip(numbers) {
        *place = put(*number);
    }
}

impl Collected {
    fn clear(&mut self) {
        self.lengths.clear();
        self.crcs.clear();
        self.text.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_keep_their_order_and_their_own_texts() {
        for wide in [9, 1 << 40] {
            let mut builder = FactsBuilder::new();
            builder.push_import(b"printk", 7, false);
            builder.push_alias(b"pci:*");
            builder.push_export(b"mine", wide);
            builder.push_import(b"maybe", 0, true);
            builder.push_alias(b"");
            builder.push_weakdep(b"w");
            let facts = builder.finish().unwrap();
            assert_eq!(facts.aliases().collect::<Vec<_>>(), [b"pci:*".as_slice(), b""]);
            assert_eq!(facts.softdeps().len(), 0);
            assert_eq!(facts.weakdeps().collect::<Vec<_>>(), [b"w"]);
            assert_eq!(facts.exports().collect::<Vec<_>>(), [Export { name: b"mine", crc: wide }]);
            let imports: Vec<_> =
                facts.imports().map(|import| (import.name, import.crc, import.weak)).collect();
            assert_eq!(imports, [(b"printk".as_slice(), 7, false), (b"maybe", 0, true)]);
            assert_eq!(Facts::from_bytes(facts.as_bytes()), facts.view());
            assert_eq!(builder.finish().unwrap(), ModuleFacts::default());
        }
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

    #[test]
    fn other_bytes_do_no_harm() {
        let mut builder = FactsBuilder::new();
        builder.push_import(b"printk", 7, false);
        builder.push_export(b"mine", 9);
        builder.push_alias(b"x");
        let facts = builder.finish().unwrap();
        let read = |bytes: &[u8]| {
            let facts = Facts::from_bytes(bytes);
            facts.aliases().count() + facts.exports().count() + facts.imports().count()
        };
        for end in 0..facts.as_bytes().len() {
            read(&facts.as_bytes()[..end]);
        }
        for at in 0..facts.as_bytes().len() {
            let mut bytes = facts.as_bytes().to_vec();
            bytes[at] ^= 0xFF;
            read(&bytes);
        }
    }
}
