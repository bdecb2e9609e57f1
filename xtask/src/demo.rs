//! `cargo xtask demo`: runs the main jobs on samples that the project carries, and says what came of them.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::files::{cannot, create, names, remove};
use crate::run::{self, Result, cargo};

/// Where the samples lie.
const SAMPLES: [&str; 2] = ["tests/fixtures/dto/example", "tests/fixtures/demo"];

/// What the C compiler makes of the samples: two modules, and the object of a kernel that waits for its table.
const COMPILED: [&str; 3] = [
    "-c bus.c -o lib/modules/6.12.0-demo/kernel/bus.ko",
    "-c disk.c -o lib/modules/6.12.0-demo/kernel/disk.ko",
    "-c -fno-pie kernel.c -o kernel.o",
];

/// One job: a command line of kbt, or of the linker, as a user would type it in the demo's directory.
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
        words: "kbt dto apply base.dtb overlay1.dtbo overlay2.dtbo --concat-bootargs -o merged.dtb",
        made: "merged.dtb",
        check: Check::Holds(b"root=/dev/mmcblk0p2 androidboot.hardware=example androidboot.serialno=0123\0"),
        said: "its bootargs are those of the base and of both overlays",
    },
    Step {
        title: "pack the overlays, compressed, into an image",
        words: "kbt dtbo pack --version 1 --compression zlib -o dtbo.img overlay1.dtbo,id=0x10 overlay2.dtbo,id=0x20",
        made: "dtbo.img",
        check: Check::Holds(b"\xd7\xb7\xab\x1e"),
        said: "two entries behind one table",
    },
    Step {
        title: "show what is in the image",
        words: "kbt dtbo dump dtbo.img -o dump.txt",
        made: "dump.txt",
        check: Check::Holds(b"dt_table_entry[1]:"),
        said: "the header and both entries as text",
    },
    Step {
        title: "take the image apart",
        words: "kbt dtbo unpack dtbo.img unpacked",
        made: "unpacked/manifest.json",
        check: Check::Holds(b"entries"),
        said: "the overlays lie beside it",
    },
    Step {
        title: "put it together again",
        words: "kbt dtbo pack --manifest unpacked/manifest.json -o again.img",
        made: "again.img",
        check: Check::SameAs("dtbo.img"),
        said: "byte for byte dtbo.img",
    },
    Step {
        title: "merge the overlays out of the image",
        words: "kbt dto apply base.dtb dtbo.img#0 dtbo.img#id=0x20 --concat-bootargs -o from-image.dtb",
        made: "from-image.dtb",
        check: Check::SameAs("merged.dtb"),
        said: "byte for byte merged.dtb",
    },
    Step {
        title: "read the merged tree as source",
        words: "kbt dto show merged.dtb -o merged.dts",
        made: "merged.dts",
        check: Check::Holds(b"odm_device@0"),
        said: "with its labels; dtc -@ gives the tree back",
    },
    Step {
        title: "look for what is fragile in the overlays",
        words: "kbt dto lint base.dtb overlay1.dtbo overlay2.dtbo --sarif lint.sarif",
        made: "lint.sarif",
        check: Check::Holds(b"2.1.0"),
        said: "findings as code hosts show them",
    },
    Step {
        title: "tell modprobe what needs what",
        words: "kbt depmod -b . 6.12.0-demo",
        made: "lib/modules/6.12.0-demo/modules.dep",
        check: Check::Holds(b"kernel/disk.ko: kernel/bus.ko\n"),
        said: "disk.ko needs bus.ko; ten more files lie beside it",
    },
    Step {
        title: "make room for a kernel's symbols",
        words: "kbt kallsyms pad kernel.o --lds kernel.lds --all-symbols --pad-file kallsyms.pad -o kallsyms.o",
        made: "kallsyms.o",
        check: Check::Holds(b"kallsyms_names"),
        said: "an object to link, before anybody knows an address",
    },
    Step {
        title: "link once",
        words: "ld -T kernel.lds kernel.o kallsyms.o -o vmlinux",
        made: "vmlinux",
        check: Check::Holds(b"\x7fELF"),
        said: "a kernel whose table is empty",
    },
    Step {
        title: "write the table into the kernel",
        words: "kbt kallsyms patch vmlinux --pad-file kallsyms.pad --sysmap System.map",
        made: "System.map",
        check: Check::Holds(b" T start_kernel\n"),
        said: "no second link, no third",
    },
    Step {
        title: "share four jobs with a command",
        words: "kbt jobserver pool -j4 -- sh parallel.sh",
        made: "parallel",
        check: Check::Holds(b"4\n"),
        said: "it got all four, as it would below make -j4",
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
        let size = run_step(step, &kbt, &directory).map_err(|error| format!("{}: {error}", step.words))?;
        rows.push((step, size));
    }
    println!("{}\nThe files are in {}, kbt is {}", table(&rows), directory.display(), kbt.display());
    Ok(())
}

/// Copies the samples into an empty directory and compiles what is source.
fn lay_out_samples(directory: &Path) -> Result {
    remove(directory)?;
    create(&directory.join("lib/modules/6.12.0-demo/kernel"))?;
    for samples in SAMPLES.map(|samples| run::root().join(samples)) {
        for name in names(&samples)? {
            let sample = samples.join(&name);
            fs::copy(&sample, directory.join(&name)).map_err(|error| cannot("copy", &sample, &error))?;
        }
    }
    for words in COMPILED {
        run::output(Command::new("cc").args(words.split(' ')).current_dir(directory))?;
    }
    Ok(())
}

/// Runs the step, checks the file that it made, and gives the file's size.
fn run_step(step: &Step, kbt: &Path, directory: &Path) -> Result<usize> {
    let mut words = step.words.split(' ');
    let program = words.next().unwrap_or_default();
    let mut command = if program == "kbt" { Command::new(kbt) } else { Command::new(program) };
    // The script of the last step looks for kbt by its name.
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(kbt.parent().map(Path::to_owned).into_iter().chain(env::split_paths(&path)));
    command.env("PATH", path.map_err(|error| error.to_string())?).env_remove("MAKEFLAGS");
    run::output(command.args(words).current_dir(directory))?;
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
        format!("{:4}{:titles$}  {:files$}  {:>5}  what came of it\n", "", "step", "file", "bytes");
    for (index, (step, size)) in rows.iter().enumerate() {
        let number = format!("{}.", index + 1);
        let (title, made) = (step.title, step.made);
        text += &format!("{number:<3} {title:titles$}  {made:files$}  {size:>5}  {}\n", step.said);
        text += &format!("     {}\n", step.words);
    }
    text
}
