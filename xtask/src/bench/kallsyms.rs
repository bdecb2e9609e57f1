//! `cargo xtask bench kallsyms`: the table of Debian's 6.1 for clouds (87 thousand symbols), by the kernel's own tools and
//! by kbt.
//!
//! Processor times are those of all processes of a step, the two sides taking turns; instructions are callgrind's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::matrix::minutes;
use super::table::{Table, grouped};
use crate::run::{self, Result, cargo};
use crate::{callgrind, files, place};

/// How often each side takes its turn.
const ROUNDS: usize = 5;
/// Runs in a turn of kbt, which are too short for the shell's clock.
const REPEATS: u32 = 10;

/// What the kernel's build does for one table. `$1` is the vmlinux, `$2` the peers, `$3` a directory.
const STOCK: &str = r#"
cd "$3" || exit 1
NM=nm sh "$2/bin/mksysmap-6.1" "$1" stock.map 2>/dev/null &&
"$2/bin/kallsyms-6.1" --all-symbols --absolute-percpu --base-relative stock.map > stock.S &&
sed -i 's/^#include.*/#define BITS_PER_LONG 64/' stock.S &&
gcc -c stock.S -o stock.o || exit 1
times
"#;

const GENERATE: &str = r#"
cd "$3" || exit 1
for i in $(seq "$5"); do
    "$4" kallsyms generate --kernel 6.1 --all-symbols --absolute-percpu "$1" -o own.o || exit 1
done
times
"#;

const PATCH: &str = r#"
cd "$3" || exit 1
for i in $(seq "$5"); do
    "$4" kallsyms patch --in-place vmlinux >/dev/null || exit 1
done
times
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
    run::run(&mut cargo(["build", "--release", "--bin", "kbt"]))?;
    let kbt = run::target_directory()?.join("release/kbt");
    let scratch = std::env::temp_dir().join(format!("kbt-bench-{}", std::process::id()));
    files::create(&scratch)?;
    let over = measure(&vmlinux, &kbt, &scratch);
    files::remove(&scratch)?;
    match over?.as_slice() {
        [] => Ok(()),
        over => Err(format!("over the limit:\n  {}", over.join("\n  "))),
    }
}

/// Prints the tables and gives what is over its limit.
fn measure(vmlinux: &Path, kbt: &Path, scratch: &Path) -> Result<Vec<String>> {
    let copy = scratch.join("vmlinux");
    fs::copy(vmlinux, &copy).map_err(|error| files::cannot("copy", vmlinux, &error))?;
    let words =
        [vmlinux.to_owned(), place::peers(), scratch.to_owned(), kbt.to_owned(), REPEATS.to_string().into()];
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
    let mut over = Vec::new();
    let mut table = Table::new(&["step", "stock, CPU ms", "kbt, CPU ms", "median of the ratios", "limit"]);
    let stock = times[0].clone();
    for (own, (name, _, limit, most)) in times[1..].iter().zip(&steps) {
        let ratio = median(stock.iter().zip(own).map(|(stock, own)| stock / own).collect());
        let (stock, own) = (median(stock.clone()), median(own.clone()));
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
    over.extend(learning(scratch)?);
    over.extend(memory(vmlinux, kbt, scratch)?);
    Ok(over)
}

/// Instructions of learning alone, and of scripts/kallsyms.
fn learning(scratch: &Path) -> Result<Vec<String>> {
    eprintln!("counting instructions");
    let built =
        run::output(&mut cargo(["bench", "--no-run", "--bench", "kallsyms", "--message-format=json"]))?;
    let bench = executable(&built, "kallsyms").ok_or("cargo built no bench kallsyms")?;
    let map = scratch.join("stock.map");
    let words = ["learn".into(), map.clone().into_os_string()];
    let own = callgrind::instructions(&bench, words, Some("*measured_learn*"), scratch)?;
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

/// The most memory of `generate -o`, against four times the symbols with their names and 16 MiB.
fn memory(vmlinux: &Path, kbt: &Path, scratch: &Path) -> Result<Vec<String>> {
    let sections = run::text(Command::new("readelf").arg("-SW").arg(vmlinux).env("LC_ALL", "C"))?;
    let size = |name: &str| {
        let line = sections.lines().find(|line| line.contains(&format!(" {name} ")))?;
        let words: Vec<&str> = line.split(']').nth(1)?.split_whitespace().collect();
        u64::from_str_radix(words.get(4)?, 16).ok()
    };
    let symbols = size(".symtab").zip(size(".strtab")).ok_or("no symbol table in what readelf says")?;
    let limit = 4 * (symbols.0 + symbols.1) + (16 << 20);
    let mut command = Command::new(place::peers().join("bin/python3"));
    // The peak that the shell's child had, in KiB, as the kernel says when it ends.
    let python = "import os,resource,sys; os.spawnvp(os.P_WAIT, sys.argv[1], sys.argv[1:]); \
                  print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)";
    command.arg("-c").arg(python).arg(kbt);
    command.args(["kallsyms", "generate", "--kernel", "6.1", "--all-symbols", "--absolute-percpu"]);
    let text = run::text(command.arg(vmlinux).arg("-o").arg(scratch.join("own.o")))?;
    let peak = text.trim().parse::<u64>().map_err(|_| format!("no peak in {text}"))? * 1024;
    let mut table = Table::new(&["memory", "symtab and strtab", "peak", "limit"]);
    table.row(["generate -o".into(), grouped(symbols.0 + symbols.1), grouped(peak), grouped(limit)]);
    println!("{table}");
    Ok(if peak > limit { vec![format!("generate -o: {} bytes", grouped(peak))] } else { Vec::new() })
}

fn executable(messages: &[u8], name: &str) -> Option<PathBuf> {
    let lines = messages.split(|&byte| byte == b'\n');
    let values = lines.filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    let mut found = values
        .filter(|value| value["target"]["name"] == name)
        .filter_map(|value| value["executable"].as_str().map(PathBuf::from));
    found.next()
}

fn turn(script: &str, words: &[PathBuf]) -> Result<f64> {
    let text = run::text(Command::new("bash").args(["-c", script, "bash"]).args(words))?;
    let mut seconds = 0.0;
    for line in text.lines() {
        if let [user, system] = line.split_whitespace().collect::<Vec<_>>()[..] {
            seconds += minutes(user)? + minutes(system)?;
        }
    }
    Ok(seconds)
}

fn median(mut numbers: Vec<f64>) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}
