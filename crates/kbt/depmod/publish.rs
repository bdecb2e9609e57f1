//! Letting the files appear: all of them, or none.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;

use kbt_depmod::Outputs;

use super::{Stop, path};
use crate::depfile::Depfile;
use crate::modules_dir::text;
use crate::output::Set;

/// Writes the files to `directory`, which is made where it is missing. They are on the disk before the first of them can be
/// seen.
pub fn publish(directory: &[u8], outputs: &Outputs, depfile: &Depfile<'_>) -> Result<(), Stop> {
    let directory = path(directory);
    fs::DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(|error| {
        Stop::fatal("io", format!("could not create directory {}: {}", directory.display(), text(error)))
    })?;
    let mut set = Set::default();
    for (output, bytes) in outputs.iter() {
        set.add_name(&directory.join(output.name()), bytes).map_err(Stop::Fatal)?;
    }
    // It stands for the others: they appear together.
    depfile.add_for(&directory.join("modules.dep"), &mut set).map_err(Stop::Fatal)?;
    set.publish(true).map_err(Stop::Fatal)
}
