//! The undo file: the magic; of each place the offset, the length (64 bits each, the lowest byte first), the old and the new
//! bytes; a sum of it all.

use std::borrow::Cow;

/// What an undo file begins with.
const MAGIC: &[u8; 8] = b"KBTUNDO1";

/// Bytes of magic and sum.
pub const FRAME: u64 = 16;
/// Bytes of a change of one byte.
pub const OF_A_BYTE: u64 = 16 + 2;

/// One place: what is there before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    /// Where in the file, in bytes.
    pub offset: u64,
    /// What is there now.
    pub old: Cow<'a, [u8]>,
    /// What is to be there, as many bytes.
    pub new: &'a [u8],
}

impl Change<'_> {
    /// What is in front of the bytes: offset and length.
    fn head(&self) -> [u8; 16] {
        let mut head = [0; 16];
        let numbers = [self.offset, self.old.len() as u64].map(u64::to_le_bytes);
        head.iter_mut().zip(numbers.as_flattened()).for_each(|(to, from)| *to = *from);
        head
    }
}

/// Gives the undo file of these changes to `write`, piece by piece.
///
/// # Errors
///
/// The first that `write` gives.
pub fn encode<E>(changes: &[Change<'_>], write: &mut dyn FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let mut sum = Sum::new();
    write(MAGIC)?;
    for change in changes {
        for part in [&change.head()[..], &change.old, change.new] {
            sum.add(part);
            write(part)?;
        }
    }
    write(&sum.0.to_le_bytes())
}

/// Reads an undo file; `None` where it is none, or not whole.
pub fn decode(bytes: &[u8]) -> Option<Vec<Change<'_>>> {
    let (body, stated) = bytes.split_last_chunk::<8>()?;
    let mut rest = body.strip_prefix(MAGIC)?;
    let (mut changes, mut sum) = (Vec::new(), Sum::new());
    while !rest.is_empty() {
        let head = rest.split_off(..16)?;
        let offset = u64::from_le_bytes(*head.first_chunk()?);
        let len = usize::try_from(u64::from_le_bytes(*head.last_chunk()?)).ok()?;
        let (old, new) = (rest.split_off(..len)?, rest.split_off(..len)?);
        [head, old, new].into_iter().for_each(|part| sum.add(part));
        changes.push(Change { offset, old: old.into(), new });
    }
    (u64::from_le_bytes(*stated) == sum.0).then_some(changes)
}

/// A sum by which a torn file shows: eight bytes at a time, each position with its own weight.
struct Sum(u64);

impl Sum {
    /// That of the magic.
    fn new() -> Self {
        let mut sum = Self(0xcbf2_9ce4_8422_2325);
        sum.add(MAGIC);
        sum
    }

    fn add(&mut self, part: &[u8]) {
        let step = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        let (words, rest) = part.as_chunks();
        let sum = words.iter().fold(self.0, |sum, &word| step(sum, u64::from_le_bytes(word)));
        let rest = rest.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
        self.0 = step(step(sum, rest), part.len() as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes() -> Vec<Change<'static>> {
        let change = |offset, old: &'static [u8], new| Change { offset, old: old.into(), new };
        vec![change(1, b"123", b"abc"), change(8, b"89", b"yz"), change(20, b"0123456789", b"9876543210")]
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut write = |part: &[u8]| {
            bytes.extend_from_slice(part);
            Ok::<_, ()>(())
        };
        encode(&changes(), &mut write).unwrap();
        bytes
    }

    #[test]
    fn a_torn_undo_file_is_of_no_use() {
        let bytes = bytes();
        assert_eq!(decode(&bytes), Some(changes()));
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), None, "{len}");
        }
        for at in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[at] ^= 0x10;
            assert_eq!(decode(&broken), None, "{at}");
        }
    }

    /// What an earlier version has left is still undone.
    #[test]
    fn the_format_is_as_it_was() {
        let bytes = bytes();
        assert!(bytes.starts_with(b"KBTUNDO1\x01\0\0\0\0\0\0\0\x03\0\0\0\0\0\0\x00123abc\x08\0\0\0\0\0\0\0"));
        assert_eq!(bytes.last_chunk(), Some(b"\xff\xe4\x94\xc4\x55\x02\x4c\x28"));
    }
}
