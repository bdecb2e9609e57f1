//! `cargo xtask bench kallsyms`: the table of Debian's 6.1 for clouds (87 thousand symbols), by the kernel's own tools and
//! by kbt.
//!
//! What is patched is a vmlinux of the same symbols that waits for its table, with all of its debug information
//! ([`waiting`]). Processor times are those of all processes of a step, the two sides taking turns; instructions are
//! callgrind's. The serial end of a build is that of the kernel of `cargo xtask e2e kernel`, linked both ways.

pub mod sweep;
mod waiting;

use std::path::{Path, PathBuf};
use std::process::Command;

use super::build;
use super::process::{median, peak};
use super::table::{Table, grouped};
use crate::run::{self, Result};
use crate::{callgrind, e2e, files, place};

/// How often each side takes its turn.
const ROUNDS: usize = 5;
/// Runs in a turn of kbt, which are too short for the shell's clock.
const REPEATS: u32 = 10;

/// What the kernel's build does for one table. `$1` is the vmlinux, `$2` the peers, `$3` a directory.
const STOCK: &str = r#"
cd "$3" || exit 1
TIMEFORMAT='%U %S'
time {
    NM=nm sh "$2/bin/mksysmap-6.1" "$1" stock.map 2>/dev/null &&
    "$2/bin/kallsyms-6.1" --all-symbols --absolute-percpu --base-relative stock.map > stock.S &&
    sed -i 's/^#include.*/#define BITS_PER_LONG 64/' stock.S &&
    gcc -c stock.S -o stock.o || exit 1
}
"#;

const GENERATE: &str = r#"
cd "$3" || exit 1
TIMEFORMAT='%U %S'
for i in $(seq "$5"); do
    time "$4" kallsyms generate --kernel 6.1 --all-symbols --absolute-percpu "$1" -o own.o || exit 1
done
"#;

/// Each run finds a table that waits; `$6` is where it lies in the file.
const PATCH: &str = r#"
cd "$3" || exit 1
TIMEFORMAT='%U %S'
for i in $(seq "$5"); do
    dd if=waiting.bin of=vmlinux bs=64K oflag=seek_bytes seek="$6" conv=notrunc status=none || exit 1
    time "$4" kallsyms patch --in-place vmlinux --pad-file kallsyms.pad >/dev/null || exit 1
done
"#;

/// The area.
///
/// # Errors
/// Where something cannot be run, and, behind the tables, where a figure is over its limit.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    let vmlinux = place::peers().join("kernels/cloud-6.1/vmlinux");
    if !vmlinux.is_file() {
        return Err(format!("no kernel at {}; `cargo xtask fetch --all` gets it", vmlinux.display()));
    }
    eprintln!("building kbt");
    let kbt = build::kbt()?;
    let over = files::in_scratch(&std::env::temp_dir(), |scratch| measure(&vmlinux, &kbt, scratch))?;
    match over.as_slice() {
        [] => Ok(()),
        over => Err(format!("over the limit:\n  {}", over.join("\n  "))),
    }
}

/// Prints the tables and gives what is over its limit.
fn measure(vmlinux: &Path, kbt: &Path, scratch: &Path) -> Result<Vec<String>> {
    let bench = build::benches(&["kallsyms"])?.find("kallsyms")?;
    let place = waiting::prepare(vmlinux, kbt, &bench, scratch)?;
    let words = [
        vmlinux.to_owned(),
        place::peers(),
        scratch.to_owned(),
        kbt.to_owned(),
        REPEATS.to_string().into(),
        place.to_string().into(),
    ];
    let steps: [(&str, &str, f64, Option<f64>); 2] =
        [("generate -o, ELF to object", GENERATE, 15.0, None), ("patch --in-place", PATCH, 40.0, Some(0.05))];
    let mut times: [Vec<f64>; 3] = Default::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        times[0].push(turn(STOCK, &words)?);
        for (times, (_, script, ..)) in times[1..].iter_mut().zip(&steps) {
            times.push(turn(script, &words)? / f64::from(REPEATS));
        }
    }
    run::run(Command::new(kbt).args(["kallsyms", "verify"]).arg(scratch.join("vmlinux")))?;
    let mut over = Vec::new();
    let mut table = Table::new(&["step", "stock, CPU ms", "kbt, CPU ms", "median of the ratios", "limit"]);
    let stock = times[0].clone();
    for (own, (name, _, limit, most)) in times[1..].iter().zip(&steps) {
        let ratio = middle(stock.iter().zip(own).map(|(stock, own)| stock / own).collect());
        let (stock, own) = (middle(stock.clone()), middle(own.clone()));
        table.row([
            (*name).to_owned(),
            format!("{:.0}", stock * 1e3),
            format!("{:.1}", own * 1e3),
            format!("1/{ratio:.1}"),
            format!("1/{limit:.0}"),
        ]);
        if ratio < *limit || most.is_some_and(|most| own > most) {
            over.push(format!("{name}: 1/{ratio:.1}, {:.1} ms", own * 1e3));
        }
    }
    println!("{table}");
    over.extend(learning(&bench, scratch)?);
    over.extend(memory(vmlinux, kbt, scratch)?);
    println!("{}", e2e::serial_ends(kbt)?);
    Ok(over)
}

