//! `cargo xtask stress`: the tests that take minutes, because they wait for rare moments.

use crate::run::{self, Result, cargo};
use crate::{fetch, place};

/// How many rounds of the jobserver where nothing else is said.
const ROUNDS: &str = "200";

/// The verb: `jobserver [--rounds N]`, `faults`.
pub fn run(words: &[String]) -> Result {
    let area = arguments(words)?;
    fetch::fetch(false)?;
    let (test, names, rounds) = match area {
        Area::Jobserver { rounds } => ("stress_jobserver", None, rounds),
        Area::Faults => ("faults", Some("all_"), ""),
    };
    let mut command = cargo(["test", "--test", test, "--"]);
    command.args(names).args(["--include-ignored", "--nocapture"]);
    run::run(command.env("KBT_STRESS_ROUNDS", rounds).env("KBT_PEERS", place::peers()))
}

/// What is stressed.
#[derive(Debug, PartialEq, Eq)]
enum Area<'a> {
    /// Real makes over recipes that are killed.
    Jobserver { rounds: &'a str },
    /// Every system call of every command that writes fails once.
    Faults,
}

fn arguments(words: &[String]) -> Result<Area<'_>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["faults"] => Ok(Area::Faults),
        ["jobserver"] => Ok(Area::Jobserver { rounds: ROUNDS }),
        ["jobserver", "--rounds", rounds] if rounds.parse::<u32>().is_ok_and(|rounds| rounds > 0) => {
            Ok(Area::Jobserver { rounds })
        }
        ["jobserver", ..] => Err("it takes --rounds with a number above 0, and nothing else".to_owned()),
        _ => Err("what is to be stressed? there are: jobserver, faults".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn an_area_and_its_rounds() {
        assert_eq!(arguments(&words(&["jobserver"])), Ok(Area::Jobserver { rounds: ROUNDS }));
        assert_eq!(arguments(&words(&["jobserver", "--rounds", "7"])), Ok(Area::Jobserver { rounds: "7" }));
        assert_eq!(arguments(&words(&["faults"])), Ok(Area::Faults));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for line in [
            &[][..],
            &["disk"],
            &["faults", "7"],
            &["jobserver", "--rounds"],
            &["jobserver", "--rounds", "0"],
            &["jobserver", "7"],
        ] {
            assert!(arguments(&words(line)).is_err(), "{line:?}");
        }
    }
}
