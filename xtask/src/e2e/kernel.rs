//! `cargo xtask e2e kernel`: a kernel whose table of symbols kbt has made with one link boots, and knows its symbols.
//!
//! Debian's kernel source is configured small, built and linked as it comes, then switched over by integrations/linux.sh and
//! linked again. Both kernels boot under qemu. Each must show in /proc/kallsyms what its System.map has, load a module that
//! looks symbols up both ways, and pass its own self-test where it has one; and both must show the same symbols. The
//! table at the end has the links and the processor time of the serial end of either build.
//!
//! Sources and builds stay in the cache, so that a second run only links and boots.

mod build;
mod guest;
mod source;
mod variant;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use self::build::{Build, Linked};
use self::guest::Seen;
use self::source::{SOURCES, Source};
use self::variant::Variant;
use crate::files::{cannot, create};
use crate::place;
use crate::run::{self, Result, cargo};

/// A machine that is built for and emulated.
pub struct Machine {
    /// The kernel's name for it.
    pub name: &'static str,
    /// In front of the names of the compiler and its tools.
    pub prefix: &'static str,
    /// What of the build boots, and the make target that makes it.
    pub image: (&'static str, &'static str),
    pub config: &'static str,
    pub qemu: &'static [&'static str],
    pub console: &'static str,
}

const MACHINES: &[Machine] = &[
    Machine {
        name: "x86_64",
        prefix: "",
        image: ("arch/x86/boot/bzImage", "bzImage"),
        config: include_str!("kernel/guest/x86_64.config"),
        qemu: &["qemu-system-x86_64"],
        console: "ttyS0",
    },
    Machine {
        name: "arm64",
        prefix: "aarch64-linux-gnu-",
        image: ("arch/arm64/boot/Image", "Image"),
        config: include_str!("kernel/guest/arm64.config"),
        qemu: &["qemu-system-aarch64", "-M", "virt", "-cpu", "cortex-a57"],
        console: "ttyAMA0",
    },
];

/// The story: `[--version 6.1|6.12|7.x] [--arch x86_64|arm64] [--btf] [--llvm]`, all versions and machines where none is said
/// (arm64 of 6.12 only).
pub fn run(words: &[String]) -> Result {
    let Wanted { version, machine, variant } = Wanted::of(words)?;
    let stories: Vec<(&Source, &Machine)> = SOURCES
        .iter()
        .flat_map(|source| MACHINES.iter().map(move |machine| (source, machine)))
        .filter(|(source, _)| version.is_none_or(|version| source.version == version))
        .filter(|(source, own)| match machine {
            Some(machine) => own.name == machine,
            None => own.name == "x86_64" || source.version == "6.12",
        })
        .collect();
    run::run(&mut cargo(["build", "--release", "--bin", "kbt"]))?;
    let mut table = String::new();
    for (source, machine) in stories {
        let line = story(source, (machine, variant))
            .map_err(|error| format!("{} {}{}: {error}", source.version, machine.name, variant.title()))?;
        println!("{HEAD}\n{line}");
        table += &format!("{line}\n");
    }
    println!("\n{HEAD}\n{table}");
    Ok(())
}

/// The processor time of the serial end of a small kernel's build, as it comes and with kbt, as a table: the middle of three
/// links each, taken in turns. What `cargo xtask e2e kernel` has left in the cache is linked again; else it is built first.
pub fn serial_ends(kbt: &Path) -> Result<String> {
    const ROUNDS: usize = 3;
    let cache = place::cache().join("kernels");
    create(&cache)?;
    let (source, machine) = match (SOURCES, MACHINES) {
        ([_, source, ..], [machine, ..]) => (source, machine),
        _ => return Err("no kernel to build".into()),
    };
    if !cache.join(format!("build-{}-{}", source.version, machine.name)).exists() {
        eprintln!("no kernel in {}: it is built first, for some minutes", cache.display());
    }
    let tree = source.get(&cache)?;
    let build = Build::configured(&tree, (machine, Variant::PLAIN), source.version, &cache)?.with(kbt);
    let (mut stock, mut own, mut links) = (Vec::new(), Vec::new(), (0, 0));
    for _ in 0..ROUNDS {
        let (as_it_comes, one) = (build.stock()?, build.one_link()?);
        links = (as_it_comes.links.len(), one.links.len());
        stock.push(as_it_comes.seconds);
        own.push(one.seconds);
    }
    let middle = |mut seconds: Vec<f64>| {
        seconds.sort_by(f64::total_cmp);
        seconds.get(ROUNDS / 2).copied().unwrap_or(0.0)
    };
    let (stock, own) = (middle(stock), middle(own));
    Ok(format!(
        "| the serial end of the small kernel's build | links, stock | kbt | CPU s, stock | kbt | ratio |\n\
         |---|---|---|---|---|---|\n\
         | {} {} | {} | {} | {stock:.2} | {own:.2} | 1/{:.1} |",
        build.release,
        machine.name,
        links.0,
        links.1,
        stock / own.max(0.001),
    ))
}

