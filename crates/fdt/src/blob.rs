//! A whole flattened device tree, borrowed: the header is checked and the blocks are found.

use crate::error::{Block, Error, ErrorKind};
use crate::header::Header;
use crate::reservations::MemoryReservations;
use crate::strings::StringsBlock;
use crate::structure::StructureBlock;
use crate::tree::{Tree, TreeMemory};

/// A flattened device tree whose header and blocks are sound; its tokens are checked by [`Blob::tree`].
#[derive(Debug, Clone, Copy)]
pub struct Blob<'a> {
    header: Header,
    reservations: MemoryReservations<'a>,
    structure: StructureBlock<'a>,
    strings: StringsBlock<'a>,
}

impl<'a> Blob<'a> {
    /// Checks the header and the blocks of the tree at the start of `bytes`; bytes behind its stated size are
    /// left alone. `bytes` need no alignment.
    ///
    /// # Errors
    /// What [`Header::parse`] refuses, a tree shorter than it states, blocks that reach out of it or overlap.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header = Header::parse(bytes)?;
        let stated = header.totalsize;
        let bytes = bytes
            .get(..stated as usize)
            .ok_or(Error::new(ErrorKind::Truncated { stated, present: bytes.len() }, 4))?;
        let part = |block, offset: u32, size: usize| {
            let offset = offset as usize;
            let end = offset.checked_add(size).filter(|&end| end <= bytes.len());
            end.map(|end| (block, offset, end)).ok_or(Error::new(ErrorKind::BlockOutOfBounds(block), offset))
        };
        let strings = part(Block::Strings, header.off_dt_strings, header.size_dt_strings as usize)?;
        let rest = part(Block::Reservations, header.off_mem_rsvmap, 0)?;
        let reservations = MemoryReservations::parse(bytes.get(rest.1..).unwrap_or_default(), rest.1)?;
        let reserved = part(Block::Reservations, header.off_mem_rsvmap, reservations.bytes().len())?;
        let size = match header.size_dt_struct {
            Some(size) => size as usize,
            None => room(header.off_dt_struct as usize, &[strings.1, reserved.1, bytes.len()]),
        };
        let structure = part(Block::Structure, header.off_dt_struct, size)?;
        if header.off_dt_struct % 4 != 0 {
            return Err(Error::new(ErrorKind::MisalignedStructure, structure.1));
        }
        disjoint([(Block::Header, 0, header.size()), reserved, structure, strings])?;
        let slice = |(_, start, end): (Block, usize, usize)| bytes.get(start..end).unwrap_or_default();
        Ok(Self {
            header,
            reservations,
            structure: StructureBlock::new(slice(structure)),
            strings: StringsBlock::new(slice(strings)),
        })
    }

    /// Checks every token and gives the flat tree.
    ///
    /// # Errors
    /// The first token that is malformed or misplaced, with its byte offset in the blob.
    pub fn tree(&self) -> Result<Tree, Error> {
        Tree::scan(self.structure, self.strings).map_err(|error| self.locate(error))
    }

    /// The same without the list of phandle properties ([`Tree::scan_nodes`]).
    ///
    /// # Errors
    /// As [`Blob::tree`].
    pub fn nodes(&self) -> Result<Tree, Error> {
        Tree::scan_nodes(self.structure, self.strings).map_err(|error| self.locate(error))
    }

    /// The same in the memory of another tree ([`Tree::scan_in`]).
    ///
    /// # Errors
    /// As [`Blob::tree`].
    pub fn tree_in(&self, memory: TreeMemory, lists_phandles: bool) -> Result<Tree, Error> {
        Tree::scan_in(memory, self.structure, self.strings, lists_phandles)
            .map_err(|error| self.locate(error))
    }

    /// An error in the structure block, at its place in the blob.
    fn locate(&self, error: Error) -> Error {
        Error { offset: error.offset + self.header.off_dt_struct as usize, ..error }
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The memory reservations.
    pub fn reservations(&self) -> MemoryReservations<'a> {
        self.reservations
    }

    /// The structure block; in a version 16 tree it may have bytes behind `FDT_END`.
    pub fn structure(&self) -> StructureBlock<'a> {
        self.structure
    }

    /// The strings block.
    pub fn strings(&self) -> StringsBlock<'a> {
        self.strings
    }
}

/// Bytes from `start` to the nearest of `ends` behind it.
fn room(start: usize, ends: &[usize]) -> usize {
    ends.iter().filter_map(|end| end.checked_sub(start)).filter(|&room| room > 0).min().unwrap_or(0)
}

fn disjoint(mut parts: [(Block, usize, usize); 4]) -> Result<(), Error> {
    parts.sort_unstable_by_key(|&(_, start, end)| (start, end));
    for pair in parts.windows(2) {
        if let [(a, _, end), (b, start, _)] = pair
            && start < end
        {
            return Err(Error::new(ErrorKind::OverlappingBlocks(*a, *b), *start));
        }
    }
    Ok(())
}
