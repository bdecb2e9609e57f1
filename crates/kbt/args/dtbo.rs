//! `kbt dtbo`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use kbt_compress::Compression;
use kbt_dtbo_image::{EntryOptions, Field, TableKind, TableVersion, Value, parse_size};

use super::depfile::Depfile;
use super::size;

/// The largest alignment of entries, in bytes: more is a mistyped number.
const MAX_ALIGNMENT: u32 = 16 << 20;

/// Commands on DTBO images. What a command's struct says is its help.
#[derive(Debug, Subcommand)]
pub enum Command {
    Pack(Box<Pack>),
    Unpack(Unpack),
    Dump(Dump),
    List(List),
    Extract(Extract),
}

/// Make an image from overlays, a configuration, or an unpacked image
///
/// An ENTRY is `FILE[,id=N][,rev=N][,flags=N][,customK=N][,compression=NAME]`. Numbers are decimal, 0x
/// hexadecimal, or octal with a leading 0; /node:property takes the value from the file's own device tree. A file
/// name that itself ends in something like an option is closed by a comma of its own: `odd,id=1,`.
///
/// Example: kbt dtbo pack -o dtbo.img --version 1 board0.dtbo,id=1 board1.dtbo,id=2,compression=zlib
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").required(true).args(["entries", "config", "manifest"]))]
pub struct Pack {
    /// The overlays and their options, in the order of the table
    #[arg(value_name = "ENTRY")]
    pub entries: Vec<OsString>,
    /// Write the image here, `-` for standard output
    #[arg(short, long, value_name = "IMG")]
    pub output: OsString,
    /// Read the entries from a configuration file of mkdtboimg, `-` for standard input
    #[arg(long, value_name = "CFG")]
    pub config: Option<PathBuf>,
    /// Look for the configuration's files here and below
    #[arg(long, value_name = "DIR", requires = "config", conflicts_with_all = ["entries", "manifest"])]
    pub dtb_dir: Option<PathBuf>,
    /// Join what `kbt dtbo unpack` took apart
    #[arg(long, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    #[command(flatten)]
    pub image: ImageOptions,
    #[command(flatten)]
    pub defaults: Defaults,
    /// Store one copy for entries of the same file, of the same content, or never
    #[arg(long, value_enum, default_value_t = Share::Path)]
    pub share: Share,
    /// Refuse entries of the manifest larger than N when decompressed (K, M and G are understood)
    // `requires = "manifest"` says nothing where another source is given: clap takes a conflict for an excuse.
    #[arg(long, value_name = "N", default_value = "64M", value_parser = size::bytes, conflicts_with_all = ["entries", "config"])]
    pub max_size: usize,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// What is the same for the whole image. A configuration or a manifest states it itself.
#[derive(Debug, Args)]
pub struct ImageOptions {
    /// Version of the table [default: the lowest that can hold what is asked for]
    #[arg(long = "version", value_name = "0|1|2", value_parser = table_version, conflicts_with_all = ["config", "manifest"])]
    pub table_version: Option<TableVersion>,
    /// What the entries are [default: dtb]
    #[arg(long = "type", value_name = "dtb|acpi", value_parser = table_kind, conflicts_with_all = ["config", "manifest"])]
    pub kind: Option<TableKind>,
    /// Page size told to the boot loader [default: 2048]
    #[arg(long, value_name = "N", value_parser = page_size, conflicts_with_all = ["config", "manifest"])]
    pub page_size: Option<u32>,
    /// Start each entry's data at a multiple of N bytes (mkdtboimg: 1)
    #[arg(long, value_name = "N", value_parser = alignment, conflicts_with = "manifest")]
    pub align: Option<u32>,
    /// Fill the file up to a whole number of pages, as newer versions of mkdtboimg do
    #[arg(long, conflicts_with = "manifest")]
    pub pad_to_page: bool,
}

/// What entries get that set nothing else.
#[derive(Debug, Args)]
pub struct Defaults {
    /// How entries are stored that do not say it
    #[arg(long, value_name = "none|zlib|gzip|lz4", value_parser = compression)]
    pub compression: Option<Compression>,
    /// id of entries that set none
    #[arg(long, value_name = "N", value_parser = value)]
    pub id: Option<Value>,
    /// rev of entries that set none
    #[arg(long, value_name = "N", value_parser = value)]
    pub rev: Option<Value>,
    /// flags of entries that set none
    #[arg(long, value_name = "N", value_parser = value)]
    pub flags: Option<Value>,
    #[command(flatten)]
    pub custom: Custom,
}

/// The custom words, up to the last of version 2.
#[derive(Debug, Args)]
pub struct Custom {
    /// custom word of entries that set none; --custom1 to --custom10 likewise
    #[arg(long, value_name = "N", value_parser = value)]
    pub custom0: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom1: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom2: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom3: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom4: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom5: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom6: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom7: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom8: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom9: Option<Value>,
    #[arg(long, value_name = "N", value_parser = value, hide = true)]
    pub custom10: Option<Value>,
}

impl Defaults {
    /// Whether anything was set.
    pub fn is_set(&self) -> bool {
        self.compression.is_some() || self.options().fields().next().is_some()
    }

