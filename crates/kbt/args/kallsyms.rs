//! `kbt kallsyms`.

use std::ffi::OsString;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use kbt_kallsyms::{AddressTable, Kernel};

use super::depfile::Depfile;

use super::kallsyms_link::{Offset, Pad, Patch, Patchfile};

/// Commands on the table of symbols that a kernel carries.
#[derive(Debug, Subcommand)]
pub enum Command {
    Generate(Generate),
    Dump(Dump),
    Verify(Verify),
    Pad(Pad),
    Patch(Patch),
    Offset(Offset),
    Patchfile(Patchfile),
}

/// Make the table of a linked kernel: scripts/kallsyms' text, or an object file
///
/// The text is byte for byte what scripts/kallsyms of that kernel prints; the object is what the assembler makes of
/// it. The symbols come from VMLINUX (nm, mksysmap's filter and sorting are done on the way) or from the text of nm.
///
/// Example: kbt kallsyms generate --kernel 6.1 --all-symbols --absolute-percpu vmlinux -o kallsyms.o
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").required(true).args(["vmlinux", "from_nm"]))]
pub struct Generate {
    /// The linked kernel, `-` for standard input
    pub vmlinux: Option<OsString>,
    /// Read nm's lines or a System.map from FILE, `-` for standard input; other lines are passed over
    #[arg(long, value_name = "FILE")]
    pub from_nm: Option<OsString>,
    /// Write the object here, or the text where FILE ends in .S; `-` for the text on standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: OsString,
    /// Whose table: 5.10, 6.1, 6.6, 6.12, 7.0, or any version between [default: that of the table in VMLINUX]
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    pub kernel: Option<Kernel>,
    #[command(flatten)]
    pub choice: ChoiceOptions,
    /// How addresses are kept [default: as that kernel does]
    #[arg(long, value_enum, value_name = "HOW")]
    pub addresses: Option<Addresses>,
    /// Sort names without `.llvm.` and what follows it (6.1 to 6.9, clang's LTO)
    #[arg(long)]
    pub lto_clang: bool,
    /// Cut each name into the fewest tokens: smaller than scripts/kallsyms' by 1 to 2 percent, and read by every kernel
    #[arg(long)]
    pub optimal: bool,
    /// Take machine, word size and byte order of an object from this ELF file, where there is no VMLINUX
    #[arg(long, value_name = "ELF", conflicts_with = "vmlinux")]
    pub like: Option<OsString>,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// Which symbols.
#[derive(Debug, Clone, Copy, Args)]
pub struct ChoiceOptions {
    /// Every symbol, not only those of the text (CONFIG_KALLSYMS_ALL)
    #[arg(long)]
    pub all_symbols: bool,
    /// Keep per-cpu symbols as absolute ones (x86 with SMP, before 6.15)
    #[arg(long)]
    pub absolute_percpu: bool,
}

/// How addresses are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Addresses {
    /// A word each (before 6.12, CONFIG_KALLSYMS_BASE_RELATIVE off)
    Absolute,
    /// 32 bits from kallsyms_relative_base (before 7.0)
    BaseRelative,
    /// 32 bits from their own place (7.0 and later)
    PlaceRelative,
    /// The lower 32 bits (7.0 and later, 32-bit kernels that are not relocatable)
    Absolute32,
}

impl Addresses {
    /// The table's word for it.
    pub fn table(self, absolute_percpu: bool) -> AddressTable {
        match self {
            Self::Absolute => AddressTable::Absolute,
            Self::BaseRelative if absolute_percpu => AddressTable::BaseRelativePercpu,
            Self::BaseRelative => AddressTable::BaseRelative,
            Self::PlaceRelative => AddressTable::PlaceRelative,
            Self::Absolute32 => AddressTable::Absolute32,
        }
    }
}

/// Print the symbols that a kernel's table holds, in the table's order
///
/// The kernel may be an ELF file, a raw image, or either of them compressed (bzImage, Image.gz, zstd, xz, LZ4). Where it
/// has no symbols of its own the table is searched for; of a raw image with place-relative addresses (7.0 and later)
/// they count from its start unless --base says where that is.
///
/// Example: kbt kallsyms dump /boot/vmlinuz
#[derive(Debug, Args)]
pub struct Dump {
    /// vmlinux, Image, bzImage, ...; `-` for standard input
    #[arg(value_name = "KERNEL")]
    pub kernel: OsString,
    /// Print lines as nm does, or a JSON array
    #[arg(long, value_enum, default_value_t = DumpFormat::Nm)]
    pub format: DumpFormat,
    /// Address of the first byte of a raw image
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub base: Option<u64>,
    /// Write here
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: OsString,
    /// Search for the table even where symbols say where it is
    #[arg(long)]
    pub search: bool,
    /// Refuse images larger than N when decompressed (K, M and G are understood)
    #[arg(long, value_name = "N", default_value = "1G", value_parser = crate::args::size::bytes)]
    pub max_size: usize,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// What `dump` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    /// `address type name`
    Nm,
    /// An object a symbol
    Json,
}

/// Check a kernel's table against its symbols
///
/// Every symbol of the table is compared with the symbol table, then the order, the markers, the tokens and the sequence
/// numbers. The first difference is the error.
///
/// Example: kbt kallsyms verify vmlinux
#[derive(Debug, Args)]
pub struct Verify {
    /// The linked kernel with its symbols
    #[arg(value_name = "VMLINUX")]
    pub vmlinux: OsString,
}

/// A version of the kernel as it is written: `6.1`, `v6.12.9`, `6.1.0-50-cloud-amd64`.
pub fn kernel(text: &str) -> Result<Kernel, String> {
    let error = || format!("'{text}' is no kernel version such as 6.1");
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split(|c: char| !c.is_ascii_digit());
    let mut number = || numbers.next().and_then(|digits| digits.parse().ok()).ok_or_else(error);
    match (number()?, number()?) {
        (..=3, _) | (4, ..=5) => Err(format!("{text}: kernels before 4.6 are not known")),
        (major, minor) => Ok(Kernel::of_version(major, minor)),
    }
}

fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    u64::from_str_radix(digits, 16).map_err(|_| format!("'{text}' is no hexadecimal address"))
}
