//! The facts of every module.

use std::cell::RefCell;
use std::time::Duration;

use kbt_depmod::{Facts, Level, ModuleFacts, ModuleFile};

use super::Stop;
use super::log::Log;
use crate::module_file::{Below, ModuleFileError, ModuleFiles};
use crate::modules_dir::text;
use crate::report::Failure;
use crate::workers::{self, Jobs};

thread_local! {
    /// Codecs and buffers, made once a worker.
    static FILES: RefCell<ModuleFiles> = RefCell::new(ModuleFiles::new());
}

/// What came of reading a module.
#[derive(Debug)]
pub enum Reading {
    /// It was read.
    Whole(ModuleFacts),
    /// It could not be read, which was told; these are the facts that kmod still finds in it.
    Broken(ModuleFacts),
}

impl Reading {
    /// What is there of the facts.
    pub fn facts(&self) -> Facts<'_> {
        match self {
            Self::Whole(facts) | Self::Broken(facts) => facts.view(),
        }
    }
}

/// Reads each file, most of which lie below `directory`. With `strict` one that cannot be read ends the run.
pub fn facts(
    directory: &[u8],
    files: &[ModuleFile<'_>],
    strict: bool,
    jobs: Jobs,
    log: &mut Log<'_>,
) -> Result<Vec<Reading>, Stop> {
    let below = Below::open(directory);
    let step = |file: &ModuleFile<'_>| {
        Ok(FILES
            .with_borrow_mut(|files| files.read(&below, file.path).map_err(|error| (error, files.salvage()))))
    };
    let results = workers::map(jobs, log.report, "modules read", files, cost, step).map_err(Stop::Fatal)?;
    let mut bad = 0;
    let mut facts = Vec::with_capacity(results.len());
    for (file, result) in files.iter().zip(results) {
        facts.push(match result {
            Ok(facts) => Reading::Whole(facts),
            Err((error, _)) if error.is_out_of_memory() => {
                let message =
                    format!("no memory to read {}; nothing was written", String::from_utf8_lossy(file.path));
                return Err(Stop::Fatal(Failure::new("no-memory", message)));
            }
            Err((error, facts)) => {
                bad += 1;
                tell(file, &error, log);
                Reading::Broken(facts)
            }
        });
    }
    log.report.field("unreadable", bad);
    if strict && bad > 0 {
        let message = format!("{bad} modules cannot be read; nothing was written");
        return Err(Stop::Told(Failure::new("unreadable", message)));
    }
    Ok(facts)
}

fn tell(file: &ModuleFile<'_>, error: &ModuleFileError, log: &mut Log<'_>) {
    let why = match error {
        ModuleFileError::Io(error) => text(error),
        ModuleFileError::Compressed(compression, error) => format!("{compression}: {error}"),
        ModuleFileError::Module(error) => error.to_string(),
    };
    log.messages.tell(Level::Error, &[b"failed to load symbols from ", file.path, b": ", why.as_bytes()]);
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
