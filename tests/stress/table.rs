//! What rounds have shown, a line for each kind of attack.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::{Outcome, Round};

/// Sums over rounds.
#[derive(Default)]
pub struct Table(BTreeMap<String, Line>);

#[derive(Default)]
struct Line {
    rounds: usize,
    signals: usize,
    most: usize,
    over: Duration,
    lost: u64,
    faults: usize,
}

impl Table {
    /// Adds a round and gives what is wrong with it, named.
    pub fn add(&mut self, round: &Round, outcome: &Outcome) -> Vec<String> {
        let faults = round.faults(outcome);
        let line = self.0.entry(round.attack.to_string()).or_default();
        line.rounds += 1;
        line.signals += outcome.signals;
        line.most = line.most.max(outcome.most);
        line.over = line.over.max(outcome.jobs_over);
        line.lost += (super::JOBS as u64 - 1).saturating_sub(outcome.free);
        line.faults += faults.len();
        faults.into_iter().map(|fault| format!("{round}: {fault}")).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| attack | rounds | signals | most at once | longest over 8 | tokens lost | faults |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for (attack, line) in &self.0 {
            let Line { rounds, signals, most, over, lost, faults } = line;
            let over = over.as_millis();
            writeln!(f, "| {attack} | {rounds} | {signals} | {most} | {over} ms | {lost} | {faults} |")?;
        }
        Ok(())
    }
}
