//! `kbt depmod`: from the command line to the files, phase by phase.
//!
//! 1. [`settings`]: what the words mean, without a look at the modules;
//! 2. [`find`]: configuration, walk or list, order;
//! 3. [`read`]: the facts of each module, on as many threads as pay;
//! 4. `kbt_depmod::build`: the files, in memory;
//! 5. [`publish`]: all of them appear, or none.

mod config_files;
mod find;
pub mod graph;
mod incremental;
mod log;
mod publish;
mod read;
mod settings;
mod up_to_date;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;

use kbt_depmod::{Built, Level, Options, Output, Outputs, build};

use crate::args::depmod::{Compat, Depmod};
use crate::inputs::Inputs;
use crate::memory::keep_memory;
use crate::modules_dir::read_beside;
use crate::output::stdout_is_open;
use crate::report::{Failure, Report};
use crate::workers::Jobs;
use find::Found;
use incremental::{Gathered, Incremental, Plan};
use log::Log;
use settings::{KernelFile, Settings};

/// Why a run ended early.
#[derive(Debug)]
pub enum Stop {
    /// For this reason, which nobody has told yet.
    Fatal(Failure),
    /// What led to it was told already; this sums it up.
    Told(Failure),
}

impl Stop {
    fn fatal(code: &'static str, message: impl Into<String>) -> Self {
        Self::Fatal(Failure::new(code, message))
    }

    /// The failure, told or not.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Fatal(failure) | Self::Told(failure) => failure,
        }
    }
}

/// Runs it.
pub fn run(args: &Depmod, jobs: Jobs, report: &mut Report) -> Result<(), Stop> {
    let mut log = Log::new(report, args.verbose);
    let result = run_phases(args, jobs, &mut log);
    log.flush();
    result
}

fn run_phases(args: &Depmod, jobs: Jobs, log: &mut Log<'_>) -> Result<(), Stop> {
    let settings = Settings::new(args, log)?;
    if args.quick && (args.show || up_to_date::check(&settings.directory, log)) {
        log.report.field("up_to_date", true);
        return Ok(());
    }
    let kernel = KernelFile::read(args, log)?;
    let incremental = Incremental::wanted(args, &settings, log);
    // A run that reads all modules takes little of its time for pages, and is held to kmod's memory.
    if incremental.as_ref().is_some_and(Incremental::has_cache) {
        keep_memory();
    }
    let found = find::modules(&settings, incremental.is_some(), log)?;
    log.flush();
    if args.strict && found.is_partial {
        let message = "not all modules could be looked at; nothing was written";
        return Err(Stop::Told(Failure::new("unreadable", message)));
    }
    let beside = |name| read_beside(&settings.directory, name).map_err(Stop::Fatal);
    let (builtin, modinfo) = (beside("modules.builtin")?, beside("modules.builtin.modinfo")?);
    let options = Options {
        kernel: kernel.as_ref().map(KernelFile::symbols),
        builtin: builtin.as_deref().map_err(Vec::as_slice),
        builtin_modinfo: modinfo.as_deref().map_err(Vec::as_slice),
        ..options(args, &settings)
    };
    let gathered = match &incremental {
        Some(incremental) => gather(incremental, args, (&settings, &found), &options, jobs, log)?,
        None => {
            let files: Vec<_> = found.modules.iter().collect();
            (Gathered::all(read::facts(&settings.directory, &files, args.strict, jobs, log)?), None)
        }
    };
    let (gathered, plan) = gathered;
    let reuse = plan.as_ref().map(Plan::reuse).unwrap_or_default();
    let built = build(&found.modules, &gathered.views(), &Options { reuse, ..options }, &mut log.messages);
    let symbols = plan.as_ref().map_or_else(|| gathered.symbols(), |plan| plan.symbols(&gathered));
    log.report.field("symbols", symbols);
    finish(args, &settings, &found, &built, log)?;
    if let (Some(incremental), Some(plan), false) = (&incremental, &plan, args.show) {
        let learnt = plan.learnt(&found.modules, &gathered, built, &options);
        incremental.keep(&found, gathered, &learnt, log);
    }
    Ok(())
}

/// What the arguments alone say of the files.
fn options<'o>(args: &Depmod, settings: &Settings) -> Options<'o> {
    Options {
        symbol_prefix: settings.symbol_prefix,
        report_symbols: args.errsyms && (args.symvers.is_some() || args.filesyms.is_some()),
        warn_duplicates: args.warn,
        show_needs: args.verbose > 0,
        text_only: args.show,
        layout: match args.compat {
            Compat::Kmod34 => kbt_depmod::Layout::PreOrder,
            Compat::Kmod30 => kbt_depmod::Layout::PostOrder,
        },
        ..Options::default()
    }
}

