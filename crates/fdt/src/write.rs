//! Writing: a version 17 tree from its blocks.

use alloc::vec::Vec;

use crate::header::{LAST_COMPATIBLE_VERSION, MAGIC, SIZE_V17, VERSION};
use crate::reservations::ENTRY_SIZE;

/// The blocks of a tree, in the order in which they are written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parts<'a> {
    /// The physical id of the boot processor.
    pub boot_cpuid_phys: u32,
    /// The memory reservation block with its end entry; empty for none.
    pub reservations: &'a [u8],
    /// The structure block with `FDT_END`.
    pub structure: &'a [u8],
    /// The strings block.
    pub strings: &'a [u8],
    /// Zero bytes behind the strings block that count as part of the tree.
    pub padding: u32,
}

/// The tree is larger than its format can state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

/// Where the structure block of a tree with these reservations starts, in bytes.
pub fn structure_offset(reservations: &[u8]) -> usize {
    SIZE_V17 + reservations.len().max(ENTRY_SIZE)
}

/// Appends to `out`, which is empty, the header and the reservations, so that the structure block can be
/// appended to it in place; [`finish`] then adds the rest.
pub fn begin(out: &mut Vec<u8>, reservations: &[u8]) {
    out.resize(SIZE_V17, 0);
    if reservations.is_empty() {
        out.resize(SIZE_V17 + ENTRY_SIZE, 0);
    } else {
        out.extend_from_slice(reservations);
    }
}

/// Appends strings and padding behind the structure block and fills in the header.
///
/// `strings` are written one behind the other.
///
/// # Errors
/// [`TooLarge`] where the tree reaches 4 GiB.
pub fn finish(
    out: &mut Vec<u8>,
    boot_cpuid_phys: u32,
    reservations: &[u8],
    strings: &[&[u8]],
    padding: u32,
) -> Result<(), TooLarge> {
    let structure = out.len() - structure_offset(reservations);
    let sizes = Sizes { structure, strings: strings.iter().map(|part| part.len()).sum(), padding };
    let header = header(boot_cpuid_phys, reservations, sizes)?;
    for part in strings {
        out.extend_from_slice(part);
    }
    out.resize(out.len() + padding as usize, 0);
    if let Some(start) = out.first_chunk_mut() {
        *start = header;
    }
    Ok(())
}

/// Bytes of what stands behind the reservations.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// The structure block with `FDT_END`.
    pub structure: usize,
    /// The strings block.
    pub strings: usize,
    /// What is left free at the end.
    pub padding: u32,
}

/// The header of a tree that is [`begin`]'s reservations, structure block, strings block and padding, one behind the
/// other.
///
/// # Errors
/// [`TooLarge`] where the tree reaches 4 GiB.
pub fn header(boot_cpuid_phys: u32, reservations: &[u8], sizes: Sizes) -> Result<[u8; SIZE_V17], TooLarge> {
    let word = |value: usize| u32::try_from(value).map_err(|_| TooLarge);
    let add = |one: u32, other: u32| one.checked_add(other).ok_or(TooLarge);
    let (structure, strings) = (word(sizes.structure)?, word(sizes.strings)?);
    let structure_at = word(structure_offset(reservations))?;
    let strings_at = add(structure_at, structure)?;
    let fields = [
        MAGIC,
        add(add(strings_at, strings)?, sizes.padding)?,
        structure_at,
        strings_at,
        word(SIZE_V17)?,
        VERSION,
        LAST_COMPATIBLE_VERSION,
        boot_cpuid_phys,
        strings,
        structure,
    ];
    let mut header = [0; SIZE_V17];
    for (bytes, value) in header.as_chunks_mut::<4>().0.iter_mut().zip(fields) {
        *bytes = value.to_be_bytes();
    }
    Ok(header)
}

/// A whole tree from its parts.
///
/// # Errors
/// [`TooLarge`] where the tree reaches 4 GiB.
pub fn assemble(parts: &Parts<'_>) -> Result<Vec<u8>, TooLarge> {
    let mut out = Vec::with_capacity(
        structure_offset(parts.reservations) + parts.structure.len() + parts.strings.len(),
    );
    begin(&mut out, parts.reservations);
    out.extend_from_slice(parts.structure);
    finish(&mut out, parts.boot_cpuid_phys, parts.reservations, &[parts.strings], parts.padding)?;
    Ok(out)
}
