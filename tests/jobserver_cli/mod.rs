//! What the tests of `kbt jobserver` share: pools of the test's own, wrappers that were started, and makes.

#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part; a failed set-up is a failed test")]

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use kbt_jobserver::{MakeFlags, Server, Style};
use kbt_testkit::peers::{self, Missing};

/// The tokens of a pool: `-j8`.
pub const TOKENS: usize = 7;

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A pool that the test made, with nobody in it but what the test starts.
pub struct Pool {
    pub server: Server,
    _room: Option<tempfile::TempDir>,
}

impl Pool {
    pub fn new(style: Style) -> Self {
        if style == Style::Pipe {
            return Self { server: Server::pipe(TOKENS).unwrap(), _room: None };
        }
        let room = tempfile::tempdir().unwrap();
        let server = Server::fifo(&room.path().join("pool"), TOKENS).unwrap();
        Self { server, _room: Some(room) }
    }

    pub fn both() -> [Self; 2] {
        [Self::new(Style::Fifo), Self::new(Style::Pipe)]
    }

    pub fn makeflags(&self) -> Vec<u8> {
        MakeFlags::with_auth(b"", self.server.auth(), 8)
    }

    /// `kbt jobserver exec` with these words, under this pool.
    pub fn exec(&self, words: &[&str]) -> Command {
        let mut command = kbt(&["jobserver", "exec"]);
        command.args(words).env("MAKEFLAGS", text(self.makeflags()));
        command
    }

    pub fn free(&self) -> usize {
        self.server.client().free().unwrap()
    }

    /// All tokens are there, none too many.
    #[track_caller]
    pub fn is_whole(&self) {
        assert_eq!(self.free(), TOKENS, "tokens in the pool");
    }

    /// They are there soon.
    #[track_caller]
    pub fn becomes_whole(&self) {
        until("the pool is whole", || self.free() == TOKENS);
        self.is_whole();
    }
}

/// A program that ignores no signal, although the tests may run in a shell's background, where SIGINT is.
fn heeding(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(program);
    command
}

/// The binary, without a jobserver of whoever runs the tests.
pub fn kbt(words: &[&str]) -> Command {
    let mut command = heeding(env!("CARGO_BIN_EXE_kbt"));
    clean(&mut command).args(words);
    command
}

/// Removes every variable that could name a jobserver or a number of jobs.
pub fn clean(command: &mut Command) -> &mut Command {
    for name in ["MAKEFLAGS", "MFLAGS", "CARGO_MAKEFLAGS", "MAKELEVEL", "PARALLELISM"] {
        command.env_remove(name);
    }
    command
}

/// A wrapper whose command runs and has told a number: as a rule the process ID of something it started.
pub struct Running {
    pub wrapper: Child,
    pub told: i32,
    _stdout: BufReader<ChildStdout>,
}

impl Running {
    /// Starts it and waits for the line with the number.
    pub fn start(mut command: Command) -> Self {
        let mut wrapper = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(wrapper.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let told = line.trim().parse().expect("a process ID");
        Self { wrapper, told, _stdout: stdout }
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.wrapper.id()).unwrap()
    }

    /// Waits for the wrapper: its exit code, or 1000 and the signal that ended it.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        until("the wrapper ends", || self.wrapper.try_wait().unwrap().is_some());
        code(self.wrapper.wait().unwrap())
    }
}

pub fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| Some(status.signal()? + 1000)).unwrap()
}

/// Sends a signal, by the name that `kill` knows.
pub fn kill(signal: &str, pid: i32) {
    let status = Command::new("kill").args(["-s", signal, "--", &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -s {signal} {pid}");
}

/// Whether the process runs; a zombie does not.
pub fn runs(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// The children of a process that have this name.
pub fn children(parent: i32, name: &str) -> Vec<i32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let (parent, name) = (format!(" {parent} "), format!("({name}"));
    let is = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // `pid (name) S ppid ...`
        let (head, behind) = stat.rsplit_once(')').unwrap_or_default();
        behind.get(2..).is_some_and(|rest| rest.starts_with(&parent)) && head.ends_with(&name)
    };
    pids.filter(is).collect()
}

/// Whether any process runs whose command line contains `word`.
pub fn any_runs(word: &str) -> bool {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.any(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).replace('\0', " ").contains(word) && runs(pid)
    })
}

#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A make that speaks the protocol in one of its dialects.
pub struct Make {
    pub program: PathBuf,
    pub style: &'static [&'static str],
}

/// make 4.3, and make 4.4 in both styles.
pub fn makes() -> Result<[Make; 3], Missing> {
    let (old, new) = (peers::tool("make-4.3")?, peers::tool("make-4.4")?);
    Ok([
        Make { program: old, style: &[] },
        Make { program: new.clone(), style: &["--jobserver-style=fifo"] },
        Make { program: new, style: &["--jobserver-style=pipe"] },
    ])
}

impl Make {
    /// `make -j8` over a makefile, in which `$(KBT)` is the binary.
    pub fn command(&self, room: &Path, makefile: &str, words: &[&str]) -> Command {
        fs::write(room.join("Makefile"), makefile).unwrap();
        let mut command = heeding(&self.program);
        clean(&mut command).current_dir(room).args(self.style).arg("-j8").args(words);
        // In the environment, so that it is no variable of the command line, which MAKEFLAGS would repeat.
        command.env("KBT", env!("CARGO_BIN_EXE_kbt"));
        // `$(MAKE)` is what the peer calls itself, without its directory.
        let path = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{path}:{}", self.program.parent().unwrap().display()));
        command
    }

    /// Runs it; a make that misses tokens at its end says so.
    #[track_caller]
    pub fn run(&self, room: &Path, makefile: &str, words: &[&str]) -> Output {
        let output = self.command(room, makefile, words).output().unwrap();
        let said = stderr(&output);
        assert!(!said.contains("INTERNAL"), "{} {:?}: {said}", self.program.display(), self.style);
        output
    }
}
