//! `kbt dto apply`.

use crate::args::dto::Apply;
use crate::report::{Failure, Report};

/// Merges the overlays into the base and writes the result.
pub fn run(_args: &Apply, _report: &mut Report) -> Result<(), Failure> {
    Err(Failure::new("todo", "not there yet"))
}
