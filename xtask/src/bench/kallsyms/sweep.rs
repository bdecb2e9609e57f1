//! The plot of the symbols' table: the kernel's own tools and kbt on made files of more and more symbols.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{GENERATE, REPEATS, STOCK, middle, turn};
use crate::bench::build;
use crate::bench::plots::{Numbers, Sweep, digits};
use crate::bench::process::peak;
use crate::run::{self, Result};
use crate::{files, place};

const SYMBOLS: [u64; 7] = [1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000];

/// How often each side takes its turn.
const ROUNDS: usize = 3;

/// The reason why it cannot be measured here.
pub fn needs() -> Result {
    let missing = ["bin/kallsyms-6.1", "bin/mksysmap-6.1"].map(|name| place::peers().join(name));
    if let Some(missing) = missing.iter().find(|file| !file.is_file()) {
        return Err(format!("no {}; `cargo xtask fetch` gets it", missing.display()));
    }
    match ["as", "ld", "nm", "gcc"].into_iter().find(|name| !run::has_program(name)) {
        Some(missing) => Err(format!("no {missing} in the path")),
        None => Ok(()),
    }
}

/// The figures.
pub fn measure() -> Result<Vec<Sweep>> {
    let kbt = build::kbt()?;
    files::in_scratch(&std::env::temp_dir(), |scratch| sweep(&kbt, scratch))
}

fn sweep(kbt: &Path, scratch: &Path) -> Result<Vec<Sweep>> {
    let mut time = Numbers::new(&["symbols", "kbt", "stock"]);
    let mut memory = Numbers::new(&["symbols", "kbt", "stock"]);
    for symbols in SYMBOLS {
        eprintln!("kallsyms: {symbols} symbols");
        let vmlinux = link(symbols, scratch)?;
        let words = [
            vmlinux,
            place::peers(),
            scratch.to_owned(),
            kbt.to_owned(),
            REPEATS.to_string().into(),
            PathBuf::new(),
        ];
        let (mut own, mut stock) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            stock.push(turn(STOCK, &words)?);
            own.push(turn(GENERATE, &words)? / f64::from(REPEATS));
        }
        let milliseconds = |seconds: Vec<f64>| digits(Some(middle(seconds) * 1e3));
        time.row([symbols.to_string(), milliseconds(own), milliseconds(stock)]);
        let [own, stock] = peaks(kbt, scratch)?;
        memory.row([symbols.to_string(), own, stock]);
    }
    let of = "Made x86-64 files of functions, for Linux 6.1's table.";
    let sweep = |plot, how: &str, numbers| Sweep { plot, of: format!("{of} {how}"), numbers };
    Ok(vec![
        sweep("kallsyms-time", "The middle of 3 rounds.", time),
        sweep("kallsyms-memory", "The largest of 3 runs, each asked once a millisecond.", memory),
    ])
}

/// Both steps that take memory are looked at by themselves, since a process does not see its children's. `gcc -c` is as
/// behind the preprocessor.
const STOCK_STEPS: [&str; 2] = [
    "exec \"$1/bin/kallsyms-6.1\" --all-symbols --absolute-percpu --base-relative stock.map",
    "gcc -E -P stock.S -o stock.s && exec as stock.s -o stock.o",
];
const OWN_STEPS: [&str; 1] =
    ["exec \"$2\" kallsyms generate --kernel 6.1 --all-symbols --absolute-percpu made -o own.o"];

/// The most memory, in MiB, that a process of kbt and of the kernel's steps takes; the turns before have left the
/// files that they read.
fn peaks(kbt: &Path, scratch: &Path) -> Result<[String; 2]> {
    Ok([largest(&OWN_STEPS, kbt, scratch)?, largest(&STOCK_STEPS, kbt, scratch)?])
}

fn largest(steps: &[&str], kbt: &Path, scratch: &Path) -> Result<String> {
    let mut most = 0;
    for step in steps {
        let words = ["sh", "-c", &format!("cd \"$0\" && {step}")].map(str::to_owned).into_iter();
        let paths = [scratch, &place::peers(), kbt].map(|path| path.to_string_lossy().into_owned());
        let command: Vec<String> = words.chain(paths).collect();
        for _ in 0..ROUNDS {
            most = most.max(peak(&command)?);
        }
    }
    Ok(digits(Some(most as f64 / f64::from(1 << 20))))
}

/// Makes a linked file of so many symbols.
fn link(symbols: u64, scratch: &Path) -> Result<PathBuf> {
    let (source, object, linked) = ("made.s", "made.o", scratch.join("made"));
    let path = scratch.join(source);
    fs::write(&path, assembly(symbols)).map_err(|error| files::cannot("write", &path, &error))?;
    let step = |program: &str| {
        let mut command = Command::new(program);
        command.current_dir(scratch);
        command
    };
    run::run(step("as").args(["--64", source, "-o", object]))?;
    let place = "-Ttext=0xffffffff81000000";
    run::run(step("ld").args(["-m", "elf_x86_64", "-e", "_text", place, object, "-o"]).arg(&linked))?;
    Ok(linked)
}

/// Words that many names of the kernel's functions are made of.
const WORDS: [&str; 32] = [
    "get", "set", "init", "free", "alloc", "dev", "page", "sched", "irq", "net", "tcp", "skb", "inode",
    "dentry", "lock", "queue", "work", "timer", "buf", "cpu", "acpi", "pci", "usb", "ext4", "xfs", "probe",
    "remove", "read", "write", "update", "find", "handler",
];

/// Functions in the kernel's frame of symbols. The names come from the numbers of the functions, and so are the same in every
/// run; each is the only one of its name.
fn assembly(symbols: u64) -> String {
    let mut text = ".text\n.globl _text, _stext, _etext\n_text:\n_stext:\n".to_owned();
    // Three stand here, and ld adds __bss_start, _edata and _end.
    for number in 6..symbols {
        // A step of a generator that goes through all numbers of 64 bits (Knuth's MMIX).
        let mut bits = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bits ^= bits >> 29;
        let mut name = String::new();
        for _ in 0..2 + bits % 4 {
            bits = bits.rotate_left(11);
            name += WORDS[usize::from(bits.to_le_bytes()[0] % 32)];
            name.push('_');
        }
        let scope = if bits & 3 == 0 { ".globl" } else { ".local" };
        let _ = writeln!(text, "{scope} {name}{number:x}\n{name}{number:x}: .skip 16");
    }
    text + "_etext:\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn so_many_symbols_are_made() {
        let text = assembly(1000);
        let names: BTreeSet<&str> =
            text.lines().filter_map(|line| line.split_once(':')).map(|it| it.0).collect();
        assert_eq!(names.len() + 3, 1000);
        assert_eq!(text, assembly(1000));
    }
}
