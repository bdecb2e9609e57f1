//! What a pad leaves for the patch of the linked kernel: which table, how large each array is, and the tokens.
//!
//! Lines of `key value`, the first of which says what the file is; unknown keys are refused, since a reader that passes
//! over them could not know that they do not matter.
//!
//! ```text
//! kbt-kallsyms-pad 1
//! kernel 6.12
//! class 64
//! endian little
//! addresses base-relative
//! all-symbols yes
//! lto-clang no
//! slack 0
//! slot kallsyms_num_syms 4
//! slot kallsyms_names 291520
//! tokens 5f5f696e69740000...
//! ```

use std::fmt::{self, Write as _};

use crate::kernel::Kernel;
use crate::layout::{AddressTable, Array, Class, Endianness, Layout};
use crate::token::TokenTable;

/// What a pad decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PadFile {
    /// Whose habits.
    pub kernel: Kernel,
    /// The table's layout.
    pub layout: Layout,
    /// Whether all symbols are in it, or those of the text.
    pub all_symbols: bool,
    /// Whether sequence numbers are by names without `.llvm.` and what follows it (`--lto-clang` of 6.1 to 6.9).
    pub cut_names: bool,
    /// Bytes of reserve behind every array that grows.
    pub slack: u32,
    /// The size of every array in the layout's order, in bytes.
    pub slots: Vec<(Array, u64)>,
    /// The tokens that were learned.
    pub tokens: TokenTable,
}

/// A file that is none, with the line (from 1) that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PadFileError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub kind: PadFileErrorKind,
}

/// The kinds of [`PadFileError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PadFileErrorKind {
    /// The first line is another.
    NoPadFile,
    /// A line that is not understood, or that comes twice.
    Line,
    /// The file ends, and this key was not in it.
    Missing(&'static str),
    /// The arrays are not those of the layout.
    Slots,
}

impl fmt::Display for PadFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        match self.kind {
            PadFileErrorKind::NoPadFile => {
                write!(f, "this is no pad file of kbt ('{FIRST}' is its first line)")
            }
            PadFileErrorKind::Line => write!(f, "line {line} is not understood"),
            PadFileErrorKind::Missing(key) => write!(f, "the pad file has no line '{key}'"),
            PadFileErrorKind::Slots => f.write_str("the arrays of the pad file are not those of its layout"),
        }
    }
}

impl std::error::Error for PadFileError {}

const FIRST: &str = "kbt-kallsyms-pad 1";

const ADDRESSES: [AddressTable; 5] = [
    AddressTable::Absolute,
    AddressTable::BaseRelative,
    AddressTable::BaseRelativePercpu,
    AddressTable::PlaceRelative,
    AddressTable::Absolute32,
];

const YES: [(&str, bool); 2] = [("yes", true), ("no", false)];

/// Longest token table that 16-bit offsets reach, and its last string.
const MAX_TOKENS: usize = 2 << 16;

impl PadFile {
    /// The text of the file.
    pub fn to_text(&self) -> String {
        let layout = &self.layout;
        let class = if layout.class == Class::Elf64 { 64 } else { 32 };
        let endian = if layout.endian == Endianness::Big { "big" } else { "little" };
        let yes = |is: bool| if is { "yes" } else { "no" };
        let mut text = format!(
            "{FIRST}\nkernel {}\nclass {class}\nendian {endian}\naddresses {}\nall-symbols {}\nlto-clang {}\nslack {}\n",
            self.kernel.name(),
            layout.addresses.name(),
            yes(self.all_symbols),
            yes(self.cut_names),
            self.slack,
        );
        for (array, size) in &self.slots {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "slot {array} {size}");
        }
        text.push_str("tokens ");
        for byte in self.tokens.bytes() {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    ///
    /// The first line that is not as [`Self::to_text`] writes it, or a line that is missing.
    pub fn parse(text: &[u8]) -> Result<Self, PadFileError> {
        let mut draft = Draft::default();
        let mut count = 0;
        for (line, bytes) in (1..).zip(text.trim_ascii_end().split(|&byte| byte == b'\n')) {
            count = line;
            let kind = if line == 1 { PadFileErrorKind::NoPadFile } else { PadFileErrorKind::Line };
            let error = PadFileError { line, kind };
            let words = std::str::from_utf8(bytes).map_err(|_| error)?.trim_end();
            let understood = if line == 1 { (words == FIRST).then_some(()) } else { draft.line(words) };
            understood.ok_or(error)?;
        }
        draft.finish().map_err(|kind| PadFileError { line: count, kind })
    }
}

/// A file of which some lines were read.
#[derive(Default)]
struct Draft {
    kernel: Option<Kernel>,
    class: Option<Class>,
    endian: Option<Endianness>,
    addresses: Option<AddressTable>,
    all_symbols: Option<bool>,
    cut_names: Option<bool>,
    slack: Option<u32>,
    slots: Vec<(Array, u64)>,
    tokens: Option<TokenTable>,
}

impl Draft {
    /// Takes a line; `None` where it is not understood.
    fn line(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(' ')?;
        match key {
            "kernel" => set(&mut self.kernel, Kernel::ALL.into_iter().find(|kernel| kernel.name() == value)),
            "class" => set(&mut self.class, one_of(value, [("32", Class::Elf32), ("64", Class::Elf64)])),
            "endian" => {
                let orders = [("little", Endianness::Little), ("big", Endianness::Big)];
                set(&mut self.endian, one_of(value, orders))
            }
            "addresses" => set(&mut self.addresses, ADDRESSES.into_iter().find(|kind| kind.name() == value)),
            "all-symbols" => set(&mut self.all_symbols, one_of(value, YES)),
            "lto-clang" => set(&mut self.cut_names, one_of(value, YES)),
            "slack" => set(&mut self.slack, value.parse().ok()),
            "slot" => {
                let (array, size) = value.split_once(' ')?;
                let array = Array::from_symbol(array.as_bytes())?;
                // More than all arrays that there are is a mistake.
                (self.slots.len() < Array::ALL.len()).then_some(())?;
                self.slots.push((array, size.parse().ok()?));
                Some(())
            }
            "tokens" => set(&mut self.tokens, tokens(value)),
            _ => None,
        }
    }