/// Instructions of learning alone, and of scripts/kallsyms.
fn learning(bench: &Path, scratch: &Path) -> Result<Vec<String>> {
    eprintln!("counting instructions");
    let map = scratch.join("stock.map");
    let words = ["learn".into(), map.clone().into_os_string()];
    let own = callgrind::instructions(bench, words, Some("*measured_learn*"), scratch)?;
    let release = place::peers().join("sysroot/kbuild-6.1/usr/lib/linux-kbuild-6.1/scripts/kallsyms");
    let mut words: Vec<_> =
        ["--all-symbols", "--absolute-percpu", "--base-relative"].map(std::ffi::OsString::from).into();
    words.push(map.into_os_string());
    let stock = callgrind::instructions(&release, words, None, scratch)?;
    let mut table = Table::new(&["instructions", "scripts/kallsyms", "kbt learning", "ratio", "limit"]);
    let ratio = stock / own.max(1);
    table.row([
        "87 thousand symbols".into(),
        grouped(stock),
        grouped(own),
        format!("1/{ratio}"),
        "1/6".into(),
    ]);
    println!("{table}");
    Ok(if ratio < 6 { vec![format!("learning: 1/{ratio} of the instructions")] } else { Vec::new() })
}

/// The most memory of the commands, against four times the symbols with their names and 16 MiB.
fn memory(vmlinux: &Path, kbt: &Path, scratch: &Path) -> Result<Vec<String>> {
    let sections = run::text(Command::new("readelf").arg("-SW").arg(vmlinux).env("LC_ALL", "C"))?;
    let size = |name: &str| {
        let line = sections.lines().find(|line| line.contains(&format!(" {name} ")))?;
        let words: Vec<&str> = line.split(']').nth(1)?.split_whitespace().collect();
        u64::from_str_radix(words.get(4)?, 16).ok()
    };
    let symbols = size(".symtab").zip(size(".strtab")).ok_or("no symbol table in what readelf says")?;
    let limit = 4 * (symbols.0 + symbols.1) + (16 << 20);
    let mut table = Table::new(&["memory", "symtab and strtab", "peak", "limit"]);
    let mut over = Vec::new();
    let generate = ["generate", "--kernel", "6.1", "--all-symbols", "--absolute-percpu", "-o", "own.o"];
    let commands: [(&str, &[&str], &Path); 3] = [
        ("generate -o", &generate, vmlinux),
        ("pad -o", &waiting::PAD, Path::new("bare.o")),
        ("patch --in-place", &["patch", "--in-place", "--pad-file", "kallsyms.pad"], Path::new("vmlinux")),
    ];
    waiting::reset(scratch)?;
    for (name, words, file) in commands {
        let word = |path: &Path| path.to_string_lossy().into_owned();
        let mut command: Vec<String> = ["sh", "-c", "cd \"$0\" && exec \"$@\""].map(str::to_owned).into();
        command.extend([word(scratch), word(kbt), "kallsyms".to_owned()]);
        command.extend(words.iter().map(|word| (*word).to_owned()).chain([word(file)]));
        let peak = peak(&command)?;
        table.row([name.into(), grouped(symbols.0 + symbols.1), grouped(peak), grouped(limit)]);
        if peak > limit {
            over.push(format!("{name}: {} bytes", grouped(peak)));
        }
    }
    println!("{table}");
    Ok(over)
}

/// Runs a script, and adds the user and system times that it tells, in seconds.
fn turn(script: &str, words: &[PathBuf]) -> Result<f64> {
    let mut command = Command::new("bash");
    let output = command.args(["-c", script, "bash"]).args(words).env("LC_ALL", "C").output();
    let output = output.map_err(|error| format!("cannot run bash: {error}"))?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let seconds: Option<Vec<f64>> = told.split_whitespace().map(|word| word.parse().ok()).collect();
    match seconds {
        Some(seconds) if output.status.success() => Ok(seconds.iter().sum()),
        _ => Err(format!("a step failed: {told}")),
    }
}

fn middle(figures: Vec<f64>) -> f64 {
    median(figures).unwrap_or(0.0)
}
