//! `kbt jobserver exec` and its name `jobserver-exec`: what the command gets, what it exits with, what is said.

#![allow(clippy::unwrap_used, reason = "a failed set-up is a failed test")]

mod jobserver_cli;

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Output};

use jobserver_cli::{Pool, TOKENS, clean, code, kbt, stderr, stdout};

const SHOW: [&str; 4] = ["--", "sh", "-c", "echo ${PARALLELISM-unset}"];

/// `kbt jobserver exec` on a shell line that opens descriptors first.
fn with_descriptors(redirections: &str, makeflags: &str) -> Output {
    let line = format!("exec \"$0\" jobserver exec -- sh -c 'echo ${{PARALLELISM-unset}}' {redirections}");
    let mut command = Command::new("sh");
    clean(&mut command).args(["-c", &line, env!("CARGO_BIN_EXE_kbt")]);
    command.env("MAKEFLAGS", makeflags).env("PARALLELISM", "99").output().unwrap()
}

#[test]
fn all_free_tokens_and_the_implicit_one() {
    for pool in Pool::both() {
        let output = pool.exec(&SHOW).output().unwrap();
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("8\n", ""));
        pool.is_whole();
        let held: Vec<_> = (0..5).map(|_| pool.server.client().try_acquire().unwrap().unwrap()).collect();
        assert_eq!(stdout(&pool.exec(&SHOW).output().unwrap()), "3\n");
        assert_eq!(pool.free(), TOKENS - 5);
        drop(held);
    }
}

#[test]
fn max_leaves_the_others_in_the_pool() {
    for pool in Pool::both() {
        let free = "echo $PARALLELISM; \"$0\" jobserver status | grep free";
        let words = ["--pool=inherited", "--max", "3", "sh", "-c", free, env!("CARGO_BIN_EXE_kbt")];
        let output = pool.exec(&words).output().unwrap();
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("3\nfree   5\n", ""));
        assert_eq!(stdout(&pool.exec(&[&["--max=1"], &SHOW[..]].concat()).output().unwrap()), "1\n");
        pool.is_whole();
    }
}

#[test]
fn min_waits_until_there_are_enough_and_holds_nothing() {
    for pool in Pool::both() {
        let held: Vec<_> = (0..5).map(|_| pool.server.client().try_acquire().unwrap().unwrap()).collect();
        let mut command = pool.exec(&[&["--min=5"], &SHOW[..]].concat());
        let mut wrapper = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
        for _ in 0..50 {
            assert_eq!(pool.free(), 2, "nothing is taken while there is too little");
            std::thread::sleep(std::time::Duration::from_millis(4));
        }
        assert!(wrapper.try_wait().unwrap().is_none(), "it waits");
        drop(held);
        assert_eq!(stdout(&wrapper.wait_with_output().unwrap()), "8\n");
        pool.is_whole();
    }
}

#[test]
fn min_gives_up_after_its_time() {
    for pool in Pool::both() {
        let held: Vec<_> = (0..5).map(|_| pool.server.client().try_acquire().unwrap().unwrap()).collect();
        let output = pool.exec(&["--min=4", "--timeout=0.2", "--", "echo", "ran"]).output().unwrap();
        assert_eq!(
            stderr(&output),
            "kbt: error: no 4 jobs within 0.2 s, only 3\n  hint: lower --min, or raise --timeout\n"
        );
        assert_eq!((code(output.status), stdout(&output).as_str()), (124, ""));
        drop(held);
        pool.is_whole();
    }
}

#[test]
fn a_long_wait_is_warned_of() {
    let [pool, _] = Pool::both();
    let held: Vec<_> = (0..5).map(|_| pool.server.client().try_acquire().unwrap().unwrap()).collect();
    let output = pool.exec(&["--min=4", "--timeout=10.5", "--", "echo", "ran"]).output().unwrap();
    let warning = "kbt: warning: 4 jobs are waited for, 3 can run\n  hint: recipes that wait so for each other wait for \
                   ever, since each keeps its own job; --timeout ends the wait\n";
    assert!(stderr(&output).starts_with(warning), "{}", stderr(&output));
    assert_eq!(code(output.status), 124);
    drop(held);
    pool.is_whole();
}