    fn finish(self) -> Result<PadFile, PadFileErrorKind> {
        use PadFileErrorKind::Missing;
        let kernel = self.kernel.ok_or(Missing("kernel"))?;
        let class = self.class.ok_or(Missing("class"))?;
        let endian = self.endian.ok_or(Missing("endian"))?;
        let addresses = self.addresses.ok_or(Missing("addresses"))?;
        let seqs = self.slots.iter().any(|(array, _)| *array == Array::SeqsOfNames);
        let layout = Layout { seqs, ..kernel.layout(class, endian, addresses) };
        if !self.slots.iter().map(|(array, _)| *array).eq(layout.arrays()) {
            return Err(PadFileErrorKind::Slots);
        }
        Ok(PadFile {
            kernel,
            layout,
            all_symbols: self.all_symbols.ok_or(Missing("all-symbols"))?,
            cut_names: self.cut_names.ok_or(Missing("lto-clang"))?,
            slack: self.slack.ok_or(Missing("slack"))?,
            slots: self.slots,
            tokens: self.tokens.ok_or(Missing("tokens"))?,
        })
    }
}

/// Sets what was not set before.
fn set<T>(slot: &mut Option<T>, value: Option<T>) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value?);
    Some(())
}

fn one_of<T: Copy, const N: usize>(word: &str, words: [(&str, T); N]) -> Option<T> {
    words.into_iter().find(|(known, _)| *known == word).map(|(_, value)| value)
}

/// Reads the token table: 256 strings, each ended by a NUL.
fn tokens(digits: &str) -> Option<TokenTable> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) || digits.len() > 2 * MAX_TOKENS {
        return None;
    }
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    let bytes: Vec<u8> = digits.chunks_exact(2).map(byte).collect::<Option<_>>()?;
    let (last, strings) = bytes.split_last()?;
    let strings: Vec<&[u8]> = strings.split(|&byte| byte == 0).collect();
    let table = (*last == 0 && strings.len() == 256).then(|| TokenTable::from_strings(strings))?;
    table.index().is_ok().then_some(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> PadFile {
        let layout = Kernel::V6_12.layout(Class::Elf64, Endianness::Big, AddressTable::BaseRelative);
        let mut strings = vec![Vec::new(); 256];
        strings[usize::from(b'a')] = b"a".to_vec();
        strings[255] = b"ab_".to_vec();
        PadFile {
            kernel: Kernel::V6_12,
            layout,
            all_symbols: true,
            cut_names: false,
            slack: 24,
            slots: layout.arrays().into_iter().zip([4, 1 << 33, 8, 300, 512, 16, 8, 12]).collect(),
            tokens: TokenTable::from_strings(strings.iter().map(Vec::as_slice)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let record = record();
        assert_eq!(PadFile::parse(record.to_text().as_bytes()), Ok(record.clone()));
        // Other line ends, and an end of the file that an editor made.
        let edited = record.to_text().replace('\n', "\r\n") + "\n";
        assert_eq!(PadFile::parse(edited.as_bytes()), Ok(record));
    }

    #[test]
    fn broken_files_name_their_line() {
        let text = record().to_text();
        let broken =
            |from: &str, to: &str| PadFile::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
        let at = |line, kind| PadFileError { line, kind };
        assert_eq!(broken("pad 1", "pad 2"), at(1, PadFileErrorKind::NoPadFile));
        assert_eq!(broken("kernel 6.12", "kernel 6.11"), at(2, PadFileErrorKind::Line));
        assert_eq!(broken("slack 24", "slack 24\nslack 24"), at(9, PadFileErrorKind::Line));
        assert_eq!(broken("slack 24", "slack -1"), at(8, PadFileErrorKind::Line));
        assert_eq!(broken("slack 24\n", ""), at(16, PadFileErrorKind::Missing("slack")));
        assert_eq!(broken("tokens 00", "tokens 0"), at(17, PadFileErrorKind::Line));
        assert_eq!(broken("tokens 00", "tokens 0x"), at(17, PadFileErrorKind::Line));
        assert_eq!(broken("tokens 00", "tokens "), at(17, PadFileErrorKind::Line));
        assert_eq!(PadFile::parse(b"").unwrap_err(), at(1, PadFileErrorKind::NoPadFile));
        assert_eq!(PadFile::parse(&[0xff; 9]).unwrap_err(), at(1, PadFileErrorKind::NoPadFile));
    }

    #[test]
    fn the_arrays_must_be_those_of_the_layout() {
        let text = record().to_text();
        for (from, to) in
            [("slot kallsyms_num_syms 4\n", ""), ("addresses base-relative", "addresses place-relative")]
        {
            let error = PadFile::parse(text.replace(from, to).as_bytes()).unwrap_err();
            assert_eq!(error.kind, PadFileErrorKind::Slots);
        }
    }
}
