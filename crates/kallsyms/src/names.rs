//! `kallsyms_names` and `kallsyms_markers`: a length and the codes of each symbol, and a way into the middle.
//!
//! A length below 128 is one byte; from 6.1 on a longer one is two, the lower seven bits first with bit 7 set (ULEB128
//! of two bytes). Before, every length was one byte, since names were shorter than 128 bytes.

use crate::error::{Error, ErrorKind};
use crate::layout::Layout;
use crate::token::CompressedNames;

/// Symbols between two markers.
pub const MARKER_STEP: usize = 256;

/// The two arrays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Lengths and codes.
    pub bytes: Vec<u8>,
    /// Where every 256th symbol starts in `bytes`.
    pub markers: Vec<u32>,
}

impl Names {
    /// Writes the names down.
    ///
    /// # Errors
    ///
    /// A name with more codes than a length can say, an empty one, or more than 32 bits of them all.
    pub fn encode(names: &CompressedNames, layout: &Layout) -> Result<Self, Error> {
        let mut encoded = Self::with_capacity(names.len(), names.total() + names.len());
        for (index, name) in names.iter().enumerate() {
            if index % MARKER_STEP == 0 {
                encoded.mark()?;
            }
            encoded.bytes.extend_from_slice(Length::new(name.len(), layout)?.bytes());
            encoded.bytes.extend_from_slice(name);
        }
        Ok(encoded)
    }

    /// None yet, with room for so many names and bytes.
    pub(crate) fn with_capacity(count: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), markers: Vec::with_capacity(count.div_ceil(MARKER_STEP)) }
    }

    /// Marks the place of the next name.
    pub(crate) fn mark(&mut self) -> Result<(), Error> {
        let len = self.bytes.len();
        self.markers.push(u32::try_from(len).map_err(|_| ErrorKind::TooMuchText { len })?);
        Ok(())
    }

    /// Bytes that a name of so many codes takes, its length included.
    pub fn size(codes: usize, layout: &Layout) -> usize {
        codes + if layout.long_lengths && codes > 0x7f { 2 } else { 1 }
    }
}

/// The bytes in front of a name that say how many codes it takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Length {
    bytes: [u8; 2],
    is_long: bool,
}

impl Length {
    pub(crate) fn new(codes: usize, layout: &Layout) -> Result<Self, Error> {
        let most = layout.longest_name();
        let len = u16::try_from(codes).ok().filter(|_| codes <= most);
        let len = len.ok_or(ErrorKind::LongName { codes, most })?;
        let is_long = layout.long_lengths && len > 0x7f;
        let [low, high] = if is_long { (len << 1).to_le_bytes() } else { len.to_le_bytes() };
        Ok(Self { bytes: if is_long { [low >> 1 | 0x80, high] } else { [low, high] }, is_long })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        if self.is_long { &self.bytes } else { &self.bytes[..1] }
    }
}

/// Goes through the names of an array.
#[derive(Debug, Clone)]
pub struct NamesReader<'a> {
    bytes: &'a [u8],
    at: usize,
    index: usize,
    long_lengths: bool,
}

impl<'a> NamesReader<'a> {
    /// From the first name on; `bytes` may have more behind the last.
    pub fn new(bytes: &'a [u8], layout: &Layout) -> Self {
        Self::from_place(bytes, 0, layout)
    }

    /// From the name on that starts at byte `at`.
    pub(crate) fn from_place(bytes: &'a [u8], at: usize, layout: &Layout) -> Self {
        Self { bytes, at, index: 0, long_lengths: layout.long_lengths }
    }

    /// Where the next name starts in the array.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The codes of the next name.
    ///
    /// # Errors
    ///
    /// An empty name, or one that the array cuts off; the offset is within the array.
    pub fn read(&mut self) -> Result<&'a [u8], Error> {
        let bad = Error::at(ErrorKind::BadName { index: self.index }, self.at as u64);
        let (name, end) = self.next_name().filter(|(name, _)| !name.is_empty()).ok_or(bad)?;
        self.at = end;
        self.index += 1;
        Ok(name)
    }

    fn next_name(&self) -> Option<(&'a [u8], usize)> {
        let first = *self.bytes.get(self.at)?;
        let mut start = self.at + 1;
        let mut len = usize::from(first);
        if self.long_lengths && first >= 0x80 {
            let second = *self.bytes.get(start)?;
            start += 1;
            len = usize::from(first & 0x7f) | usize::from(second) << 7;
        }
        let name = self.bytes.get(start..start + len)?;
        Some((name, start + len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{AddressTable, ArrayOrder, Class, Endianness};

    fn layout(long_lengths: bool) -> Layout {
        Layout {
            class: Class::Elf64,
            endian: Endianness::Little,
            addresses: AddressTable::BaseRelative,
            order: ArrayOrder::CountFirst,
            alignment: 8,
            long_lengths,
            seqs: true,
        }
    }

    fn encode(lengths: &[usize], long: bool) -> Result<Names, Error> {
        let mut names = CompressedNames::default();
        for &len in lengths {
            names.push(&vec![7; len])?;
        }
        Names::encode(&names, &layout(long))
    }

    #[test]
    fn lengths_are_bytes_or_pairs_of_seven_bits() {
        let starts = |len, long| encode(&[len], long).map(|names| names.bytes[..2].to_vec());
        assert_eq!(starts(127, true).unwrap(), [127, 7]);
        assert_eq!(starts(128, true).unwrap(), [0x80, 1]);
        assert_eq!(starts(0x3fff, true).unwrap(), [0xff, 0x7f]);
        assert_eq!(starts(128, false).unwrap(), [128, 7]);
        let error = ErrorKind::LongName { codes: 0x4000, most: 0x3fff };
        assert_eq!(starts(0x4000, true).unwrap_err().kind, error);
        assert_eq!(starts(256, false).unwrap_err().kind, ErrorKind::LongName { codes: 256, most: 255 });
    }

    #[test]
    fn what_is_written_is_read() {
        for long in [false, true] {
            let lengths = [1, 127, 128, 200, 255, 3];
            let names = encode(&lengths, long).unwrap();
            let size: usize = lengths.iter().map(|&len| Names::size(len, &layout(long))).sum();
            assert_eq!(names.bytes.len(), size);
            let mut reader = NamesReader::new(&names.bytes, &layout(long));
            for len in lengths {
                assert_eq!(reader.read().unwrap().len(), len);
            }
            assert_eq!(reader.offset(), size);
            assert_eq!(reader.read().unwrap_err(), Error::at(ErrorKind::BadName { index: 6 }, size as u64));
        }
    }

    #[test]
    fn every_256th_is_marked() {
        let names = encode(&[1; 513], true).unwrap();
        assert_eq!(names.markers, [0, 512, 1024]);
        assert!(encode(&[], true).unwrap().markers.is_empty());
    }

    #[test]
    fn empty_and_cut_off_names_are_refused() {
        for bytes in [&[0][..], &[0x80, 0], &[2, 1], &[0x81]] {
            let error = NamesReader::new(bytes, &layout(true)).read().unwrap_err();
            assert_eq!(error, Error::at(ErrorKind::BadName { index: 0 }, 0), "{bytes:?}");
        }
    }
}
