//! A verb that has areas, such as `bench dto`: one table, a line of help each.

use crate::run::Result;

/// One area of a verb.
pub struct Area {
    pub name: &'static str,
    pub help: &'static str,
    pub run: fn(&[String]) -> Result,
}

/// Runs the area that the first word names with the words behind it; where there is none such, `question` and
/// the list of areas are the error.
pub fn run(areas: &[Area], question: &str, words: &[String]) -> Result {
    let found = words
        .split_first()
        .and_then(|(name, rest)| Some((areas.iter().find(|area| area.name == name)?, rest)));
    match found {
        Some((area, rest)) => (area.run)(rest),
        None => Err(format!("{question} There are:{}", list(areas))),
    }
}

fn list(areas: &[Area]) -> String {
    areas.iter().map(|area| format!("\n  {}  {}", area.name, area.help)).collect()
}