#[test]
fn a_signal_ends_the_wait() {
    let [pool, _] = Pool::both();
    let held: Vec<_> = (0..5).map(|_| pool.server.client().try_acquire().unwrap().unwrap()).collect();
    let mut wrapper = pool.exec(&["--min=4", "--", "echo", "ran"]).spawn().unwrap();
    let pid = i32::try_from(wrapper.id()).unwrap();
    jobserver_cli::until("a keeper", || !jobserver_cli::children(pid, "kbt-keeper").is_empty());
    jobserver_cli::kill("TERM", pid);
    assert_eq!(code(wrapper.wait().unwrap()), 128 + 15);
    drop(held);
    pool.is_whole();
}

#[test]
fn min_that_make_can_never_fulfil_is_lowered() {
    let [pool, _] = Pool::both();
    let output = pool.exec(&[&["--min=9"], &SHOW[..]].concat()).output().unwrap();
    assert_eq!(stdout(&output), "8\n");
    assert_eq!(
        stderr(&output),
        "kbt: warning: --min 9 waits for more than the 8 jobs of make -j8\n  hint: going on with --min 8\n"
    );
}

#[test]
fn without_a_jobserver_a_stale_count_is_removed() {
    for makeflags in
        ["", "kw", " -j1", " -j4 --jobserver-auth=3,4 --jobserver-auth=-2,-2", " -- X=--jobserver-auth=1,2"]
    {
        let output = with_descriptors("", makeflags);
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("unset\n", ""), "{makeflags}");
        assert_eq!(code(output.status), 0);
    }
}

const PLUS: &str =
    "begin the recipe's line with '+', so that make hands its jobserver on; no token was taken";
const LOOK: &str = "look at MAKEFLAGS; no token was taken";

/// One job, and this warning.
#[track_caller]
fn warns(output: &Output, reason: &str, hint: &str) {
    let expected = format!("kbt: warning: make's jobserver cannot be used: {reason}\n  hint: {hint}\n");
    assert_eq!((stdout(output), stderr(output)), ("unset\n".to_owned(), expected));
    assert_eq!(code(output.status), 0);
}

#[test]
fn a_jobserver_that_cannot_be_used_is_a_warning_and_no_claim() {
    for (redirections, auth, reason, hint) in [
        ("3<&- 4<&-", "3,4", "descriptor 3 is not open", PLUS),
        ("3</proc/self/status 4>/dev/null", "3,4", "descriptor 3 is a regular file instead of a pipe", PLUS),
        ("3</ 4>/dev/null", "3,4", "descriptor 3 is a directory instead of a pipe", PLUS),
        ("3</dev/null 4>/dev/null", "3,4", "descriptor 3 is a character device instead of a pipe", PLUS),
        ("3</dev/zero 4>/dev/zero", "3,4", "descriptor 3 is a character device instead of a pipe", PLUS),
        ("3<>/dev/ptmx 4>&3", "3,4", "descriptor 3 is a character device instead of a pipe", PLUS),
        ("", "fifo:/nope", "cannot open /nope: No such file or directory", LOOK),
        ("", "fifo:/", "/ is a directory instead of a FIFO", LOOK),
        ("", "fifo:/etc/passwd", "/etc/passwd is a regular file instead of a FIFO", LOOK),
        ("", "fifo:/dev/zero", "/dev/zero is a device of the system instead of a FIFO", LOOK),
        ("", "fifo:/dev/null", "/dev/null is a device of the system instead of a FIFO", LOOK),
        ("", "fifo:/dev/full", "/dev/full is a device of the system instead of a FIFO", LOOK),
        ("", "fifo:/dev/ptmx", "/dev/ptmx is a terminal instead of a FIFO", LOOK),
        ("", "sem:7", "--jobserver-auth has the unknown value 'sem:7'", LOOK),
    ] {
        warns(&with_descriptors(redirections, &format!(" -j4 --jobserver-auth={auth}")), reason, hint);
    }
}

