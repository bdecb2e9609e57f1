//! Every argument as typed: clap structs only, no look at the disk. Their doc comments are the help.

mod deferred;
pub mod depfile;
pub mod depmod;
pub mod dtbo;
pub mod dto;
pub mod help;
pub mod install_links;
pub mod jobserver;
pub mod kallsyms;
pub mod kallsyms_link;
pub mod size;

use std::num::NonZeroUsize;

use clap::{Args, Parser, Subcommand};
pub use deferred::Deferred;

/// Kernel build and boot tools in one binary
#[derive(Debug, Parser)]
#[command(
    name = "kbt",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    disable_help_subcommand = true
)]
pub struct Command {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Area,
}

/// Options that every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// Print no warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Print the result, errors and warnings as one JSON object on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Work on N things at once [default: what make's jobserver leaves, else the cores]
    #[arg(long, value_name = "N", value_parser = jobs, global = true)]
    pub jobs: Option<NonZeroUsize>,
}

/// What kbt works on.
#[derive(Debug, Subcommand)]
pub enum Area {
    /// Device-tree overlays
    #[command(subcommand)]
    Dto(Deferred<dto::Command>),
    /// Android DTBO images
    #[command(subcommand)]
    Dtbo(Deferred<dtbo::Command>),
    /// modules.dep and the other files that modprobe reads, made of a directory of kernel modules
    Depmod(Deferred<Box<depmod::Command>>),
    /// GNU make's jobserver: commands that share the jobs of `make -jN`
    #[command(subcommand)]
    Jobserver(Deferred<jobserver::Command>),
    /// The table of symbols that a kernel carries (kallsyms)
    #[command(subcommand)]
    Kallsyms(Deferred<kallsyms::Command>),
    /// Links by which kbt answers under the names of the tools that it replaces
    InstallLinks(Deferred<install_links::InstallLinks>),
    /// A page of the manual, or the help of a command
    Help(Deferred<help::Help>),
}

/// Parses the process's arguments.
pub fn parse() -> Result<Command, clap::Error> {
    Command::try_parse()
}

/// Whether the process's arguments ask for JSON, even though they could not be parsed.
pub fn wants_json() -> bool {
    std::env::args_os().skip(1).take_while(|word| word != "--").any(|word| word == "--json")
}

fn jobs(word: &str) -> Result<NonZeroUsize, &'static str> {
    word.parse().map_err(|_| "a number above 0 is wanted")
}
