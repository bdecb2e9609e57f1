//! How a matrix is told: a table, JSON, JUnit.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::conflicts::Conflict;
use super::files::File;
use super::runs::Run;
use crate::report::Failure;

/// How a run ended.
pub struct Outcome {
    /// Why it was refused; none where it applies.
    pub refusal: Option<Failure>,
    /// What the merge warned of.
    pub warnings: usize,
}

/// All that is to be told.
pub struct Matrix<'m> {
    pub bases: &'m [File],
    pub overlays: &'m [File],
    pub runs: &'m [Run],
    /// One for each run.
    pub outcomes: &'m [Outcome],
    pub conflicts: &'m [Conflict],
}

/// So many lines of one kind are printed; a report has all.
const LINES: usize = 20;

impl Matrix<'_> {
    fn ended(&self) -> impl Iterator<Item = (&Run, &Outcome)> {
        self.runs.iter().zip(self.outcomes)
    }

    /// Runs that did not end as they are to.
    pub fn unexpected(&self) -> usize {
        self.ended().filter(|(run, outcome)| run.refused != outcome.refusal.is_some()).count()
    }

    /// Runs that apply.
    pub fn applied(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.refusal.is_none()).count()
    }

    fn base(&self, run: &Run) -> &str {
        self.bases.get(run.base).map_or("", |file| &file.name)
    }

    fn overlay(&self, index: usize) -> &str {
        self.overlays.get(index).map_or("", |file| &file.name)
    }

    fn stack(&self, run: &Run) -> String {
        run.overlays.iter().map(|&index| self.overlay(index)).collect::<Vec<_>>().join(" + ")
    }

    /// A line for each overlay, then what did not end as it is to, then the conflicts.
    pub fn text(&self) -> String {
        let mut text = self.table();
        let unexpected: Vec<String> = self
            .ended()
            .filter(|(run, outcome)| run.refused != outcome.refusal.is_some())
            .take(LINES + 1)
            .map(|(run, outcome)| {
                let why = match &outcome.refusal {
                    Some(failure) => self.why(run, failure),
                    None => "applies, and was to be refused".to_owned(),
                };
                format!("{} + {}: {why}", self.base(run), self.stack(run))
            })
            .collect();
        section(&mut text, "not as expected:", &unexpected, self.unexpected());
        let conflicts: Vec<String> = self.conflicts.iter().take(LINES).map(|it| self.conflict(it)).collect();
        section(&mut text, "conflicts (the order decides):", &conflicts, self.conflicts.len());
        let (bases, overlays) = (self.bases.len(), self.overlays.len());
        let (all, applied) = (self.runs.len(), self.applied());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{all} runs on {bases} bases with {overlays} overlays: {applied} apply, {} are refused, {} conflicts",
            all - applied,
            self.conflicts.len()
        );
        text
    }

    /// Why a run was refused, without the name of an overlay that stands in front already.
    fn why(&self, run: &Run, failure: &Failure) -> String {
        let mut failure = failure.clone();
        if let [overlay] = run.overlays[..]
            && failure.file.as_deref() == Some(self.overlay(overlay))
        {
            failure.file = None;
        }
        failure.to_string()
    }

    fn conflict(&self, it: &Conflict) -> String {
        let base = self.bases.get(it.base).map_or("", |file| &file.name);
        let mut text = format!("{base}: {}:{}", it.node, it.property);
        for value in it.values.iter().take(LINES) {
            let mut names: Vec<&str> =
                value.overlays.iter().take(LINES).map(|&index| self.overlay(index)).collect();
            if value.overlays.len() > LINES {
                names.push("...");
            }
            text.push_str(&format!("\n    {}: {}", names.join(", "), value.shown));
        }
        if it.values.len() > LINES {
            text.push_str("\n    ...");
        }
        text
    }

    fn table(&self) -> String {
        struct Row {
            applies: usize,
            refused: BTreeMap<&'static str, usize>,
        }
        let mut rows: BTreeMap<&[usize], Row> = BTreeMap::new();
        for (run, outcome) in self.ended() {
            let row = rows.entry(&run.overlays);
            let row = row.or_insert_with(|| Row { applies: 0, refused: BTreeMap::new() });
            match &outcome.refusal {
                None => row.applies += 1,
                Some(failure) => *row.refused.entry(failure.code).or_default() += 1,
            }
        }
        let name = |overlays: &[usize]| {
            overlays.iter().map(|&index| self.overlay(index)).collect::<Vec<_>>().join(" + ")
        };
        let names: Vec<String> = rows.keys().map(|overlays| name(overlays)).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("overlays".len());
        let mut text = format!("{:<width$}  {:>7}  {:>7}  why\n", "overlays", "applies", "refused");
        for (name, row) in names.iter().zip(rows.values()) {
            let refused: usize = row.refused.values().sum();
            let why: Vec<String> =
                row.refused.iter().map(|(code, count)| format!("{code} {count}")).collect();
            let line = format!("{name:<width$}  {:>7}  {refused:>7}  {}", row.applies, why.join(", "));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text.push('\n');
        text
    }

    /// Every run and every conflict.
    pub fn json(&self) -> Value {
        let runs = self.ended().map(|(run, outcome)| {
            json!({
                "base": self.base(run),
                "overlays": run.overlays.iter().map(|&index| self.overlay(index)).collect::<Vec<_>>(),
                "applies": outcome.refusal.is_none(),
                "expected": run.refused == outcome.refusal.is_some(),
                "warnings": outcome.warnings,
                "error": outcome.refusal,
            })
        });
        let conflicts = self.conflicts.iter().map(|it| {
            let values = it.values.iter().map(|value| {
                let overlays = value.overlays.iter().map(|&index| self.overlay(index));
                json!({ "overlays": overlays.collect::<Vec<_>>(), "value": value.shown })
            });
            json!({
                "base": self.bases.get(it.base).map(|file| &file.name),
                "node": it.node,
                "property": it.property,
                "values": values.collect::<Vec<_>>(),
            })
        });
        json!({
            "bases": self.bases.len(),
            "overlays": self.overlays.len(),
            "applied": self.applied(),
            "refused": self.runs.len() - self.applied(),
            "unexpected": self.unexpected(),
            "runs": runs.collect::<Vec<_>>(),
            "conflicts": conflicts.collect::<Vec<_>>(),
        })
    }

    /// A suite for each base, a case for each run.
    pub fn junit(&self) -> String {
        let mut text = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"kbt dto matrix\">\n",
        );
        let ended: Vec<_> = self.ended().collect();
        for suite in ended.chunk_by(|one, other| one.0.base == other.0.base) {
            let Some((first, _)) = suite.first() else { continue };
            let failed = |(run, outcome): &&(&Run, &Outcome)| run.refused != outcome.refusal.is_some();
            let base = escaped(self.base(first));
            let (tests, failures) = (suite.len(), suite.iter().filter(failed).count());
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  <testsuite name=\"{base}\" tests=\"{tests}\" failures=\"{failures}\">");
            for (run, outcome) in suite {
                let _ =
                    write!(text, "    <testcase classname=\"{base}\" name=\"{}\"", escaped(&self.stack(run)));
                match (run.refused, &outcome.refusal) {
                    (false, Some(why)) => {
                        let (code, why) = (why.code, escaped(&why.to_string()));
                        let _ = writeln!(text, "><failure type=\"{code}\" message=\"{why}\"/></testcase>");
                    }
                    (true, None) => {
                        let why = "applies, and was to be refused";
                        let _ = writeln!(text, "><failure type=\"applies\" message=\"{why}\"/></testcase>");
                    }
                    _ => text.push_str("/>\n"),
                }
            }
            text.push_str("  </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }
}

fn section(text: &mut String, head: &str, lines: &[String], count: usize) {
    if lines.is_empty() {
        return;
    }
    text.push_str(head);
    text.push('\n');
    for line in lines.iter().take(LINES) {
        text.push_str("  ");
        text.push_str(line);
        text.push('\n');
    }
    if count > LINES {
        text.push_str(&format!("  and {} more; --report has all\n", count - LINES));
    }
    text.push('\n');
}

/// Text as XML has it; what it cannot have is U+FFFD.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
