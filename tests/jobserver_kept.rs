//! No token is lost by `kbt jobserver exec`, however it, its command or its keeper ends; and what the command
//! started does not outlive a wrapper that was killed.

#![allow(clippy::unwrap_used, reason = "a failed set-up is a failed test")]

mod jobserver_cli;

use kbt_testkit::{peers, require};

use jobserver_cli::{Pool, Running, any_runs, children, kill, runs, until};

/// A command with a process of its own beside it, whose ID it tells. The shell has it ignore SIGINT.
const WITH_CHILD: &[&str] = &["--", "sh", "-c", "sleep 600 & echo $!; wait"];

#[track_caller]
fn started(pool: &Pool, words: &[&str]) -> Running {
    let running = Running::start(pool.exec(words));
    assert_eq!(pool.free(), 0, "all are claimed while the command runs");
    running
}

#[test]
fn a_wrapper_that_is_asked_to_end() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3), ("USR1", 10)] {
        for pool in Pool::both() {
            let mut running = started(&pool, WITH_CHILD);
            kill(signal, running.pid());
            assert_eq!(running.end(), 128 + number, "{signal}");
            pool.is_whole();
            until("the command's child ends", || !runs(running.told));
        }
    }
}

#[test]
fn a_wrapper_that_is_killed() {
    for pool in Pool::both() {
        let mut running = started(&pool, WITH_CHILD);
        kill("KILL", running.pid());
        assert_eq!(running.end(), 1000 + 9);
        pool.becomes_whole();
        assert!(!runs(running.told), "the old job ends before the new one can start");
    }
}

#[test]
fn a_wrapper_that_is_killed_at_any_moment() {
    // A time that no other process sleeps.
    let sleep = format!("sleep 600.{}", std::process::id());
    for pool in Pool::both() {
        for microseconds in (0..12_000).step_by(300) {
            let mut wrapper = pool.exec(&["--", "sh", "-c", &format!("{sleep} & wait")]).spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_micros(microseconds));
            wrapper.kill().unwrap();
            wrapper.wait().unwrap();
            pool.becomes_whole();
        }
        // A keeper that was about to claim when its wrapper died still gives back.
        std::thread::sleep(std::time::Duration::from_millis(100));
        pool.becomes_whole();
        until("nothing of them runs", || !any_runs(&sleep));
    }
}

#[test]
fn a_command_that_waits_for_its_end_is_waited_for() {
    for pool in Pool::both() {
        let line = "trap 'sleep 0.2; exit 5' TERM; echo $$; while :; do sleep 0.02; done";
        let mut running = started(&pool, &["sh", "-c", line]);
        kill("TERM", running.pid());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(pool.free(), 0, "as long as it runs it has its tokens");
        assert_eq!(running.end(), 5);
        pool.is_whole();
    }
}

#[test]
fn a_command_that_is_killed() {
    for pool in Pool::both() {
        let mut running = started(&pool, WITH_CHILD);
        let [shell] = children(running.pid(), "sh")[..] else { panic!("one command") };
        kill("KILL", shell);
        assert_eq!(running.end(), 128 + 9);
        pool.is_whole();
        assert!(!runs(running.told), "what it started would run beside the next jobs");
    }
}

#[test]
fn a_command_that_leaves_a_daemon_behind() {
    for pool in Pool::both() {
        let daemon = "setsid sleep 600 >/dev/null 2>&1 & echo $!";
        let mut running = Running::start(pool.exec(&["sh", "-c", daemon]));
        assert_eq!(running.end(), 0);
        pool.is_whole();
        assert!(runs(running.told), "a daemon may stay");
        kill("KILL", running.told);
    }
}

#[test]
fn a_keeper_that_is_killed() {
    for pool in Pool::both() {
        let mut running = started(&pool, &["sh", "-c", "echo $$; exec sleep 600"]);
        let [keeper] = children(running.pid(), "kbt-keeper")[..] else { panic!("one keeper") };
        kill("KILL", keeper);
        until("the keeper ends", || !runs(keeper));
        kill("TERM", running.told);
        assert_eq!(running.end(), 128 + 15);
        pool.is_whole();
    }
}

#[test]
fn a_keeper_is_not_ended_by_what_ends_programs() {
    for pool in Pool::both() {
        let mut running = started(&pool, WITH_CHILD);
        let [keeper] = children(running.pid(), "kbt-keeper")[..] else { panic!("one keeper") };
        for signal in ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2"] {
            kill(signal, keeper);
        }
        kill("KILL", running.pid());
        assert_eq!(running.end(), 1000 + 9);
        pool.becomes_whole();
        until("the keeper ends", || !runs(keeper));
    }
}

#[test]
fn a_keeper_that_is_killed_before_it_has_given_back() {
    for pool in Pool::both() {
        let mut running = started(&pool, &["sh", "-c", "echo $$; exec sleep 600"]);
        let [keeper] = children(running.pid(), "kbt-keeper")[..] else { panic!("one keeper") };
        kill("STOP", keeper);
        until("the keeper stops", || state(keeper) == 'T');
        kill("TERM", running.told);
        until("the command ends", || !runs(running.told));
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(pool.free(), 0, "the wrapper waits for the keeper");
        kill("KILL", keeper);
        assert_eq!(running.end(), 128 + 15);
        pool.is_whole();
    }
}

