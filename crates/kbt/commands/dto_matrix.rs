//! `kbt dto matrix`.

use std::ops::Range;
use std::time::Duration;

use kbt_dto::{Base, Error, Merger, Options};

use crate::args::dto::{Matrix as Arguments, Pairs};
use crate::depfile;
use crate::dto::failure::Names;
use crate::input;
use crate::inputs::Inputs;
use crate::matrix::config;
use crate::matrix::conflicts::{self, Conflict};
use crate::matrix::content::Content;
use crate::matrix::files::{self, File};
use crate::matrix::report::{Matrix, Outcome};
use crate::matrix::runs::{self, Run};
use crate::output::{self, Output, Set};
use crate::report::{Failure, Report, visible};
use crate::workers::{self, Jobs};

/// Runs of one base that one worker does without a pause.
const RUNS_A_TASK: usize = 64;

/// Tries the pairs and tells how they ended.
pub fn run(args: &Arguments, jobs: Jobs, report: &mut Report) -> Result<(), Failure> {
    let outputs = [&args.report, &args.junit].map(|word| word.as_deref().map(Output::parse));
    outputs.iter().flatten().try_for_each(|output| output.leave_json(report))?;
    output::refuse_two_stdouts(outputs.iter().flatten())?;
    let mut bases = files::list(&args.bases, "dtb")?;
    let mut overlays = files::list(&args.overlays, "dtbo")?;
    if args.pairs == Pairs::Compatible {
        files::read(&mut bases, |_| true, jobs, report)?;
        files::read(&mut overlays, |_| true, jobs, report)?;
    }
    let runs = runs::choose(&bases, &overlays, args.pairs, &configuration(args)?);
    let runs = runs.map_err(|failure| match &args.config {
        Some(word) if failure.code == "bad-config" => failure.at_file(input::name(word)),
        _ => failure,
    })?;
    let [mut base_wanted, mut overlay_wanted] = [vec![false; bases.len()], vec![false; overlays.len()]];
    for run in &runs {
        base_wanted[run.base] = true;
        run.overlays.iter().for_each(|&overlay| overlay_wanted[overlay] = true);
    }
    files::read(&mut bases, |index| base_wanted[index], jobs, report)?;
    files::read(&mut overlays, |index| overlay_wanted[index], jobs, report)?;
    let trial = Trial { args, bases: &bases, overlays: &overlays, runs: &runs };
    let parsed = trial.parse(jobs, report)?;
    let outcomes = trial.try_all(&parsed, jobs, report)?;
    let conflicts = trial.conflicts(&parsed, &outcomes, jobs, report)?;
    let matrix = Matrix {
        bases: &bases,
        overlays: &overlays,
        runs: &runs,
        outcomes: &outcomes,
        conflicts: &conflicts,
    };
    write(args, &outputs, &matrix, &[&base_wanted, &overlay_wanted])?;
    if report.is_json() {
        if let serde_json::Value::Object(fields) = matrix.json() {
            fields.into_iter().for_each(|(key, value)| report.field(&key, value));
        }
    } else if !outputs.iter().flatten().any(|output| matches!(output, Output::Stdout)) {
        let text: String = matrix.text().lines().map(|line| visible(line).into_owned() + "\n").collect();
        Output::Stdout.write(text.as_bytes(), false)?;
    }
    verdict(args, &matrix)
}

/// Writes the reports, which appear together. Files that were not tried are spared, too.
fn write(
    args: &Arguments,
    outputs: &[Option<Output>; 2],
    matrix: &Matrix<'_>,
    wanted: &[&[bool]; 2],
) -> Result<(), Failure> {
    let mut inputs = Inputs::default();
    inputs.files(&args.config);
    for (file, wanted) in
        [matrix.bases, matrix.overlays].into_iter().flatten().zip(wanted.iter().copied().flatten())
    {
        match *wanted || !file.bytes.is_empty() {
            true => inputs.file(&file.path),
            false => inputs.unread(&file.path),
        }
    }
    let mut files = Set::made_of(&inputs);
    depfile::add_first(&args.depfile, outputs.iter().flatten(), &mut files)?;
    let [json, junit] = outputs;
    let json = json.as_ref().map(|output| (output, format!("{:#}\n", matrix.json())));
    let junit = junit.as_ref().map(|output| (output, matrix.junit()));
    let results: Vec<_> =
        [&json, &junit].into_iter().flatten().map(|(output, text)| (*output, text.as_bytes())).collect();
    output::write_all(files, &results, false)
}

fn configuration(args: &Arguments) -> Result<Vec<config::Line>, Failure> {
    let Some(word) = &args.config else { return Ok(Vec::new()) };
    let bytes = input::read(word)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let failure =
            Failure::new("bad-config", "the configuration is no UTF-8 text").at_file(input::name(word));
        failure.at_offset(error.utf8_error().valid_up_to() as u64)
    })?;
    config::parse(&text).map_err(|failure| failure.at_file(input::name(word)))
}

fn verdict(args: &Arguments, matrix: &Matrix<'_>) -> Result<(), Failure> {
    let (unexpected, conflicts) = (matrix.unexpected(), matrix.conflicts.len());
    if unexpected > 0 {
        let message = format!("{unexpected} of {} do not end as they are to", matrix.runs.len());
        return Err(Failure::new("not-as-expected", message).hint(
            "name what belongs together, and what is to be refused, in --config; or choose by --pairs",
        ));
    }
    if args.deny_conflicts && conflicts > 0 {
        return Err(Failure::new(
            "conflicts",
            format!("{conflicts} conflicts, which --deny-conflicts forbids"),
        ));
    }
    Ok(())
}

/// What is tried, and on what.
struct Trial<'t> {
    args: &'t Arguments,
    bases: &'t [File],
    overlays: &'t [File],
    runs: &'t [Run],
}

