//! The argument of `kbt help`.

use clap::Args;

use crate::topics::topics;

/// A page of the manual, or the help of a command
///
/// Example: kbt help output
#[derive(Debug, Args)]
#[command(after_help = topics())]
pub struct Help {
    /// A topic, or a command
    #[arg(value_name = "TOPIC|COMMAND")]
    pub words: Vec<String>,
}
