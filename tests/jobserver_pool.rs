//! `kbt jobserver pool` and `kbt jobserver status`.

#![allow(clippy::unwrap_used, reason = "a failed set-up is a failed test")]

mod jobserver_cli;

use std::process::{Command, Output};

use jobserver_cli::{Pool, clean, code, kbt, makes, stderr, stdout};
use kbt_jobserver::Style;
use kbt_testkit::{peers, require};
use serde_json::Value;

fn pool(words: &[&str]) -> Output {
    kbt(&[&["jobserver", "pool"], words].concat()).output().unwrap()
}

#[test]
fn a_whole_pool_is_silent_and_the_exit_code_is_the_commands() {
    for style in ["fifo", "pipe"] {
        let output = pool(&[
            "-j5",
            "--style",
            style,
            "--",
            "sh",
            "-c",
            "\"$0\" jobserver exec sh -c 'echo $PARALLELISM'; exit 9",
            env!("CARGO_BIN_EXE_kbt"),
        ]);
        assert_eq!((stdout(&output).as_str(), stderr(&output).as_str()), ("5\n", ""), "{style}");
        assert_eq!(code(output.status), 9);
        assert_eq!(code(pool(&["-j2", "--style", style, "/nope"]).status), 127);
    }
}

#[test]
fn a_leak_is_told() {
    let steal = "head -c 2 \"${MAKEFLAGS#*fifo:}\" >/dev/null; exit 3";
    let output = pool(&["-j5", "sh", "-c", steal]);
    let expected = "kbt: warning: 2 of 4 tokens were not given back, by a process that has ended\n";
    assert_eq!((code(output.status), stderr(&output).as_str()), (3, expected));
}

#[test]
fn a_leak_names_who_has_the_pool_open() {
    let steal =
        "exec 5<>\"${MAKEFLAGS#*fifo:}\"; sleep 600 >/dev/null 2>&1 & head -c 1 <&5 >/dev/null; echo $!";
    let output = pool(&["-j2", "sh", "-c", steal]);
    let pid = stdout(&output).trim().to_owned();
    let expected =
        format!("kbt: warning: 1 of 1 tokens were not given back; the pool is still open in sleep ({pid})\n");
    assert_eq!(stderr(&output), expected);
    jobserver_cli::kill("KILL", pid.parse().unwrap());
}

#[test]
fn more_than_there_was_is_told() {
    let give = "printf xx > \"${MAKEFLAGS#*fifo:}\"";
    let output = pool(&["-j3", "sh", "-c", give]);
    assert_eq!(stderr(&output), "kbt: warning: 2 tokens more were given back than had been taken\n");
    assert_eq!(code(output.status), 0);
}

#[test]
fn a_number_of_jobs_is_said_once_and_fits() {
    let refused = |words: &[&str]| {
        let output = kbt(words).output().unwrap();
        assert_eq!(code(output.status), 2, "{words:?}");
        stderr(&output)
    };
    let expected = "kbt: error: --jobs takes numbers up to 4294967295\n";
    assert_eq!(refused(&["--jobs", "5000000000", "jobserver", "pool", "true"]), expected);
    assert_eq!(refused(&["--jobs", "5000000000", "jobserver", "exec", "true"]), expected);
    let expected = "kbt: error: -j and --jobs are the same; one of them is enough\n";
    assert_eq!(refused(&["jobserver", "pool", "-j3", "--jobs", "5", "true"]), expected);
    for words in [&["pool", "-j0"][..], &["exec", "--max=0"], &["exec", "--min=0"]] {
        let said = refused(&[&["jobserver"], words, &["true"]].concat());
        assert!(said.contains("a number above 0 is wanted"), "{said}");
    }
}