#[test]
fn ends_of_pipes_that_are_no_pool() {
    let room = tempfile::tempdir().unwrap();
    let fifo = |name: &str| {
        let path = room.path().join(name);
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        path.display().to_string()
    };
    let (one, two) = (fifo("one"), fifo("two"));
    for (redirections, reason) in [
        (format!("5<>{one} 3>{one} 4>{one}"), "descriptor 3 is not open to read"),
        (format!("5<>{one} 3<{one} 4<{one}"), "descriptor 4 is not open to write"),
        (format!("3<>{one} 4<>{two}"), "descriptors 3 and 4 are not the ends of one pipe"),
    ] {
        warns(&with_descriptors(&redirections, " -j4 --jobserver-auth=3,4"), reason, LOOK);
    }
    // Both ways round, and both in one: a pool.
    for redirections in [format!("5<>{one} 3<{one} 4>{one}"), format!("3<>{one} 4>&3")] {
        let output = with_descriptors(&redirections, " -j4 --jobserver-auth=3,4");
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("1\n", ""), "an empty one");
    }
}

#[test]
fn sockets_are_no_pool() {
    let room = tempfile::tempdir().unwrap();
    let path = room.path().join("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    let mut command = kbt(&["jobserver", "exec"]);
    let makeflags = format!(" -j4 --jobserver-auth=fifo:{}", path.display());
    let output = command.args(SHOW).env("MAKEFLAGS", makeflags).output().unwrap();
    warns(&output, &format!("{} is a socket instead of a FIFO", path.display()), LOOK);
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut command = kbt(&["jobserver", "exec"]);
    command.args(SHOW).env("MAKEFLAGS", " -j4 --jobserver-auth=0,0").stdin(OwnedFd::from(ours));
    warns(&command.output().unwrap(), "descriptor 0 is a socket instead of a pipe", PLUS);
}

#[test]
fn a_result_for_machines() {
    let [pool, _] = Pool::both();
    let json = |words: &[&str]| {
        let output = pool.exec(&[&["--json"], words].concat()).output().unwrap();
        (code(output.status), stdout(&output))
    };
    let ended =
        |exit_code| format!("{{\"exit_code\":{exit_code},\"ok\":true,\"tokens\":7,\"warnings\":[]}}\n");
    assert_eq!(json(&["true"]), (0, ended(0)));
    assert_eq!(json(&["sh", "-c", "exit 3"]), (3, ended(3)));
    assert_eq!(json(&["sh", "-c", "kill -TERM $$"]), (143, ended(143)));
    let (code, text) = json(&["/nope"]);
    assert_eq!(code, 127);
    let error = r#"{"code":"io","file":"/nope","message":"cannot run: No such file or directory"}"#;
    assert_eq!(text, format!("{{\"error\":{error},\"ok\":false,\"warnings\":[]}}\n"));
    let output = kbt(&["jobserver", "exec", "--json", "true"]).output().unwrap();
    assert_eq!(stdout(&output), "{\"exit_code\":0,\"ok\":true,\"tokens\":null,\"warnings\":[]}\n");
    pool.is_whole();
}

/// The examples in the help are what somebody types first.
#[test]
fn examples_of_the_help_run() {
    let room = tempfile::tempdir().unwrap();
    std::fs::write(room.path().join("files"), "files\n").unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_kbt"), room.path().join("kbt")).unwrap();
    std::os::unix::fs::symlink("/bin/true", room.path().join("ninja")).unwrap();
    for name in ["exec", "pool", "status"] {
        let help = stdout(&kbt(&["jobserver", name, "--help"]).output().unwrap());
        // clap breaks lines; an example ends at the empty line.
        let (_, example) = help.split_once("Example: ").unwrap();
        let example = example.split("\n\n").next().unwrap().replace('\n', " ");
        let mut command = Command::new("sh");
        clean(&mut command).args(["-c", &example]).current_dir(room.path());
        let path = format!("{}:{}", room.path().display(), std::env::var("PATH").unwrap());
        let output = command.env("PATH", path).output().unwrap();
        assert_eq!((code(output.status), stderr(&output).as_str()), (0, ""), "{example}");
    }
}

#[test]
fn it_exits_as_the_command_does() {
    for pool in Pool::both() {
        let runs = |words: &[&str]| code(pool.exec(words).output().unwrap().status);
        assert_eq!(runs(&["true"]), 0);
        assert_eq!(runs(&["--", "sh", "-c", "exit 77"]), 77);
        assert_eq!(runs(&["sh", "-c", "kill -TERM $$"]), 128 + 15);
        assert_eq!(runs(&["sh", "-c", "kill -KILL $$"]), 128 + 9);
        pool.is_whole();
    }
}

#[test]
fn a_command_that_cannot_run_is_one_line() {
    for pool in Pool::both() {
        let output = pool.exec(&["--", "/nope/program"]).output().unwrap();
        let expected = "kbt: error: /nope/program: cannot run: No such file or directory\n";
        assert_eq!((code(output.status), stderr(&output).as_str()), (127, expected));
        let output = pool.exec(&["--", "/proc/self/status"]).output().unwrap();
        let expected = "kbt: error: /proc/self/status: cannot run: Permission denied\n";
        assert_eq!((code(output.status), stderr(&output).as_str()), (126, expected));
        pool.is_whole();
    }
}

#[test]
fn command_lines_that_are_refused() {
    for words in
        [&["jobserver", "exec"][..], &["jobserver", "exec", "--"], &["jobserver", "exec", "--max=0", "true"]]
    {
        let output = kbt(words).output().unwrap();
        assert_eq!((code(output.status), stdout(&output).as_str()), (2, ""), "{words:?}");
    }
    let output = kbt(&["jobserver", "exec", "--min=3", "--max=2", "true"]).output().unwrap();
    assert_eq!(
        (code(output.status), stderr(&output).as_str()),
        (2, "kbt: error: --min 3 is more than --max 2\n")
    );
}

#[test]
fn words_of_the_command_are_its_own() {
    let output = kbt(&["jobserver", "exec", "echo", "--max", "-x", "--", "--help"]).output().unwrap();
    assert_eq!(stdout(&output), "--max -x -- --help\n");
}

#[test]
fn under_the_name_of_the_kernels_script() {
    for pool in Pool::both() {
        for dashes in [&["--"][..], &[]] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
            clean(&mut command).arg0("/usr/bin/jobserver-exec").args(dashes);
            command.args(&SHOW[1..]).env("MAKEFLAGS", jobserver_cli::text(pool.makeflags()));
            let output = command.output().unwrap();
            assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("8\n", ""));
        }
        pool.is_whole();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    let output = clean(&mut command).arg0("jobserver-exec").output().unwrap();
    assert_eq!(code(output.status), 2);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    let output = clean(&mut command).arg0("jobserver-exec").arg("/nope").output().unwrap();
    let expected = "jobserver-exec: error: /nope: cannot run: No such file or directory\n";
    assert_eq!((code(output.status), stderr(&output).as_str()), (127, expected));
}

#[test]
fn the_command_gets_no_descriptor_too_many() {
    let count = "ls /proc/self/fd | wc -l";
    let plain = clean(&mut Command::new("sh")).args(["-c", count]).output().unwrap();
    let wrapped = kbt(&["jobserver", "exec", "sh", "-c", count]).output().unwrap();
    assert_eq!(stdout(&wrapped), stdout(&plain));
}

#[test]
fn what_is_ignored_stays_ignored() {
    let line = "trap '' HUP; exec \"$0\" jobserver exec -- sh -c 'kill -HUP $PPID $$; echo alive'";
    let mut command = Command::new("sh");
    let output = clean(&mut command).args(["-c", line, env!("CARGO_BIN_EXE_kbt")]).output().unwrap();
    assert_eq!((code(output.status), stdout(&output).as_str()), (0, "alive\n"));
}
