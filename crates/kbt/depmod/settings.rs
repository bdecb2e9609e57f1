//! What the command line means: directories, version, files of the kernel's symbols.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

use kbt_depmod::{KernelSymbols, Level};
use rustix::fs::stat;

use super::log::Log;
use super::{Stop, path};
use crate::args::depmod::{Depmod, Order, Place};
use crate::modules_dir::text;
use crate::report::Failure;

/// Where the modules are, and how they are gone through.
pub struct Settings {
    /// The version of the kernel.
    pub version: Vec<u8>,
    /// The module directory: ROOT/MODULEDIR/VERSION.
    pub directory: Vec<u8>,
    /// Where the files are written.
    pub output: Vec<u8>,
    /// Configuration that takes the place of the five directories.
    pub config: Vec<OsString>,
    /// Directories are gone through by name.
    pub by_name: bool,
    /// The modules to look at; `None` stands for all.
    pub named: Option<Vec<OsString>>,
    /// A character that symbols begin with.
    pub symbol_prefix: Option<u8>,
}

/// The module directory below the root, where nothing else is said.
const MODULE_DIRECTORY: &str = "/lib/modules";

impl Settings {
    /// Of a run.
    pub fn new(args: &Depmod, log: &mut Log<'_>) -> Result<Self, Stop> {
        let mut symbol_prefix = None;
        for word in &args.symbol_prefix {
            let &[prefix] = word.as_bytes() else {
                return Err(Stop::Fatal(Failure::usage("-P only takes a single char")));
            };
            symbol_prefix = Some(prefix);
        }
        let (version, named) = match args.words.split_first() {
            None => (None, &[][..]),
            Some((version, named)) => (Some(version.as_os_str()), named),
        };
        let mut settings = Self::of_place(&args.place, version, log)?;
        if let Some(root) = &args.outdir {
            settings.output = directory(&absolute(root)?, &args.place, &settings.version);
        }
        settings.symbol_prefix = symbol_prefix;
        settings.named = (!args.all && !args.quick && !named.is_empty()).then(|| named.to_vec());
        Ok(settings)
    }

    /// Of all modules of one place.
    pub fn of_place(place: &Place, version: Option<&OsStr>, log: &mut Log<'_>) -> Result<Self, Stop> {
        let version = match version {
            Some(version) if is_version(version.as_bytes()) => version.as_bytes().to_vec(),
            Some(version) => {
                let message = format!("Bad version passed {}", version.display());
                log.tell(Level::Error, &message);
                return Err(Stop::Told(Failure::usage(message)));
            }
            None => rustix::system::uname().release().to_bytes().to_vec(),
        };
        let root = place.basedir.as_ref().map(|root| absolute(root)).transpose()?.unwrap_or_default();
        let directory = directory(&root, place, &version);
        Ok(Self {
            version,
            output: directory.clone(),
            directory,
            config: place.config.clone(),
            by_name: place.order == Order::Name,
            named: None,
            symbol_prefix: None,
        })
    }
}

/// ROOT/MODULEDIR/VERSION; the module directory is below the root even where it begins with a slash.
fn directory(root: &[u8], place: &Place, version: &[u8]) -> Vec<u8> {
    let mut modules = place.moduledir.as_ref().map_or(MODULE_DIRECTORY.as_bytes(), |word| word.as_bytes());
    while let Some(rest) = modules.strip_prefix(b"/") {
        modules = rest;
    }
    [root, b"/", modules, b"/", version].concat()
}

/// A path from the current directory on; links are not resolved.
fn absolute(word: &OsStr) -> Result<Vec<u8>, Stop> {
    if word.as_bytes().starts_with(b"/") {
        return Ok(word.as_bytes().to_vec());
    }
    Ok([current_directory()?.as_slice(), b"/", word.as_bytes()].concat())
}

/// The current directory as the shell calls it in `PWD`, where that is right, else as the system does: kmod's
/// `get_current_dir_name`(3).
pub fn current_directory() -> Result<Vec<u8>, Stop> {
    let same = |path: &OsString| {
        let (named, here) = (stat(path.as_os_str()).ok()?, stat(".").ok()?);
        let absolute = path.as_bytes().starts_with(b"/");
        (absolute && (named.st_dev, named.st_ino) == (here.st_dev, here.st_ino)).then_some(())
    };
    if let Some(path) = std::env::var_os("PWD").filter(|path| same(path).is_some()) {
        return Ok(path.into_vec());
    }
    let here = std::env::current_dir()
        .map_err(|error| Stop::Fatal(Failure::io("find", "the current directory", &error)))?;
    Ok(here.into_os_string().into_vec())
}

/// Whether this begins as `%u.%u` of scanf(3).
fn is_version(word: &[u8]) -> bool {
    let mut rest = word;
    let number = |rest: &mut &[u8]| {
        let start =
            rest.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != 0x0B).unwrap_or(rest.len());
        let text = rest.get(start..).unwrap_or_default();
        let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
        let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        *rest = text.get(digits..).unwrap_or_default();
        digits > 0
    };
    number(&mut rest) && rest.strip_prefix(b".").is_some_and(|mut rest| number(&mut rest))
}

/// A file with the kernel's own symbols.
pub struct KernelFile {
    name: Vec<u8>,
    content: Vec<u8>,
    versions: bool,
}

impl KernelFile {
    /// The file of `-E`, else that of `-F`.
    pub fn read(args: &Depmod, log: &mut Log<'_>) -> Result<Option<Self>, Stop> {
        let (name, versions) = match (&args.symvers, &args.filesyms) {
            (Some(name), _) => (name, true),
            (None, Some(name)) => (name, false),
            (None, None) => {
                if args.errsyms {
                    log.tell(Level::Warning, "-e needs -E or -F");
                }
                return Ok(None);
            }
        };
        let name = name.as_bytes().to_vec();
        let content = crate::input::read_file(path(&name)).map_err(|error| {
            Stop::fatal("io", format!("could not load {}: {}", path(&name).display(), text(error)))
        })?;
        Ok(Some(Self { name, content, versions }))
    }

    /// As the library takes it.
    pub fn symbols(&self) -> KernelSymbols<'_> {
        let (name, text) = (self.name.as_slice(), self.content.as_slice());
        if self.versions {
            KernelSymbols::Symvers { name, text }
        } else {
            KernelSymbols::SystemMap { name, text }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_has_two_numbers_in_front() {
        for word in ["6.1", "6.1.0-50-amd64", " 6. 1", "+6.1x"] {
            assert!(is_version(word.as_bytes()), "{word}");
        }
        for word in ["", "6", "6.", ".1", "x6.1", "/6.1", "6 .1"] {
            assert!(!is_version(word.as_bytes()), "{word}");
        }
    }
}