#[test]
fn a_second_pool_below_a_jobserver_is_warned_of() {
    let outer = Pool::new(Style::Fifo);
    let mut command = kbt(&["jobserver", "pool", "-j2", "true"]);
    let output = command.env("MAKEFLAGS", jobserver_cli::text(outer.makeflags())).output().unwrap();
    assert!(stderr(&output).starts_with("kbt: warning: there is a jobserver already"), "{}", stderr(&output));
}

#[test]
fn makes_and_ninja_are_clients() {
    let ninja = require!(peers::tool("ninja"));
    let room = tempfile::tempdir().unwrap();
    // Four jobs that end only if they run at the same time.
    let meet = "touch $$o.here; i=0; while [ $$(ls *.here | wc -l) -lt 4 ]; do i=$$((i+1)); [ $$i -lt 200 ] || exit 1; sleep 0.02; done";
    let rule = format!("rule meet\n  command = o=$out; {meet}\n");
    let builds: String = ["a", "b", "c", "d"].map(|name| format!("build {name}: meet\n")).concat();
    std::fs::write(room.path().join("build.ninja"), rule + &builds).unwrap();
    let run = |jobs: &str| {
        for name in ["a", "b", "c", "d"] {
            let _ = std::fs::remove_file(room.path().join(format!("{name}.here")));
        }
        let mut command = kbt(&["jobserver", "pool", jobs, "--"]);
        command.arg(&ninja).arg("-k0").current_dir(room.path()).output().unwrap()
    };
    let output = run("-j4");
    assert_eq!((code(output.status), stderr(&output).as_str()), (0, ""), "{}", stdout(&output));
    assert_ne!(code(run("-j3").status), 0, "ninja takes no more than the pool has");

    for make in require!(makes()) {
        let makefile = format!("all: a b c d\na b c d:\n\t@o=$@; {meet}\n");
        let room = tempfile::tempdir().unwrap();
        std::fs::write(room.path().join("Makefile"), makefile).unwrap();
        let style = if make.style == ["--jobserver-style=fifo"] { "fifo" } else { "pipe" };
        let mut command = kbt(&["jobserver", "pool", "-j4", "--style", style]);
        let output = command.arg(&make.program).current_dir(room.path()).output().unwrap();
        assert_eq!((code(output.status), stderr(&output).as_str()), (0, ""), "{:?}", make.style);
    }
}

/// gcc compiles the parts of a program that it links by a make. To one that is to share a jobserver it gives no `-j`.
#[test]
fn gcc_is_a_client() {
    let room = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(room.path().join(name), text).unwrap();
    put("a.c", "int b(int);\nint main(void) { return b(1); }\n");
    put("b.c", "int b(int x) { return x; }\n");
    put("make.sh", "#!/bin/sh\necho \"$* [$MAKEFLAGS]\" >> log\nexec make \"$@\"\n");
    let chmod = Command::new("chmod").arg("+x").arg(room.path().join("make.sh")).status().unwrap();
    assert!(chmod.success());
    let mut command = kbt(&["jobserver", "pool", "-j3", "--style", "pipe", "--"]);
    command.args(["gcc", "-O1", "-flto=jobserver", "-flto-partition=1to1", "a.c", "b.c"]);
    let output = command.current_dir(room.path()).env("MAKE", room.path().join("make.sh")).output().unwrap();
    assert_eq!((code(output.status), stderr(&output).as_str()), (0, ""));
    let log = std::fs::read_to_string(room.path().join("log")).unwrap_or_default();
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains(" all [ -j3 --jobserver-auth="), "{log}");
}

