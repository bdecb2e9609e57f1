//! Which modules there are, in kmod's order.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;

use kbt_depmod::{
    Config, FileIdentity, Level, MAX_MODULES, Messages, Modules, base_name, has_module_extension,
};
use rustix::io::Errno;

use super::log::Log;
use super::settings::{Settings, current_directory};
use super::{Stop, config_files, incremental};
use crate::modules_dir::{Walk, read_beside, text};
use crate::report::Failure;

/// Bytes of the longest path that kmod takes, with its NUL: C's `PATH_MAX`.
const MAX_PATH: usize = 4096;

/// The modules, and where their choice comes from.
pub struct Found {
    /// In kmod's order.
    pub modules: Modules,
    /// The files of the configuration.
    pub config: Vec<OsString>,
    /// The state of each file that was met, where that was asked for; the modules' tags are places in it.
    pub identities: Vec<FileIdentity>,
    /// Whether something that is there could not be looked at, and what is in it is missing.
    pub is_partial: bool,
}

/// The modules of the settings' directory, or those that are named; the state of files only if it `looks` at them.
pub fn modules(settings: &Settings, looks: bool, log: &mut Log<'_>) -> Result<Found, Stop> {
    let mut modules = Modules::new(&settings.directory);
    let mut identities = Vec::new();
    let (mut files, mut is_partial) = (Vec::new(), false);
    match &settings.named {
        Some(paths) => add_named(paths, &mut modules, log)?,
        None => {
            let config;
            (config, files) = config_files::load(&settings.config, &settings.version, log);
            is_partial = search(settings, &config, &mut modules, looks.then_some(&mut identities), log)?;
        }
    }
    if modules.len() > MAX_MODULES {
        let message = "could not build module array: Numerical result out of range";
        let hint = format!(
            "kmod numbers at most {MAX_MODULES} modules, and so does kbt; name fewer, or exclude some in depmod.d"
        );
        return Err(Stop::Fatal(Failure::new("too-many", message).hint(hint)));
    }
    modules.sort();
    match read_beside(&settings.directory, "modules.order").map_err(Stop::Fatal)? {
        Ok(order) => {
            let name = [settings.directory.as_slice(), b"/modules.order"].concat();
            modules.sort_by_order(&name, &order, &mut log.messages);
        }
        Err(missing) => log.tell(Level::Warning, missing),
    }
    Ok(Found { modules, config: files, identities, is_partial })
}

/// Whether something that is there could not be looked at.
fn search(
    settings: &Settings,
    config: &Config,
    modules: &mut Modules,
    mut identities: Option<&mut Vec<FileIdentity>>,
    log: &mut Log<'_>,
) -> Result<bool, Stop> {
    let walk =
        Walk { skip: &|name| config.excludes(name), by_name: settings.by_name, status: identities.is_some() };
    let relative = config.externals().any(|external| !external.starts_with(b"/"));
    let here = if relative { [current_directory()?.as_slice(), b"/"].concat() } else { Vec::new() };
    let mut is_partial = false;
    let mut add = |root: &[u8], log: &mut Log<'_>| {
        // The directory of an external module may be relative; the module's path is not.
        let above = if root.starts_with(b"/") { &[][..] } else { &here };
        let errors =
            |messages: &Messages| messages.iter().filter(|(level, _)| *level <= Level::Error).count();
        let before = errors(&log.messages);
        let done = walk.run(root, &mut log.messages, |met, messages| {
            if !has_module_extension(met.name) {
                return ControlFlow::Continue(());
            }
            let too_long = (met.path.len() >= MAX_PATH).then_some(Errno::NAMETOOLONG);
            if let Some(error) = too_long.or(met.status.and_then(Result::err)) {
                let why = text(error);
                for what in [&b"could not create module "[..], b"failed "] {
                    messages.tell(Level::Error, &[what, met.path, b": ", why.as_bytes()]);
                }
                return ControlFlow::Continue(());
            }
            let mut tag = 0;
            if let Some(identities) = &mut identities {
                tag = u32::try_from(identities.len()).unwrap_or(u32::MAX);
                identities.push(
                    met.status
                        .and_then(Result::ok)
                        .map(|status| incremental::identity(&status))
                        .unwrap_or_default(),
                );
            }
            modules.offer_below(above, met.path, tag, config);
            // One too many is enough to refuse.
            if modules.len() > MAX_MODULES { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        is_partial |= errors(&log.messages) > before
            || done.as_ref().is_err_and(|error| error.kind() != ErrorKind::NotFound);
        done.map_err(|error| {
            let why = text(error);
            log.messages.tell(Level::Error, &[b"could not open directory ", root, b": ", why.as_bytes()]);
            why
        })
    };
    add(&settings.directory, log)
        .map_err(|why| Stop::fatal("io", format!("could not search modules: {why}")))?;
    for external in config.externals() {
        // What is wrong with it was told; the others are looked at all the same.
        let _ = add(external, log);
    }
    Ok(is_partial)
}

fn add_named(paths: &[OsString], modules: &mut Modules, log: &mut Log<'_>) -> Result<(), Stop> {
    for path in paths {
        let shown = path.display();
        if !path.as_bytes().starts_with(b"/") {
            return Err(Stop::Fatal(Failure::usage(format!("{shown}: not absolute path."))));
        }
        let found = fs::metadata(path).map_err(text);
        // What ends with a slash has no name.
        let found = found.and_then(|_| match base_name(path.as_bytes()) {
            [] => Err(text(Errno::NOENT)),
            _ => Ok(()),
        });
        found.map_err(|why| Stop::fatal("io", format!("could not create module {shown}: {why}")))?;
        let Err(old) = modules.add_named(path.as_bytes(), 0) else { continue };
        let name = String::from_utf8_lossy(old.name);
        if old.path == path.as_bytes() {
            log.tell(Level::Error, format!("hash_add_unique {name}: File exists"));
            return Err(Stop::fatal("duplicate", format!("could not add module {shown}: File exists")));
        }
        let old = String::from_utf8_lossy(old.path);
        log.tell(
            Level::Error,
            format!(
                "kmod_module '{name}' already exists with different path: new-path='{shown}' old-path='{old}'"
            ),
        );
        return Err(Stop::fatal("duplicate", format!("could not create module {shown}: File exists")));
    }
    Ok(())
}
