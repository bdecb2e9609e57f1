//! Which processes hold a pool open, and whether a process group still runs: what `/proc` tells.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use kbt_jobserver::FileId;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process_group};
use serde::Serialize;

/// A process that has a pool open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Holder {
    /// Its process ID.
    pub pid: u32,
    /// Its name as the kernel has it: the first 15 bytes of its file's name.
    pub name: String,
}

/// All processes but this one that have this file open, by process ID. Those of other users are seen only by
/// root.
pub fn of(file: FileId) -> Vec<Holder> {
    let own = std::process::id();
    let mut holders: Vec<Holder> = processes()
        .filter(|pid| *pid != own && holds(*pid, file))
        .map(|pid| Holder { pid, name: name(pid) })
        .collect();
    holders.sort();
    holders
}

/// Whether a process of this group runs. A zombie does not, and neither does one that is about to be one.
pub fn group_runs(group: Pid) -> bool {
    if test_kill_process_group(group) == Err(Errno::SRCH) {
        return false;
    }
    processes().any(|pid| group_if_running(pid) == Some(group.as_raw_pid()))
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn holds(pid: u32, file: FileId) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|descriptor| is(&descriptor.path(), file))
}

fn is(descriptor: &Path, file: FileId) -> bool {
    fs::metadata(descriptor).is_ok_and(|found| FileId { device: found.dev(), inode: found.ino() } == file)
}

fn name(pid: u32) -> String {
    let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_ascii_end().escape_ascii().to_string()
}

fn group_if_running(pid: u32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // `pid (name) state ppid pgrp ...`, and the name may hold anything (proc_pid_stat(5)).
    let behind = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = std::str::from_utf8(stat.get(behind + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (!matches!(state, "Z" | "X")).then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_runs_and_an_unused_one_does_not() {
        assert!(group_runs(rustix::process::getpgrp()));
        assert!(!group_runs(Pid::from_raw(i32::MAX).unwrap()));
    }
}
