//! One file a subcommand.

mod depmod;
mod depmod_graph;
pub mod dtbo_dump;
mod dtbo_extract;
mod dtbo_list;
mod dtbo_pack;
mod dtbo_unpack;
pub mod dto_apply;
mod dto_diff;
mod dto_lint;
mod dto_matrix;
mod dto_show;
mod dto_verify;
pub mod help;
mod install_links;
pub mod jobserver_exec;
mod jobserver_pool;
mod jobserver_status;
mod kallsyms_dump;
mod kallsyms_generate;
mod kallsyms_offset;
mod kallsyms_pad;
mod kallsyms_patch;
mod kallsyms_patchfile;
mod kallsyms_verify;

use crate::args::{Area, Deferred, dtbo, dto, jobserver, kallsyms};
use crate::report::{Failure, Report};
use crate::workers::Jobs;

/// Runs what was asked for.
pub fn run(command: Area, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    match command {
        Area::Help(Deferred(args)) => help::run(&args, report),
        Area::InstallLinks(Deferred(args)) => install_links::run(&args, report),
        Area::Dto(Deferred(dto::Command::Apply(args))) => dto_apply::run(args, report),
        Area::Dto(Deferred(dto::Command::Show(args))) => dto_show::run(&args, report),
        Area::Dto(Deferred(dto::Command::Diff(args))) => dto_diff::run(&args, report),
        Area::Dto(Deferred(dto::Command::Lint(args))) => dto_lint::run(&args, report),
        Area::Dto(Deferred(dto::Command::Verify(args))) => dto_verify::run(&args, report),
        Area::Dto(Deferred(dto::Command::Matrix(args))) => dto_matrix::run(&args, jobs, report),
        Area::Dtbo(Deferred(dtbo::Command::Pack(args))) => dtbo_pack::run(*args, jobs, report),
        Area::Dtbo(Deferred(dtbo::Command::Unpack(args))) => dtbo_unpack::run(&args, report),
        Area::Dtbo(Deferred(dtbo::Command::Dump(args))) => dtbo_dump::run(&args, report),
        Area::Dtbo(Deferred(dtbo::Command::List(args))) => dtbo_list::run(&args, report),
        Area::Dtbo(Deferred(dtbo::Command::Extract(args))) => dtbo_extract::run(&args, report),
        Area::Depmod(Deferred(args)) => match &args.below {
            Some(crate::args::depmod::Below::Graph(graph)) => depmod_graph::run(graph, jobs, report),
            None => depmod::run(&args.depmod, jobs, report),
        },
        Area::Jobserver(Deferred(jobserver::Command::Exec(args))) => jobserver_exec::run(args, jobs, report),
        Area::Jobserver(Deferred(jobserver::Command::Pool(args))) => jobserver_pool::run(&args, jobs, report),
        Area::Jobserver(Deferred(jobserver::Command::Status)) => jobserver_status::run(report),
        Area::Kallsyms(Deferred(kallsyms::Command::Generate(args))) => kallsyms_generate::run(&args, report),
        Area::Kallsyms(Deferred(kallsyms::Command::Dump(args))) => kallsyms_dump::run(&args, report),
        Area::Kallsyms(Deferred(kallsyms::Command::Verify(args))) => kallsyms_verify::run(&args, report),
        Area::Kallsyms(Deferred(kallsyms::Command::Pad(args))) => kallsyms_pad::run(&args, report),
        Area::Kallsyms(Deferred(kallsyms::Command::Patch(args))) => kallsyms_patch::run(&args, report),
        Area::Kallsyms(Deferred(kallsyms::Command::Offset(args))) => kallsyms_offset::run(&args, report),
        Area::Kallsyms(Deferred(kallsyms::Command::Patchfile(args))) => {
            kallsyms_patchfile::run(&args, report)
        }
    }
}
