//! Numbers of relocations: those few kinds that a table needs, on the machines that Linux runs on.
//!
//! From each machine's psABI; `object` has the constants.

use object::elf;

use crate::Class;

/// What the linker writes at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelocationKind {
    /// The address of a symbol, as wide as addresses are.
    Pointer,
    /// The distance from the place to a symbol, 32 bits.
    PlaceRelative32,
}

/// `e_machine`, then the numbers of a 32-bit pointer, a 64-bit pointer, a 32-bit distance; 0 is none.
type Row = (elf::Machine, elf::RelocationType, elf::RelocationType, elf::RelocationType);

const NONE: elf::RelocationType = elf::RelocationType(0);

const TABLE: &[Row] = &[
    (elf::EM_386, elf::R_386_32, NONE, elf::R_386_PC32),
    (elf::EM_AARCH64, NONE, elf::R_AARCH64_ABS64, elf::R_AARCH64_PREL32),
    (elf::EM_ARM, elf::R_ARM_ABS32, NONE, elf::R_ARM_REL32),
    (elf::EM_LOONGARCH, elf::R_LARCH_32, elf::R_LARCH_64, elf::R_LARCH_32_PCREL),
    (elf::EM_MIPS, elf::R_MIPS_32, elf::R_MIPS_64, elf::RelocationType(248)),
    (elf::EM_PARISC, elf::R_PARISC_DIR32, elf::R_PARISC_DIR64, elf::R_PARISC_PCREL32),
    (elf::EM_PPC, elf::R_PPC_ADDR32, NONE, elf::R_PPC_REL32),
    (elf::EM_PPC64, NONE, elf::R_PPC64_ADDR64, elf::R_PPC64_REL32),
    (elf::EM_RISCV, elf::R_RISCV_32, elf::R_RISCV_64, elf::R_RISCV_32_PCREL),
    (elf::EM_S390, elf::R_390_32, elf::R_390_64, elf::R_390_PC32),
    (elf::EM_SPARCV9, NONE, elf::R_SPARC_64, elf::R_SPARC_DISP32),
    (elf::EM_X86_64, NONE, elf::R_X86_64_64, elf::R_X86_64_PC32),
];

impl RelocationKind {
    /// The number of the relocation; `None` on machines that are not in the table.
    pub(crate) fn number(self, machine: u16, class: Class) -> Option<u32> {
        let (_, narrow, wide, distance) = TABLE.iter().find(|row| row.0.0 == machine)?;
        let number = match (self, class) {
            (Self::Pointer, Class::Elf32) => narrow,
            (Self::Pointer, Class::Elf64) => wide,
            (Self::PlaceRelative32, _) => distance,
        };
        (*number != NONE).then_some(number.0)
    }

    /// How many bytes it fills.
    pub(crate) fn size(self, class: Class) -> usize {
        match (self, class) {
            (Self::Pointer, Class::Elf64) => 8,
            _ => 4,
        }
    }
}

/// Whether relocations carry their addends (`RELA`) or the places do (`REL`).
pub(crate) fn has_addends(machine: u16, class: Class) -> bool {
    let machine = elf::Machine(machine);
    let in_place = [elf::EM_386, elf::EM_ARM].contains(&machine);
    let in_place = in_place || (machine == elf::EM_MIPS && class == Class::Elf32);
    !in_place
}
