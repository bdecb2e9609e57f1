//! `kbt dto`.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

use super::depfile::Depfile;
use super::dtbo::Limit;
use super::size;

/// Commands on device trees and overlays.
#[derive(Debug, Subcommand)]
pub enum Command {
    Apply(Apply),
    Show(Show),
    Diff(Diff),
    Lint(Lint),
    Verify(Verify),
    Matrix(Matrix),
}

/// Which nodes a name means; the same for every command that merges or looks at what was merged.
#[derive(Debug, Default, Clone, Copy, Args)]
pub struct Names {
    /// Let a name without a unit address match a node that has one, as libfdt does
    #[arg(long)]
    pub loose_names: bool,
}

/// Merge overlays into a base device tree
///
/// All overlays are merged in the order given, in one pass; where one of them cannot be applied, nothing is
/// written. BASE and OVERLAY are files, `-` for standard input, or an entry of a DTBO image: IMAGE#INDEX,
/// IMAGE#id=0x10,rev=2.
///
/// Example: kbt dto apply board.dtb camera.dtbo display.dtbo -o merged.dtb
#[derive(Debug, Args)]
pub struct Apply {
    /// The base device tree (.dtb), built with `dtc -@`
    pub base: OsString,
    /// The overlays (.dtbo), in the order in which they are to be applied
    #[arg(required = true, value_name = "OVERLAY")]
    pub overlays: Vec<OsString>,
    /// Write the merged tree here, `-` for standard output; it may be BASE or an OVERLAY
    #[arg(short, long, value_name = "OUT")]
    pub output: OsString,
    /// Join /chosen/bootargs and every bootargs_ext, in order, and remove the bootargs_ext
    #[arg(long)]
    pub concat_bootargs: bool,
    /// Leave N zero bytes free at the end of the tree, for a boot loader that edits it
    #[arg(long, value_name = "N", value_parser = size::bytes32, default_value = "0")]
    pub padding: u32,
    #[command(flatten)]
    pub names: Names,
    /// Refuse an overlay that changes the root node
    #[arg(long)]
    pub forbid_root: bool,
    /// Refuse an overlay that names its target by a path instead of a label
    #[arg(long)]
    pub labels_only: bool,
    /// Turn every warning into an error
    #[arg(long)]
    pub deny_warnings: bool,
    /// Wait until the result is on the disk
    #[arg(long)]
    pub sync: bool,
    #[command(flatten)]
    pub depfile: Depfile,
    #[command(flatten)]
    pub limit: Limit,
}

/// Print a device tree as source, with its labels and references
///
/// Nodes get their labels back from __symbols__, an overlay's references theirs from __fixups__ and
/// __local_fixups__, and fragments the form `&label { ... }`. In a base, references are restored where a binding
/// tells of them (clocks, interrupts, GPIOs, ...); phandles stay beside them. `dtc -@` compiles the text to the same
/// tree. TREE is a file, `-` for standard input, or an entry of a DTBO image: IMAGE#INDEX, IMAGE#id=0x10,rev=2.
///
/// Example: kbt dto show dtbo.img#0 > camera.dtso
#[derive(Debug, Args)]
pub struct Show {
    /// The device tree or overlay
    pub tree: OsString,
    /// Write the text here
    #[arg(short, long, value_name = "OUT", default_value = "-")]
    pub output: OsString,
    #[command(flatten)]
    pub depfile: Depfile,
    #[command(flatten)]
    pub limit: Limit,
}

/// Compare two device trees by what they mean
///
/// Phandles are the nodes that they lead to, whatever their numbers; the order of nodes and properties does not
/// count, and fragments of overlays are paired by their targets. Values are shown as source. A and B are files, `-` for
/// standard input, or entries of a DTBO image: IMAGE#INDEX, IMAGE#id=0x10,rev=2.
///
/// Exits with 0 where the trees mean the same, 1 where they differ, 2 where one of them cannot be read.
///
/// Example: kbt dto diff old.dtb new.dtb
#[derive(Debug, Args)]
pub struct Diff {
    /// The tree before
    #[arg(value_name = "A")]
    pub left: OsString,
    /// The tree after
    #[arg(value_name = "B")]
    pub right: OsString,
    #[command(flatten)]
    pub limit: Limit,
}

/// Look for what is wrong, odd or fragile in overlays for a base
///
/// The overlays are merged one after the other, in the order given. What the merge refuses is an error; what works but
/// probably not as meant, or not with every boot loader, is a warning or a note: phandles that clash, numbers where
/// labels belong, names that match loosely, properties that two overlays set differently, a replaced command line,
/// and more. docs/dto-lint.md lists every code with an example and its mend.
///
/// Exits with 1 where a finding is an error or denied.
///
/// Example: kbt dto lint board.dtb camera.dtbo display.dtbo --deny property-conflict --sarif lint.sarif
#[derive(Debug, Args)]
pub struct Lint {
    /// The base device tree (.dtb), built with `dtc -@`
    pub base: OsString,
    /// The overlays (.dtbo), in the order in which they are to be applied
    #[arg(required = true, value_name = "OVERLAY")]
    pub overlays: Vec<OsString>,
    /// Fail where there is a finding of this code; `warnings` and `notes` stand for all that are as bad or worse
    #[arg(long, value_name = "CODE")]
    pub deny: Vec<String>,
    /// Leave out findings of this code
    #[arg(long, value_name = "CODE")]
    pub allow: Vec<String>,
    /// Look for deletions in the source of an overlay (.dtso), where an overlay cannot delete
    #[arg(long, value_name = "FILE")]
    pub source: Vec<OsString>,
    /// Write the findings as SARIF 2.1.0, for code hosts and editors; `-` for standard output
    #[arg(long, value_name = "OUT")]
    pub sarif: Option<OsString>,
    #[command(flatten)]
    pub names: Names,
    #[command(flatten)]
    pub depfile: Depfile,
    #[command(flatten)]
    pub limit: Limit,
}

