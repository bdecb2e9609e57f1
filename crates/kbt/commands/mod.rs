//! One file a subcommand.

mod dto_apply;

use crate::args::{Area, dto};
use crate::report::{Failure, Report};

/// Runs what was asked for.
pub fn run(command: Area, report: &mut Report) -> Result<(), Failure> {
    match command {
        Area::Dto(dto::Command::Apply(args)) => dto_apply::run(&args, report),
        Area::Dtbo(command) => match command {},
    }
}