    /// The fields that were set.
    pub fn options(&self) -> EntryOptions {
        let Self { id, rev, flags, custom: c, .. } = self;
        let custom = [
            &c.custom0,
            &c.custom1,
            &c.custom2,
            &c.custom3,
            &c.custom4,
            &c.custom5,
            &c.custom6,
            &c.custom7,
            &c.custom8,
            &c.custom9,
            &c.custom10,
        ];
        let named = [(Field::Id, id), (Field::Rev, rev), (Field::Flags, flags)];
        let numbered = custom.into_iter().enumerate().map(|(index, value)| (Field::Custom(index), value));
        let mut options = EntryOptions::default();
        for (field, value) in named.into_iter().chain(numbered) {
            if let Some(value) = value {
                options.set(field, value.clone());
            }
        }
        options
    }
}

/// Which entries share their bytes in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Share {
    /// Entries of the same file, as mkdtboimg does
    Path,
    /// Entries of the same content
    Content,
    /// None
    None,
}

/// How much an entry may grow.
#[derive(Debug, Clone, Copy, Args)]
pub struct Limit {
    /// Refuse entries larger than N when decompressed (K, M and G are understood)
    #[arg(long, value_name = "N", default_value = "64M", value_parser = size::bytes)]
    pub max_size: usize,
}

/// Take an image apart into a directory, so that `pack --manifest` gives it back
///
/// DIR gets the bytes of each entry as they are stored, the device tree beside them where they are compressed,
/// whatever else the image holds, and manifest.json, which ties them together.
///
/// Example: kbt dtbo unpack dtbo.img parts
#[derive(Debug, Args)]
pub struct Unpack {
    /// The image, `-` for standard input
    #[arg(value_name = "IMG")]
    pub image: OsString,
    /// The directory; it is made if it is not there
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    #[command(flatten)]
    pub limit: Limit,
    /// Wait until the files are on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// Print header and entries as mkdtboimg does, and what follows the image
///
/// Example: kbt dtbo dump dtbo.img -b entry
#[derive(Debug, Args)]
pub struct Dump {
    /// The image, `-` for standard input
    #[arg(value_name = "IMG")]
    pub image: OsString,
    /// Write the text here
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: OsString,
    /// Write each entry to PREFIX.0, PREFIX.1, ...
    #[arg(short = 'b', long = "dtb", value_name = "PREFIX")]
    pub prefix: Option<OsString>,
    /// Decompress what -b writes
    #[arg(long, requires = "prefix")]
    pub decompress: bool,
    /// Refuse entries larger than N when decompressed (K, M and G are understood)
    #[arg(long, value_name = "N", default_value = "64M", value_parser = size::bytes, requires = "decompress")]
    pub max_size: usize,
    /// Wait until the files are on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// Print one line an entry
///
/// Example: kbt dtbo list dtbo.img
#[derive(Debug, Args)]
pub struct List {
    /// The image, `-` for standard input
    #[arg(value_name = "IMG")]
    pub image: OsString,
    #[command(flatten)]
    pub limit: Limit,
}

/// Write one entry to a file
///
/// Example: kbt dtbo extract dtbo.img id=2 -o board1.dtbo
#[derive(Debug, Args)]
pub struct Extract {
    /// The image, `-` for standard input
    #[arg(value_name = "IMG")]
    pub image: OsString,
    /// An index from 0, or fields that only one entry has: id=0x10,rev=2,custom0=3
    #[arg(value_name = "ENTRY")]
    pub entry: String,
    /// Write it here, `-` for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: OsString,
    /// Write the bytes as they are stored, compressed or not
    #[arg(long)]
    pub stored: bool,
    #[command(flatten)]
    pub limit: Limit,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
}

fn table_version(text: &str) -> Result<TableVersion, &'static str> {
    parse_size(text).and_then(TableVersion::from_number).ok_or("versions are 0, 1 and 2")
}

fn table_kind(text: &str) -> Result<TableKind, &'static str> {
    TableKind::from_name(text).ok_or("types are dtb and acpi")
}

fn page_size(text: &str) -> Result<u32, &'static str> {
    match size::bytes32(text)? {
        0 => Err("a page size is a number above 0"),
        size => Ok(size),
    }
}

fn alignment(text: &str) -> Result<u32, &'static str> {
    let usual = |size: &u32| size.is_power_of_two() && *size <= MAX_ALIGNMENT;
    size::bytes32(text).ok().filter(usual).ok_or("an alignment is a power of two, of 16 MiB at most")
}

fn compression(text: &str) -> Result<Compression, &'static str> {
    Compression::from_name(text).ok_or("compressions are none, zlib, gzip and lz4")
}

fn value(text: &str) -> Result<Value, &'static str> {
    Value::parse(text).ok_or("a value is a 32-bit number (7, 0x7, 07) or /node:property")
}