/// Check that a device's final tree holds its overlays
///
/// What VtsFirmwareDtboVerification checks on a device: each node and property of the overlays stands in FINAL, the last
/// overlay's value where several set one, and phandles lead to the nodes that are meant. Besides: a target or label
/// that is not there fails, fragments with target-path count, and phandles of FINAL that lead nowhere are found.
///
/// OVERLAY is a file, `-`, an entry of a DTBO image (IMAGE#INDEX), or a whole image: then --idx names the entries that
/// were applied, in order, or FINAL does by androidboot.dtbo_idx in its command line. On a device FINAL is
/// /sys/firmware/fdt.
///
/// Example: kbt dto verify /sys/firmware/fdt dtbo.img --idx 3,1
#[derive(Debug, Args)]
pub struct Verify {
    /// The tree that the kernel was given
    #[arg(value_name = "FINAL")]
    pub last: OsString,
    /// The overlays in the order in which they were applied, or one image of them
    #[arg(required = true, value_name = "OVERLAY|IMAGE")]
    pub overlays: Vec<OsString>,
    /// The entries of the image that were applied, in order
    #[arg(long, value_name = "N,M", value_delimiter = ',', value_parser = index)]
    pub idx: Option<Vec<usize>>,
    /// The tree before the merge: FINAL is refused where it is BASE itself, and references that dangle in BASE are left
    /// out. Without it a tree that held the overlays from the start passes
    #[arg(long, value_name = "BASE")]
    pub base: Option<OsString>,
    #[command(flatten)]
    pub names: Names,
    /// FINAL's command line was joined: bootargs, behind it every bootargs_ext in order, among words of the boot loader's own
    #[arg(long)]
    pub concat_bootargs: bool,
    #[command(flatten)]
    pub limit: Limit,
}

/// What `kbt dto matrix --help` begins with: lines of its own stand in it, so clap is to break none that is not too long.
const MATRIX: &str = "Try every overlay on every base

Bases (.dtb) and overlays (.dtbo) are looked for in the directories and below, each base is read once, and the pairs \
are shared out to as many workers as --jobs, make's jobserver or the cores allow. A table says of each overlay how many \
bases it applies to and why it does not apply to the others, and which overlays for one base set a property \
differently. Nothing is written but the reports.

Exits with 1 where a pair does not do as it is to: apply, unless the configuration says that it is refused.

The configuration has lines of a word, a pattern of bases and one or several patterns of overlays, which are then \
applied one after the other; names are relative to the directories, `*` stands for anything but `/`, `**` for anything:

    apply  rk3399-*.dtb      camera.dtbo display.dtbo
    refuse rk3399-puma*.dtb  camera.dtbo
    skip   old/**            **

With an `apply` line only what such lines name is tried, else what --pairs says.

Example: kbt dto matrix --bases out/dtb --overlays out/dtbo --pairs compatible --junit matrix.xml";

/// Try every overlay on every base
#[derive(Debug, Args)]
#[command(long_about = MATRIX)]
pub struct Matrix {
    /// The directory of the bases
    #[arg(long, value_name = "DIR")]
    pub bases: OsString,
    /// The directory of the overlays; it may be the same
    #[arg(long, value_name = "DIR")]
    pub overlays: OsString,
    /// What belongs together, and what is to be refused
    #[arg(long, value_name = "FILE")]
    pub config: Option<OsString>,
    /// Which pairs are tried
    #[arg(long, value_name = "WHICH", default_value = "all")]
    pub pairs: Pairs,
    /// Write each pair and its outcome as JSON here
    #[arg(long, value_name = "OUT")]
    pub report: Option<OsString>,
    /// Write the same as JUnit XML, for what shows the results of tests
    #[arg(long, value_name = "OUT")]
    pub junit: Option<OsString>,
    /// Exit with 1 where two overlays for one base set a property differently, too
    #[arg(long)]
    pub deny_conflicts: bool,
    #[command(flatten)]
    pub names: Names,
    #[command(flatten)]
    pub depfile: Depfile,
}

/// Which pairs of a matrix are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pairs {
    /// Every overlay on every base
    All,
    /// Those whose root nodes share a `compatible`; an overlay without one goes with every base
    Compatible,
    /// Those of one folder, as a kernel's build lays them out
    Folder,
}

fn index(word: &str) -> Result<usize, &'static str> {
    word.parse().map_err(|_| "an entry's number is wanted, from 0")
}
