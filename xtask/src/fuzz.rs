//! `cargo xtask fuzz`: lets cargo-fuzz look for inputs that break a parser or a round trip.

use std::process::Command;

use crate::files::{create, names};
use crate::run::{self, Result};

/// How long each target runs where nothing else is said.
const SECONDS: &str = "60";

/// What is wanted of a search.
#[derive(Debug, Default, PartialEq, Eq)]
struct Search {
    targets: Vec<String>,
    seconds: Option<String>,
    /// Ends after so many inputs.
    runs: Option<String>,
    /// Without the address sanitizer: several times as fast, and safe Rust has nothing for it to find.
    plain: bool,
    /// Comparisons are not told to the search: it guesses fewer values, and is a few times as fast again.
    untraced: bool,
}

/// glibc gives memory of over 128 KiB back at once and clears it anew for the next input; a search that keeps its pages
/// is up to twice as fast.
const HEAP: [(&str, &str); 2] =
    [("MALLOC_MMAP_THRESHOLD_", "33554432"), ("MALLOC_TRIM_THRESHOLD_", "268435456")];

/// The verb: `[TARGET...] [--seconds N] [--runs N] [--plain] [--untraced]`; without a target, all of them in turn.
pub fn run(words: &[String]) -> Result {
    let search = arguments(words)?;
    let known = targets()?;
    if let Some(unknown) = search.targets.iter().find(|name| !known.contains(name)) {
        return Err(format!("no fuzz target '{unknown}'; there are {}", known.join(", ")));
    }
    run::output(run::cargo(["fuzz", "--version"]).stdin(std::process::Stdio::null()))
        .map_err(|_| "cargo-fuzz is not installed; `cargo install --locked cargo-fuzz` gets it")?;
    for target in if search.targets.is_empty() { &known } else { &search.targets } {
        eprintln!("== {target}");
        run::run(&mut fuzz(target, &search)?)?;
    }
    Ok(())
}

/// The sanitizers want a nightly compiler; the variable lets a stable one take them. New inputs go below the
/// target directory: the corpus in fuzz/ is committed, so it only seeds the search.
fn fuzz(target: &str, search: &Search) -> Result<Command> {
    let found = run::target_directory()?.join("fuzz-corpus").join(target);
    create(&found)?;
    let seeds = run::root().join("fuzz/corpus").join(target);
    let mut command = run::cargo(["fuzz", "run", target]);
    command.args(search.plain.then_some("--sanitizer=none"));
    command.args(search.untraced.then_some("--no-trace-compares"));
    command.arg(found).args(seeds.is_dir().then_some(seeds));
    command.args(["--", "-timeout=10", "-print_final_stats=1"]);
    command.args(search.runs.as_ref().map(|runs| format!("-runs={runs}")));
    let default = SECONDS.to_owned();
    let seconds = search.seconds.as_ref().or(search.runs.is_none().then_some(&default));
    command.args(seconds.map(|seconds| format!("-max_total_time={seconds}")));
    command.env("RUSTC_BOOTSTRAP", "1").envs(HEAP);
    Ok(command)
}

/// Reads the words.
fn arguments(words: &[String]) -> Result<Search> {
    let mut search = Search::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = |what: &str| {
            let number = words.next().filter(|number| number.parse::<u32>().is_ok_and(|number| number > 0));
            number.cloned().ok_or(format!("{word} takes a number of {what}"))
        };
        match word.as_str() {
            "--seconds" => search.seconds = Some(number("seconds")?),
            "--runs" => search.runs = Some(number("inputs")?),
            "--plain" => search.plain = true,
            "--untraced" => search.untraced = true,
            _ if word.starts_with('-') => {
                let known = "--seconds N, --runs N, --plain, --untraced and names of targets";
                return Err(format!("unknown option '{word}'; it takes {known}"));
            }
            _ => search.targets.push(word.clone()),
        }
    }
    Ok(search)
}

/// One source file a target.
fn targets() -> Result<Vec<String>> {
    let files = names(&run::root().join("fuzz/fuzz_targets"))?;
    Ok(files.iter().filter_map(|name| name.strip_suffix(".rs")).map(ToOwned::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<Search> {
        arguments(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn targets_and_numbers_come_in_any_order() {
        let search = Search {
            targets: vec!["a".into(), "b".into()],
            seconds: Some("5".into()),
            runs: Some("7".into()),
            plain: true,
            untraced: true,
        };
        assert_eq!(
            of(&["a", "--seconds", "5", "--plain", "b", "--untraced", "--runs", "7"]).unwrap(),
            search
        );
        assert_eq!(of(&[]).unwrap(), Search::default());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        assert!(of(&["--seconds"]).is_err());
        assert!(of(&["--seconds", "0"]).is_err());
        assert!(of(&["--runs", "many"]).is_err());
        assert!(of(&["--jobs"]).is_err());
    }
}
