//! One file a subcommand.

pub mod dtbo_dump;
mod dtbo_extract;
mod dtbo_list;
mod dtbo_pack;
mod dtbo_unpack;
pub mod dto_apply;

use crate::args::{Area, dtbo, dto};
use crate::report::{Failure, Report};
use crate::workers::Jobs;

/// Runs what was asked for.
pub fn run(command: Area, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    match command {
        Area::Dto(dto::Command::Apply(args)) => dto_apply::run(&args, report),
        Area::Dtbo(dtbo::Command::Pack(args)) => dtbo_pack::run(*args, jobs, report),
        Area::Dtbo(dtbo::Command::Unpack(args)) => dtbo_unpack::run(&args, report),
        Area::Dtbo(dtbo::Command::Dump(args)) => dtbo_dump::run(&args, report),
        Area::Dtbo(dtbo::Command::List(args)) => dtbo_list::run(&args, report),
        Area::Dtbo(dtbo::Command::Extract(args)) => dtbo_extract::run(&args, report),
    }
}
