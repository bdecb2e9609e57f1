//! Names, each ended by a NUL.

/// A string table: the bytes of a section of names.
#[derive(Debug, Clone, Copy, Default)]
pub struct StringTable<'data> {
    bytes: &'data [u8],
}

impl<'data> StringTable<'data> {
    /// The table in `bytes`.
    pub fn new(bytes: &'data [u8]) -> Self {
        Self { bytes }
    }

    /// All bytes of the table.
    pub fn bytes(&self) -> &'data [u8] {
        self.bytes
    }

    /// The string at `offset` and all that follows it; `None` behind the table.
    #[inline]
    pub fn tail(&self, offset: u32) -> Option<&'data [u8]> {
        self.bytes.get(offset as usize..).filter(|rest| !rest.is_empty())
    }

    /// The string at `offset`, without its NUL; one that the table cuts off ends there. `None` behind the table.
    pub fn get(&self, offset: u32) -> Option<&'data [u8]> {
        let rest = self.tail(offset)?;
        let end = memchr::memchr(0, rest).unwrap_or(rest.len());
        rest.get(..end)
    }
}
