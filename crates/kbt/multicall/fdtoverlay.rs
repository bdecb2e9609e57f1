//! `fdtoverlay` (dtc): its command line over `kbt dto apply`.
//!
//! Names match as libfdt's do, so that the tree is the one that fdtoverlay gives.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;

use crate::args::depfile::Depfile;
use crate::args::dtbo::Limit;
use crate::args::dto::{Apply, Names};
use crate::commands::dto_apply;
use crate::dtbo::image;
use crate::exit;
use crate::output::Output;
use crate::report::{Failure, Report};

const NAME: &str = "fdtoverlay";

/// Apply a number of overlays to a base blob
#[derive(Debug, Parser)]
#[command(name = NAME, version, infer_long_args = true, disable_version_flag = true, after_help = "This is kbt.")]
struct Args {
    /// Input base DT blob
    #[arg(short, long, overrides_with = "input")]
    input: OsString,
    /// Output DT blob
    #[arg(short, long, overrides_with = "output")]
    output: OsString,
    /// Verbose messages
    #[arg(short, long, overrides_with = "verbose")]
    verbose: bool,
    /// Print version and exit
    #[arg(short = 'V', long, action = clap::ArgAction::Version)]
    version: (),
    /// The overlays, in the order in which they are to be applied
    #[arg(required = true, value_name = "OVERLAY")]
    overlays: Vec<OsString>,
}

/// Runs with the words after `argv[0]`. Every refusal exits 1, as fdtoverlay's do.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let args: Args = match super::parse(NAME, words) {
        Ok(args) => args,
        Err(code) => return code,
    };
    if args.verbose {
        tell(&args);
    }
    let apply = Apply {
        base: args.input,
        overlays: args.overlays,
        output: args.output,
        concat_bootargs: false,
        padding: 0,
        names: Names { loose_names: true },
        forbid_root: false,
        labels_only: false,
        deny_warnings: false,
        sync: false,
        depfile: Depfile::default(),
        limit: Limit { max_size: image::DEFAULT_MAX_SIZE },
    };
    let mut report = Report::new(NAME, false, false);
    let result = dto_apply::run(apply, &mut report);
    report.finish(result.map_err(|failure| Failure { exit: exit::FAILURE, ..failure }))
}

/// Tells what will be done, on standard output unless the tree goes there.
fn tell(args: &Args) {
    let mut text = format!("input  = {}\noutput = {}\n", args.input.display(), args.output.display());
    for (index, overlay) in args.overlays.iter().enumerate() {
        text.push_str(&format!("overlay[{index}] = {}\n", overlay.display()));
    }
    // Whether anybody listens is no matter for the result.
    let _ = match Output::parse(&args.output) {
        Output::Stdout => std::io::stderr().write_all(text.as_bytes()),
        Output::File(_) => std::io::stdout().write_all(text.as_bytes()),
    };
}
