//! `kbt dtbo pack` on several threads: `--jobs`, make's jobserver, the same bytes, and the bar on a terminal.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod dtbo_cli;

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dtbo_cli::{Ended, Room, refuses};
use kbt_jobserver::{MakeFlags, Server};
use kbt_testkit::random::Random;
use kbt_testkit::{peers, require};
use rustix::process::{Pid, Signal, kill_process};

const ENTRIES: usize = 24;

/// A room with entries that are worth many chunks of work.
fn room() -> Room {
    let room = Room::new();
    let mut random = Random::new(7);
    for entry in 0..ENTRIES {
        // Of different sizes, so that workers end out of order.
        let words = 4096 * (1 + entry * 7 % 5);
        let mut bytes = 0xd00d_feed_u32.to_be_bytes().to_vec();
        bytes.extend((0..words).flat_map(|_| [0, 0, 0, random.below(60).to_le_bytes()[0]]));
        room.write(&format!("{entry}.dtbo"), bytes);
    }
    room
}

fn words() -> Vec<String> {
    let mut words: Vec<String> =
        ["dtbo", "pack", "--compression", "zlib", "-o"].map(ToOwned::to_owned).to_vec();
    words.push("o.img".to_owned());
    words.extend((0..ENTRIES).map(|entry| format!("{entry}.dtbo")));
    words
}

/// Runs the pack with these words behind it and this `MAKEFLAGS`.
fn pack(room: &Room, more: &[&str], makeflags: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(words()).args(more).current_dir(room.path("")).env_remove("MAKEFLAGS");
    command.envs(makeflags.map(|value| ("MAKEFLAGS", value)));
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What one worker makes of the room.
fn image_of_one() -> &'static [u8] {
    static IMAGE: OnceLock<Vec<u8>> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let room = room();
        assert!(pack(&room, &["--jobs", "1"], None).status.success());
        room.read("o.img")
    })
}

#[test]
fn any_number_of_jobs_makes_the_same_bytes() {
    let room = room();
    for jobs in ["2", "3", "4", "8", "64"] {
        let output = pack(&room, &["--jobs", jobs], None);
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{jobs}");
        assert!(room.read("o.img") == image_of_one(), "{jobs}");
    }
    assert!(pack(&room, &[], None).status.success());
    assert!(room.read("o.img") == image_of_one());
}

#[test]
fn an_unpacked_image_is_compressed_anew_by_any_number_of_jobs() {
    let room = room();
    pack(&room, &["--jobs", "1"], None);
    assert_eq!(room.kbt(&["dtbo", "unpack", "o.img", "d"]), Ended::quiet(""));
    for entry in 0..ENTRIES {
        let mut bytes = room.read(&format!("d/{entry}.dtbo"));
        bytes.push(1);
        room.write(&format!("d/{entry}.dtbo"), bytes);
    }
    let join = |jobs, image| {
        let words = ["dtbo", "pack", "--manifest", "d/manifest.json", "--jobs", jobs, "-o", image];
        assert_eq!(room.kbt(&words), Ended::quiet(""));
        room.read(image)
    };
    let one = join("1", "a.img");
    assert!(one != room.read("o.img"));
    assert!(one == join("4", "b.img"));
}

#[test]
fn tokens_are_taken_and_come_back_as_they_were() {
    let room = room();
    let path = room.path("pool");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    let mut pool = File::options().read(true).write(true).open(&path).unwrap();
    pool.write_all(b"xyz").unwrap();
    let makeflags = format!(" -j4 --jobserver-auth=fifo:{}", path.display());
    let output = pack(&room, &[], Some(&makeflags));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(room.read("o.img") == image_of_one());
    // A byte of our own behind them: what is read then is all that there was.
    pool.write_all(b"|").unwrap();
    let mut bytes = [0; 4];
    pool.read_exact(&mut bytes).unwrap();
    bytes[..3].sort_unstable();
    assert_eq!(text(&bytes), "xyz|");
}

/// A pool of seven tokens that the test made, and `MAKEFLAGS` for it.
fn pool(room: &Room) -> (Server, String) {
    let server = Server::fifo(&room.path("pool"), 7).unwrap();
    let makeflags = String::from_utf8(MakeFlags::with_auth(b"", server.auth(), 8)).unwrap();
    (server, makeflags)
}

/// One processor has no use for a token.
fn two_processors() -> Result<(), &'static str> {
    if std::thread::available_parallelism().unwrap().get() > 1 { Ok(()) } else { Err("one processor") }
}

