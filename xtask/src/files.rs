//! The file system, with errors that name the file.

use std::fs;
use std::path::Path;

use crate::run::Result;

/// The sorted names in a directory.
pub fn names(directory: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(directory).map_err(|error| cannot("read", directory, &error))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| cannot("read", directory, &error))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Creates a directory and those above it.
pub fn create(directory: &Path) -> Result {
    fs::create_dir_all(directory).map_err(|error| cannot("create", directory, &error))
}

/// Copies a file into a directory, which is created.
pub fn copy(file: &Path, directory: &Path) -> Result {
    create(directory)?;
    let target = directory.join(file.file_name().unwrap_or_default());
    fs::copy(file, target).map(drop).map_err(|error| cannot("copy", file, &error))
}

/// Puts a directory into the place of another.
pub fn replace(from: &Path, to: &Path) -> Result {
    if let Some(parent) = to.parent() {
        create(parent)?;
    }
    remove(to)?;
    rename(from, to)
}

/// Gives `body` a directory of its own below `parent`, which is removed behind it.
pub fn in_scratch<T>(parent: &Path, body: impl FnOnce(&Path) -> Result<T>) -> Result<T> {
    let scratch = parent.join(format!("kbt-bench-{}", std::process::id()));
    create(&scratch)?;
    let done = body(&scratch);
    remove(&scratch)?;
    done
}

/// Renames within one file system.
pub fn rename(from: &Path, to: &Path) -> Result {
    fs::rename(from, to).map_err(|error| cannot("rename", from, &error))
}

/// Removes a directory tree; one that is not there is fine.
pub fn remove(directory: &Path) -> Result {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(cannot("remove", directory, &error))
        }
        _ => Ok(()),
    }
}

/// A system call that failed, as a sentence.
pub fn cannot(action: &str, path: &Path, error: &std::io::Error) -> String {
    format!("cannot {action} {}: {error}", path.display())
}
