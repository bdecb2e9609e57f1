//! Arguments of `kbt depmod`.

use std::ffi::OsString;

use clap::{Args, Subcommand, ValueEnum};

use super::depfile;

/// `kbt depmod` itself, or a command below it.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Command {
    #[command(flatten)]
    pub depmod: Depmod,
    #[command(subcommand)]
    pub below: Option<Below>,
}

/// What looks at modules and writes nothing beside them.
#[derive(Debug, Subcommand)]
pub enum Below {
    /// Show which modules need which
    Graph(Graph),
}

/// `kbt depmod graph`
#[derive(Debug, Args)]
#[command(after_help = "Example: kbt depmod graph ext4 --format svg -o ext4.svg")]
pub struct Graph {
    #[command(flatten)]
    pub place: Place,
    /// The version of the kernel [default: that of the running one]
    #[arg(short, long, value_name = "VERSION")]
    pub kernel: Option<OsString>,
    /// Show who needs the modules, not what they need
    #[arg(short, long)]
    pub reverse: bool,
    /// How it is shown
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: Format,
    /// Where it is written; '-' is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: OsString,
    #[command(flatten)]
    pub depfile: depfile::Depfile,
    /// The modules to begin with, by name [default: all]
    #[arg(value_name = "MODULE")]
    pub modules: Vec<OsString>,
}

/// How a graph is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For Graphviz
    #[default]
    Dot,
    /// A drawing
    Svg,
    /// Names, paths and needs
    Json,
}

/// Options that say which module directory is meant.
#[derive(Debug, Default, Args)]
pub struct Place {
    /// The root below which the module directory lies
    #[arg(short, long, value_name = "DIR", overrides_with = "basedir", allow_hyphen_values = true)]
    pub basedir: Option<OsString>,
    /// The module directory below the root [default: /lib/modules]
    #[arg(short, long, value_name = "DIR", overrides_with = "moduledir", allow_hyphen_values = true)]
    pub moduledir: Option<OsString>,
    /// Read this file, or the *.conf files of this directory, instead of the five directories depmod.d
    #[arg(short = 'C', long, value_name = "PATH", allow_hyphen_values = true)]
    pub config: Vec<OsString>,
    /// Go through directories in the order of the file system, as kmod does, or of the names
    #[arg(long, value_enum, default_value_t, value_name = "ORDER")]
    pub order: Order,
}

/// In which order directories are gone through. It decides which of two modules of one name and priority counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// As the file system gives them
    #[default]
    Directory,
    /// By name: the same result on every file system
    Name,
}

/// `kbt depmod`
#[derive(Debug, Default, Args)]
#[command(after_help = "Example: kbt depmod -b /mnt/root 6.1.0-50-amd64")]
pub struct Depmod {
    #[command(flatten)]
    pub place: Place,
    /// Look at all modules, even where some are named; so it is where none is
    #[arg(short, long)]
    pub all: bool,
    /// Do nothing where no module is newer than modules.dep
    #[arg(short = 'A', long)]
    pub quick: bool,
    /// The root below which the files are written [default: that of the modules]
    #[arg(short, long, value_name = "DIR", overrides_with = "outdir", allow_hyphen_values = true)]
    pub outdir: Option<OsString>,
    /// Take the kernel's symbols and their versions from this Module.symvers
    #[arg(short = 'E', long, value_name = "FILE", overrides_with = "symvers", allow_hyphen_values = true)]
    pub symvers: Option<OsString>,
    /// Take the kernel's symbols from this System.map
    #[arg(short = 'F', long, value_name = "FILE", overrides_with = "filesyms", allow_hyphen_values = true)]
    pub filesyms: Option<OsString>,
    /// Tell of symbols that nobody exports or that have another version (with -E or -F)
    #[arg(short, long)]
    pub errsyms: bool,
    /// Tell each dependency and the symbol that makes it; twice: tell of configuration lines for other kernels
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Print the text files instead of writing all
    #[arg(short = 'n', long, visible_alias = "dry-run", conflicts_with = "depfile")]
    pub show: bool,
    /// A character that symbols of this architecture begin with
    #[arg(short = 'P', long, value_name = "CHAR", allow_hyphen_values = true)]
    pub symbol_prefix: Vec<OsString>,
    /// Warn of duplicates
    #[arg(short, long)]
    pub warn: bool,
    /// Write nothing and fail where a module cannot be read
    #[arg(long)]
    pub strict: bool,
    /// Read only what changed since the last such run; what modules gave is kept in DIR [default: /var/cache/kbt for
    /// root, else $XDG_CACHE_HOME/kbt or ~/.cache/kbt]
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub incremental: Option<Option<OsString>>,
    /// With --incremental: compare contents, not the times of files
    #[arg(long, requires = "incremental")]
    pub verify: bool,
    /// Lay the indexes out as this version of kmod does: 34 and later, or 30 to 33
    #[arg(long, value_enum, default_value_t, value_name = "VERSION")]
    pub compat: Compat,
    #[command(flatten)]
    pub depfile: depfile::Depfile,
    /// The version of the kernel [default: that of the running one], then the modules to look at, by absolute path
    #[arg(value_name = "VERSION [MODULE]")]
    pub words: Vec<OsString>,
}

/// A version of kmod whose layout of the indexes is wanted. Readers of every version take both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// A node before its children
    #[default]
    #[value(name = "34")]
    Kmod34,
    /// A node behind its children
    #[value(name = "30")]
    Kmod30,
}
