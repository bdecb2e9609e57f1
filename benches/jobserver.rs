//! What `kbt jobserver` and the work on several threads cost, and what becomes of tokens, for `cargo xtask bench
//! jobserver`. The tables are printed as docs/benchmarks.md holds them; with the word `tokens`, only the one of tokens. It
//! fails where a start takes more than a fifth of the script's processor time, or a token is lost.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up ends the measurement")]

use std::fs;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader};
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use kbt_jobserver::{MakeFlags, Server};
use kbt_parallel::{Panic, Workers};
use kbt_testkit::random::Random;
use rustix::process::{Pid, Signal, kill_process};

const KBT: &str = env!("CARGO_BIN_EXE_kbt");
/// Claims, runs and gives back as the kernel's jobserver-exec does.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/jobserver/script.py");
/// The system's: one that a version manager put into the path starts through a script of its own.
const PYTHON: &str = "/usr/bin/python3";
/// Tokens of the pool: `make -j8`.
const TOKENS: usize = 7;
/// Clock ticks a second, as `/proc` counts on every Linux that programs see (USER_HZ).
const TICKS: f64 = 100.0;

fn main() {
    let only_tokens = std::env::args().any(|word| word == "tokens");
    let ratio = if only_tokens { None } else { Some(starts()) };
    if !only_tokens {
        map_by_task();
        packs();
    }
    let lost = tokens_by_mode();
    if let Some(ratio) = ratio {
        assert!(ratio <= 0.2, "a start costs {ratio:.3} of the script's, more than a fifth");
    }
    assert_eq!(lost, 0, "kbt loses tokens");
}

/// A pool, and what `MAKEFLAGS` says of it.
fn pool(room: &Path) -> (Server, String) {
    let server = Server::fifo(&room.join("pool"), TOKENS).unwrap();
    let makeflags = String::from_utf8(MakeFlags::with_auth(b"", server.auth(), 8)).unwrap();
    (server, makeflags)
}

/// Processor time from start to end around `true`, kbt and the script in turn.
fn starts() -> f64 {
    // Time is told in hundredths of a second: many starts in a batch, and many batches in turn.
    const BATCHES: usize = 30;
    const BATCH: usize = 10;
    let room = tempfile::tempdir().unwrap();
    let (server, makeflags) = pool(room.path());
    let cases: [(&str, &[&str]); 4] = [
        ("script", &[PYTHON, SCRIPT, "true"]),
        ("kbt jobserver exec", &[KBT, "jobserver", "exec", "--", "true"]),
        ("kbt --version", &[KBT, "--version"]),
        ("true itself", &["true"]),
    ];
    let mut seconds = [0.0; 4];
    for _ in 0..BATCHES {
        for (seconds, (_, words)) in seconds.iter_mut().zip(cases) {
            let before = of_children();
            for _ in 0..BATCH {
                let mut command = Command::new(words[0]);
                command.args(&words[1..]).env("MAKEFLAGS", &makeflags).stdout(Stdio::null());
                assert!(command.status().unwrap().success());
            }
            *seconds += of_children() - before;
        }
    }
    assert_eq!(server.missing().unwrap(), 0);
    println!("| started | processor time | of the script's |\n|---|---:|---:|");
    for ((name, _), of_case) in cases.iter().zip(seconds) {
        let each = of_case * 1000.0 / (BATCHES * BATCH) as f64;
        println!("| {name} | {each:.2} ms | {:.3} |", of_case / seconds[0]);
    }
    seconds[1] / seconds[0]
}

/// The processor time of all processes that were waited for, in seconds.
fn of_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    // Behind the name: state is field 3, cutime and cstime are 16 and 17 (proc_pid_stat(5)).
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks = |at: usize| fields[at - 3].parse::<f64>().unwrap();
    (ticks(16) + ticks(17)) / TICKS
}

/// What `Workers::map` adds to a task.
fn map_by_task() {
    let tasks: Vec<u64> = (0..1_000_000).collect();
    let step = |task: &u64| Ok::<u64, Panic>(black_box(task * 3));
    let least = |run: &dyn Fn()| {
        let time = || {
            let start = Instant::now();
            run();
            start.elapsed()
        };
        (0..7).map(|_| time()).min().unwrap().as_nanos() as f64 / tasks.len() as f64
    };
    println!("\n| a million empty tasks | a task |\n|---|---:|");
    let plain = least(&|| drop(black_box(tasks.iter().map(step).collect::<Result<Vec<_>, _>>())));
    println!("| a loop | {plain:.1} ns |");
    for workers in [1, 2, 4, 8] {
        let workers = Workers::new(NonZeroUsize::new(workers).unwrap());
        // Dear enough to be shared.
        let map = || drop(black_box(workers.map(&tasks, |_| Duration::from_millis(1), step)));
        println!("| {} workers | {:.1} ns |", workers.limit(), least(&map));
    }
}

