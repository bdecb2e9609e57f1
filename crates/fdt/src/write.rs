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
    let word = |value: usize| u32::try_from(value).map_err(|_| TooLarge);
    let structure_start = structure_offset(reservations);
    let strings_start = out.len();
    for part in strings {
        out.extend_from_slice(part);
    }
    let strings_size = out.len() - strings_start;
    let total = word(out.len())?.checked_add(padding).ok_or(TooLarge)?;
    out.resize(total as usize, 0);
    let header = [
        MAGIC,
        total,
        word(structure_start)?,
        word(strings_start)?,
        word(SIZE_V17)?,
        VERSION,
        LAST_COMPATIBLE_VERSION,
        boot_cpuid_phys,
        word(strings_size)?,
        word(strings_start - structure_start)?,
    ];
    for (bytes, value) in out.as_chunks_mut::<4>().0.iter_mut().zip(header) {
        *bytes = value.to_be_bytes();
    }
    Ok(())
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
