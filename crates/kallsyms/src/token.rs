//! The token table: what each of the 256 codes of a compressed name stands for.
//!
//! A code that occurs as a byte of a name stands for that byte. The others stand for pairs of codes, each made of
//! codes that were there before it; the kernel sees only the strings that they expand to.

use crate::error::{Error, ErrorKind};
use crate::layout::Layout;

/// What a code stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Code {
    /// Nothing: its string is empty.
    #[default]
    Unused,
    /// The byte of its own value.
    Byte,
    /// Two codes, both defined before this one.
    Pair(u8, u8),
}

/// The strings of all codes, and, where it was learned and not read, the pairs that they were made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenTable {
    /// All strings, each ended by a NUL.
    bytes: Vec<u8>,
    /// Where each code's string starts in `bytes`.
    starts: [u32; 256],
    /// Codes of pairs, in the order in which they were defined.
    merges: Vec<(u8, [u8; 2])>,
}

impl TokenTable {
    /// Expands codes into strings. `order` lists the codes of pairs in the order of their definition.
    pub(crate) fn from_codes(codes: &[Code; 256], order: &[u8]) -> Self {
        let mut strings: Vec<Vec<u8>> = vec![Vec::new(); 256];
        for (byte, string) in (0..=u8::MAX).zip(&mut strings) {
            if codes[usize::from(byte)] == Code::Byte {
                string.push(byte);
            }
        }
        let mut merges = Vec::new();
        for &code in order {
            if let Code::Pair(first, second) = codes[usize::from(code)] {
                let string = [&*strings[usize::from(first)], &*strings[usize::from(second)]].concat();
                strings[usize::from(code)] = string;
                merges.push((code, [first, second]));
            }
        }
        Self { merges, ..Self::from_strings(strings.iter().map(Vec::as_slice)) }
    }

    /// A table of these 256 strings; of fewer, the rest is empty.
    pub fn from_strings<'a>(strings: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut strings = strings.into_iter();
        let (mut bytes, mut starts) = (Vec::new(), [0; 256]);
        for start in &mut starts {
            *start = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(strings.next().unwrap_or_default());
            bytes.push(0);
        }
        Self { bytes, starts, merges: Vec::new() }
    }

    /// Reads the two arrays; `table` may have more bytes behind it.
    ///
    /// # Errors
    ///
    /// A string that is not where the index says, or that `table` cuts off, with its code; the offset is within
    /// `table`.
    pub fn parse(table: &[u8], index: &[u8], layout: &Layout) -> Result<Self, Error> {
        let mut strings = Vec::with_capacity(256);
        let mut start = 0;
        for (code, entry) in (0..=u8::MAX).zip(index.chunks_exact(2).chain(std::iter::repeat(&[][..]))) {
            let bad = || Error::at(ErrorKind::BadTokenTable { code }, start as u64);
            let stated = entry.first_chunk().map(|&entry| usize::from(layout.read_u16(entry)));
            let rest = table.get(start..).unwrap_or_default();
            let end = rest.iter().position(|&byte| byte == 0);
            let end = end.filter(|_| stated == Some(start)).ok_or_else(bad)?;
            strings.push(&rest[..end]);
            start += end + 1;
        }
        Ok(Self::from_strings(strings))
    }

    /// What a code expands to.
    pub fn string(&self, code: u8) -> &[u8] {
        let code = usize::from(code);
        let start = self.starts[code] as usize;
        let end = self.starts.get(code + 1).map_or(self.bytes.len(), |&next| next as usize);
        // Without the NUL.
        self.bytes.get(start..end.saturating_sub(1)).unwrap_or_default()
    }

    /// The 256 strings, each ended by a NUL: `kallsyms_token_table`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each string starts: `kallsyms_token_index`.
    ///
    /// # Errors
    ///
    /// Strings that 16 bits do not reach.
    pub fn index(&self) -> Result<[u16; 256], Error> {
        let mut index = [0; 256];
        for (entry, &start) in index.iter_mut().zip(&self.starts) {
            let len = self.bytes.len();
            *entry = u16::try_from(start).map_err(|_| ErrorKind::LongTokens { len })?;
        }
        Ok(index)
    }

    /// The pairs in the order in which they were learned, each with its code; none where the table was read.
    pub fn merges(&self) -> &[(u8, [u8; 2])] {
        &self.merges
    }

    /// Appends what the codes expand to.
    pub fn expand(&self, codes: &[u8], text: &mut Vec<u8>) {
        for &code in codes {
            text.extend_from_slice(self.string(code));
        }
    }
}

/// The compressed names of a table, one behind the other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompressedNames {
    codes: Vec<u8>,
    /// Where each ends in `codes`.
    ends: Vec<u32>,
}

impl CompressedNames {
    /// None yet, with room for `count` names of `bytes` codes.
    pub fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { codes: Vec::with_capacity(bytes), ends: Vec::with_capacity(count) }
    }

    /// Ends the name whose codes were appended by [`Self::codes_mut`].
    pub(crate) fn end_name(&mut self) -> Result<(), Error> {
        let end = self.codes.len();
        self.ends.push(u32::try_from(end).map_err(|_| ErrorKind::TooMuchText { len: end })?);
        Ok(())
    }

    /// Where the codes of the next name go.
    pub(crate) fn codes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.codes
    }

    /// Appends a name.
    ///
    /// # Errors
    ///
    /// More codes in all than 32 bits count.
    pub fn push(&mut self, codes: &[u8]) -> Result<(), Error> {
        self.codes.extend_from_slice(codes);
        self.end_name()
    }

    /// How many names there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Codes of all names together.
    pub fn total(&self) -> usize {
        self.codes.len()
    }

    /// The codes of each name.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.codes[start as usize..end as usize])
    }
}
