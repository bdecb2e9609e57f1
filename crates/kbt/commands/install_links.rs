//! `kbt install-links`.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::args::install_links::InstallLinks;
use crate::multicall;
use crate::output::{Identity, Lock, identity};
use crate::report::{Failure, Report};

/// Makes the links, after everything that can be told to be in their way was looked at.
pub fn run(args: &InstallLinks, report: &mut Report) -> Result<(), Failure> {
    let names = names(&args.only)?;
    if !args.directory.is_dir() {
        let place = args.directory.display().to_string();
        if args.directory.exists() {
            return Err(Failure::new("io", "this is no directory").at_file(place));
        }
        let failure = Failure::new("io", "there is no such directory").at_file(&place);
        return Err(failure.hint(format!("make it first: mkdir -p {place}")));
    }
    let target = match &args.target {
        Some(target) => target.clone(),
        None => this_program(&args.directory)?,
    };
    // Another run makes and takes back links of the same names.
    let _lock = Lock::of(&args.directory);
    let mut missing = Vec::new();
    for name in names {
        let path = args.directory.join(name);
        if !is_there(&path, &target, args.force)? {
            missing.push((name, path));
        }
    }
    // All that can lack room comes before the first name changes.
    let mut links = Vec::new();
    for (_, path) in &missing {
        let link = Link::make(path, &target);
        links.push(link.map_err(|error| Failure::io("make a link", path.display(), &error))?);
    }
    if let Some((link, error)) =
        links.iter_mut().find_map(|link| link.appear().err().map(|error| (link, error)))
    {
        let failure = Failure::io("make a link", link.path.display(), &error);
        links.iter_mut().for_each(Link::take_back);
        return Err(failure);
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

/// A link under a name of its own, until it takes the place of what is there. It is removed where that did not happen.
struct Link<'p> {
    path: &'p Path,
    fresh: PathBuf,
    /// Which link it is, of all that there may be under the name.
    identity: Identity,
    is_first: bool,
    has_appeared: bool,
}

impl<'p> Link<'p> {
    fn make(path: &'p Path, target: &OsString) -> io::Result<Self> {
        let mut name = OsString::from(".kbt-link-");
        name.push(path.file_name().unwrap_or_default());
        let fresh = path.with_file_name(name);
        match symlink(target, &fresh) {
            // Of a run that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(&fresh)?;
                symlink(target, &fresh)?;
            }
            made => made?,
        }
        Ok(Self {
            path,
            identity: identity(&fresh),
            fresh,
            is_first: fs::symlink_metadata(path).is_err(),
            has_appeared: false,
        })
    }

    fn appear(&mut self) -> io::Result<()> {
        fs::rename(&self.fresh, self.path)?;
        self.has_appeared = true;
        Ok(())
    }

    /// What was replaced by --force is gone; its link stays.
    fn take_back(&mut self) {
        if self.has_appeared && self.is_first && identity(self.path) == self.identity {
            // What fails here cannot be helped; the error that brought us here is told.
            let _ = fs::remove_file(self.path);
        }
    }
}

impl Drop for Link<'_> {
    fn drop(&mut self) {
        if !self.has_appeared {
            let _ = fs::remove_file(&self.fresh);
        }
    }
}
