//! `jobserver-exec` (the kernel's script): its command line over `kbt jobserver exec`.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Parser;

use crate::args::jobserver::Exec;
use crate::commands::jobserver_exec;
use crate::report::Report;
use crate::usage;

/// The name in front of every message.
pub const NAME: &str = "jobserver-exec";

#[derive(Debug, Parser)]
#[command(name = NAME, version, after_help = "This is kbt.")]
struct Args {
    #[command(flatten)]
    exec: Exec,
}

/// Runs with the words after `argv[0]`.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let args = match Args::try_parse_from(std::iter::once(NAME.into()).chain(words)) {
        Ok(args) => args,
        Err(error) => return usage::finish(NAME, false, &error),
    };
    let mut report = Report::new(NAME, false, false);
    let result = jobserver_exec::run_as(&args.exec, &mut report);
    report.finish(result)
}
