//! `kbt jobserver exec` under real makes: 4.3, and 4.4 in both of its styles.

#![allow(clippy::unwrap_used, reason = "a failed set-up is a failed test")]

mod jobserver_cli;

use std::fs;
use std::time::Duration;

use jobserver_cli::{code, makes, runs, stderr, stdout, until};
use kbt_testkit::require;

/// Each recipe of the chain waits for the one before, so each could claim everything. The command of the second
/// has its wrapper signalled when it is sleep alone: a shell that is about to fork may miss SIGINT.
const CHAIN: &str = "
all: one
\t@+$(KBT) jobserver exec -- sh -c 'echo $$PARALLELISM'
one: two
\t-@+$(KBT) jobserver exec -- sh -c '(sleep 0.1; kill -s $(SIGNAL) $$PPID) & exec sleep 60'
two:
\t@+$(KBT) jobserver exec -- sh -c 'echo $$PARALLELISM'
";

#[test]
fn the_next_recipe_finds_all_tokens() {
    for make in require!(makes()) {
        for signal in ["TERM", "INT", "HUP", "KILL"] {
            let room = tempfile::tempdir().unwrap();
            // After a kill the keeper returns tokens while make goes on: a moment's patience.
            let output = make.run(
                room.path(),
                &CHAIN.replace("all: one\n", "all: one\n\t@sleep 0.5\n"),
                &[&format!("SIGNAL={signal}")],
            );
            assert_eq!(stdout(&output), "8\n8\n", "{:?} {signal}: {}", make.style, stderr(&output));
            assert_eq!(code(output.status), 0);
        }
    }
}

#[test]
fn a_variable_of_the_command_line_names_no_jobserver() {
    for make in require!(makes()) {
        let room = tempfile::tempdir().unwrap();
        let makefile = "all:\n\t@+$(KBT) jobserver exec -- sh -c 'echo $$PARALLELISM'\n";
        let output = make.run(room.path(), makefile, &["X=a --jobserver-auth=fifo:/nope"]);
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("8\n", ""), "{:?}", make.style);
    }
}

#[test]
fn a_recipe_that_make_keeps_its_jobserver_from() {
    for make in require!(makes()) {
        let room = tempfile::tempdir().unwrap();
        let makefile =
            "all:\n\t@PARALLELISM=99 $(KBT) jobserver exec -- sh -c 'echo $${PARALLELISM-unset}'\n";
        let output = make.run(room.path(), makefile, &[]);
        let (parallelism, warns) = match (make.program.ends_with("make-4.3"), make.style) {
            // It names the descriptors, but closes them.
            (true, _) => ("unset\n", true),
            // It names negative ones behind them.
            (_, ["--jobserver-style=pipe"]) => ("unset\n", false),
            // A FIFO can be opened by everybody.
            _ => ("8\n", false),
        };
        assert_eq!(stdout(&output), parallelism, "{:?}", make.style);
        assert_eq!(stderr(&output).contains("descriptor 3 is not open"), warns, "{}", stderr(&output));
    }
}

/// Four jobs that end only if they run at the same time.
const MEETING: &str = "
all:
\t@+$(KBT) jobserver exec $(OPTIONS) -- $(MAKE) --no-print-directory meet
meet: a b c d
a b c d:
\t@touch $@.here; i=0; while [ $$(ls *.here | wc -l) -lt 4 ]; do i=$$((i+1)); [ $$i -lt 200 ] || exit 1; sleep 0.02; done
";

#[test]
fn the_commands_own_make_runs_in_parallel() {
    for make in require!(makes()) {
        let room = tempfile::tempdir().unwrap();
        let output = make.run(room.path(), MEETING, &[]);
        assert_eq!((stderr(&output).as_str(), code(output.status)), ("", 0), "{:?}", make.style);
        let room = tempfile::tempdir().unwrap();
        let output = make.run(room.path(), MEETING, &["OPTIONS=--max 3"]);
        assert_ne!(code(output.status), 0, "four at once where three jobs were given");
    }
}

#[test]
fn a_make_below_that_is_killed_loses_nothing_to_the_one_above() {
    for make in require!(makes()) {
        let room = tempfile::tempdir().unwrap();
        let makefile = "
all: below
\t@+$(KBT) jobserver exec -- sh -c 'echo $$PARALLELISM'
below:
\t-@+$(KBT) jobserver exec -- $(MAKE) --no-print-directory a b c d
a b c d:
\t@touch $@.here; [ $@ != d ] || { sleep 0.2; kill -KILL $$PPID; }; sleep 60
";
        let output = make.run(room.path(), makefile, &[]);
        assert_eq!(stdout(&output), "8\n", "{:?}: {}", make.style, stderr(&output));
        assert!(room.path().join("d.here").exists(), "the make below has run");
    }
}

#[test]
fn a_make_that_dies_first() {
    for make in require!(makes()) {
        let room = tempfile::tempdir().unwrap();
        let makefile = "all:\n\t@+echo $$$$ > shell; exec $(KBT) jobserver exec -- sh -c 'touch runs; sleep 0.3; touch done'\n";
        let mut process = make.command(room.path(), makefile, &[]).spawn().unwrap();
        until("the command runs", || room.path().join("runs").exists());
        // The peer may be a wrapper around make: what is above the recipe's shell is make.
        let wrapper: i32 = fs::read_to_string(room.path().join("shell")).unwrap().trim().parse().unwrap();
        let stat = fs::read_to_string(format!("/proc/{wrapper}/stat")).unwrap();
        let parent = stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap();
        jobserver_cli::kill("KILL", parent);
        process.wait().unwrap();
        until("the command ends", || room.path().join("done").exists());
        until("the wrapper ends", || !runs(wrapper));
        std::thread::sleep(Duration::from_millis(10));
    }
}
