//! `cargo xtask bench matrix`: `kbt dto matrix` on Debian's device trees against a shell loop of fdtoverlay over the same
//! pairs, in processor time of all processes.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::build;
use super::table::Table;
use crate::run::{self, Result};
use crate::{files, place};

/// How often each takes its turn.
const ROUNDS: usize = 3;

/// The loop is to take at least so many times the processor time of kbt.
const LIMIT: f64 = 30.0;

/// Each overlay of a folder on each base of it. The loader is called as the wrapper of the peers would, which spares the
/// loop a shell a pair.
const LOOP: &str = r#"
cd "$1" || exit 1
applied=0
for folder in */; do
    for overlay in "$folder"*.dtbo; do
        [ -f "$overlay" ] || continue
        for base in "$folder"*.dtb; do
            "$2/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$2/lib/x86_64-linux-gnu" \
                "$2/bin/fdtoverlay" -i "$base" -o "$3" "$overlay" 2>/dev/null && applied=$((applied + 1))
        done
    done
done
echo "applied $applied"
times
"#;

const MATRIX: &str = r#"
text=$("$2" --jobs 1 dto matrix --bases "$1" --overlays "$1" --pairs folder --loose-names 2>/dev/null)
text=${text##* overlays: }
echo "applied ${text%% apply,*}"
times
"#;

/// The area.
///
/// # Errors
/// Where something cannot be run, the counts differ, or, behind the table, kbt is over its limit.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    let trees = place::peers().join("trees/arm64-6.12");
    let tools = place::peers().join("sysroot/tools/usr");
    if !trees.is_dir() || !tools.is_dir() {
        return Err(format!("no trees at {}; `cargo xtask fetch` gets them", trees.display()));
    }
    eprintln!("building kbt");
    let kbt = build::kbt()?;
    files::in_scratch(&std::env::temp_dir(), |scratch| measure(&trees, &tools, &kbt, scratch))
}

fn measure(trees: &Path, tools: &Path, kbt: &Path, scratch: &Path) -> Result {
    let mut table =
        Table::new(&["round", "pairs that apply", "loop of fdtoverlay, s", "kbt dto matrix, s", "ratio"]);
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let out = scratch.join("out.dtb");
        let theirs = turn(LOOP, &[trees.to_owned(), tools.to_owned(), out])?;
        let ours = turn(MATRIX, &[trees.to_owned(), kbt.to_owned()])?;
        if theirs.applied != ours.applied {
            return Err(format!("fdtoverlay applies {} pairs, kbt {}", theirs.applied, ours.applied));
        }
        let ratio = theirs.seconds / ours.seconds;
        ratios.push(ratio);
        table.row([
            round.to_string(),
            ours.applied.to_string(),
            format!("{:.3}", theirs.seconds),
            format!("{:.3}", ours.seconds),
            format!("{ratio:.1}"),
        ]);
    }
    println!("{table}");
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ROUNDS / 2];
    println!("Median of the ratios: {median:.1} (at least {LIMIT}).");
    if median < LIMIT { Err(format!("kbt takes more than 1/{LIMIT} of the loop's time")) } else { Ok(()) }
}

/// What a script did.
struct Turn {
    applied: u64,
    /// Processor time of the shell and of all that it ran.
    seconds: f64,
}

fn turn(script: &str, words: &[PathBuf]) -> Result<Turn> {
    let mut command = Command::new("bash");
    command.args(["-c", script, "bash"]).args(words);
    let text = run::text(&mut command)?;
    let mut applied = None;
    let mut seconds = 0.0;
    for line in text.lines() {
        let parts: Vec<&str> = line.split_whitespace().collect();
        match parts[..] {
            ["applied", count] => applied = count.parse().ok(),
            [user, system] => seconds += minutes(user)? + minutes(system)?,
            _ => {}
        }
    }
    let applied = applied.ok_or_else(|| format!("no count in what the script says: {text}"))?;
    Ok(Turn { applied, seconds })
}

/// `1m2.345s` in seconds.
pub fn minutes(text: &str) -> Result<f64> {
    let parts = text.strip_suffix('s').and_then(|text| text.split_once('m'));
    let number = parts.and_then(|(minutes, seconds)| {
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    });
    number.ok_or_else(|| format!("'{text}' is no time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        assert!((minutes("1m2.500s").unwrap() - 62.5).abs() < 1e-9);
        assert!(minutes("2.5").is_err());
    }
}
