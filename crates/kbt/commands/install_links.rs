//! `kbt install-links`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::args::install_links::InstallLinks;
use crate::multicall;
use crate::report::{Failure, Report};

/// Makes the links, after everything that can be told to be in their way was looked at.
pub fn run(args: &InstallLinks, report: &mut Report) -> Result<(), Failure> {
    let names = names(&args.only)?;
    let target = match &args.target {
        Some(target) => target.clone(),
        None => this_program(&args.directory)?,
    };
    let mut missing = Vec::new();
    for name in names {
        let path = args.directory.join(name);
        if !is_there(&path, &target, args.force)? {
            missing.push((name, path));
        }
    }
    for (_, path) in &missing {
        replace(path, &target).map_err(|error| Failure::io("make a link", path.display(), &error))?;
    }
    report.field("target", target.to_string_lossy());
    report.field("made", missing.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    Ok(())
}

fn names(only: &[String]) -> Result<Vec<&'static str>, Failure> {
    let all = || multicall::names().collect::<Vec<_>>();
    if only.is_empty() {
        return Ok(all());
    }
    let find = |wanted: &String| {
        let found = multicall::names().find(|name| name == wanted);
        found.ok_or_else(|| {
            Failure::usage(format!("kbt does not answer for '{wanted}'"))
                .hint(format!("it does for {}", all().join(", ")))
        })
    };
    only.iter().map(find).collect()
}

/// This program as a link in `directory` names it: by its file name where it lies there itself.
fn this_program(directory: &Path) -> Result<OsString, Failure> {
    let program = env::current_exe().map_err(|error| Failure::io("find", "this program", &error))?;
    let here = fs::canonicalize(directory).ok();
    match (here, program.parent(), program.file_name()) {
        (Some(here), Some(parent), Some(name)) if here == parent => Ok(name.to_owned()),
        _ => Ok(program.into_os_string()),
    }
}

/// Whether the link is made already; an error where something else is in its place.
fn is_there(path: &Path, target: &OsString, force: bool) -> Result<bool, Failure> {
    let failed = |error: io::Error| Failure::io("look at", path.display(), &error);
    let old = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        old => old.map_err(failed)?,
    };
    if old.is_symlink() && fs::read_link(path).map_err(failed)?.as_os_str() == target {
        return Ok(true);
    }
    if force && !old.is_dir() {
        return Ok(false);
    }
    let failure = Failure::new("exists", "something else has this name").at_file(path.display());
    Err(match old.is_dir() {
        true => failure,
        false => failure.hint("choose another directory, or replace it with --force"),
    })
}

/// A link that appears in the place of what is there: under a name of its own first, then renamed.
fn replace(path: &Path, target: &OsString) -> io::Result<()> {
    let mut name = OsString::from(".kbt-");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!("-{}", std::process::id()));
    let fresh: PathBuf = path.with_file_name(name);
    symlink(target, &fresh)?;
    fs::rename(&fresh, path).inspect_err(|_| {
        let _ = fs::remove_file(&fresh);
    })
}
