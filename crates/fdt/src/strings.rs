//! The strings block (Devicetree Specification v0.4, section 5.5): property names, each with a NUL behind it.

use crate::search::find_byte;

/// A place in the strings block, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StringsOffset(pub u32);

/// A borrowed strings block.
#[derive(Debug, Clone, Copy, Default)]
pub struct StringsBlock<'a> {
    bytes: &'a [u8],
    /// Every offset below is followed by a NUL.
    limit: u32,
}

impl<'a> StringsBlock<'a> {
    /// Wraps a block; bytes behind its last NUL are no strings.
    pub fn new(bytes: &'a [u8]) -> Self {
        let limit = bytes.iter().rposition(|&byte| byte == 0).map_or(0, |last| last + 1);
        Self { bytes, limit: u32::try_from(limit).unwrap_or(u32::MAX) }
    }

    /// The block's bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether a string starts there.
    #[inline]
    pub fn contains(self, offset: StringsOffset) -> bool {
        offset.0 < self.limit
    }

    /// Whether the string at `offset` is no end of a longer one, as far as the block tells.
    #[inline]
    pub fn starts_at(self, offset: StringsOffset) -> bool {
        offset
            .0
            .checked_sub(1)
            .and_then(|before| self.bytes.get(before as usize))
            .is_none_or(|before| *before == 0)
    }

    /// The bytes from `offset` to the end of the block; empty outside the block.
    #[inline]
    pub fn from(self, offset: StringsOffset) -> &'a [u8] {
        self.bytes.get(offset.0 as usize..).unwrap_or_default()
    }

    /// The string at `offset`, without its NUL.
    #[inline]
    pub fn get(self, offset: StringsOffset) -> Option<&'a [u8]> {
        let rest = self.from(offset);
        rest.get(..find_byte(rest, 0)?)
    }

    /// Whether the string at `offset` is `name`.
    #[inline]
    pub fn is(self, offset: StringsOffset, name: &[u8]) -> bool {
        is_string(self.from(offset), name)
    }
}

/// Whether `bytes` start with `name` and a NUL.
#[inline]
pub fn is_string(bytes: &[u8], name: &[u8]) -> bool {
    // The NUL first: it turns most of the others away.
    bytes.get(name.len()) == Some(&0) && bytes.starts_with(name)
}
