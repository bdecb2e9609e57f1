//! The entries of one table in either class, in place.
//!
//! One `match` on the class for an access; the entry itself is decoded by `object`, which knows the byte order.

use object::{Endianness, Pod, pod};

/// The entries of a table: `A` in 32 bits, `B` in 64.
#[derive(Debug, Clone, Copy)]
pub enum Entries<'data, A, B> {
    /// Of a 32-bit file.
    Elf32(&'data [A]),
    /// Of a 64-bit file.
    Elf64(&'data [B]),
}

impl<'data, A: Pod, B: Pod> Entries<'data, A, B> {
    /// The whole entries in `bytes`.
    pub fn new(class: crate::Class, bytes: &'data [u8]) -> Self {
        match class {
            crate::Class::Elf32 => Self::Elf32(whole(bytes)),
            crate::Class::Elf64 => Self::Elf64(whole(bytes)),
        }
    }

    /// The entries of 32 bits and those of 64, of which one has none: loops choose between them once.
    pub fn slices(&self) -> (&'data [A], &'data [B]) {
        match self {
            Self::Elf32(entries) => (entries, &[]),
            Self::Elf64(entries) => (&[], entries),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Elf32(entries) => entries.len(),
            Self::Elf64(entries) => entries.len(),
        }
    }
}

/// `object`'s types have no alignment, so this fails for no bytes.
fn whole<T: Pod>(bytes: &[u8]) -> &[T] {
    let count = bytes.len().checked_div(size_of::<T>()).unwrap_or(0);
    pod::slice_from_bytes(bytes, count).map_or(&[], |(entries, _)| entries)
}

/// A type that is decoded in one byte order.
pub trait Decode {
    /// What all layouts become.
    type Output;
    /// Decodes one entry.
    fn decode(&self, endian: Endianness) -> Self::Output;
}

impl<T, A: Decode<Output = T>, B: Decode<Output = T>> Entries<'_, A, B> {
    /// The entry of that index.
    #[inline]
    pub fn get(&self, index: usize, endian: Endianness) -> Option<T> {
        match self {
            Self::Elf32(entries) => entries.get(index).map(|entry| entry.decode(endian)),
            Self::Elf64(entries) => entries.get(index).map(|entry| entry.decode(endian)),
        }
    }
}
