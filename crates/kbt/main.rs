//! `kbt`: the tools that stand around a Linux kernel's build and boot, in one binary.
//!
//! `main` dispatches and maps a failure to an exit code; everything else lives in its own file.

mod args;
mod commands;
mod depfile;
mod depmod;
mod dtbo;
mod exit;
mod in_place;
mod input;
mod inputs;
mod jobserver;
mod kallsyms;
mod matrix;
mod memory;
mod module_file;
mod modules_dir;
mod multicall;
mod output;
mod packed;
mod progress;
mod report;
mod sarif;
mod topics;
mod tree;
mod workers;

use std::process::ExitCode;

/// Where memory ends, the run ends with a sentence and an exit code.
#[global_allocator]
static ALLOCATOR: kbt_memory::Allocator = kbt_memory::Allocator;

fn main() -> ExitCode {
    if let Some(run) = std::env::args_os().next().as_deref().and_then(multicall::by_name) {
        return run(std::env::args_os().skip(1).collect());
    }
    let args = match args::parse() {
        Ok(args) => args,
        Err(error) if error.use_stderr() && args::wants_json() => {
            let failure = report::Failure::usage(args::one_line(&error));
            return report::Report::new("kbt", false, true).finish(Err(failure));
        }
        Err(error) => return exit::of_usage(&error),
    };
    let mut report = report::Report::new("kbt", args.global.quiet, args.global.json);
    let result = commands::run(args.command, args.global.jobs, &mut report);
    report.finish(result)
}
