//! `cargo xtask deny`: lets cargo-deny look at the licences, the sources, the duplicates and the known faults of
//! every crate that the three workspaces take.

use std::process::Command;

use crate::run::{self, Result};

/// What needs nothing but the lock file and the registry's copies; they decide.
const HELD: [&str; 3] = ["bans", "licenses", "sources"];

/// The verb.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    run::output(run::cargo(["deny", "--version"]).stdin(std::process::Stdio::null()))
        .map_err(|_| "cargo-deny is not installed; `cargo install --locked cargo-deny` gets it")?;
    for workspace in run::WORKSPACES {
        eprintln!("== {workspace}");
        run::run(deny(workspace).args(HELD))?;
    }
    known_faults()
}

/// The advisories lie in a database that is fetched; where it cannot be had, that is said, and nothing else.
fn known_faults() -> Result {
    if let Err(reason) = run::output(deny(".").arg("advisories")) {
        if reason.contains("failed to fetch advisory database") {
            eprintln!("advisories: not looked at, the database could not be fetched");
            return Ok(());
        }
        return Err(reason);
    }
    eprintln!("advisories ok");
    Ok(())
}

/// `cargo deny check` over one workspace, by the one configuration.
fn deny(workspace: &str) -> Command {
    let mut command = run::cargo(["deny", "--all-features", "--config"]);
    command.arg(run::root().join("deny.toml"));
    command.arg("--manifest-path").arg(run::root().join(workspace).join("Cargo.toml")).arg("check");
    // One configuration serves three workspaces, so what one of them does not meet is no news.
    command.args([
        "--allow",
        "license-not-encountered",
        "--allow",
        "license-exception-not-encountered",
        "--allow",
        "unmatched-skip",
    ]);
    command
}
