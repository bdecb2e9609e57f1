//! Finding and reading the files of depmod.d.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use kbt_depmod::{Config, Level};

use super::log::Log;
use crate::input;
use crate::modules_dir::text;

/// The directories that are read where nothing else is said; of two files of one name the first counts.
const PLACES: [&str; 5] =
    ["/etc/depmod.d", "/run/depmod.d", "/usr/local/lib/depmod.d", "/usr/lib/depmod.d", "/lib/depmod.d"];

/// The configuration for a kernel of this version, and the files that it was read from.
pub fn load(places: &[OsString], version: &[u8], log: &mut Log<'_>) -> (Config, Vec<OsString>) {
    let mut files = BTreeMap::new();
    if places.is_empty() {
        PLACES.iter().for_each(|place| list(Path::new(place), &mut files, log));
    } else {
        places.iter().for_each(|place| list(Path::new(place), &mut files, log));
    }
    let mut texts = Vec::new();
    for path in files.into_values() {
        match input::open_found(&path).and_then(input::read_opened) {
            Ok(text) => texts.push((path.into_os_string().into_vec(), text)),
            Err(error) => {
                log.tell(Level::Error, format!("file parse {}: {}", path.display(), text(error)));
            }
        }
    }
    let config = texts.iter().map(|(name, text)| (name.as_slice(), text.as_slice()));
    let config = Config::parse(config, version, &mut log.messages);
    (config, texts.into_iter().map(|(name, _)| OsString::from_vec(name)).collect())
}

/// Adds a file, or the files of a directory, under their base names.
fn list(place: &Path, files: &mut BTreeMap<OsString, PathBuf>, log: &mut Log<'_>) {
    let Ok(status) = fs::metadata(place) else { return };
    if !status.is_dir() {
        let name = place.as_os_str().as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        files.entry(OsStr::from_bytes(name).to_owned()).or_insert_with(|| place.to_owned());
        return;
    }
    let entries = match fs::read_dir(place) {
        Ok(entries) => entries,
        Err(error) => {
            return log.tell(Level::Error, format!("files list {}: {}", place.display(), text(error)));
        }
    };
    for name in entries.flatten().map(|entry| entry.file_name()) {
        // Joined by hand: messages show the place as it was given.
        let path = [place.as_os_str().as_bytes(), b"/", name.as_bytes()].concat();
        let path = PathBuf::from(OsString::from_vec(path));
        if wanted(&name, &path, log) {
            files.entry(name).or_insert(path);
        }
    }
}

fn wanted(name: &OsStr, path: &Path, log: &mut Log<'_>) -> bool {
    let bytes = name.as_bytes();
    if bytes.starts_with(b".") {
        return false;
    }
    let (level, message) = match fs::metadata(path) {
        _ if bytes.len() < 6 || !bytes.ends_with(b".conf") => (Level::Info, "All cfg files need .conf"),
        Ok(status) if status.is_dir() => (Level::Error, "Directories inside directories are not supported"),
        Ok(_) => return true,
        Err(_) => (Level::Error, "Cannot stat directory entry"),
    };
    log.tell(level, format!("{message}: {}", path.display()));
    false
}
