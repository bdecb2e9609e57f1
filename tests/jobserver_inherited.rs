//! `kbt jobserver` where whoever started it left it something odd: signals, closed streams, a foreign pipe, no place for files.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a failed set-up is a failed test")]

mod jobserver_cli;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use jobserver_cli::{Pool, clean, code, kbt, kill, stderr, stdout, until};
use kbt_jobserver::Style;
use kbt_testkit::require;
use rustix::fs::{Mode, OFlags, fchmod, fcntl_setfl};

const KBT: &str = env!("CARGO_BIN_EXE_kbt");

/// What env(1) starts with these options.
fn by_env(options: &[&str], words: &[&str]) -> Command {
    let mut command = Command::new("env");
    clean(&mut command).args(options).args(words);
    command
}

/// Its output; fails where it takes too long instead of waiting for ever.
#[track_caller]
fn ends(mut command: Command) -> Output {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > Duration::from_secs(10) {
            child.kill().unwrap();
            panic!("it hangs: {command:?}");
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}

/// The lines of `/proc/self/status` about signals that are blocked and ignored, as a command sees them.
fn signals(options: &[&str], wrapper: &[&str]) -> String {
    let words = [wrapper, &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]].concat();
    stdout(&ends(by_env(options, &words)))
}

#[test]
fn the_command_has_the_signals_that_kbt_was_started_with() {
    let wrapper = [KBT, "jobserver", "exec", "--"];
    for options in [
        &["--default-signal"][..],
        &["--default-signal", "--ignore-signal=PIPE,HUP"],
        &["--default-signal", "--block-signal=TERM,USR1,CHLD"],
    ] {
        assert_eq!(signals(options, &wrapper), signals(options, &[]), "{options:?}");
    }
}

#[test]
fn blocked_signals_hang_nothing() {
    for pool in Pool::both() {
        let options = ["--block-signal", &format!("MAKEFLAGS={}", jobserver_cli::text(pool.makeflags()))];
        let output =
            ends(by_env(&options, &[KBT, "jobserver", "exec", "--", "sh", "-c", "echo $PARALLELISM"]));
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("8\n", ""));
        pool.is_whole();
    }
    assert_eq!(code(ends(by_env(&["--block-signal"], &[KBT, "jobserver", "pool", "-j2", "true"])).status), 0);
    let words =
        [KBT, "jobserver", "exec", "--", "env", "--default-signal", "--block-signal=TERM", "sleep", "60"];
    // A shell has what it puts into the background ignore SIGINT, this test maybe.
    let mut wrapper = by_env(&["--default-signal=INT", "--block-signal=TERM"], &words).spawn().unwrap();
    let pid = i32::try_from(wrapper.id()).unwrap();
    until("the command runs", || !jobserver_cli::children(pid, "sleep").is_empty());
    let [sleep] = jobserver_cli::children(pid, "sleep")[..] else { panic!("one command") };
    kill("TERM", pid);
    std::thread::sleep(Duration::from_millis(50));
    assert!(jobserver_cli::runs(sleep), "it has TERM blocked");
    kill("INT", pid);
    assert_eq!(code(wrapper.wait().unwrap()), 128 + 2);
}

