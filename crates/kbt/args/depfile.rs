//! `--depfile`, of every command that writes a file.

use std::path::PathBuf;

use clap::Args;

/// Where the rule goes.
#[derive(Debug, Default, Args)]
pub struct Depfile {
    /// Write a rule for make or ninja here: the output, and every file that was read
    #[arg(long, value_name = "FILE")]
    pub depfile: Option<PathBuf>,
}
