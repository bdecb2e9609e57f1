//! The kernels whose generators kbt stands in for: what each leaves out, and how each lays its table out.
//!
//! Sources: scripts/kallsyms and scripts/mksysmap as Debian's linux-kbuild packages carry them, run and compared
//! (`tests/differential_kallsyms.rs`). Stable trees take changes over from later kernels, so a version only names a set
//! of habits.

use crate::layout::{AddressTable, ArrayOrder, Class, Endianness, Layout};

/// A generation of generators, named by its first long-term kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// To 6.0: reads nm's lines from standard input and filters them itself.
    V5_10,
    /// 6.1 to 6.3, with the sequence numbers that its stable tree has.
    V6_1,
    /// 6.4 to 6.9: another order of the arrays.
    V6_6,
    /// 6.12 to 6.19: offsets only.
    V6_12,
    /// 7.0 and later: place-relative offsets.
    V7_0,
}

impl Kernel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::V5_10, Self::V6_1, Self::V6_6, Self::V6_12, Self::V7_0];

    /// The generation of a kernel of this version.
    pub fn of_version(major: u32, minor: u32) -> Self {
        match (major, minor) {
            (..=5, _) | (6, 0) => Self::V5_10,
            (6, 1..=3) => Self::V6_1,
            (6, 4..=9) => Self::V6_6,
            (6, _) => Self::V6_12,
            _ => Self::V7_0,
        }
    }

    /// The generation that lays its tables out so; the later one where two do.
    pub fn of_layout(layout: &Layout) -> Self {
        match (layout.order, layout.addresses) {
            (ArrayOrder::AddressesFirst, _) if layout.long_lengths => Self::V6_1,
            (ArrayOrder::AddressesFirst, _) => Self::V5_10,
            (_, AddressTable::PlaceRelative | AddressTable::Absolute32) => Self::V7_0,
            (_, AddressTable::Absolute) => Self::V6_6,
            _ => Self::V6_12,
        }
    }

    /// The kernel that it is named by.
    pub fn name(self) -> &'static str {
        match self {
            Self::V5_10 => "5.10",
            Self::V6_1 => "6.1",
            Self::V6_6 => "6.6",
            Self::V6_12 => "6.12",
            Self::V7_0 => "7.0",
        }
    }

    /// `KSYM_NAME_LEN`: names of so many bytes and more are left out.
    pub fn name_limit(self) -> usize {
        if self == Self::V5_10 { 128 } else { 512 }
    }

    /// Whether `__start_*` and `__stop_*` are kept wherever they are.
    pub fn keeps_borders(self) -> bool {
        self >= Self::V6_12
    }

    /// Whether an empty table is made of no symbols; else that is an error.
    pub fn allows_none(self) -> bool {
        self >= Self::V6_12
    }

    /// Whether the kernel's build filters the symbols by mksysmap before the generator gets them.
    pub fn is_fed_by_map(self) -> bool {
        self > Self::V5_10
    }

    /// The layout of its tables.
    pub fn layout(self, class: Class, endian: Endianness, addresses: AddressTable) -> Layout {
        let count_first = self >= Self::V6_6;
        Layout {
            class,
            endian,
            addresses,
            order: if count_first { ArrayOrder::CountFirst } else { ArrayOrder::AddressesFirst },
            alignment: if self >= Self::V7_0 || class == Class::Elf32 { 4 } else { 8 },
            long_lengths: self > Self::V5_10,
            seqs: self > Self::V5_10,
        }
    }

    /// How addresses are kept where nothing else is known.
    pub fn addresses(self, absolute_percpu: bool, is_32_bits: bool) -> AddressTable {
        match (self, absolute_percpu) {
            (Self::V7_0, _) if is_32_bits => AddressTable::Absolute32,
            (Self::V7_0, _) => AddressTable::PlaceRelative,
            (_, true) => AddressTable::BaseRelativePercpu,
            (_, false) => AddressTable::BaseRelative,
        }
    }

    /// Whether mksysmap leaves a symbol out of System.map.
    pub fn drops_from_map(self, kind: u8, name: &[u8]) -> bool {
        if matches!(kind, b'a' | b'N' | b'U' | b'w') {
            return true;
        }
        match self {
            Self::V5_10 => contains(name, b"__crc_") || starts(name, &[b"$a", b"$d", b"$t", b".L", b"L0"]),
            Self::V6_1 => {
                // Most names begin with none of these bytes.
                matches!(name.first(), Some(b'$' | b'.' | b'_' | b'L'))
                    && (starts(name, &[b"$", b".L", b"__crc_", b"__kstrtab_", b"__kstrtabns_"])
                        || name == b"L0")
            }
            Self::V6_6 | Self::V6_12 => drops_since_6_4(name) || name == b"__pi_\\",
            Self::V7_0 => {
                drops_since_6_4(name)
                    || starts(name, &[b"__pi_$", b"__mod_device_table__"])
                    || is_module_note(name)
            }
        }
    }

    /// Whether the generator itself leaves a symbol out of the table, beside those out of range and too long.
    pub fn ignores(self, kind: u8, name: &[u8]) -> bool {
        let by_name = match self {
            Self::V5_10 => {
                starts(name, &[b"$", b".LASANPC", b"__crc_", b"__kvm_nvhe_"]) || ignored_to_6_3(name)
            }
            Self::V6_1 => {
                name.starts_with(b"__k")
                    && starts(name, &[b"__kvm_nvhe_$", b"__kvm_nvhe_.L", b"__kcfi_typeid_"])
                    || name == b"kallsyms_seqs_of_names"
                    || ignored_to_6_3(name)
            }
            _ => false,
        };
        let by_kind = match kind {
            b'u' | b'n' => true,
            b'U' | b'N' => self <= Self::V6_1,
            b'a' | b'A' => !KEPT_ABSOLUTE.contains(&name),
            _ => false,
        };
        by_name || by_kind
    }
}

