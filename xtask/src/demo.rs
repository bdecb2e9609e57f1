//! `cargo xtask demo`: runs the main jobs on samples that the project carries, and says what came of them.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files::{cannot, remove};
use crate::run::{self, Result, cargo};

/// Where the samples lie.
const SAMPLES: &str = "tests/fixtures/dto/example";

/// One job: a command line of kbt as a user would type it in the demo's directory.
struct Step {
    title: &'static str,
    words: &'static str,
    /// The file that it writes.
    made: &'static str,
    check: Check,
    /// What the check has shown.
    said: &'static str,
}

/// What must be true of the file.
enum Check {
    /// It holds these bytes.
    Holds(&'static [u8]),
    /// It is the same as this file, byte for byte.
    SameAs(&'static str),
}

const STEPS: &[Step] = &[
    Step {
        title: "merge two overlays into a base",
        words: "dto apply base.dtb overlay1.dtbo overlay2.dtbo --concat-bootargs -o merged.dtb",
        made: "merged.dtb",
        check: Check::Holds(b"root=/dev/mmcblk0p2 androidboot.hardware=example androidboot.serialno=0123\0"),
        said: "its bootargs are those of the base and of both overlays",
    },
    Step {
        title: "pack the overlays, compressed, into an image",
        words: "dtbo pack --version 1 --compression zlib -o dtbo.img overlay1.dtbo,id=0x10 overlay2.dtbo,id=0x20",
        made: "dtbo.img",
        check: Check::Holds(b"\xd7\xb7\xab\x1e"),
        said: "two entries behind one table",
    },
    Step {
        title: "show what is in the image",
        words: "dtbo dump dtbo.img -o dump.txt",
        made: "dump.txt",
        check: Check::Holds(b"dt_table_entry[1]:"),
        said: "the header and both entries as text",
    },
    Step {
        title: "take the image apart",
        words: "dtbo unpack dtbo.img unpacked",
        made: "unpacked/manifest.json",
        check: Check::Holds(b"entries"),
        said: "the overlays lie beside it",
    },
    Step {
        title: "put it together again",
        words: "dtbo pack --manifest unpacked/manifest.json -o again.img",
        made: "again.img",
        check: Check::SameAs("dtbo.img"),
        said: "byte for byte dtbo.img",
    },
    Step {
        title: "merge the overlays out of the image",
        words: "dto apply base.dtb dtbo.img#0 dtbo.img#id=0x20 --concat-bootargs -o from-image.dtb",
        made: "from-image.dtb",
        check: Check::SameAs("merged.dtb"),
        said: "byte for byte merged.dtb",
    },
];

/// The verb.
pub fn run(words: &[String]) -> Result {
    run::no_words(words)?;
    run::run(&mut cargo(["build", "--bin", "kbt"]))?;
    let target = run::target_directory()?;
    let (directory, kbt) = (target.join("demo"), target.join("debug/kbt"));
    lay_out_samples(&directory)?;
    let mut rows = Vec::new();
    for step in STEPS {
        let size =
            run_step(step, &kbt, &directory).map_err(|error| format!("kbt {}: {error}", step.words))?;
        rows.push((step, size));
    }
    println!("{}\nThe files are in {}, kbt is {}", table(&rows), directory.display(), kbt.display());
    Ok(())
}

/// Copies the samples into an empty directory.
fn lay_out_samples(directory: &Path) -> Result {
    remove(directory)?;
    fs::create_dir_all(directory).map_err(|error| cannot("create", directory, &error))?;
    for name in ["base.dtb", "overlay1.dtbo", "overlay2.dtbo"] {
        let sample = run::root().join(SAMPLES).join(name);
        fs::copy(&sample, directory.join(name)).map_err(|error| cannot("copy", &sample, &error))?;
    }
    Ok(())
}

/// Runs the step, checks the file that it made, and gives the file's size.
fn run_step(step: &Step, kbt: &Path, directory: &Path) -> Result<usize> {
    run::output(Command::new(kbt).args(step.words.split(' ')).current_dir(directory))?;
    let read = |name: &str| {
        let path = directory.join(name);
        fs::read(&path).map_err(|error| cannot("read", &path, &error))
    };
    let made = read(step.made)?;
    let (true_of_it, expected) = match step.check {
        Check::Holds(bytes) => {
            let found = made.windows(bytes.len()).any(|window| window == bytes);
            (found, format!("does not hold '{}'", bytes.escape_ascii()))
        }
        Check::SameAs(other) => (read(other)? == made, format!("differs from {other}")),
    };
    if true_of_it { Ok(made.len()) } else { Err(format!("{} {expected}", step.made)) }
}

/// A row a step: what it does, the file, its size, what is known of it; the command below.
fn table(rows: &[(&Step, usize)]) -> String {
    let width = |field: fn(&Step) -> &str, head: &str| {
        rows.iter().map(|(step, _)| field(step).len()).chain([head.len()]).max().unwrap_or(0)
    };
    let (titles, files) = (width(|step| step.title, "step"), width(|step| step.made, "file"));
    let mut text =
        format!("{:3}{:titles$}  {:files$}  {:>5}  what came of it\n", "", "step", "file", "bytes");
    for (index, (step, size)) in rows.iter().enumerate() {
        let number = index + 1;
        let (title, made) = (step.title, step.made);
        text += &format!("{number}. {title:titles$}  {made:files$}  {size:>5}  {}\n", step.said);
        text += &format!("     kbt {}\n", step.words);
    }
    text
}
