//! `kbt kallsyms` around the link: `pad`, `patch`, and the two helpers.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use kbt_kallsyms::Kernel;

use super::depfile::Depfile;
use super::kallsyms::kernel;
use super::size;

/// Make the table before the link: an object with room for any table that the linked kernel can need
///
/// Linked into the kernel instead of the tables of the stock build, it makes one link enough; `kbt kallsyms patch` fills it
/// in. The layout comes from the kallsyms_* symbols that the objects leave undefined. Room is made for every symbol of
/// the objects, less what the linker script throws away, and for the names that it assigns.
///
/// Example: kbt kallsyms pad vmlinux.o --lds arch/x86/kernel/vmlinux.lds --all-symbols --pad-file kallsyms.pad -o kallsyms.o
#[derive(Debug, Args)]
pub struct Pad {
    /// Every object that is linked into the kernel; vmlinux.o stands for the archives that it is made of
    #[arg(required = true, value_name = "VMLINUX.O")]
    pub objects: Vec<OsString>,
    /// The preprocessed linker script (arch/*/kernel/vmlinux.lds)
    #[arg(long, value_name = "FILE")]
    pub lds: Option<OsString>,
    /// Write the object here
    #[arg(short, long, value_name = "FILE")]
    pub output: OsString,
    /// Write here what `patch` needs to know
    #[arg(long, value_name = "FILE")]
    pub pad_file: Option<OsString>,
    /// Leave N bytes more behind each array that grows
    #[arg(long, value_name = "N", value_parser = size::bytes32, default_value = "0")]
    pub slack: u32,
    /// Every symbol, not only those of the text (CONFIG_KALLSYMS_ALL)
    #[arg(long)]
    pub all_symbols: bool,
    /// Whose table, where the symbols that are asked for do not tell: 6.6 and 6.12 differ from 6.1 in names that they drop
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    pub kernel: Option<Kernel>,
    /// Distances from each entry's own place on 32 bits, too (7.0 and later, CONFIG_RELOCATABLE)
    #[arg(long)]
    pub pc_relative: bool,
    /// Sort names without `.llvm.` and what follows it (6.1 to 6.9, clang's LTO)
    #[arg(long)]
    pub lto_clang: bool,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// Write the table of a linked kernel into the room that it has, or change nothing
///
/// The symbols are read once. Where an array is too small, nothing is written, and the error says what `pad` needs. Symbols,
/// sections and the size of the file stay as they are. To be run before sorttable and before System.map is made.
///
/// Example: kbt kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap System.map --in-place
#[derive(Debug, Args)]
pub struct Patch {
    /// The linked kernel: one that was linked with the object of `pad`, or any whose table has room
    #[arg(value_name = "VMLINUX")]
    pub vmlinux: OsString,
    /// What `pad` has written; else the table in VMLINUX tells
    #[arg(long, value_name = "FILE")]
    pub pad_file: Option<OsString>,
    /// Write System.map, too: what nm and scripts/mksysmap make of VMLINUX
    #[arg(long, value_name = "FILE")]
    pub sysmap: Option<OsString>,
    /// Write the patched kernel here [default: in the place of VMLINUX]
    #[arg(short, long, value_name = "FILE", conflicts_with = "in_place")]
    pub output: Option<PathBuf>,
    /// Write into VMLINUX itself, without a copy; a run that is killed is undone by the next one, or by --undo
    #[arg(long)]
    pub in_place: bool,
    /// Only undo what a killed run with --in-place has left
    #[arg(long, conflicts_with_all = ["pad_file", "sysmap", "output", "in_place", "relearn", "optimal", "depfile"])]
    pub undo: bool,
    /// Learn the tokens anew, as scripts/kallsyms does: the same bytes, where the room allows
    #[arg(long)]
    pub relearn: bool,
    /// Cut each name, its type letter included, into the fewest tokens
    #[arg(long)]
    pub optimal: bool,
    /// Every symbol, not only those of the text [default: the pad file's, else all where there is room for all]
    #[arg(long, conflicts_with = "pad_file")]
    pub all_symbols: bool,
    /// Whose table [default: the pad file's, else what the table in VMLINUX looks like]
    #[arg(long, value_name = "VERSION", value_parser = kernel, conflicts_with = "pad_file")]
    pub kernel: Option<Kernel>,
    /// Sort names without `.llvm.` and what follows it (6.1 to 6.9, clang's LTO)
    #[arg(long, conflicts_with = "pad_file")]
    pub lto_clang: bool,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// Print where in a file a section starts, in bytes
///
/// Example: kbt kallsyms offset vmlinux .rodata --size 4096
#[derive(Debug, Args)]
pub struct Offset {
    /// An ELF file
    #[arg(value_name = "VMLINUX")]
    pub file: OsString,
    /// The section's name
    #[arg(value_name = "SECTION")]
    pub section: OsString,
    /// Refuse a section of fewer than N bytes (0x, 0o, 0b or a leading 0 say the base)
    #[arg(long, value_name = "N", value_parser = size_of_any_base)]
    pub size: Option<u64>,
}

/// Write the bytes of one file over those of another, all or none
///
/// Example: kbt kallsyms patchfile vmlinux 0x200000 table.bin
#[derive(Debug, Args)]
pub struct Patchfile {
    /// The file to change; its size stays
    pub file: PathBuf,
    /// Where, in bytes from its start (0x, 0o, 0b or a leading 0 say the base)
    #[arg(value_parser = number)]
    pub offset: u64,
    /// What to write there, `-` for standard input
    pub patch: OsString,
    /// Write only the first LENGTH bytes of PATCH
    #[arg(value_parser = size_of_any_base)]
    pub length: Option<u64>,
    /// Write into FILE itself, without a copy; a run that is killed is undone by the next one
    #[arg(long)]
    pub in_place: bool,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// A number as C reads one, and 0o and 0b.
fn number(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let bases = [("0x", 16), ("0o", 8), ("0b", 2)];
    let prefixed = bases.iter().find_map(|(prefix, base)| Some((lower.strip_prefix(prefix)?, *base)));
    let (digits, base) = match prefixed {
        Some(prefixed) => prefixed,
        None if lower.len() > 1 && lower.starts_with('0') => (&lower[1..], 8),
        None => (&lower[..], 10),
    };
    // A sign is no digit.
    let parsed = if digits.starts_with('+') { None } else { u64::from_str_radix(digits, base).ok() };
    parsed.ok_or_else(|| format!("'{text}' is no number"))
}

/// The same, with K, M or G behind it if need be.
fn size_of_any_base(text: &str) -> Result<u64, String> {
    let (digits, shift) = size::split(text);
    number(digits)?.checked_mul(1 << shift).ok_or_else(|| format!("'{text}' is too much"))
}

#[cfg(test)]
mod tests {
    use super::{number, size_of_any_base};

    #[test]
    fn numbers_of_any_base() {
        for (text, value) in [
            ("0", 0),
            ("10", 10),
            ("0x10", 16),
            ("0X1f", 31),
            ("010", 8),
            ("0o10", 8),
            ("0b10", 2),
            ("00", 0),
        ] {
            assert_eq!(number(text), Ok(value), "{text}");
        }
        for text in ["", "-1", "+1", "0x", "08", "0x+1", "1k", "18446744073709551616"] {
            assert!(number(text).is_err(), "{text}");
        }
        assert_eq!(size_of_any_base("0x10K"), Ok(16 << 10));
        assert!(size_of_any_base("0xffffffffffffffffG").is_err());
    }
}
