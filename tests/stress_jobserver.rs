//! Real makes, recipes that claim tokens, random signals: how many jobs run at once, and whether every token comes
//! back. The long form is `cargo xtask stress jobserver`.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

mod stress;

use std::env;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use kbt_testkit::peers::{self, Missing};
use kbt_testkit::require;
use rustix::process::Signal;
use stress::table::Table;
use stress::{Attack, Claimer, Make, Round, Shape};

/// Claims at the start, gives back at the end, and knows of no signal: the kernel's jobserver-exec in short.
const STAND_IN: &str = r#"
import os, re, subprocess, sys
auth = re.findall(r"--jobserver-auth=(\S+)", os.environ.get("MAKEFLAGS", ""))[-1]
if auth.startswith("fifo:"):
    read = write = os.open(auth[5:], os.O_RDWR | os.O_NONBLOCK)
else:
    read, write = (int(number) for number in auth.split(","))
    read = os.open("/proc/self/fd/%d" % read, os.O_RDONLY | os.O_NONBLOCK)
tokens = b""
try:
    while True:
        tokens += os.read(read, 8)
except BlockingIOError:
    pass
os.environ["PARALLELISM"] = str(len(tokens) + 1)
code = subprocess.call(sys.argv[1:])
os.write(write, tokens)
sys.exit(code)
"#;

/// Rounds count processes and time; two at once would be in each other's way.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn makes() -> Result<Vec<Make>, Missing> {
    // What the recipes read; the same for every make.
    peers::modules("cloud-6.1")?;
    let (old, new) = (peers::tool("make-4.3")?, peers::tool("make-4.4")?);
    let make = |name, program: &PathBuf, style| Make { name, program: program.clone(), style };
    // The defaults of both first: the short run gets no further.
    Ok(vec![
        make("make 4.3", &old, None),
        make("make 4.4 fifo", &new, Some("fifo")),
        make("make 4.4 pipe", &new, Some("pipe")),
    ])
}

/// Every attack on every make in 27 rounds, with every shape in 54.
fn round(makes: &[Make], number: usize) -> Round {
    let attack = Attack::ALL[number % Attack::ALL.len()];
    let rest = number / Attack::ALL.len();
    let make = makes[rest % makes.len()].clone();
    // There are three makes: in the second 27 rounds each attack meets the other shape.
    let shape = if (rest + number).is_multiple_of(2) { Shape::Chain } else { Shape::Flat };
    Round { make, shape, claimer: Claimer::Kbt, attack, seed: number as u64 }
}

fn run(makes: &[Make], rounds: usize) {
    let mut table = Table::default();
    let mut faults = Vec::new();
    for number in 0..rounds {
        let round = round(makes, number);
        faults.extend(table.add(&round, &round.run()));
    }
    faults.extend(table.too_few());
    println!("{table}");
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_token_is_lost_and_none_is_taken_twice() {
    let makes = require!(makes());
    let _alone = alone();
    run(&makes, 18);
}

#[test]
#[ignore = "minutes: cargo xtask stress jobserver"]
fn the_same_for_many_rounds() {
    let rounds = env::var("KBT_STRESS_ROUNDS").map_or(200, |rounds| rounds.parse().unwrap());
    run(&require!(makes()), rounds);
}

/// A round of a chain in which another claimer stands where kbt stands.
fn faults_of(make: &Make, attack: Attack, claimer: &str, seed: u64) -> String {
    let (make, claimer) = (make.clone(), Claimer::Other(claimer.to_owned()));
    let round = Round { make, shape: Shape::Chain, claimer, attack, seed };
    round.faults(&round.run()).join("; ")
}

#[test]
fn a_claimer_that_never_claims_is_found() {
    let makes = require!(makes());
    let _alone = alone();
    for make in &makes[..2] {
        let faults = faults_of(make, Attack::None, "env PARALLELISM=1", 0);
        assert!(faults.contains("of 8 jobs at once"), "{}: {faults}", make.name);
    }
}

#[test]
fn a_claimer_that_takes_one_too_many_is_found() {
    let makes = require!(makes());
    let _alone = alone();
    for make in &makes[..2] {
        assert_eq!(faults_of(make, Attack::None, "env PARALLELISM=9", 0), "9 jobs at once", "{}", make.name);
    }
}

#[test]
fn a_claimer_that_loses_tokens_is_found() {
    let makes = require!(makes());
    let python = require!(peers::tool("python3"));
    let _alone = alone();
    let room = tempfile::tempdir().unwrap();
    let script = room.path().join("stand_in.py");
    std::fs::write(&script, STAND_IN).unwrap();
    let claimer = format!("{} {}", python.display(), script.display());
    for make in &makes[..2] {
        assert_eq!(faults_of(make, Attack::None, &claimer, 0), "", "{}", make.name);
        for signal in [Signal::TERM, Signal::KILL] {
            // A signal that comes before the claim or after its end does no harm.
            let faults = |seed| faults_of(make, Attack::Wrapper(signal), &claimer, seed);
            let found = |faults: &String| faults.contains("of 7 tokens at the end");
            let faults = (0..25).map(faults).find(found).unwrap_or_default();
            println!("{}, {}: {}", make.name, Attack::Wrapper(signal), faults.trim_end());
            assert!(faults.contains("make missed tokens"), "{}: {faults}", make.name);
        }
    }
}
