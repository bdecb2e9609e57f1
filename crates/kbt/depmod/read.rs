//! The facts of every module.

use std::cell::RefCell;
use std::time::Duration;

use kbt_depmod::{Level, ModuleFacts, ModuleFile, Modules};

use super::log::Log;
use super::{Stop, path};
use crate::module_file::{ModuleFileError, ModuleFiles};
use crate::modules_dir::text;
use crate::report::Failure;
use crate::workers::{self, Jobs};

thread_local! {
    /// Codecs and buffers, made once a worker.
    static FILES: RefCell<ModuleFiles> = RefCell::new(ModuleFiles::new());
}

/// Reads each module. One that cannot be read is told, and has the facts that kmod still finds in it; with `strict` it ends the run.
pub fn facts(
    modules: &Modules,
    strict: bool,
    jobs: Jobs,
    log: &mut Log<'_>,
) -> Result<Vec<ModuleFacts>, Stop> {
    let files: Vec<ModuleFile<'_>> = modules.iter().collect();
    let step = |file: &ModuleFile<'_>| {
        Ok(FILES
            .with_borrow_mut(|files| files.read(path(file.path)).map_err(|error| (error, files.salvage()))))
    };
    let results = workers::map(jobs, log.report, "modules read", &files, cost, step).map_err(Stop::Fatal)?;
    let mut bad = 0;
    let mut facts = Vec::with_capacity(results.len());
    for (file, result) in files.iter().zip(results) {
        facts.push(result.unwrap_or_else(|(error, facts)| {
            bad += 1;
            let why = reason(&error);
            log.messages
                .tell(Level::Error, &[b"failed to load symbols from ", file.path, b": ", why.as_bytes()]);
            facts
        }));
    }
    log.report.field("unreadable", bad);
    if strict && bad > 0 {
        let message = format!("{bad} of {} modules cannot be read; nothing was written", files.len());
        return Err(Stop::Told(Failure::new("unreadable", message)));
    }
    Ok(facts)
}

/// About how long a module takes, by its name: measured on Debian's, a mean of 100 KiB. A plain one costs less than a
/// thread would gain.
fn cost(file: &ModuleFile<'_>) -> Duration {
    let name = file.path;
    Duration::from_micros(match () {
        () if name.ends_with(b".xz") => 1500,
        () if name.ends_with(b".gz") => 200,
        () if name.ends_with(b".zst") => 150,
        () => 0,
    })
}

fn reason(error: &ModuleFileError) -> String {
    match error {
        ModuleFileError::Io(error) => text(error),
        ModuleFileError::Compressed(compression, error) => format!("{compression}: {error}"),
        ModuleFileError::Module(error) => error.to_string(),
    }
}
