//! `cargo xtask tidy`: rules that the compiler does not check. The tables in [`layers`] are the
//! architecture; [`texts`] and [`functions`] look at the files themselves, [`links`] at what the documents point to,
//! [`versions`] at what the manifests allow.

mod functions;
mod layers;
mod links;
mod texts;
mod versions;

use std::fs;
use std::path::{Path, PathBuf};

use crate::run::{self, Result, cargo};

/// Directories of what is made or found, not written.
const NOT_OURS: [&str; 5] = [".git", "target", "corpus", "artifacts", "coverage"];

/// A file of the project, as the checks see it.
struct Source {
    /// Relative to the workspace's root.
    path: PathBuf,
    /// Empty for what is no text.
    text: String,
}

impl Source {
    fn has_extension(&self, extension: &str) -> bool {
        self.path.extension().is_some_and(|own| own == extension)
    }
}

/// The verb.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    check()
}

/// Checks every rule and tells of all that are broken.
pub fn check() -> Result {
    let root = run::root();
    let metadata = run::output(&mut cargo(["metadata", "--no-deps", "--format-version=1"]))?;
    let packages = layers::packages(&metadata)?;
    let mut files = Vec::new();
    collect(&root, Path::new(""), &mut files)?;
    let all = all_packages()?;
    let mut problems = layers::check(&all);
    problems.extend(layers::unused(&all));
    let page = files.iter().find(|file| file.path == Path::new(layers::PAGE));
    problems.extend(layers::check_page(page.map(|page| page.text.as_str()).unwrap_or_default()));
    problems.extend(texts::check(&files));
    problems.extend(functions::check(&files));
    problems.extend(links::check(&files, &packages));
    problems.extend(versions::check(&files, &packages));
    if problems.is_empty() {
        return Ok(());
    }
    Err(format!("{} rules broken\n  {}", problems.len(), problems.join("\n  ")))
}

/// The packages of every workspace.
fn all_packages() -> Result<Vec<layers::Package>> {
    let mut all = Vec::new();
    for workspace in run::WORKSPACES {
        let mut command = cargo(["metadata", "--no-deps", "--format-version=1", "--manifest-path"]);
        command.arg(run::root().join(workspace).join("Cargo.toml"));
        all.extend(layers::packages(&run::output(&mut command)?)?);
    }
    Ok(all)
}

/// Reads every file below `directory` (relative to `root`), in the order of their paths.
fn collect(root: &Path, directory: &Path, files: &mut Vec<Source>) -> Result {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", root.join(directory).display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(root.join(directory)).map_err(cannot)? {
        entries.push(entry.map_err(cannot)?);
    }
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = directory.join(entry.file_name());
        let kind = entry.file_type().map_err(cannot)?;
        if NOT_OURS.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        if kind.is_dir() {
            collect(root, &path, files)?;
        } else if kind.is_file() {
            let bytes = fs::read(root.join(&path)).map_err(cannot)?;
            files.push(Source { path, text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
    Ok(())
}