/// Absolute symbols that are of use.
const KEPT_ABSOLUTE: [&[u8]; 4] =
    [b"__kernel_syscall_via_break", b"__kernel_syscall_via_epc", b"__kernel_sigtramp", b"__gp"];

/// What scripts/kallsyms of 5.10 and 6.1 both leave out; mksysmap does since 6.4.
fn ignored_to_6_3(name: &[u8]) -> bool {
    const ARRAYS: [&[u8]; 8] = [
        b"addresses",
        b"offsets",
        b"relative_base",
        b"num_syms",
        b"names",
        b"markers",
        b"token_table",
        b"token_index",
    ];
    // Behind two underscores.
    const THUNKS: [&[u8]; 7] = [
        b"efistub_",
        b"AArch64ADRPThunk_",
        b"ARMV5PILongThunk_",
        b"ARMV7PILongThunk_",
        b"ThumbV7PILongThunk_",
        b"LA25Thunk_",
        b"microLA25Thunk_",
    ];
    // Every name of a kernel comes through here: one byte answers for most.
    let by_start = match name {
        [b'k', ..] => name.strip_prefix(b"kallsyms_").is_some_and(|rest| ARRAYS.contains(&rest)),
        [b'_', b'_', rest @ ..] => {
            matches!(rest.first(), Some(b'e' | b'A' | b'T' | b'L' | b'm')) && starts(rest, &THUNKS)
        }
        [b'_', b'S', ..] => matches!(name, b"_SDA_BASE_" | b"_SDA2_BASE_"),
        _ => false,
    };
    by_start || is_stub(name)
}

/// Stubs that linkers put in for arm and ppc.
fn is_stub(name: &[u8]) -> bool {
    let by_end = match name.last() {
        Some(b'm') => name.ends_with(b"_from_arm"),
        Some(b'b') => name.ends_with(b"_from_thumb"),
        Some(b'r') => name.ends_with(b"_veneer"),
        _ => false,
    };
    by_end || has_dot(name) && (contains(name, b".long_branch.") || contains(name, b".plt_branch."))
}

/// Whether there is a dot, asked of every name: 16 bytes at a time, the last ones again where less are left.
fn has_dot(name: &[u8]) -> bool {
    let has = |bytes: &[u8; 16]| bytes.iter().fold(false, |has, &byte| has | (byte == b'.'));
    let has_half = |bytes: &[u8; 8]| bytes.iter().fold(false, |has, &byte| has | (byte == b'.'));
    match (name.last_chunk(), name.first_chunk().zip(name.last_chunk())) {
        (Some(last), _) => has(last) || name.as_chunks().0.iter().any(has),
        (None, Some((first, last))) => has_half(first) | has_half(last),
        (None, None) => name.contains(&b'.'),
    }
}

fn drops_since_6_4(name: &[u8]) -> bool {
    const PREFIXES: [&[u8]; 12] = [
        b"$",
        b".L",
        b"__efistub_",
        b"__pi_.L",
        b"__kvm_nvhe_$",
        b"__kvm_nvhe_.L",
        b"__kcfi_typeid_",
        b"__kvm_nvhe___kcfi_typeid_",
        b"__pi___kcfi_typeid_",
        b"__crc_",
        b"__kstrtab_",
        b"__kstrtabns_",
    ];
    // Most names begin with none of these bytes.
    let may_start = matches!(name.first(), Some(b'$' | b'.' | b'_'));
    (may_start && (starts(name, &PREFIXES) || is_thunk(name)))
        || matches!(name, b"L0" | b"_SDA_BASE_" | b"_SDA2_BASE_")
        || is_stub(name)
}

/// `__` letters and digits `Thunk_`: lld's.
fn is_thunk(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"__") else { return false };
    let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
    rest.get(end) == Some(&b'_') && rest[..end].ends_with(b"Thunk")
}

/// `__UNIQUE_ID_modinfo_` and digits.
fn is_module_note(name: &[u8]) -> bool {
    let digits = name.strip_prefix(b"__UNIQUE_ID_modinfo_");
    digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_digit))
}

fn starts(name: &[u8], prefixes: &[&[u8]]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

fn contains(name: &[u8], part: &[u8]) -> bool {
    name.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_is_found_wherever_it_is() {
        // All that differ from a dot by one bit, or by a borrow.
        let others = [b'.' ^ 1, b'.' ^ 0x80, b'.' + 1, 0xff, 0];
        for len in 0..50 {
            let name: Vec<u8> = others.iter().copied().cycle().take(len).collect();
            assert!(!has_dot(&name), "{len}");
            for at in 0..len {
                let mut name = name.clone();
                name[at] = b'.';
                assert!(has_dot(&name), "{len} {at}");
            }
        }
    }
}
