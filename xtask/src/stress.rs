//! `cargo xtask stress`: the tests that take minutes, because they wait for rare moments.

use crate::run::{self, Result, cargo};
use crate::{fetch, place};

/// How many rounds where nothing else is said.
const ROUNDS: &str = "200";

/// The verb: `jobserver [--rounds N]`.
pub fn run(words: &[String]) -> Result {
    let rounds = arguments(words)?;
    fetch::fetch(false)?;
    let mut command = cargo(["test", "--test", "stress_jobserver", "--", "--include-ignored", "--nocapture"]);
    run::run(command.env("KBT_STRESS_ROUNDS", rounds).env("KBT_PEERS", place::peers()))
}

fn arguments(words: &[String]) -> Result<&str> {
    let Some((area, options)) = words.split_first() else {
        return Err("what is to be stressed? there is: jobserver".to_owned());
    };
    if area != "jobserver" {
        return Err(format!("nothing to stress is called '{area}'; there is: jobserver"));
    }
    match options {
        [] => Ok(ROUNDS),
        [option, rounds] if option == "--rounds" && rounds.parse::<u32>().is_ok_and(|rounds| rounds > 0) => {
            Ok(rounds)
        }
        _ => Err("it takes --rounds with a number above 0, and nothing else".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Result<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        arguments(&words).map(ToOwned::to_owned)
    }

    #[test]
    fn an_area_and_its_rounds() {
        assert_eq!(of(&["jobserver"]).unwrap(), ROUNDS);
        assert_eq!(of(&["jobserver", "--rounds", "7"]).unwrap(), "7");
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for words in [
            &[][..],
            &["disk"],
            &["jobserver", "--rounds"],
            &["jobserver", "--rounds", "0"],
            &["jobserver", "7"],
        ] {
            assert!(of(words).is_err(), "{words:?}");
        }
    }
}