fn wait_until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// A pack that holds a token at this moment.
fn holding(room: &Room, server: &Server, makeflags: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(words()).current_dir(room.path("")).env("MAKEFLAGS", makeflags);
    let child = command.spawn().unwrap();
    wait_until("a token is taken", || server.missing().unwrap() > 0);
    child
}

/// The keeper of a process.
fn keeper(parent: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap();
    let mut children = children.split_whitespace().map(|pid| pid.parse().unwrap());
    children.find(|pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "kbt-keeper\n")
    })
}

#[test]
fn whoever_ends_a_pack_gets_its_tokens_back() {
    require!(two_processors());
    let room = room();
    let (server, makeflags) = pool(&room);
    for round in 0..4 {
        for signal in [Signal::KILL, Signal::TERM, Signal::INT, Signal::HUP] {
            let mut child = holding(&room, &server, &makeflags);
            std::thread::sleep(Duration::from_micros(round * 1000));
            let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
            kill_process(pid, signal).unwrap();
            let status = child.wait().unwrap();
            assert!(status.signal() == Some(signal.as_raw()) || status.success(), "{status}");
            wait_until("the tokens are back", || server.missing().unwrap() == 0);
        }
    }
    assert_eq!(server.surplus().unwrap(), 0);
}

#[test]
fn without_its_keeper_a_pack_gives_back_itself() {
    require!(two_processors());
    let room = room();
    let (server, makeflags) = pool(&room);
    let mut child = holding(&room, &server, &makeflags);
    let pid = child.id();
    wait_until("it has a name", || keeper(pid).is_some());
    kill_process(Pid::from_raw(keeper(pid).unwrap()).unwrap(), Signal::KILL).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(room.read("o.img") == image_of_one());
    assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
}

#[test]
fn a_keeper_that_is_stopped_costs_no_token_and_no_warning() {
    require!(two_processors());
    let room = room();
    let (server, makeflags) = pool(&room);
    let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
    command.args(words()).current_dir(room.path("")).env("MAKEFLAGS", makeflags);
    let child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    wait_until("a token is taken", || server.missing().unwrap() > 0);
    wait_until("it has a name", || keeper(child.id()).is_some());
    kill_process(Pid::from_raw(keeper(child.id()).unwrap()).unwrap(), Signal::STOP).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
}

#[test]
fn work_without_a_jobserver_has_no_keeper() {
    let room = room();
    for more in [&[][..], &["--jobs", "2"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.args(words()).args(more).current_dir(room.path("")).env_remove("MAKEFLAGS");
        let mut child = command.spawn().unwrap();
        while child.try_wait().unwrap().is_none() {
            assert_eq!(keeper(child.id()), None);
        }
    }
}

#[test]
fn a_jobserver_that_cannot_be_used_is_one_worker_and_one_warning() {
    let room = room();
    let makeflags = " -j4 --jobserver-auth=fifo:/nowhere/pool";
    let output = pack(&room, &[], Some(makeflags));
    let warning = "kbt: warning: make's jobserver cannot be used, one job at a time: cannot open /nowhere/pool: No such file or directory\n";
    let hint =
        "  hint: begin the recipe's line with '+', so that make hands the jobserver on, or give --jobs\n";
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), &*format!("{warning}{hint}")));
    assert!(room.read("o.img") == image_of_one());
    // Nothing to warn of: the number is said, warnings are not wanted, or there is no work to share.
    for more in [["--jobs", "2"], ["--quiet", "--share=path"], ["--compression", "none"]] {
        let more: Vec<&str> = more.into_iter().collect();
        let mut words = words();
        if more.contains(&"none") {
            words.drain(2..4);
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.args(words).args(&more).current_dir(room.path("")).env("MAKEFLAGS", makeflags);
        let output = command.output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{more:?}");
    }
}

/// The matrix goes through its work in several steps, each of which looks for tokens.
#[test]
fn a_command_of_several_steps_warns_once_and_loses_no_token() {
    let trees = require!(peers::trees("arm64-6.1"));
    let room = room();
    let (server, makeflags) = pool(&room);
    let run = |makeflags: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command
            .args(["dto", "matrix", "--pairs", "all", "--bases"])
            .arg(&trees)
            .arg("--overlays")
            .arg(&trees);
        let output = command.env("MAKEFLAGS", makeflags).output().unwrap();
        text(&output.stderr).matches("warning:").count()
    };
    assert_eq!(run(" -j4 --jobserver-auth=fifo:/nowhere/pool"), 1);
    assert_eq!(run(&makeflags), 0);
    assert_eq!((server.missing().unwrap(), server.surplus().unwrap()), (0, 0));
}

