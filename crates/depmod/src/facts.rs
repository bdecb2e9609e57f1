//! What one module says of itself, as far as depmod needs it: one allocation a module, whatever it holds.
//!
//! A reader fills a [`FactsBuilder`], which is kept for all modules of a worker, and takes the facts out of it with
//! [`FactsBuilder::finish`]; they own copies of the names and nothing of the module's bytes.
//!
//! The facts of one [`Kind`] are a piece, which a cache may keep as it is: [`Facts::piece`], and back by
//! [`Facts::from_pieces`]. Where there are none it is empty, else, with numbers in little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | how many there are |
//! | 4 | how many bytes a checksum takes: 0, 4 or 8 |
//! | 4 each | the length of a text; the top bit tells a weak symbol |
//! | 0, 4 or 8 each | the checksum of a symbol |
//! | | the texts |

use core::fmt;

use crate::digest::Digest;

/// Bytes of names and values that one module may have. A symbol table may name one long string many times over, so
/// the size of the file is no bound.
pub const MAX_TEXT: usize = 64 << 20;

/// Kinds of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Values of `alias=`.
    Alias,
    /// Values of `softdep=`.
    Softdep,
    /// Values of `weakdep=`.
    Weakdep,
    /// Exported symbols.
    Export,
    /// Wanted symbols.
    Import,
}

/// How many kinds there are.
pub const KINDS: usize = 5;

impl Kind {
    /// All of them.
    pub const ALL: [Self; KINDS] = [Self::Alias, Self::Softdep, Self::Weakdep, Self::Export, Self::Import];
}

/// Bytes in front of the lengths.
const HEADER: usize = 8;

const WEAK: u32 = 1 << 31;

/// A checksum of each kind of a module's facts; 0 where there are none. Those of symbols are of their names alone: no output
/// has a symbol's checksum, and a module that is built again may have others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksums(pub [u128; KINDS]);

impl Checksums {
    /// That of one kind.
    pub fn of(&self, kind: Kind) -> u128 {
        self.0[kind as usize]
    }
}

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
    /// One piece behind the other.
    bytes: Box<[u8]>,
    /// Where each ends.
    ends: [u32; KINDS],
}

impl ModuleFacts {
    /// To look at them.
    pub fn view(&self) -> Facts<'_> {
        let mut start = 0;
        Facts::from_pieces(self.ends.map(|end| {
            let piece = self.bytes.get(start..end as usize).unwrap_or_default();
            start = end as usize;
            piece
        }))
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
    pieces: [&'f [u8]; KINDS],
}

impl<'f> Facts<'f> {
    /// From what [`Facts::piece`] gave for each kind. Other bytes give other facts, or none, and do no harm.
    pub fn from_pieces(pieces: [&'f [u8]; KINDS]) -> Self {
        Self { pieces }
    }

    /// What a cache may keep of one kind.
    pub fn piece(self, kind: Kind) -> &'f [u8] {
        self.pieces[kind as usize]
    }

    /// The checksums of the pieces.
    pub fn checksums(self) -> Checksums {
        Checksums(Kind::ALL.map(|kind| self.checksum(kind)))
    }

    /// That of one piece.
    pub fn checksum(self, kind: Kind) -> u128 {
        let piece = self.piece(kind);
        if piece.is_empty() {
            return 0;
        }
        let Some(Records { lengths, text, .. }) = self.try_records(kind) else { return Digest::of(piece) };
        let mut digest = Digest::default();
        digest.update(&(lengths.len() as u64).to_le_bytes());
        digest.update(lengths);
        digest.update(text);
        digest.finish()
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
        let (header, rest) = self.piece(kind).split_first_chunk::<HEADER>()?;
        let (numbers, _) = header.as_chunks::<4>();
        let number = |index: usize| numbers.get(index).map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
        let (count, crc_size) = (number(0), number(1));
        let (lengths, rest) = rest.split_at_checked(count.checked_mul(4)?)?;
        let (crcs, text) = rest.split_at_checked(count.checked_mul(crc_size)?)?;
        Some(Records { lengths, crcs, crc_size, text })
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
        let mut bytes = Vec::with_capacity(self.kinds.iter().map(Collected::size).sum());
        let ends = self.kinds.each_ref().map(|kind| {
            kind.write(&mut bytes);
            // Counts and texts of one module stay below MAX_TEXT, see `push`.
            u32::try_from(bytes.len()).unwrap_or(u32::MAX)
        });
        ModuleFacts { bytes: bytes.into_boxed_slice(), ends }
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

    /// Bytes of a checksum.
    fn crc_size(&self) -> usize {
        match self.crcs.as_slice() {
            [] => 0,
            crcs if crcs.iter().all(|crc| u32::try_from(*crc).is_ok()) => 4,
            _ => 8,
        }
    }

    /// How many bytes the piece has at most.
    fn size(&self) -> usize {
        match self.lengths.len() {
            0 => 0,
            count => HEADER + 4 * count + self.crc_size() * count + self.text.len(),
        }
    }

    /// Appends the piece.
    fn write(&self, bytes: &mut Vec<u8>) {
        if self.lengths.is_empty() {
            return;
        }
        let crc_size = self.crc_size();
        for number in [self.lengths.len(), crc_size] {
            bytes.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
        }
        put_numbers(bytes, &self.lengths, |length| length.to_le_bytes());
        if crc_size == 8 {
            put_numbers(bytes, &self.crcs, |crc| crc.to_le_bytes());
        } else {
            put_numbers(bytes, &self.crcs, |crc| {
                let [a, b, c, d, ..] = crc.to_le_bytes();
                [a, b, c, d]
            });
        }
        bytes.extend_from_slice(&self.text);
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
            let view = facts.view();
            assert_eq!(Facts::from_pieces(Kind::ALL.map(|kind| view.piece(kind))), view);
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
        let view = facts.view();
        let read = |kind: Kind, piece: &[u8]| {
            let mut pieces = Kind::ALL.map(|kind| view.piece(kind));
            pieces[kind as usize] = piece;
            let facts = Facts::from_pieces(pieces);
            facts.aliases().count() + facts.exports().count() + facts.imports().count()
        };
        for kind in Kind::ALL {
            let piece = view.piece(kind);
            for at in 0..piece.len() {
                read(kind, &piece[..at]);
                let mut bytes = piece.to_vec();
                bytes[at] ^= 0xFF;
                read(kind, &bytes);
            }
        }
    }

    #[test]
    fn each_kind_has_a_checksum_of_its_own() {
        let checksums_with = |alias: &[u8], import: &[u8], weak: bool, crc: u64| {
            let mut builder = FactsBuilder::new();
            builder.push_alias(alias);
            builder.push_import(import, crc, weak);
            builder.finish().unwrap().view().checksums()
        };
        let checksums = |alias: &[u8], import: &[u8], weak: bool| checksums_with(alias, import, weak, 7);
        let first = checksums(b"a", b"printk", false);
        assert_eq!(first, checksums_with(b"a", b"printk", false, 1 << 40), "only names count");
        assert_eq!(first, checksums(b"a", b"printk", false));
        assert_eq!(first.of(Kind::Softdep), 0);
        let other = checksums(b"b", b"printk", false);
        assert_ne!(first.of(Kind::Alias), other.of(Kind::Alias));
        assert_eq!(first.of(Kind::Import), other.of(Kind::Import));
        assert_ne!(first.of(Kind::Import), checksums(b"a", b"printk", true).of(Kind::Import));
    }
}