#[test]
fn a_parent_that_ignores_its_childrens_end() {
    for pool in Pool::both() {
        let options =
            ["--ignore-signal=CHLD", &format!("MAKEFLAGS={}", jobserver_cli::text(pool.makeflags()))];
        let exec = ends(by_env(&options, &[KBT, "jobserver", "exec", "--", "sh", "-c", "exit 3"]));
        assert_eq!((code(exec.status), stderr(&exec).as_str()), (3, ""));
        pool.is_whole();
        let room = tempfile::tempdir().unwrap();
        let mut words = vec![KBT.to_owned(), "dtbo".to_owned(), "pack".to_owned()];
        words.extend(["--compression", "zlib", "-o"].map(str::to_owned));
        words.push(room.path().join("o.img").display().to_string());
        for entry in 0_u8..40 {
            let mut bytes = 0xd00d_feed_u32.to_be_bytes().to_vec();
            bytes.extend((0..100_000_u32).flat_map(|at| at.wrapping_mul(u32::from(entry) + 3).to_le_bytes()));
            let file = room.path().join(format!("{entry}.dtbo"));
            fs::write(&file, bytes).unwrap();
            words.push(file.display().to_string());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let pack = ends(by_env(&options, &words));
        assert_eq!((code(pack.status), stderr(&pack).as_str()), (0, ""));
        pool.is_whole();
    }
}

#[test]
fn closed_streams_stay_closed() {
    let run = |wrapper: &str, redirection: &str, command: &str| {
        let mut shell = Command::new("sh");
        let line = format!("{wrapper} sh -c '{command}' {redirection}");
        code(clean(&mut shell).args(["-c", &line]).stderr(Stdio::null()).output().unwrap().status)
    };
    let exec = format!("{KBT} jobserver exec --");
    for (redirection, command) in
        [(">&-", "echo hi || exit 7"), ("<&-", "cat || exit 7"), ("2>&-", "echo hi >&2 || exit 7")]
    {
        assert_eq!(run("env", redirection, command), 7);
        assert_eq!(run(&exec, redirection, command), 7, "{redirection}");
    }
}

#[test]
fn without_a_place_for_a_fifo_the_commands_makes_get_a_pipe() {
    let pool = Pool::new(Style::Fifo);
    let mut command = pool.exec(&["--", "sh", "-c", "echo $PARALLELISM; echo $MAKEFLAGS"]);
    let output = command.env("TMPDIR", "/nonexistent").output().unwrap();
    let said = stdout(&output);
    assert!(said.starts_with("8\n-j8 --jobserver-auth=") && !said.contains("fifo"), "{said}");
    assert_eq!((code(output.status), stderr(&output).as_str()), (0, ""));
    pool.is_whole();
    let output = kbt(&["jobserver", "pool", "-j3", "true"]).env("TMPDIR", "/nonexistent").output().unwrap();
    let error = "kbt: error: /nonexistent: cannot make a pool of 3 jobs: No such file or directory\n";
    let hint = "  hint: TMPDIR names a directory that can be written to; --style pipe needs none\n";
    assert_eq!((code(output.status), stderr(&output)), (125, format!("{error}{hint}")));
}

#[test]
fn whatever_fails_the_tokens_are_back_before_kbt_ends() {
    for pool in Pool::both() {
        let mut ran = 0;
        for descriptors in 9..40 {
            let line = "ulimit -n $0; exec \"$@\"";
            let words = ["-c", line, &descriptors.to_string(), KBT, "jobserver", "exec", "--", "true"];
            let mut shell = Command::new("sh");
            let makeflags = jobserver_cli::text(pool.makeflags());
            let output = clean(&mut shell).args(words).env("MAKEFLAGS", makeflags).output().unwrap();
            pool.is_whole();
            let said = stderr(&output);
            match code(output.status) {
                0 => ran += 1,
                125 => assert!(said.contains("cannot") && said.contains("Too many open files"), "{said}"),
                // The loader could not open a library.
                code => assert_eq!(code, 127, "{said}"),
            }
        }
        assert!(ran > 10, "{ran}");
    }
}

/// The binary, by a user who may not do everything; with the directory of a copy that such a user can reach.
fn as_a_user() -> (tempfile::TempDir, Command) {
    let room = tempfile::tempdir().unwrap();
    if !rustix::process::geteuid().is_root() {
        return (room, Command::new(KBT));
    }
    fs::set_permissions(room.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // By a process of its own: a child that another test starts meanwhile would hold our copy open for writing.
    let copy = room.path().join("kbt");
    assert!(Command::new("cp").arg(KBT).arg(&copy).status().unwrap().success());
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy);
    (room, command)
}

/// A pipe that the user may not open anew, as it is after su(1): its ends are standard input and output.
#[test]
fn a_pipe_of_another_user_is_used_as_it_was_inherited() {
    for blocks in [false, true] {
        let (reader, writer) = std::io::pipe().unwrap();
        fcntl_setfl(&reader, if blocks { OFlags::empty() } else { OFlags::NONBLOCK }).unwrap();
        fchmod(&reader, Mode::empty()).unwrap();
        rustix::io::write(&writer, b"+++").unwrap();
        let (_room, mut command) = as_a_user();
        clean(&mut command).args(["jobserver", "exec", "--", "sh", "-c", "echo $PARALLELISM >&2"]);
        command.env("MAKEFLAGS", " -j4 --jobserver-auth=0,1").env("TMPDIR", "/tmp");
        command.stdin(reader.try_clone().unwrap()).stdout(writer.try_clone().unwrap());
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = stderr(&output);
        let refused =
            "cannot open /proc/self/fd/0: Permission denied\n  hint: the pipe is of the user that runs make";
        if blocks {
            assert!(said.contains(refused) && said.ends_with("\n\n"), "{said}");
        } else {
            assert_eq!(said, "4\n");
        }
        assert_eq!(rustix::io::ioctl_fionread(&reader).unwrap(), 3, "all tokens are there");
    }
}

/// A room that has nothing but what the binary needs.
#[test]
fn without_dev_null_a_command_runs() {
    let line = "mount -t tmpfs none /dev && exec \"$0\" jobserver exec -- sh -c 'echo $PARALLELISM'";
    let pool = Pool::new(Style::Fifo);
    let mut command = Command::new("unshare");
    clean(&mut command).args(["-rm", "sh", "-c", line, KBT]);
    command.env("MAKEFLAGS", jobserver_cli::text(pool.makeflags()));
    let output = command.output().unwrap();
    if stderr(&output).starts_with("unshare:") || stderr(&output).starts_with("mount:") {
        require!(Err::<(), _>("no user namespaces"));
    }
    assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("8\n", ""));
    pool.is_whole();
}