/// A pack by so many jobs, by default, and under a pool whose tokens all are free.
fn packs() {
    const ROUNDS: usize = 15;
    let room = tempfile::tempdir().unwrap();
    let (server, makeflags) = pool(room.path());
    let mut random = Random::new(1);
    let files = (0..96).map(|entry| {
        let mut bytes = 0xd00d_feed_u32.to_be_bytes().to_vec();
        bytes.extend((0..16_384).flat_map(|_| [0, 0, 0, random.below(60).to_le_bytes()[0]]));
        let file = room.path().join(format!("{entry}.dtbo"));
        fs::write(&file, bytes).unwrap();
        file
    });
    let files: Vec<_> = files.collect();
    let cases: [(&str, &[&str], bool); 6] = [
        ("--jobs 1", &["--jobs", "1"], false),
        ("--jobs 2", &["--jobs", "2"], false),
        ("--jobs 4", &["--jobs", "4"], false),
        ("--jobs 8", &["--jobs", "8"], false),
        ("the default", &[], false),
        ("the default, in a pool of 7 tokens", &[], true),
    ];
    let mut walls = [Duration::MAX; 6];
    let mut processor = [0.0; 6];
    for _ in 0..ROUNDS {
        for (case, (_, words, in_pool)) in cases.iter().enumerate() {
            let mut command = Command::new(KBT);
            command
                .args(["dtbo", "pack", "-q", "--compression", "gzip", "-o"])
                .arg(room.path().join("o.img"));
            command.args(*words).args(&files).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
            command.envs(in_pool.then_some(("MAKEFLAGS", &makeflags)));
            let (before, start) = (of_children(), Instant::now());
            assert!(command.status().unwrap().success());
            walls[case] = walls[case].min(start.elapsed());
            processor[case] += of_children() - before;
        }
    }
    assert_eq!(server.missing().unwrap(), 0);
    println!("\n| kbt dtbo pack | wall, least | processor, mean |\n|---|---:|---:|");
    for (case, (name, ..)) in cases.iter().enumerate() {
        let mean = processor[case] * 1000.0 / ROUNDS as f64;
        println!("| {name} | {:.0} ms | {mean:.0} ms |", walls[case].as_secs_f64() * 1000.0);
    }
}

/// Tokens in the pool after each end, and how many kbt has lost.
fn tokens_by_mode() -> usize {
    println!(
        "\n| the end | script: tokens | script: worker | kbt: tokens | kbt: worker |\n|---|---:|---|---:|---|"
    );
    let mut lost = 0;
    for (name, signal, victim) in [
        ("none: the work is done", Signal::TERM, Victim::Worker),
        ("SIGKILL of the command", Signal::KILL, Victim::Command),
        ("SIGTERM of the wrapper", Signal::TERM, Victim::Wrapper),
        ("SIGINT of the wrapper", Signal::INT, Victim::Wrapper),
        ("SIGHUP of the wrapper", Signal::HUP, Victim::Wrapper),
        ("SIGKILL of the wrapper", Signal::KILL, Victim::Wrapper),
    ] {
        let (script, script_runs) = after(&[PYTHON, SCRIPT], signal, victim);
        let (kbt, kbt_runs) = after(&[KBT, "jobserver", "exec", "--"], signal, victim);
        let word = |runs| if runs { "runs" } else { "gone" };
        println!("| {name} | {script} | {} | {kbt} | {} |", word(script_runs), word(kbt_runs));
        lost += TOKENS - kbt;
    }
    lost
}

/// Whom the signal goes to.
#[derive(Clone, Copy)]
enum Victim {
    /// What the command waits for; it ends then of itself.
    Worker,
    Command,
    Wrapper,
}

/// Runs a command with a worker under a wrapper, sends a signal, and tells how many tokens of seven are back after two
/// seconds and whether the worker still runs.
fn after(wrapper: &[&str], signal: Signal, victim: Victim) -> (usize, bool) {
    let room = tempfile::tempdir().unwrap();
    let (server, makeflags) = pool(room.path());
    // A shell's background ignores SIGINT; so would what is started here.
    let mut command = Command::new("env");
    command.arg("--default-signal").args(wrapper).args(["sh", "-c", "sleep 60 & echo $$ $!; wait"]);
    let mut wrapper =
        command.env("MAKEFLAGS", makeflags).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut told = BufReader::new(wrapper.stdout.take().unwrap());
    told.read_line(&mut line).unwrap();
    let pids: Vec<i32> = line.split_whitespace().map(|pid| pid.parse().unwrap()).collect();
    let victim = match victim {
        Victim::Worker => pids[1],
        Victim::Command => pids[0],
        Victim::Wrapper => i32::try_from(wrapper.id()).unwrap(),
    };
    kill_process(Pid::from_raw(victim).unwrap(), signal).unwrap();
    let start = Instant::now();
    while server.missing().unwrap() > 0 && start.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(1));
    }
    let back = TOKENS - server.missing().unwrap();
    let worker = Pid::from_raw(pids[1]).unwrap();
    let runs = fs::read_to_string(format!("/proc/{}/stat", pids[1]))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'));
    // Whatever is left of it goes.
    for pid in [worker, Pid::from_raw(pids[0]).unwrap()] {
        let _ = kill_process(pid, Signal::KILL);
    }
    let _ = wrapper.wait();
    (back, runs)
}
