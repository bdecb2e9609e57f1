//! The memory reservation block (Devicetree Specification v0.4, section 5.3).

use crate::error::{Error, ErrorKind};

/// Bytes of an entry.
pub(crate) const ENTRY_SIZE: usize = 16;

/// A region of physical memory that the kernel must not use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryReservation {
    /// Physical address in bytes.
    pub address: u64,
    /// Length in bytes.
    pub size: u64,
}

/// The checked block, with its end entry.
#[derive(Debug, Clone, Copy)]
pub struct MemoryReservations<'a>(&'a [u8]);

impl<'a> MemoryReservations<'a> {
    /// Finds the end entry in `bytes`, which start with the block. `offset` is their place in the blob.
    pub(crate) fn parse(bytes: &'a [u8], offset: usize) -> Result<Self, Error> {
        let (entries, _) = bytes.as_chunks::<ENTRY_SIZE>();
        let end = entries
            .iter()
            .position(|entry| entry == &[0; ENTRY_SIZE])
            .ok_or(Error::new(ErrorKind::UnterminatedReservations, offset))?;
        Ok(Self(bytes.get(..(end + 1) * ENTRY_SIZE).unwrap_or_default()))
    }

    /// The block's bytes, with the end entry.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The entries, without the end entry.
    pub fn iter(self) -> impl Iterator<Item = MemoryReservation> + 'a {
        let (words, _) = self.0.as_chunks::<8>();
        words.chunks_exact(2).take_while(|entry| *entry != [[0; 8]; 2]).map(|entry| MemoryReservation {
            address: u64::from_be_bytes(entry[0]),
            size: u64::from_be_bytes(entry[1]),
        })
    }
}
