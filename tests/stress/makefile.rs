//! The recipes of a round.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use kbt_compress::{Compression, compress};
use kbt_testkit::peers;

use super::processes::SPINNER;

/// Jobs of `make -j`.
pub const JOBS: usize = 8;

/// Entries of an image that is packed, each worth some 20 ms.
const ENTRIES: u8 = 8;

/// Modules that a depmod reads, and under how many names each lies there: together worth some 100 ms.
const MODULES: usize = 48;
const NAMES: usize = 12;
/// The version that the modules' directory is called by.
const KERNEL: &str = "6.0.0";

/// How recipes depend on each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One after the other: each can claim every token.
    Chain,
    /// All at once, more than there are jobs: make itself uses up the tokens.
    Flat,
}

/// What stands in front of a recipe's command and claims tokens for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimer {
    /// `kbt jobserver exec`.
    Kbt,
    /// A program with words of its own.
    Other(String),
}

impl Claimer {
    fn words(&self) -> String {
        match self {
            Self::Kbt => format!("{} jobserver exec --", env!("CARGO_BIN_EXE_kbt")),
            Self::Other(words) => words.clone(),
        }
    }
}

/// A child that runs as many jobs as it was told it may, and one where it was told nothing.
const WORKER: &str = "\
i=0
while [ $i -lt \"${PARALLELISM:-1}\" ]; do \"${0%/*}/SPINNER\" 0.4 & i=$((i+1)); done
wait
";

/// The last recipe: tells the pool, and keeps make waiting while it is counted.
const QUIET: &str = "\
printf '%s\\n' \"$MAKEFLAGS\" > \"$1/flags.new\"
mv \"$1/flags.new\" \"$1/flags\"
i=0
while [ ! -e \"$1/counted\" ] && [ $i -lt 1500 ]; do sleep 0.01; i=$((i+1)); done
";

/// Writes makefile, scripts and inputs into the room.
pub fn write(room: &Path, shape: Shape, claimer: &Claimer, recipes: usize) {
    fs::write(room.join("worker.sh"), WORKER.replace("SPINNER", SPINNER)).unwrap();
    fs::write(room.join("quiet.sh"), QUIET).unwrap();
    symlink("/bin/sleep", room.join(SPINNER)).unwrap();
    for entry in 0..ENTRIES {
        fs::write(room.join(format!("{entry}.dtbo")), tree_like(entry)).unwrap();
    }
    symlink(modules(), room.join("modules")).unwrap();
    fs::write(room.join("Makefile"), makefile(room, shape, claimer, recipes)).unwrap();
}

fn makefile(room: &Path, shape: Shape, claimer: &Claimer, recipes: usize) -> String {
    let room = room.display();
    let mut text = "all: quiet\n".to_owned();
    for recipe in 0..recipes {
        let before =
            if shape == Shape::Chain && recipe > 0 { format!("r{}", recipe - 1) } else { String::new() };
        // A recipe of few plain words is run without a shell, so that the claimer is make's own child. Its
        // failure, where it was killed, is no reason to stop.
        let kbt = env!("CARGO_BIN_EXE_kbt");
        let command = match recipe % 6 {
            1 => {
                let inputs =
                    (0..ENTRIES).map(|entry| format!("{room}/{entry}.dtbo")).collect::<Vec<_>>().join(" ");
                format!("{kbt} dtbo pack -q --compression zlib -o {room}/{recipe}.img {inputs}")
            }
            3 => format!("{kbt} depmod -b {room}/modules -o {room}/{recipe} {KERNEL}"),
            _ => format!("{} sh {room}/worker.sh", claimer.words()),
        };
        writeln!(text, "r{recipe}: {before}\n\t-+@{command}").unwrap();
    }
    let all: Vec<String> = (0..recipes).map(|recipe| format!("r{recipe}")).collect();
    writeln!(text, "quiet: {}\n\t+@sh {room}/quiet.sh {room}", all.join(" ")).unwrap();
    text
}

/// A directory of compressed modules, made once: real ones, each under many names.
fn modules() -> PathBuf {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let made = scratch.join("stress-modules");
    if !made.exists() {
        let half = tempfile::tempdir_in(scratch).unwrap().keep();
        let kernel = half.join("lib/modules").join(KERNEL);
        fs::create_dir_all(&kernel).unwrap();
        for (number, module) in real_modules().iter().enumerate() {
            let bytes = compress(Compression::Gzip, &fs::read(module).unwrap()).unwrap();
            let file = |name: usize| kernel.join(format!("module{number}_{name}.ko.gz"));
            fs::write(file(0), bytes).unwrap();
            (1..NAMES).for_each(|name| fs::hard_link(file(0), file(name)).unwrap());
        }
        // What depmod would miss.
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::write(kernel.join(name), "").unwrap();
        }
        fs::rename(half, &made).unwrap();
    }
    made
}

/// Some modules of middling size, out of the peers.
fn real_modules() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut directories = vec![peers::modules("cloud-6.1").unwrap()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                directories.push(entry.path());
            } else if (100_000..300_000).contains(&metadata.len())
                && entry.path().extension() == Some("ko".as_ref())
            {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found.truncate(MODULES);
    assert_eq!(found.len(), MODULES, "the peers hold more");
    found
}

/// Half a megabyte that compresses as slowly as a device tree, of which each has other bytes.
fn tree_like(seed: u8) -> Vec<u8> {
    let mut random = kbt_testkit::random::Random::new(u64::from(seed) + 1);
    let mut bytes = 0xd00d_feed_u32.to_be_bytes().to_vec();
    while bytes.len() < 512 << 10 {
        bytes.extend_from_slice(&[0, 0, 0, random.below(40).to_le_bytes()[0]]);
    }
    bytes
}