/// Four build scripts that end only if they run at the same time.
#[test]
fn cargo_is_a_client() {
    let room = tempfile::tempdir().unwrap();
    let here = room.path().display();
    let names = ["a", "b", "c", "d"];
    std::fs::write(
        room.path().join("Cargo.toml"),
        format!("[workspace]\nmembers = {names:?}\nresolver = \"2\"\n"),
    )
    .unwrap();
    for name in names {
        let path = |file: &str| room.path().join(name).join(file);
        std::fs::create_dir_all(path("src")).unwrap();
        let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n");
        std::fs::write(path("Cargo.toml"), manifest).unwrap();
        std::fs::write(path("src/lib.rs"), "").unwrap();
        let script = format!(
            "fn main() {{ std::fs::write(\"{here}/{name}.here\", \"\").unwrap(); for _ in 0..500 {{ \
             if [\"a\", \"b\", \"c\", \"d\"].iter().all(|n| std::path::Path::new(&format!(\"{here}/{{n}}.here\")).exists()) {{ return; }} \
             std::thread::sleep(std::time::Duration::from_millis(20)); }} panic!(\"alone\"); }}"
        );
        std::fs::write(path("build.rs"), script).unwrap();
    }
    for style in ["fifo", "pipe"] {
        let mut command = kbt(&["jobserver", "pool", "-j4", "--style", style, "--"]);
        command.args([env!("CARGO"), "check", "-q", "--offline"]).current_dir(room.path());
        command.env("CARGO_TARGET_DIR", room.path().join(style)).env_remove("RUSTC_WRAPPER");
        let output = command.output().unwrap();
        assert_eq!((code(output.status), stderr(&output).as_str()), (0, ""), "{style}");
        names.iter().for_each(|name| std::fs::remove_file(room.path().join(format!("{name}.here"))).unwrap());
    }
}

#[test]
fn status_counts_and_takes_nothing() {
    for (pool, style) in Pool::both().into_iter().zip(["fifo", "pipe"]) {
        let held = pool.server.client().try_acquire().unwrap().unwrap();
        let mut command = kbt(&["jobserver", "status", "--json"]);
        let output = command.env("MAKEFLAGS", jobserver_cli::text(pool.makeflags())).output().unwrap();
        let status: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            (&status["style"], &status["size"], &status["free"]),
            (&style.into(), &7.into(), &6.into())
        );
        let holders = status["holders"].as_array().unwrap();
        let own = std::process::id();
        assert!(holders.iter().any(|holder| holder["pid"] == own), "{holders:?}");
        drop(held);
        pool.is_whole();
    }
}

#[test]
fn a_build_script_of_cargos_is_told_otherwise() {
    for pool in Pool::both() {
        for makeflags in [None, Some("")] {
            let run = |words: &[&str]| {
                let mut command = kbt(&[&["jobserver"], words].concat());
                command.env("CARGO_MAKEFLAGS", jobserver_cli::text(pool.makeflags())).env("OUT_DIR", "/x");
                command.envs(makeflags.map(|value| ("MAKEFLAGS", value))).output().unwrap()
            };
            assert!(stdout(&run(&["status"])).contains("\nsize   7\nfree   7\n"));
            let output = run(&["exec", "--min=99", "sh", "-c", "echo $PARALLELISM ${CARGO_MAKEFLAGS-none}"]);
            assert_eq!(stdout(&output), "8 none\n");
            assert!(stderr(&output).contains("more than the 8 jobs"), "{}", stderr(&output));
        }
        pool.is_whole();
    }
}

#[test]
fn status_in_words() {
    let pool = Pool::new(Style::Fifo);
    let mut command = kbt(&["jobserver", "status"]);
    let output = command.env("MAKEFLAGS", jobserver_cli::text(pool.makeflags())).output().unwrap();
    let said = stdout(&output);
    assert!(said.starts_with("style  fifo\nauth   fifo:/"), "{said}");
    assert!(said.contains("\nsize   7\nfree   7\nopen   "), "{said}");
    assert_eq!(stdout(&kbt(&["jobserver", "status"]).output().unwrap()), "no jobserver\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    let output = clean(&mut command)
        .args(["jobserver", "status"])
        .env("MAKEFLAGS", " --jobserver-auth=998,999")
        .output()
        .unwrap();
    let expected = "kbt: error: make's jobserver cannot be used: descriptor 998 is not open\n";
    assert_eq!((code(output.status), stderr(&output).as_str()), (1, expected));
}
