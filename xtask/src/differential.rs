//! `cargo xtask differential`: only the comparisons with the tools that kbt replaces, and at length.

use crate::run::{self, Result, cargo};
use crate::{fetch, place};

/// The verb. With `--all`, the device trees that only the long comparison needs, and every pair.
pub fn run(words: &[String]) -> Result {
    let all = run::only_flag(words, "--all")?;
    fetch::fetch(all)?;
    // The tests print their counts; --nocapture lets them be seen.
    // One comparison that fails does not hide the others.
    let words = ["test", "--release", "--no-fail-fast", "--test", "differential*"];
    let mut command = cargo(words);
    command.args(["--", "--nocapture"]);
    command.env("KBT_PEERS", place::peers());
    if all {
        command.arg("--include-ignored").env("KBT_DIFFERENTIAL", "all");
    }
    run::run(&mut command)
}