/// What is asked for.
struct Wanted<'a> {
    version: Option<&'a str>,
    machine: Option<&'a str>,
    variant: Variant,
}

impl<'a> Wanted<'a> {
    fn of(words: &'a [String]) -> Result<Self> {
        let mut wanted = Self { version: None, machine: None, variant: Variant::PLAIN };
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word {
                "--btf" => wanted.variant.btf = true,
                "--llvm" => wanted.variant.llvm = true,
                "--version" => wanted.version = Some(value()?),
                "--arch" => wanted.machine = Some(value()?),
                _ => return Err(format!("'{word}' is not understood; {TAKES}")),
            }
        }
        let (version, machine) = (wanted.version, wanted.machine);
        let is_known = version.is_none_or(|name| SOURCES.iter().any(|source| source.version == name))
            && machine.is_none_or(|name| MACHINES.iter().any(|machine| machine.name == name));
        if is_known {
            Ok(wanted)
        } else {
            Err(format!("no kernel is known of {version:?} {machine:?}; {TAKES}"))
        }
    }
}

const TAKES: &str = "it takes --version 6.1, 6.12 or 7.x, --arch x86_64 or arm64, --btf, and --llvm";

const HEAD: &str = "\
| kernel | symbols | links, stock | kbt | CPU s of the serial end, stock | kbt | names, bytes, stock | kbt | guest |\n\
|---|---|---|---|---|---|---|---|---|";

fn story(source: &Source, (machine, variant): (&Machine, Variant)) -> Result<String> {
    let cache = place::cache().join("kernels");
    create(&cache)?;
    let tree = source.get(&cache)?;
    let build = Build::configured(&tree, (machine, variant), source.version, &cache)?;
    let stock = build.stock()?;
    let stock_seen = guest::boot(&build, &stock)?;
    let one = build.one_link()?;
    let one_seen = guest::boot(&build, &one)?;
    let names = |seen: &Seen| {
        seen.symbols.iter().map(|symbol| (symbol.kind, symbol.name.clone())).collect::<Vec<_>>()
    };
    let (mut ours, mut theirs) = (names(&one_seen), names(&stock_seen));
    ours.sort();
    theirs.sort();
    if ours != theirs {
        let only = ours
            .iter()
            .find(|name| !theirs.contains(name))
            .or(theirs.iter().find(|name| !ours.contains(name)));
        return Err(format!("the two kernels show other symbols, for one {only:?}"));
    }
    if one.types != stock.types {
        return Err(format!("{} bytes of types instead of {}", one.types, stock.types));
    }
    if one.links.len() != variant.links() || stock.links.len() < 3 {
        return Err(format!("links {:?} instead of {:?}", one.links, stock.links));
    }
    let mut log = String::new();
    for (title, linked, seen) in [("stock", &stock, &stock_seen), ("kbt", &one, &one_seen)] {
        // Writing to a String cannot fail.
        let _ = writeln!(log, "{title}: {}", linked.links.join(", "));
        let _ = writeln!(log, "{}", seen.told.join("\n"));
    }
    let path = cache.join(format!("{}-{}{}.log", source.version, machine.name, variant.suffix()));
    let line = row(&stock, &one, &one_seen, &build);
    fs::write(&path, format!("{HEAD}\n{line}\n\n{log}")).map_err(|error| cannot("write", &path, &error))?;
    println!("{log}the log is {}", path.display());
    Ok(line)
}

fn row(stock: &Linked, one: &Linked, seen: &Seen, build: &Build) -> String {
    format!(
        "| {} {}{} | {} | {} | {} | {:.2} | {:.2} | {} | {} | {} |",
        build.release,
        build.machine.name,
        build.variant.title(),
        seen.symbols.len(),
        stock.links.len(),
        one.links.len(),
        stock.seconds,
        one.seconds,
        stock.names,
        one.names,
        seen.verdict(),
    )
}
