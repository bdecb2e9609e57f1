//! `kbt depmod`: what modprobe reads, made of a directory of modules.

use crate::args::depmod::Depmod;
use crate::depmod;
use crate::report::{Failure, Report};
use crate::workers::Jobs;

/// Reads the modules and writes the files.
pub fn run(args: &Depmod, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    depmod::run(args, jobs, report).map_err(depmod::Stop::into_failure)
}