#[test]
fn a_real_make_hands_its_jobserver_on() {
    let room = room();
    let kbt = env!("CARGO_BIN_EXE_kbt");
    room.write(
        "Makefile",
        format!("all:\n\t+@{kbt} {}\nclosed:\n\t@{kbt} {}\n", words().join(" "), words().join(" ")),
    );
    for make in ["make-4.3", "make-4.4"] {
        let make = require!(peers::tool(make));
        let run = |goal| {
            let mut command = Command::new(&make);
            command.args(["-s", "-j4", goal]).current_dir(room.path("")).env_remove("MAKEFLAGS");
            command.output().unwrap()
        };
        let output = run("all");
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{}", make.display());
        assert!(room.read("o.img") == image_of_one());
        // make 4.3 names a pipe that it keeps to itself; 4.4 has a FIFO, which everybody can open.
        let warns = text(&run("closed").stderr).contains("jobserver cannot be used");
        assert_eq!(warns, make.ends_with("make-4.3"), "{}", make.display());
    }
}

#[test]
fn a_number_of_jobs_is_above_0() {
    let room = Room::with_inputs();
    for line in ["--jobs 0", "--jobs many"] {
        let ended = room.kbt(&dtbo_cli::words(&format!("dtbo pack {line} -o o.img board0.dtbo")));
        assert_eq!(ended.code, 2, "{line}");
    }
    let create = dtbo_cli::words("create o.img --jobs=0 board0.dtbo");
    let ended = room.run("mkdtboimg", &create);
    let refused = "mkdtboimg: error: '0' is no value for --jobs\n  hint: give a number above 0\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (2, refused));
    refuses(&room, "pack -o o.img", 2, &room.kbt(&["dtbo", "pack", "-o", "o.img"]).stderr);
}

#[test]
fn mkdtboimg_takes_jobs_too() {
    let room = room();
    let mut words: Vec<String> =
        ["create", "m.img", "--version=1", "--flags=1", "--jobs=3"].map(str::to_owned).to_vec();
    words.extend((0..ENTRIES).map(|entry| format!("{entry}.dtbo")));
    assert_eq!(room.run("mkdtboimg", &words), Ended::quiet(""));
    assert!(room.read("m.img") == image_of_one());
}

/// What a long run shows, on a terminal where `terminal` says so.
fn shown(room: &Room, terminal: bool, before: &str, more: &str) -> String {
    let kbt = env!("CARGO_BIN_EXE_kbt");
    let line = format!(
        "{before} {kbt} dtbo pack {more} --jobs 1 --compression gzip --share none -o o.img long.dtbo long.dtbo long.dtbo"
    );
    let mut command = Command::new(if terminal { "script" } else { "sh" });
    command.args(if terminal { &["-qec"][..] } else { &["-c"] }).arg(line);
    command.args(terminal.then_some("/dev/null"));
    command.current_dir(room.path("")).env("TERM", "xterm").env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    let output = command.output().unwrap();
    assert!(output.status.success());
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn progress_is_shown_on_a_terminal_only() {
    let room = Room::new();
    let mut random = Random::new(3);
    let mut bytes = 0xd00d_feed_u32.to_be_bytes().to_vec();
    bytes.extend((0..1_500_000).flat_map(|_| [0, 0, 0, random.below(60).to_le_bytes()[0]]));
    room.write("long.dtbo", bytes);
    let on_terminal = shown(&room, true, "", "");
    assert!(on_terminal.contains("/3 entries packed"), "{on_terminal:?}");
    // The last thing is to clear the line.
    assert!(on_terminal.ends_with("\u{1b}[2K") || on_terminal.ends_with('\r'), "{on_terminal:?}");
    for (terminal, before, more) in
        [(false, "", ""), (true, "", "-q"), (true, "MAKELEVEL=1", ""), (true, "MAKEFLAGS=", "")]
    {
        assert_eq!(shown(&room, terminal, before, more), "", "{terminal} {before} {more}");
    }
    let json = shown(&room, true, "", "--json");
    assert!(!json.contains("packed"), "{json:?}");
}
