//! `kbt`: the tools that stand around a Linux kernel's build and boot, in one binary.
//!
//! `main` dispatches and maps a failure to an exit code; everything else lives in its own file.

mod args;
mod commands;
mod depfile;
mod depmod;
mod dtbo;
mod dto;
mod exit;
mod fnv;
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
mod usage;
mod workers;

use std::process::ExitCode;

/// Where memory ends, the run ends with a sentence and an exit code.
#[global_allocator]
static ALLOCATOR: kbt_memory::Allocator = kbt_memory::Allocator;

fn main() -> ExitCode {
    kbt_streams::outlive_file_size_limit();
    if let Some(run) = std::env::args_os().next().as_deref().and_then(multicall::by_name) {
        return run(std::env::args_os().skip(1).collect());
    }
    let args = match args::parse() {
        Ok(args) => args,
        Err(error) => return usage::finish("kbt", args::wants_json(), &error),
    };
    let mut report = report::Report::new("kbt", args.global.quiet, args.global.json);
    // An object that nobody will read is told before anything is done.
    let heard = if args.global.json { output::stdout_is_open() } else { Ok(()) };
    let heard = heard.map_err(|error| report::Failure::io("write", "standard output", &error));
    let result = heard.and_then(|()| commands::run(args.command, args.global.jobs, &mut report));
    report.finish(result)
}
