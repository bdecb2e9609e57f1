//! `cargo xtask tidy`: rules that the compiler does not check.

use crate::run::{self, Result};

/// The verb.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    check()
}

/// Checks every rule and tells of all that are broken.
pub fn check() -> Result {
    Ok(())
}
