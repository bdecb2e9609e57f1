//! mkdtboimg's configuration file and the files that it names.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use kbt_dtbo_image::{Config, ConfigError, ConfigErrorKind};

use super::build::{Request, Source};
use crate::input;
use crate::report::Failure;

/// Where the files of a directory tree lie, by their names.
type Places = BTreeMap<OsString, Vec<PathBuf>>;

/// More than any configuration needs, in bytes; an endless file ends here.
const MAX_CONFIG: usize = 16 << 20;

/// Reads a configuration file, `-` for standard input.
pub fn read(word: &OsStr) -> Result<Config, Failure> {
    let name = input::name(word);
    let bytes = input::read_headed(word, |_| MAX_CONFIG as u64 + 1)?;
    if bytes.len() > MAX_CONFIG {
        let message = format!("a configuration has at most {MAX_CONFIG} bytes, and this one has more");
        return Err(Failure::new("bad-config", message).at_file(name).hint("give it a text, not an image"));
    }
    Config::parse(&bytes).map_err(|error| refusal(&error).at_file(name))
}

/// What a configuration says about the whole image. Fields that its version lacks are dropped, as by mkdtboimg.
pub fn apply(config: &Config, request: &mut Request) {
    request.kind = config.kind;
    request.version = Some(config.version);
    request.page_size = config.page_size;
    request.drop_fields = true;
}

/// The entries with the places of their files.
pub fn sources(config: Config, directory: &Path) -> Result<Vec<Source>, Failure> {
    let mut places = None;
    let defaults = config.defaults;
    let entries = config.entries.into_iter().map(|entry| {
        let file = locate(&entry.file, directory, &mut places)
            .map_err(|failure| failure.detail("line", entry.line))?;
        Ok(Source { file: file.into(), options: entry.options.or(&defaults), compression: None })
    });
    entries.collect()
}

/// Finds a file as mkdtboimg does: an absolute name as it is, any other by its last part, anywhere below the
/// directory, and as it is where it is not there. mkdtboimg takes the last of several; here they must be equal,
/// unless the name's own directory tells them apart.
fn locate(name: &str, directory: &Path, places: &mut Option<Places>) -> Result<PathBuf, Failure> {
    let given = Path::new(name);
    let Some(base) = given.file_name().filter(|_| !given.is_absolute()) else { return Ok(given.to_owned()) };
    let named = directory.join(given);
    if name.contains('/') && named.is_file() {
        return Ok(named);
    }
    let places = match places {
        Some(places) => places,
        None => places.insert(files_below(directory)?),
    };
    match places.get(base).map(Vec::as_slice).unwrap_or_default() {
        [] => Ok(given.to_owned()),
        [only] => Ok(only.clone()),
        [first, rest @ ..] => {
            let content =
                input::read_file(first).map_err(|error| Failure::io("read", first.display(), &error))?;
            match rest.iter().find(|other| input::read_file(other).is_ok_and(|bytes| bytes != content)) {
                None => Ok(first.clone()),
                Some(other) => Err(ambiguous(name, first, other)),
            }
        }
    }
}

fn ambiguous(name: &str, first: &Path, other: &Path) -> Failure {
    let message = format!("'{name}' is both {} and {}, which differ", first.display(), other.display());
    Failure::new("ambiguous-file", message)
        .hint("write ./ or the directory in front of the name, or point --dtb-dir at the right directory")
}

/// Every file below a directory, nearest first; links to directories are not followed, as in Python's `os.walk`.
fn files_below(directory: &Path) -> Result<Places, Failure> {
    let mut places = Places::new();
    let mut level = vec![directory.to_owned()];
    let mut is_top = true;
    while !level.is_empty() {
        let mut below = Vec::new();
        for directory in level {
            let entries = match fs::read_dir(&directory) {
                Ok(entries) => entries,
                // Only the directory that was asked for must be readable.
                Err(_) if !is_top => continue,
                Err(error) => return Err(Failure::io("read", directory.display(), &error)),
            };
            for entry in entries.flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => below.push(entry.path()),
                    Ok(_) => places.entry(entry.file_name()).or_default().push(entry.path()),
                    Err(_) => {}
                }
            }
        }
        below.sort();
        level = below;
        is_top = false;
    }
    Ok(places)
}

/// An error of the configuration, with its stable code and the likely mend.
fn refusal(error: &ConfigError) -> Failure {
    let hint = match &error.kind {
        ConfigErrorKind::NotText => "save it as UTF-8",
        ConfigErrorKind::GlobalWithoutValue(_) => "write a file's name at the margin, an option as key=value",
        ConfigErrorKind::OptionBeforeFile(_) => "start it with a blank to make it a default of all entries",
        ConfigErrorKind::UnknownOption(_) => {
            "entries take id, rev, flags and custom0 to custom10; before the first file also dt_type, page_size and version"
        }
        ConfigErrorKind::TwoEqualSigns(_) => "write one key=value a line",
        ConfigErrorKind::BadValue { .. } => {
            "give a 32-bit number (7, 0x7, 07) or /node:property; a version is 0 to 2, a page size not 0, a dt_type dtb or acpi"
        }
        ConfigErrorKind::NoEntries => "name at least one file, at the margin",
    };
    Failure::new("bad-config", error.to_string()).at_offset(error.offset as u64).hint(hint)
}
