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
    workers_over: Duration,
    lost: u64,
    faults: usize,
    must_reach: bool,
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
        line.workers_over = line.workers_over.max(outcome.workers_over);
        line.lost += (super::JOBS as u64 - 1).saturating_sub(outcome.free);
        line.faults += faults.len();
        line.must_reach = !round.attack.may_overshoot();
        faults.into_iter().map(|fault| format!("{round}: {fault}")).collect()
    }

    /// The attacks under which there never were as many jobs as there may be: tokens stayed unused.
    pub fn too_few(&self) -> Vec<String> {
        let few = self.0.iter().filter(|(_, line)| line.must_reach && line.most < super::JOBS);
        few.map(|(attack, line)| format!("{attack}: only {} jobs at once, ever", line.most)).collect()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| attack | rounds | signals | most jobs | longest over 8 | with pack's threads | tokens lost | faults |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for (attack, line) in &self.0 {
            let Line { rounds, signals, most, over, workers_over, lost, faults, .. } = line;
            let (over, threads) = (over.as_millis(), workers_over.as_millis());
            write!(f, "| {attack} | {rounds} | {signals} | {most} | {over} ms | {threads} ms ")?;
            writeln!(f, "| {lost} | {faults} |")?;
        }
        Ok(())
    }
}
