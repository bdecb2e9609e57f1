//! `kbt dtbo`.

use clap::Subcommand;

/// Commands on DTBO images.
#[derive(Debug, Subcommand)]
pub enum Command {}