/// What all modules give, and what stays of the last run's work.
fn gather<'c>(
    incremental: &'c Incremental,
    args: &Depmod,
    (settings, found): (&Settings, &Found),
    options: &Options<'_>,
    jobs: Jobs,
    log: &mut Log<'_>,
) -> Result<(Gathered<'c>, Option<Plan>), Stop> {
    // Where more is told than files.
    let all = args.show || args.warn || args.errsyms || args.verbose > 0;
    for anew in [false, true] {
        // What was told is told again.
        log.messages.clear();
        let mut gathered = incremental.gather(found, (args.strict, anew), jobs, log)?;
        let plan = incremental.plan(&found.modules, &mut gathered, options, &settings.output, all);
        if plan.is_some() {
            return Ok((gathered, plan));
        }
    }
    Err(Stop::fatal("io", "what was read anew is not there"))
}

/// What any look at modules reads beside the modules: the configuration, modules.order.
fn name_inputs(inputs: &mut Inputs, settings: &Settings, config: &[OsString]) {
    inputs.files(config);
    name_beside(inputs, settings, "modules.order");
}

/// A file of the module directory, which need not be there.
fn name_beside(inputs: &mut Inputs, settings: &Settings, name: &str) {
    let beside = path(&settings.directory).join(name);
    if beside.exists() {
        inputs.file(beside);
    }
}

/// Prints or publishes what was built.
fn finish(
    args: &Depmod,
    settings: &Settings,
    found: &Found,
    built: &Built,
    log: &mut Log<'_>,
) -> Result<(), Stop> {
    if !log.report.is_json() {
        print(&built.needs)?;
    }
    let fatal = log.messages.iter().any(|(level, _)| level == Level::Fatal);
    let Some(outputs) = &built.outputs else {
        let why = if fatal {
            "nothing was written"
        } else {
            "modules need each other in cycles; nothing was written"
        };
        return Err(Stop::Told(Failure::new("not-built", why)));
    };
    log.flush();
    if args.show {
        if !log.report.is_json() {
            outputs.iter().try_for_each(|(_, bytes)| print(bytes))?;
        }
    } else {
        publish::publish(args, path(&settings.output), outputs, &inputs(args, settings, found))?;
        log.report.field("output", String::from_utf8_lossy(&settings.output));
    }
    log.report.field("modules", found.modules.len());
    log.report.field("files", sizes(args, &settings.output, outputs));
    Ok(())
}

/// All that was read.
fn inputs(args: &Depmod, settings: &Settings, found: &Found) -> Inputs {
    let mut inputs = Inputs::default();
    name_inputs(&mut inputs, settings, &found.config);
    for name in ["modules.builtin", "modules.builtin.modinfo"] {
        name_beside(&mut inputs, settings, name);
    }
    inputs.files(args.symvers.iter().chain(&args.filesyms));
    // None of them has the name of a file of depmod's, so that without a rule nobody asks for them.
    if args.depfile.depfile.is_some() {
        inputs.files(found.modules.iter().map(|module| path(module.path)));
    }
    inputs
}

/// The size of each file by its name, also of those that stayed.
fn sizes(args: &Depmod, directory: &[u8], outputs: &Outputs) -> serde_json::Map<String, serde_json::Value> {
    let size = |output: Output| match outputs.get(output) {
        Some(bytes) => Some(bytes.len() as u64),
        None if args.show => None,
        None => std::fs::metadata(path(directory).join(output.name())).ok().map(|status| status.len()),
    };
    let sizes = Output::ALL.into_iter().filter_map(|output| Some((output, size(output)?)));
    sizes.map(|(output, size)| (output.name().to_owned(), size.into())).collect()
}

/// Writes to standard output; a reader that went away has what it wanted.
fn print(bytes: &[u8]) -> Result<(), Stop> {
    let mut stdout = std::io::stdout().lock();
    match stdout_is_open().and_then(|()| stdout.write_all(bytes)).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Stop::Fatal(Failure::io("write", "standard output", &error)))
        }
        _ => Ok(()),
    }
}

/// A path from bytes.
fn path(bytes: &[u8]) -> &Path {
    use std::os::unix::ffi::OsStrExt as _;
    Path::new(std::ffi::OsStr::from_bytes(bytes))
}
