//! `cargo xtask test`: everything that must pass before a change goes in, in order, up to the first failure.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::files::{cannot, create};
use crate::run::{self, Result, cargo};
use crate::{fetch, place, tidy};

/// One step under its headline. It gives a word for the closing table, such as a count.
struct Step {
    name: &'static str,
    what: &'static str,
    run: fn() -> Result<String>,
}

const STEPS: &[Step] = &[
    Step { name: "format", what: "cargo fmt --all --check", run: format },
    Step { name: "clippy", what: "every target without a warning", run: clippy },
    Step { name: "tidy", what: "layers, dependencies, sizes, links", run: tidy_step },
    Step { name: "docs", what: "cargo doc without a warning", run: docs },
    Step { name: "fetch", what: "reference tools and real trees", run: fetch_step },
    Step { name: "tests", what: "unit, CLI, golden and differential", run: tests },
    Step { name: "instructions", what: "the cost of the hot paths, in the release build", run: instructions },
];

/// The C library is a workspace of its own.
const CAPI: &str = "capi/Cargo.toml";

/// The verb.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    let mut done = Vec::new();
    let mut failure = None;
    for step in STEPS {
        eprintln!("== {}: {}", step.name, step.what);
        let start = Instant::now();
        let result = (step.run)();
        done.push((step.name, start.elapsed(), result.clone()));
        if let Err(message) = result {
            eprintln!("{message}");
            failure = Some(step.name);
            break;
        }
    }
    eprint!("\n{}", table(&done));
    // Where the tests did not run, the list is an earlier run's.
    let tests_ran = done.iter().any(|(name, ..)| *name == "tests");
    let skips = if tests_ran { skipped()? } else { Vec::new() };
    if tests_ran {
        eprint!("{}", list_of_skips(&skips));
    }
    match failure {
        Some(name) if done.len() == STEPS.len() => Err(format!("'{name}' failed")),
        Some(name) => Err(format!("'{name}' failed, the rest did not run")),
        None if !skips.is_empty() && in_ci() => Err(format!("{} tests skipped under CI=true", skips.len())),
        None => Ok(()),
    }
}

fn format() -> Result<String> {
    run::run(&mut cargo(["fmt", "--all", "--check"]))?;
    run::run(&mut cargo(["fmt", "--manifest-path", CAPI, "--check"]))?;
    Ok(String::new())
}

fn clippy() -> Result<String> {
    let words = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    run::run(&mut quiet(cargo(words)))?;
    // The target directory keeps its builds from the workspace's.
    let target = run::target_directory()?.join("capi");
    let words = ["clippy", "--release", "--locked", "--manifest-path", CAPI];
    let mut command = quiet(cargo(words));
    command.arg("--target-dir").arg(target).args(["--", "-D", "warnings"]);
    run::run(&mut command)?;
    Ok(String::new())
}

fn tidy_step() -> Result<String> {
    tidy::check()?;
    Ok(String::new())
}

/// With what is private: those who work on it read it too.
fn docs() -> Result<String> {
    let words = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    run::run(quiet(cargo(words)).env("RUSTDOCFLAGS", "-D warnings"))?;
    Ok(String::new())
}

/// A peer that cannot be had is told here; the tests that need it then report themselves as skipped.
fn fetch_step() -> Result<String> {
    match fetch::fetch(false) {
        Ok(()) => Ok(String::new()),
        Err(message) => {
            eprintln!("{message}\nthe tests that need it will be skipped");
            Ok("something is missing".to_owned())
        }
    }
}

/// A build of its own, behind the others: its counts say nothing of a build with checks.
fn instructions() -> Result<String> {
    let words = ["test", "--release", "--test", "instructions", "--", "--quiet"];
    let mut command = cargo(words);
    command.env("KBT_SKIPS", skips_file()?).env("KBT_PEERS", place::peers()).stdin(Stdio::null());
    run::run(&mut command)?;
    Ok(String::new())
}

/// All tests in one run of cargo, so that a failure in one file does not hide those of the others.
fn tests() -> Result<String> {
    let skips = skips_file()?;
    fs::write(&skips, "").map_err(|error| cannot("write", &skips, &error))?;
    let mut command = cargo(["test", "--workspace", "--no-fail-fast", "--", "--quiet"]);
    command.env("KBT_SKIPS", &skips).env("KBT_PEERS", place::peers()).stdin(Stdio::null());
    let (passed, output) = shown_and_kept(&mut command)?;
    let count = Count::of(&output);
    if !passed {
        return Err(format!("cargo test failed: {count}"));
    }
    Ok(count.to_string())
}