type Parsed<'b> = Vec<Option<Result<Base<'b>, Error>>>;

impl<'t> Trial<'t> {
    /// Checks each base that is tried, once.
    fn parse(&self, jobs: Jobs, report: &mut Report) -> Result<Parsed<'t>, Failure> {
        let mut wanted = vec![false; self.bases.len()];
        self.runs.iter().for_each(|run| wanted[run.base] = true);
        let tasks: Vec<(&'t File, bool)> = self.bases.iter().zip(wanted).collect();
        // A checked scan reads about a gigabyte a second.
        let cost = |(file, wanted): &(&File, bool)| Duration::from_nanos(if *wanted { file.size } else { 0 });
        workers::map(jobs, report, "bases checked", &tasks, cost, |(file, wanted)| {
            Ok(wanted.then(|| Base::parse(&file.bytes)))
        })
    }

    /// Tries all runs; the parsed bases are shared by the workers.
    fn try_all(&self, parsed: &Parsed<'_>, jobs: Jobs, report: &mut Report) -> Result<Vec<Outcome>, Failure> {
        let tasks = tasks(self.runs);
        let cost = |task: &Range<usize>| {
            let base = self.runs.get(task.start).and_then(|run| self.bases.get(run.base));
            let once = base.map_or(0, |base| base.size) / 2 + 10_000;
            Duration::from_nanos(once.saturating_mul(task.len() as u64))
        };
        let done = workers::map_pieces(jobs, report, "merges tried", &tasks, Range::len, cost, |task| {
            let runs = self.runs.get(task.clone()).unwrap_or_default();
            let mut merger = Merger::default();
            Ok(runs.iter().map(|run| self.try_one(&mut merger, run, parsed)).collect::<Vec<_>>())
        })?;
        Ok(done.into_iter().flatten().collect())
    }

    fn try_one(&self, merger: &mut Merger, run: &Run, parsed: &Parsed<'_>) -> Outcome {
        let options = Options { loose_names: self.args.names.loose_names, ..Options::default() };
        let bytes: Vec<&[u8]> = run
            .overlays
            .iter()
            .filter_map(|&index| Some(self.overlays.get(index)?.bytes.as_slice()))
            .collect();
        let result = match parsed.get(run.base).and_then(Option::as_ref) {
            Some(Ok(base)) => merger.check(base, &bytes, &options),
            Some(Err(error)) => Err(error.clone()),
            None => Ok(Vec::new()),
        };
        match result {
            Ok(warnings) => Outcome { refusal: None, warnings: warnings.len() },
            Err(error) => Outcome { refusal: Some(self.failure(run, &error)), warnings: 0 },
        }
    }

    fn failure(&self, run: &Run, error: &Error) -> Failure {
        let word = |file: &File| file.name.clone().into();
        let overlays: Vec<_> =
            run.overlays.iter().filter_map(|&index| self.overlays.get(index).map(word)).collect();
        let base = self.bases.get(run.base).map(word).unwrap_or_default();
        Names { base: &base, overlays: &overlays }.failure(error)
    }

    /// Overlays for one base that set a property differently: all that apply alone, and those that are applied together.
    fn conflicts(
        &self,
        parsed: &Parsed<'_>,
        outcomes: &[Outcome],
        jobs: Jobs,
        report: &mut Report,
    ) -> Result<Vec<Conflict>, Failure> {
        let groups = self.together(outcomes);
        let mut wanted = vec![false; self.overlays.len()];
        groups.iter().flat_map(|(_, overlays, _)| overlays).for_each(|&index| wanted[index] = true);
        let tasks: Vec<(&File, bool)> = self.overlays.iter().zip(wanted).collect();
        let cost =
            |(file, wanted): &(&File, bool)| Duration::from_nanos(if *wanted { file.size * 10 } else { 0 });
        let contents = workers::map(jobs, report, "overlays read", &tasks, cost, |(file, wanted)| {
            Ok(if *wanted { Content::read(&file.bytes) } else { Content::default() })
        })?;
        let mut found = Vec::new();
        for (base, overlays, stacked) in &groups {
            let Some(Some(Ok(parsed))) = parsed.get(*base) else { continue };
            let overlays: Vec<(usize, &Content)> =
                overlays.iter().filter_map(|&index| Some((index, contents.get(index)?))).collect();
            found.extend(conflicts::find(*base, parsed.blob(), parsed.tree(), &overlays, *stacked));
        }
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// Bases with overlays that may be applied together, and whether they were.
    fn together(&self, outcomes: &[Outcome]) -> Vec<(usize, Vec<usize>, bool)> {
        let mut groups = Vec::new();
        let ended: Vec<_> = self.runs.iter().zip(outcomes).collect();
        for of_base in ended.chunk_by(|one, other| one.0.base == other.0.base) {
            let applied = of_base.iter().filter(|(_, outcome)| outcome.refusal.is_none());
            let mut alone = Vec::new();
            for (run, _) in applied {
                match &run.overlays[..] {
                    [overlay] => alone.push(*overlay),
                    stack => groups.push((run.base, stack.to_vec(), true)),
                }
            }
            if let (Some((run, _)), true) = (of_base.first(), alone.len() > 1) {
                groups.push((run.base, alone, false));
            }
        }
        groups
    }
}

/// The runs in pieces, each of one base.
fn tasks(runs: &[Run]) -> Vec<Range<usize>> {
    let mut tasks = Vec::new();
    let mut start = 0;
    for group in runs.chunk_by(|one, other| one.base == other.base) {
        for piece in group.chunks(RUNS_A_TASK) {
            tasks.push(start..start + piece.len());
            start += piece.len();
        }
    }
    tasks
}
