//! Running other programs, and the few questions that every verb asks of its surroundings.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// What a verb gives; the error is the sentence that the user reads.
pub type Result<T = (), E = String> = std::result::Result<T, E>;

/// Each workspace has a lock file of its own: the project, the C library, the fuzz targets.
pub const WORKSPACES: [&str; 3] = [".", "capi", "fuzz"];

/// The root of the workspace.
pub fn root() -> PathBuf {
    // Cargo sets the variable for `cargo xtask`; the constant serves a binary that is run by hand.
    let own = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let mut root = PathBuf::from(own);
    root.pop();
    root
}

/// Where cargo puts what it builds.
pub fn target_directory() -> Result<PathBuf> {
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version=1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata names no target directory")?;
    Ok(target.into())
}

/// Cargo, in the workspace's root.
pub fn cargo<I: AsRef<OsStr>>(words: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(words).current_dir(root());
    command
}

/// Runs a program whose output is the user's to see.
pub fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", shown(command))) }
}

/// Runs a program and gives what it prints on standard output; what it prints on standard error becomes
/// part of the error.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    command.stdin(Stdio::null());
    let output = command.output().map_err(|error| cannot_start(command, &error))?;
    checked(command, output)
}

/// As [`output`], as text.
pub fn text(command: &mut Command) -> Result<String> {
    let bytes = output(command)?;
    String::from_utf8(bytes).map_err(|_| format!("{} printed what is no UTF-8", shown(command)))
}

/// Turns a failed program into a sentence that carries its own words.
pub fn checked(command: &Command, output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{} failed ({}): {}", shown(command), output.status, said.trim()))
}

/// Whether a program of this name is in the path.
pub fn has_program(name: &str) -> bool {
    env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|dir| dir.join(name).is_file()))
}

/// Refuses words that the verb does not know; true where `flag` is among them.
pub fn only_flag(words: &[String], flag: &str) -> Result<bool> {
    match words.iter().find(|word| *word != flag) {
        Some(unknown) => Err(format!("unknown option '{unknown}'; it takes only {flag}")),
        None => Ok(!words.is_empty()),
    }
}

/// Refuses any word.
pub fn no_words(words: &[String]) -> Result {
    match words.first() {
        Some(unknown) => Err(format!("unknown option '{unknown}'; it takes none")),
        None => Ok(()),
    }
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("cannot start {}: {error}", command.get_program().to_string_lossy())
}

/// The program and its first word, enough to know it again in a message.
fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    match command.get_args().find(|word| !word.to_string_lossy().starts_with('-')) {
        Some(first) => format!("{program} {}", first.to_string_lossy()),
        None => program.into_owned(),
    }
}