#[test]
fn a_keeper_that_is_killed_at_any_moment() {
    for pool in Pool::both() {
        for microseconds in (0..6000).step_by(200) {
            let mut wrapper = pool.exec(&["--", "sh", "-c", "sleep 0.01; exit 3"]).spawn().unwrap();
            let pid = i32::try_from(wrapper.id()).unwrap();
            // It gets its name after its birth: the wrapper's first child, whatever it is called.
            let file = format!("/proc/{pid}/task/{pid}/children");
            let first =
                || std::fs::read_to_string(&file).ok()?.split_whitespace().next()?.parse::<i32>().ok();
            let keeper = std::iter::repeat_with(first).find_map(|found| found).unwrap();
            std::thread::sleep(std::time::Duration::from_micros(microseconds));
            if runs(keeper) {
                let _ = std::process::Command::new("kill").args(["-KILL", &keeper.to_string()]).output();
            }
            assert_eq!(wrapper.wait().unwrap().code(), Some(3), "{microseconds}");
            pool.is_whole();
        }
    }
}

#[test]
fn what_does_not_heed_the_signal_that_ended_its_command_is_killed() {
    let [pool, _] = Pool::both();
    let line = "trap '' TERM; sleep 600 & trap - TERM; echo $!; wait";
    let mut running = started(&pool, &["sh", "-c", line]);
    let [shell] = children(running.pid(), "sh")[..] else { panic!("one command") };
    kill("TERM", shell);
    assert_eq!(running.end(), 128 + 15);
    pool.is_whole();
    assert!(!runs(running.told), "it would run beside the next jobs");
}

#[test]
fn a_command_that_is_stopped_can_be_ended() {
    for (signal, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        let [pool, _] = Pool::both();
        let mut running = started(&pool, &["sh", "-c", "echo $$; exec sleep 600"]);
        kill("STOP", running.told);
        until("the command stops", || state(running.told) == 'T');
        kill(signal, running.pid());
        assert_eq!(running.end(), 128 + number);
        pool.is_whole();
    }
}

#[test]
fn what_a_killed_command_leaves_stopped_is_ended() {
    let [pool, _] = Pool::both();
    let mut running = started(&pool, &["sh", "-c", "sleep 600 & kill -STOP $!; echo $!; wait"]);
    let [shell] = children(running.pid(), "sh")[..] else { panic!("one command") };
    kill("TERM", shell);
    assert_eq!(running.end(), 128 + 15);
    assert!(!runs(running.told));
    pool.is_whole();
}

#[test]
fn a_command_in_another_process_group_gets_its_signal() {
    let python = require!(peers::tool("python3"));
    let [pool, _] = Pool::both();
    // Job control gives each job of the shell its own group; the command is a leader by birth, so it is moved into
    // that of another process.
    let line = "import os,time\npid=os.fork()\nif pid==0:\n os.setpgid(0,0)\n time.sleep(600)\n\
                time.sleep(0.2)\nos.setpgid(0,pid)\nprint(pid,flush=True)\ntime.sleep(600)";
    let mut running = started(&pool, &[python.to_str().unwrap(), "-c", line]);
    kill("TERM", running.pid());
    assert_eq!(running.end(), 128 + 15);
    pool.is_whole();
    kill("KILL", running.told);
}

#[test]
fn a_job_that_waits_for_tokens_can_be_stopped() {
    let [pool, _] = Pool::both();
    let held: Vec<_> = (0..5).map(|_| pool.server.client().try_acquire().unwrap().unwrap()).collect();
    let mut wrapper = pool.exec(&["--min=4", "--", "true"]).spawn().unwrap();
    let pid = i32::try_from(wrapper.id()).unwrap();
    until("a keeper", || !children(pid, "kbt-keeper").is_empty());
    kill("TSTP", pid);
    until("the wrapper stops", || state(pid) == 'T');
    drop(held);
    std::thread::sleep(std::time::Duration::from_millis(200));
    pool.is_whole();
    kill("CONT", pid);
    assert!(wrapper.wait().unwrap().success());
    pool.is_whole();
}

#[test]
fn a_stopped_job_goes_on() {
    let [pool, _] = Pool::both();
    let room = tempfile::tempdir().unwrap();
    // A shell that waits in vfork(2) for a child that was stopped before its exec is not stopped itself: this one has none.
    let line = "echo $$; until [ -e $0/go ]; do :; done; exit 3";
    let mut running = started(&pool, &["sh", "-c", line, room.path().to_str().unwrap()]);
    kill("TSTP", running.pid());
    until("the wrapper stops", || state(running.pid()) == 'T');
    until("the command stops", || state(running.told) == 'T');
    std::fs::write(room.path().join("go"), "").unwrap();
    kill("CONT", running.pid());
    assert_eq!(running.end(), 3);
    pool.is_whole();
}

fn state(pid: i32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('X')
}

#[test]
fn a_private_fifo_does_not_outlive_a_killed_wrapper() {
    let [pool, _] = Pool::both();
    let room = tempfile::tempdir().unwrap();
    let mut command = pool.exec(WITH_CHILD);
    command.env("TMPDIR", room.path());
    let mut running = Running::start(command);
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 1, "the private pool");
    kill("KILL", running.pid());
    running.end();
    until("it is gone", || std::fs::read_dir(room.path()).unwrap().count() == 0);
    let mut command = pool.exec(&["true"]);
    assert!(command.env("TMPDIR", room.path()).status().unwrap().success());
    assert_eq!(std::fs::read_dir(room.path()).unwrap().count(), 0);
}
