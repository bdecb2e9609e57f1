//! What a whole process takes: times as bash's `time` has them, peak memory, allocations.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::files::cannot;
use crate::run::{self, Result};

/// What one run took, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    /// User and system time, of all threads.
    pub processor: f64,
    /// Time on the clock.
    pub wall: f64,
}

/// Runs a command and gives what it took. The kernel tells a process of its children's times in microseconds, std does
/// not; bash prints milliseconds.
pub fn measure(command: &[String]) -> Result<Usage> {
    let script = r#"TIMEFORMAT='%3U %3S'; time "$@" >/dev/null 2>&1"#;
    let mut bash = Command::new("bash");
    bash.args(["-c", script, "bash"]).args(command).env("LC_ALL", "C").env_remove("MAKEFLAGS");
    bash.stdin(Stdio::null());
    let start = Instant::now();
    let output = bash.output().map_err(|error| format!("cannot start bash: {error}"))?;
    let wall = start.elapsed().as_secs_f64();
    if !output.status.success() {
        return Err(format!("{} failed: {}", command.join(" "), output.status));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let times: Vec<f64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    match times[..] {
        [user, system] => Ok(Usage { processor: user + system, wall }),
        _ => Err(format!("bash printed no times: {said}")),
    }
}

/// The peak of a run's memory in bytes, as last seen before its end; it is asked a thousand times a second.
pub fn peak(command: &[String]) -> Result<u64> {
    let [program, words @ ..] = command else { return Err("no program".to_owned()) };
    let mut child = Command::new(program);
    child.args(words).stdout(Stdio::null()).stderr(Stdio::null()).env_remove("MAKEFLAGS");
    let mut child = child.spawn().map_err(|error| format!("cannot start {program}: {error}"))?;
    let mut peak = 0;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| format!("{program}: {error}"))? {
            break status;
        }
        // Between its end and the wait it has no memory any more.
        peak = peak.max(high_water_mark(&child).unwrap_or(0));
        thread::sleep(Duration::from_millis(1));
    };
    if status.success() { Ok(peak) } else { Err(format!("{}: {status}", command.join(" "))) }
}

/// The peak of a running process's memory so far, in bytes.
pub fn high_water_mark(child: &Child) -> Result<u64> {
    let path = format!("/proc/{}/status", child.id());
    let status = fs::read_to_string(&path).map_err(|error| cannot("read", path.as_ref(), &error))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes
        .map(|kibibytes| kibibytes * 1024)
        .ok_or_else(|| format!("no VmHWM in {path}: the run has ended"))
}

/// The middle of the figures; of an even number the upper one.
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied()
}

/// How often a run asked for memory, as valgrind counts; `None` without it.
pub fn allocations(command: &[String]) -> Option<u64> {
    if !run::has_program("valgrind") {
        return None;
    }
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=memcheck", "--leak-check=no", "--undef-value-errors=no"]).args(command);
    let output = valgrind.stdin(Stdio::null()).output().ok()?;
    allocations_in(&String::from_utf8_lossy(&output.stderr))
}

/// `total heap usage: 1,234 allocs, 1,200 frees, ...`.
fn allocations_in(said: &str) -> Option<u64> {
    let (_, behind) = said.split_once("total heap usage: ")?;
    behind.split(' ').next()?.replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_timed() {
        let loops = "i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done".to_owned();
        let usage = measure(&["sh".to_owned(), "-c".to_owned(), loops]).unwrap();
        assert!(usage.processor > 0.0 && usage.wall > 0.0, "{usage:?}");
        assert!(measure(&["false".to_owned()]).is_err());
    }

    #[test]
    fn valgrind_tells_allocations() {
        let said = "==1==   total heap usage: 1,234 allocs, 1,200 frees, 5 bytes allocated\n";
        assert_eq!(allocations_in(said), Some(1234));
    }
}
