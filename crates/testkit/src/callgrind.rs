//! Counts of instructions by valgrind's callgrind: the same on every run, whatever else the machine does.
//!
//! Compiled into xtask, too, which includes it by path.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::place;

/// Runs `program` and gives the number of instructions that it executed: all of them, or those inside
/// `function` and what it calls (callgrind's pattern, `*apply*`). What it forks or starts does not count.
///
/// `scratch` is a directory for callgrind's output.
///
/// # Errors
/// Where there is no valgrind, or the program fails.
pub fn instructions<I: AsRef<OsStr>>(
    program: &Path,
    words: impl IntoIterator<Item = I>,
    function: Option<&str>,
    scratch: &Path,
) -> Result<u64, String> {
    let valgrind = place::valgrind();
    if !valgrind.is_file() {
        return Err(format!("no {}; `cargo xtask fetch` gets it", valgrind.display()));
    }
    let mut command = Command::new(valgrind);
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}/callgrind.%p", scratch.display()));
    command.args(function.map(|function| format!("--toggle-collect={function}")));
    command.arg(program).args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().map_err(|error| format!("cannot start valgrind: {error}"))?;
    let out = scratch.join(format!("callgrind.{}", child.id()));
    let output = child.wait_with_output().map_err(|error| format!("cannot wait for valgrind: {error}"))?;
    if !output.status.success() {
        let told = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} under valgrind: {}\n{told}", program.display(), output.status));
    }
    let profile =
        fs::read_to_string(&out).map_err(|error| format!("cannot read {}: {error}", out.display()))?;
    total(&profile).ok_or_else(|| format!("callgrind counted nothing in {}", program.display()))
}

/// The first number behind `totals:` (the event Ir), where it is not zero.
fn total(profile: &str) -> Option<u64> {
    let line = profile.lines().find_map(|line| line.strip_prefix("totals:"))?;
    line.split_whitespace().next()?.parse().ok().filter(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_the_first_event() {
        assert_eq!(total("events: Ir Dr\nfn=x\n1 5\ntotals: 123 45\n"), Some(123));
    }

    #[test]
    fn nothing_counted_is_no_count() {
        assert_eq!(total("events: Ir\n"), None);
        assert_eq!(total("totals: 0\n"), None);
    }
}
