//! `kbt install-links`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// Make links by which kbt answers under the names of the tools that it replaces
///
/// The names are depmod, fdtoverlay, jobserver-exec, kallsyms, mkdtboimg and mkdtboimg.py. What is there under one of
/// them and is no link to kbt stays, and then no link is made, unless --force says otherwise.
///
/// Example: kbt install-links ~/.local/bin --only fdtoverlay,mkdtboimg
#[derive(Debug, Args)]
pub struct InstallLinks {
    /// The directory of the links
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
    /// Make links of these names only
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Let the links lead to PATH, which need not be there yet [default: this program]
    #[arg(long, value_name = "PATH")]
    pub target: Option<OsString>,
    /// Replace what is there, but no directory
    #[arg(long)]
    pub force: bool,
}
