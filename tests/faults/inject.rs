//! One system call of a program that fails, or in which it is killed, by strace.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The system calls by which a file comes to be, and what they may fail with. Reading is part of it: what cannot be read
/// must not end as half a result.
pub const CALLS: &[(&str, &[&str])] = &[
    ("openat", &["EMFILE", "EIO", "EINTR", "ENOSPC"]),
    ("read", &["EIO", "EINTR"]),
    ("pread64", &["EIO", "EINTR"]),
    ("fstat", &["EIO"]),
    ("newfstatat", &["EIO"]),
    ("statx", &["EIO"]),
    ("getdents64", &["EIO"]),
    ("write", &["ENOSPC", "EIO", "EINTR"]),
    ("pwrite64", &["ENOSPC", "EIO", "EINTR"]),
    ("copy_file_range", &["ENOSPC", "EIO", "EINTR"]),
    ("ftruncate", &["EIO"]),
    ("fchmod", &["EIO"]),
    ("fchown", &["EPERM"]),
    ("fsync", &["EIO", "ENOSPC"]),
    ("flock", &["ENOLCK", "EINTR"]),
    ("mkdir", &["ENOSPC"]),
    ("linkat", &["ENOSPC", "EIO", "EOPNOTSUPP"]),
    ("symlink", &["ENOSPC"]),
    ("symlinkat", &["ENOSPC"]),
    ("renameat2", &["EIO", "EINVAL"]),
    ("rename", &["EIO", "ENOSPC"]),
    ("unlink", &["EIO"]),
    ("close", &["EIO"]),
];

/// What happens at a call.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    Error(&'static str),
    Kill,
}

/// A program and where strace may write.
pub struct Injector<'a> {
    pub strace: PathBuf,
    pub scratch: &'a Path,
}

impl Injector<'_> {
    /// How often a run calls each of [`CALLS`], in their order.
    pub fn counts(&self, command: &Command) -> Vec<usize> {
        let log = self.scratch.join("calls");
        let names: Vec<&str> = CALLS.iter().map(|(name, _)| *name).collect();
        let trace = format!("trace={}", names.join(","));
        let output = self.run(command, &["-o", log.to_str().unwrap(), "-e", &trace]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let log = fs::read_to_string(log).unwrap();
        // A line is `PID name(...`.
        let called = |name: &str| {
            let front = format!("{name}(");
            log.lines().filter(|line| line.split(' ').any(|word| word.starts_with(&front))).count()
        };
        names.into_iter().map(called).collect()
    }

    /// Runs it with a fault at the `number`th call of this name, from 1.
    pub fn with_fault(&self, command: &Command, name: &str, number: usize, fault: Fault) -> Output {
        let what = match fault {
            Fault::Error(error) => format!("error={error}"),
            Fault::Kill => "signal=KILL".to_owned(),
        };
        let inject = format!("inject={name}:{what}:when={number}");
        self.run(command, &["-o", "/dev/null", "-e", &format!("trace={name}"), "-e", &inject])
    }

    fn run(&self, command: &Command, words: &[&str]) -> Output {
        let mut strace = Command::new(&self.strace);
        // Only the calls in question stop the program.
        strace
            .args(["-f", "-qq", "--seccomp-bpf"])
            .args(words)
            .arg(command.get_program())
            .args(command.get_args());
        // Cargo sets it, and the loader would look for each library in each of its directories.
        strace.env_remove("LD_LIBRARY_PATH");
        strace.current_dir(command.get_current_dir().unwrap()).process_group(0);
        strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = strace.spawn().unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > end {
                let group = rustix::process::Pid::from_child(&child);
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                panic!("{command:?} with {words:?} hangs");
            }
            sleep(Duration::from_millis(1));
        }
        child.wait_with_output().unwrap()
    }
}
