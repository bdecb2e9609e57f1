//! Commands that use the terminal, as a person in front of it meets them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up is a failed test")]

mod jobserver_cli;
mod terminal;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jobserver_cli::{clean, code, kill, makes, runs, until};
use kbt_testkit::require;

const KBT: &str = env!("CARGO_BIN_EXE_kbt");

/// A terminal with a shell line in it, as the leader of its session.
struct Terminal {
    keyboard: File,
    screen: Arc<Mutex<Vec<u8>>>,
    session: Child,
}

impl Terminal {
    fn with(line: &str) -> Self {
        Self::of_bash(&["-c", line])
    }

    /// With a shell that one types to.
    fn interactive() -> Self {
        let terminal = Self::of_bash(&["--noediting", "-i"]);
        terminal.shows("$ ");
        terminal
    }

    fn of_bash(words: &[&str]) -> Self {
        let (keyboard, theirs) = terminal::open();
        let mut command = Command::new("setsid");
        clean(&mut command).args(["--ctty", "env", "--default-signal", "bash", "--norc"]).args(words);
        command.env("KBT", KBT).env("PS1", "$ ");
        command.stdin(theirs.try_clone().unwrap()).stdout(theirs.try_clone().unwrap()).stderr(theirs);
        let session = command.spawn().unwrap();
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut from, to) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Once nobody has the other side open there is an error.
            while let Ok(count @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().extend_from_slice(&bytes[..count]);
            }
        });
        Self { keyboard, screen, session }
    }

    fn types(&mut self, text: &str) {
        self.keyboard.write_all(text.as_bytes()).unwrap();
    }

    fn shown(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).replace('\r', "")
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let start = Instant::now();
        while !self.shown().contains(text) {
            assert!(start.elapsed() < Duration::from_secs(30), "no {text:?} on {:?}", self.shown());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[track_caller]
    fn ends(&mut self) -> i32 {
        until("the end of the session", || self.session.try_wait().unwrap().is_some());
        code(self.session.wait().unwrap())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The end of the session's leader hangs up on the rest.
        let _ = self.session.kill();
        let _ = self.session.wait();
    }
}

/// Reads a line and tells it. It says first that it is there.
const ASK: &str = "sh -c 'echo ready; read x; echo got $x'";

#[test]
fn a_command_can_read_from_the_terminal() {
    for wrapper in ["pool -j2", "exec"] {
        let mut terminal = Terminal::with(&format!("exec $KBT jobserver {wrapper} -- {ASK}"));
        terminal.shows("ready");
        terminal.types("one\n");
        terminal.shows("got one");
        assert_eq!(terminal.ends(), 0, "{wrapper}");
    }
}

#[test]
fn the_terminal_comes_back() {
    let mut terminal = Terminal::with(&format!("$KBT jobserver exec -- {ASK}; read y; echo then $y"));
    terminal.shows("ready");
    terminal.types("one\n");
    terminal.shows("got one");
    terminal.types("two\n");
    terminal.shows("then two");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn keys_that_end_a_command_end_it() {
    for command in ["sleep 600", "cat", ASK] {
        let mut terminal =
            Terminal::with(&format!("exec $KBT jobserver exec -- sh -c \"echo begun; exec {command}\""));
        terminal.shows("begun");
        std::thread::sleep(Duration::from_millis(100));
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), 128 + 2, "{command}: {}", terminal.shown());
    }
}

#[test]
fn a_terminal_that_stops_what_writes_in_the_background() {
    let line = "stty tostop; exec $KBT jobserver exec -- sh -c 'echo one; sleep 0.1; echo two'";
    let mut terminal = Terminal::with(line);
    assert_eq!(terminal.ends(), 0);
    terminal.shows("one\ntwo\n");
}

#[test]
fn a_job_is_stopped_and_goes_on_by_the_shells_commands() {
    let by_a_child = "sh -c 'echo ready; head -n 1 | sed \"s/^/got /\"; true'";
    for command in [ASK, by_a_child] {
        let mut terminal = Terminal::interactive();
        terminal.types(&format!("$KBT jobserver exec -- {command}\n"));
        terminal.shows("ready\n");
        std::thread::sleep(Duration::from_millis(100));
        terminal.types("\u{1a}");
        terminal.shows("Stopped");
        terminal.types("fg\n");
        terminal.types("one\n");
        terminal.shows("got one");
        terminal.types("exit 5\n");
        assert_eq!(terminal.ends(), 5);
    }
}

#[test]
fn a_job_of_the_background_stops_until_it_is_fetched() {
    let mut terminal = Terminal::interactive();
    terminal.types(&format!("$KBT jobserver exec -- {ASK} &\n"));
    terminal.shows("ready\n");
    terminal.types("until jobs -s | grep -q KBT; do sleep 0.02; done; echo fetch; fg\n");
    terminal.shows("fetch\n");
    terminal.types("one\n");
    terminal.shows("got one");
    terminal.types("exit 5\n");
    assert_eq!(terminal.ends(), 5);
}

/// make gives its own standard input to one of its jobs.
#[test]
fn a_recipe_can_read_from_the_terminal() {
    for make in require!(makes()) {
        let room = tempfile::tempdir().unwrap();
        std::fs::write(
            room.path().join("Makefile"),
            format!("all:\n\t@+$(KBT) jobserver exec -- {}\n", ASK.replace('$', "$$")),
        )
        .unwrap();
        for jobs in ["", "-j4"] {
            let program = make.program.display();
            let line = format!(
                "cd {}; {program} {} {jobs}; echo made $?",
                room.path().display(),
                make.style.join(" ")
            );
            let mut terminal = Terminal::with(&line);
            terminal.shows("ready");
            terminal.types("one\n");
            terminal.shows("got one");
            terminal.shows("made 0");
            assert_eq!(terminal.ends(), 0);
            let mut terminal = Terminal::with(&line);
            terminal.shows("ready");
            std::thread::sleep(Duration::from_millis(100));
            terminal.types("\u{3}");
            terminal.shows("Error 130");
            terminal.ends();
        }
    }
}

#[test]
fn a_terminal_that_is_closed_ends_who_waits_for_it() {
    let mut terminal = Terminal::with("$KBT jobserver exec -- sh -c 'echo pid $$; exec cat'; true");
    terminal.shows("pid ");
    std::thread::sleep(Duration::from_millis(100));
    let shown = terminal.shown();
    let pid = shown.split_once("pid ").unwrap().1.lines().next().unwrap().parse().unwrap();
    kill("KILL", i32::try_from(terminal.session.id()).unwrap());
    terminal.session.wait().unwrap();
    until("the command ends", || !runs(pid));
}
