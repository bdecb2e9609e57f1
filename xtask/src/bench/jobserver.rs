//! `cargo xtask bench jobserver`: `benches/jobserver.rs`, which measures the binary and prints its tables itself.

use crate::run::{self, Result, cargo};

/// The area.
///
/// # Errors
/// Where a start costs more than a fifth of the script's, or a token is lost.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    run::run(&mut cargo(["bench", "--bench", "jobserver"]))
}
