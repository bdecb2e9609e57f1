//! `cargo xtask fuzz`: lets cargo-fuzz look for inputs that break a parser or a round trip.

use std::process::Command;

use crate::files::{create, names};
use crate::run::{self, Result};

/// How long each target runs where nothing else is said.
const SECONDS: &str = "60";

/// The verb: `[TARGET...] [--seconds N]`; without a target, all of them in turn.
pub fn run(words: &[String]) -> Result {
    let (wanted, seconds) = arguments(words)?;
    let known = targets()?;
    if let Some(unknown) = wanted.iter().find(|name| !known.contains(name)) {
        return Err(format!("no fuzz target '{unknown}'; there are {}", known.join(", ")));
    }
    run::output(run::cargo(["fuzz", "--version"]).stdin(std::process::Stdio::null()))
        .map_err(|_| "cargo-fuzz is not installed; `cargo install --locked cargo-fuzz` gets it")?;
    for target in if wanted.is_empty() { known } else { wanted } {
        eprintln!("== {target}: {seconds} s");
        run::run(&mut fuzz(&target, &seconds)?)?;
    }
    Ok(())
}

/// The sanitizers want a nightly compiler; the variable lets a stable one take them. New inputs go below the
/// target directory: the corpus in fuzz/ is committed, so it only seeds the search.
fn fuzz(target: &str, seconds: &str) -> Result<Command> {
    let found = run::target_directory()?.join("fuzz-corpus").join(target);
    create(&found)?;
    let seeds = run::root().join("fuzz/corpus").join(target);
    let mut command = run::cargo(["fuzz", "run", target]);
    command.arg(found).args(seeds.is_dir().then_some(seeds));
    command.arg("--").arg(format!("-max_total_time={seconds}")).arg("-timeout=10");
    command.env("RUSTC_BOOTSTRAP", "1");
    Ok(command)
}

/// Splits the words into targets and the number of seconds.
fn arguments(words: &[String]) -> Result<(Vec<String>, String)> {
    let (mut targets, mut seconds) = (Vec::new(), SECONDS.to_owned());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--seconds" {
            let number = words.next().filter(|number| number.parse::<u32>().is_ok_and(|number| number > 0));
            seconds = number.ok_or("--seconds takes a number of seconds")?.clone();
        } else if word.starts_with('-') {
            return Err(format!("unknown option '{word}'; it takes --seconds N and names of targets"));
        } else {
            targets.push(word.clone());
        }
    }
    Ok((targets, seconds))
}

/// One source file a target.
fn targets() -> Result<Vec<String>> {
    let files = names(&run::root().join("fuzz/fuzz_targets"))?;
    Ok(files.iter().filter_map(|name| name.strip_suffix(".rs")).map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<(Vec<String>, String)> {
        arguments(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn targets_and_seconds_come_in_any_order() {
        assert_eq!(of(&["a", "--seconds", "5", "b"]).unwrap(), (vec!["a".into(), "b".into()], "5".into()));
        assert_eq!(of(&[]).unwrap(), (vec![], SECONDS.into()));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(of(&["--seconds"]).is_err());
        assert!(of(&["--seconds", "0"]).is_err());
        assert!(of(&["--jobs"]).is_err());
    }
}
