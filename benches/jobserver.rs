//! What `kbt jobserver exec` costs beside a Python script that does the same: processor time of both, in turn.
//!
//! Run it by `cargo bench --bench jobserver`; docs/jobserver.md has the figures. It fails where kbt takes more than
//! a fifth.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up ends the measurement")]

use std::fs;
use std::process::Command;

use kbt_jobserver::{MakeFlags, Server};

/// How often each is started.
const ROUNDS: usize = 100;

/// Clock ticks a second, as `/proc` counts on every Linux that programs see (USER_HZ).
const TICKS: f64 = 100.0;

fn main() {
    let room = tempfile::tempdir().unwrap();
    let server = Server::fifo(&room.path().join("pool"), 7).unwrap();
    let makeflags = String::from_utf8(MakeFlags::with_auth(b"", server.auth(), 8)).unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jobserver/script.py");
    let kbt = [env!("CARGO_BIN_EXE_kbt"), "jobserver", "exec", "--", "true"];
    let python = ["/usr/bin/python3", script, "true"];
    let (mut of_kbt, mut of_python) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        of_kbt += time(&kbt, &makeflags);
        of_python += time(&python, &makeflags);
    }
    assert_eq!(server.missing().unwrap(), 0);
    let each = |seconds: f64| seconds * 1000.0 / ROUNDS as f64;
    let ratio = of_kbt / of_python;
    println!("kbt {:.1} ms, script {:.1} ms of processor time: {ratio:.3}", each(of_kbt), each(of_python));
    assert!(ratio <= 0.2, "more than a fifth");
}

/// The processor time of a process and of all that it waited for, in seconds.
fn time(words: &[&str], makeflags: &str) -> f64 {
    let before = of_children();
    let mut command = Command::new(words[0]);
    assert!(command.args(&words[1..]).env("MAKEFLAGS", makeflags).status().unwrap().success());
    of_children() - before
}

fn of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name: state is field 3, cutime and cstime are 16 and 17 (proc_pid_stat(5)).
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |at: usize| fields[at - 3].parse::<f64>().unwrap();
    (ticks(16) + ticks(17)) / TICKS
}