/// A library with a thread of its own, as profilers and emulators have: no fork is possible then.
#[test]
fn beside_foreign_threads_a_command_runs_and_a_warning_says_what_is_missing() {
    let room = tempfile::tempdir().unwrap();
    let (source, library) = (room.path().join("thread.c"), room.path().join("thread.so"));
    let text = "#include <pthread.h>\n#include <unistd.h>\nstatic void *run(void *p) { pause(); return p; }\n\
                __attribute__((constructor)) static void begin(void) { static pthread_t t; char name[64] = {0};\n\
                if (readlink(\"/proc/self/exe\", name, 63) > 3 && !__builtin_strcmp(name + __builtin_strlen(name) - 3, \"kbt\"))\n\
                pthread_create(&t, 0, run, 0); }\n";
    fs::write(&source, text).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    assert!(gcc.status().unwrap().success());
    let kbt = room.path().join("kbt");
    std::os::unix::fs::symlink(KBT, &kbt).unwrap();
    let warning =
        "kbt: warning: jobserver: cannot start a keeper: a process with several threads cannot fork\n";
    for pool in Pool::both() {
        let run = |words: &[&str]| {
            let mut command = Command::new(&kbt);
            clean(&mut command).args(["jobserver", "exec", "--"]).args(words).env("LD_PRELOAD", &library);
            command.env("MAKEFLAGS", jobserver_cli::text(pool.makeflags())).output().unwrap()
        };
        let output = run(&["sh", "-c", "echo $PARALLELISM; exit 3"]);
        assert_eq!((code(output.status), stdout(&output).as_str()), (3, "8\n"));
        assert!(stderr(&output).starts_with(warning), "{}", stderr(&output));
        pool.is_whole();
        assert_eq!(code(run(&["sh", "-c", "kill -TERM $$"]).status), 128 + 15);
        assert_eq!(code(run(&["/nope"]).status), 127);
        pool.is_whole();
    }
}
