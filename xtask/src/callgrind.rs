//! Counts of instructions by valgrind's callgrind: the same on every run, whatever else the machine does.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files::cannot;
use crate::run::{self, Result};

/// Runs `program` and gives the number of instructions that it executed: all of them, or those inside
/// `function` and what it calls (callgrind's pattern, `*apply*`).
///
/// `scratch` is a directory for callgrind's output.
pub fn instructions<I: AsRef<OsStr>>(
    program: &Path,
    words: impl IntoIterator<Item = I>,
    function: Option<&str>,
    scratch: &Path,
) -> Result<u64> {
    if !run::has_program("valgrind") {
        return Err("no valgrind here; the package of that name has it".to_owned());
    }
    let out = scratch.join(format!("callgrind.{}", std::process::id()));
    let mut command = Command::new("valgrind");
    command.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", out.display()));
    command.args(function.map(|function| format!("--toggle-collect={function}")));
    run::output(command.arg(program).args(words))?;
    let profile = fs::read_to_string(&out).map_err(|error| cannot("read", &out, &error))?;
    fs::remove_file(&out).map_err(|error| cannot("remove", &out, &error))?;
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
