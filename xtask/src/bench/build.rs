//! What cargo builds for a measurement.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::Value;

use crate::run::{self, Result, cargo};

/// Programs by the names of their targets.
pub struct Built(HashMap<String, PathBuf>);

impl Built {
    /// The program of a target.
    ///
    /// # Errors
    /// Where cargo has not built it.
    pub fn find(&self, name: &str) -> Result<PathBuf> {
        self.0
            .get(name)
            .filter(|file| file.is_file())
            .cloned()
            .ok_or_else(|| format!("cargo built no {name}"))
    }
}

/// The binary, as users have it.
pub fn kbt() -> Result<PathBuf> {
    executables(&["build", "--release", "--bin", "kbt"])?.find("kbt")
}

/// The programs of benches/.
pub fn benches(names: &[&str]) -> Result<Built> {
    let words = names.iter().flat_map(|name| ["--bench", *name]);
    executables(&["bench", "--no-run"].into_iter().chain(words).collect::<Vec<_>>())
}

/// Runs cargo, whose own words go to the user.
fn executables(words: &[&str]) -> Result<Built> {
    let mut command = cargo(words.iter().chain(&["--message-format=json-render-diagnostics"]));
    let messages = run::text(command.stderr(Stdio::inherit()))?;
    let built = messages.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some((message["target"]["name"].as_str()?.to_owned(), message["executable"].as_str()?.into()))
    });
    Ok(Built(built.collect()))
}
