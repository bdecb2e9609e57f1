//! `kbt jobserver pool`.

use std::io;
use std::num::{NonZero, NonZeroU32};
use std::thread::available_parallelism;

use kbt_jobserver::{Jobserver, Server};
use serde_json::json;

use crate::args::jobserver::{Pool, PoolStyle};
use crate::commands::jobserver_exec::{at_most, ended_with, not_started, without_keeper};
use crate::exit;
use crate::jobserver::holders::{self, Holder};
use crate::jobserver::keeper::Keeper;
use crate::jobserver::private::PrivatePool;
use crate::jobserver::signals::Signals;
use crate::jobserver::supervise::Task;
use crate::report::{Failure, Report};
use crate::workers::Jobs;

/// Runs a command with a pool of its own; `--jobs` is another name of `-j`.
pub fn run(args: &Pool, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    if let Jobserver::Usable(_) = Jobserver::from_env() {
        let text = "there is a jobserver already: the jobs of this pool run beside its jobs";
        report
            .warn(Failure::new("second-pool", text).hint("kbt jobserver exec shares those of the other one"));
    }
    let jobs = match (args.size, at_most(jobs)?) {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("-j and --jobs are the same; one of them is enough"));
        }
        (size, jobs) => size.or(jobs).map_or_else(processors, NonZeroU32::get),
    };
    let mut signals = Signals::catch().map_err(|error| not_started("catch signals", &error))?;
    let (keeper, unkept) =
        Keeper::start_if_possible(None).map_err(|error| not_started("start a keeper of the pool", &error))?;
    if let Some(error) = unkept {
        report.warn(without_keeper(&error));
    }
    let pool = PrivatePool::in_style(args.style.into(), jobs - 1, &keeper)
        .map_err(|error| not_made(args.style, jobs, &error))?;
    let task = Task { words: &args.command, environment: pool.environment() };
    let ended = task.run(&mut signals, &keeper);
    let ended = ended.map_err(|error| not_started("start the command", &error))?;
    tell_leaks(pool.server(), report).map_err(|error| Failure::io("count the tokens", "pool", &error))?;
    // It holds no token, so there is none to lose.
    let _ = keeper.release();
    let code = ended.reap().map_err(|error| not_started("wait for the command", &error))??;
    ended_with(code, report);
    Ok(())
}

fn processors() -> u32 {
    u32::try_from(available_parallelism().map_or(1, NonZero::get)).unwrap_or(1)
}

/// Counts what came back, and says who may have the rest.
fn tell_leaks(server: &Server, report: &mut Report) -> io::Result<()> {
    let (missing, surplus) = (server.missing()?, server.surplus()?);
    report.field("tokens", server.tokens());
    report.field("leaked", missing);
    if surplus > 0 {
        let text = format!("{surplus} tokens more were given back than had been taken");
        report.warn(Failure::new("tokens-surplus", text).detail("surplus", surplus));
    }
    if missing > 0 {
        let holders = holders::of(server.client().file_id()?);
        let text =
            format!("{missing} of {} tokens were not given back{}", server.tokens(), by_whom(&holders));
        let failure = Failure::new("tokens-leaked", text).detail("leaked", missing);
        report.warn(failure.detail("holders", json!(holders)));
    }
    Ok(())
}

fn by_whom(holders: &[Holder]) -> String {
    if holders.is_empty() {
        return ", by a process that has ended".to_owned();
    }
    let names: Vec<String> =
        holders.iter().map(|holder| format!("{} ({})", holder.name, holder.pid)).collect();
    format!("; the pool is still open in {}", names.join(", "))
}

fn not_made(style: PoolStyle, jobs: u32, error: &io::Error) -> Failure {
    let what = format!("make a pool of {jobs} jobs");
    let failure = match style {
        PoolStyle::Fifo if error.kind() != io::ErrorKind::StorageFull => {
            let failure = Failure::io(&what, std::env::temp_dir().display(), error);
            failure.hint("TMPDIR names a directory that can be written to; --style pipe needs none")
        }
        _ => Failure::io(&what, "jobserver", error),
    };
    Failure { exit: exit::NOT_STARTED, ..failure }
}
