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
        let end = near_end(rest).or_else(|| memchr::memchr(0, rest)).unwrap_or(rest.len());
        rest.get(..end)
    }
}

/// Where the first NUL is, if it is among the first words: most names are too short for a search that has to be set up.
#[inline]
fn near_end(rest: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = LOW << 7;
    let (words, _) = rest.as_chunks::<8>();
    words.iter().take(5).enumerate().find_map(|(index, word)| {
        let word = u64::from_le_bytes(*word);
        // Of the bytes that are zero the lowest one shows without fail.
        let zeros = word.wrapping_sub(LOW) & !word & HIGH;
        (zeros != 0).then(|| 8 * index + zeros.trailing_zeros() as usize / 8)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_ends_at_its_first_nul_or_with_the_table() {
        for len in 0..64 {
            for behind in 0..10 {
                // Bytes that differ from zero by one bit, and a second NUL.
                let name = [1, 0x80, 0xff].repeat(len)[..len].to_vec();
                let mut bytes = [&[0, b'x'][..], &name].concat();
                let table = |bytes: &[u8]| StringTable::new(bytes).get(2).map(<[u8]>::to_vec);
                assert_eq!(table(&bytes), Some(name.clone()).filter(|name| !name.is_empty()));
                bytes.push(0);
                bytes.extend((0..behind).map(|byte| byte % 3));
                assert_eq!(table(&bytes), Some(name));
            }
        }
    }
}
