//! `cargo xtask bench jobserver`: `benches/jobserver.rs`, which measures the binary and prints its tables itself.

use super::plots::{Numbers, Sweep};
use crate::run::{self, Result, cargo};

/// The area.
///
/// # Errors
/// Where a start costs more than a fifth of the script's, or a token is lost.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    run::run(&mut cargo(["bench", "--bench", "jobserver"]))
}

/// The figures of its plot: the table of tokens alone.
///
/// # Errors
/// Where kbt loses a token.
pub fn sweep() -> Result<Vec<Sweep>> {
    let table = run::text(&mut cargo(["bench", "--bench", "jobserver", "--", "tokens"]))?;
    let numbers = from_markdown(&table).ok_or("the bench printed no table")?;
    let of = "A command that claims all of seven tokens and waits for its worker. Each end once.".to_owned();
    Ok(vec![Sweep { plot: "jobserver-tokens", of, numbers }])
}

/// The lines of a text that are rows of a table.
fn from_markdown(text: &str) -> Option<Numbers> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let mut rows = rows.map(|row| row.split(" | ").collect::<Vec<_>>());
    let mut numbers = Numbers::new(&rows.next()?);
    for row in rows.filter(|row| row.len() == numbers.head.len()).collect::<Vec<_>>() {
        numbers.row(row.into_iter().map(ToOwned::to_owned));
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read() {
        let text = "\n| the end | kbt: tokens |\n|---|---:|\n| SIGTERM | 7 |\nbehind\n";
        assert_eq!(from_markdown(text).unwrap().to_string(), "the end,kbt: tokens\nSIGTERM,7\n");
        assert_eq!(from_markdown("nothing"), None);
    }
}