/// Runs a program, passes its standard output on and keeps a copy. Gives whether it succeeded.
fn shown_and_kept(command: &mut Command) -> Result<(bool, String)> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().map_err(|error| format!("cannot start cargo: {error}"))?;
    let mut pipe = child.stdout.take().ok_or("no standard output")?;
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let read = pipe.read(&mut buffer).map_err(|error| format!("cannot read from cargo: {error}"))?;
        if read == 0 {
            break;
        }
        let chunk = buffer.get(..read).unwrap_or_default();
        kept.extend_from_slice(chunk);
        // Where nobody reads any more the verdict still counts.
        let _ = io::stdout().write_all(chunk).and_then(|()| io::stdout().flush());
    }
    let status = child.wait().map_err(|error| format!("cannot wait for cargo: {error}"))?;
    Ok((status.success(), String::from_utf8_lossy(&kept).into_owned()))
}

/// On a terminal cargo shows how far it is; elsewhere only what is wrong.
fn quiet(mut command: Command) -> Command {
    if !io::stderr().is_terminal() {
        command.env("CARGO_TERM_QUIET", "true");
    }
    command
}

/// Sums of the harness's closing lines.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Count {
    /// Adds up the lines `test result: ok. 4 passed; 0 failed; 1 ignored; ...`.
    fn of(output: &str) -> Self {
        let mut count = Self::default();
        for line in output.lines().filter(|line| line.starts_with("test result:")) {
            let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
            for pair in words.windows(2) {
                let [number, word] = pair else { continue };
                let number = number.parse().unwrap_or(0);
                match *word {
                    "passed" => count.passed += number,
                    "failed" => count.failed += number,
                    "ignored" => count.ignored += number,
                    _ => {}
                }
            }
        }
        count
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} ignored", self.passed, self.failed, self.ignored)
    }
}

/// Where the tests list what they skipped.
fn skips_file() -> Result<PathBuf> {
    let target = run::target_directory()?;
    create(&target)?;
    Ok(target.join("skipped-tests"))
}

fn skipped() -> Result<Vec<String>> {
    let path = skips_file()?;
    let text = fs::read_to_string(&path).map_err(|error| cannot("read", &path, &error))?;
    Ok(text.lines().map(ToOwned::to_owned).collect())
}

/// How many tests were skipped, by reason.
fn list_of_skips(skips: &[String]) -> String {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in skips {
        let (test, reason) = line.trim_start_matches("SKIPPED ").split_once(": ").unwrap_or((line, ""));
        reasons.entry(reason).or_default().push(test);
    }
    let mut text = format!("{} skipped\n", skips.len());
    for (reason, tests) in reasons {
        text += &format!("  {}: {reason}\n    {}\n", tests.len(), tests.join("\n    "));
    }
    text
}

fn table(done: &[(&str, Duration, Result<String>)]) -> String {
    let mut text = String::new();
    for (name, time, result) in done {
        let (verdict, word) = match result {
            Ok(word) => ("ok", word.as_str()),
            Err(_) => ("FAILED", ""),
        };
        let line = format!("{name:<8} {:>7.1} s  {verdict:<6}  {word}", time.as_secs_f64());
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|value| value == "true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_over_binaries() {
        let output = "\
            running 2 tests\n..\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.09s\n\
            test result: FAILED. 3 passed; 4 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1s\n";
        assert_eq!(Count::of(output), Count { passed: 5, failed: 4, ignored: 1 });
    }

    #[test]
    fn skips_are_counted_by_reason() {
        let skips =
            ["SKIPPED a::b: no dtc", "SKIPPED a::c: no dtc", "SKIPPED d: no trees"].map(str::to_owned);
        let text = list_of_skips(&skips);
        assert_eq!(text, "3 skipped\n  2: no dtc\n    a::b\n    a::c\n  1: no trees\n    d\n");
    }

    #[test]
    fn the_table_tells_time_and_verdict() {
        let done = [
            ("docs", Duration::from_millis(1500), Ok("5".to_owned())),
            ("x", Duration::ZERO, Err("e".into())),
        ];
        assert_eq!(table(&done), "docs         1.5 s  ok      5\nx            0.0 s  FAILED\n");
    }
}
