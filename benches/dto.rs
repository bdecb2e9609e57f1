//! The merge inside a program, for `cargo xtask bench dto`, which drives it; the peer libfdt has the same
//! command line in `dto_libfdt.c`.
//!
//! - `cases DIRECTORY [FOLDER...]`: writes the trees, or those of the named folders, one folder a case with `base.dtb`,
//!   `0000.dtbo`, ...;
//! - `once ENGINE BASE OVERLAY...`: merges once, within [`measured_apply`], for callgrind;
//! - `serve ENGINE BASE OVERLAY...`: for each line of standard input, which is a number, merges so many times
//!   and prints the nanoseconds that it took.

use std::cell::RefCell;
use std::fs;
use std::hint::black_box;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use dtoolkit::fdt::Fdt;
use dtoolkit::model::DeviceTree;
use dtoolkit::model::overlay::OverlayApplier;
use kbt_dto::{Merger, Options};
use kbt_testkit::cases::{self, Case};
use kbt_testkit::dense;
use rustix::time::{ClockId, clock_gettime};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Merges the overlays into the base; the merged file.
type Engine = fn(base: &[u8], overlays: &[&[u8]]) -> Result<Vec<u8>>;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["cases", directory, folders @ ..] => write_cases(Path::new(directory), folders),
        ["once", engine, base, overlays @ ..] => once(engine, base, overlays),
        ["serve", engine, base, overlays @ ..] => serve(engine, base, overlays),
        _ => Err("`cargo xtask bench dto` runs this".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn engine(name: &str) -> Result<Engine> {
    match name {
        "kbt" => Ok(kbt),
        "kbt-once" => Ok(kbt_once),
        "dtoolkit" => Ok(dtoolkit),
        _ => Err(format!("no engine '{name}'").into()),
    }
}

/// As who merges again and again: in memory that the last merge left. The merged tree is new memory.
fn kbt(base: &[u8], overlays: &[&[u8]]) -> Result<Vec<u8>> {
    thread_local! {
        static MERGER: RefCell<Merger> = RefCell::default();
    }
    let merged = MERGER.with_borrow_mut(|merger| merger.apply(base, overlays, &Options::default()));
    Ok(merged.map_err(|error| format!("{error:?}"))?.bytes)
}

/// As who merges once: all memory is new.
fn kbt_once(base: &[u8], overlays: &[&[u8]]) -> Result<Vec<u8>> {
    let merged = kbt_dto::apply(base, overlays, &Options::default());
    Ok(merged.map_err(|error| format!("{error:?}"))?.bytes)
}

/// It has no memory to keep.
fn dtoolkit(base: &[u8], overlays: &[&[u8]]) -> Result<Vec<u8>> {
    let mut tree = DeviceTree::from_fdt(&Fdt::new(base)?);
    let mut applier = OverlayApplier::new(&mut tree);
    for overlay in overlays {
        applier.apply_overlay(&Fdt::new(overlay)?)?;
    }
    Ok(tree.to_dtb())
}

/// What callgrind counts; it finds the function by this name.
#[inline(never)]
fn measured_apply(engine: Engine, base: &[u8], overlays: &[&[u8]]) -> Result<Vec<u8>> {
    engine(base, overlays)
}

fn once(name: &str, base: &str, overlays: &[&str]) -> Result {
    let files = Files::read(base, overlays)?;
    black_box(measured_apply(engine(name)?, &files.base, &files.overlays())?);
    Ok(())
}

fn serve(name: &str, base: &str, overlays: &[&str]) -> Result {
    let files = Files::read(base, overlays)?;
    let (engine, overlays) = (engine(name)?, files.overlays());
    for line in io::stdin().lock().lines() {
        let times: u32 = line?.trim().parse()?;
        let start = processor_time()?;
        for _ in 0..times {
            black_box(measured_apply(engine, black_box(&files.base), black_box(&overlays))?);
        }
        println!("{}", (processor_time()? - start).as_nanos());
        io::stdout().flush()?;
    }
    Ok(())
}

/// Not the time of day, since others may want the processor too.
fn processor_time() -> Result<Duration> {
    Ok(clock_gettime(ClockId::ProcessCPUTime).try_into()?)
}

struct Files {
    base: Vec<u8>,
    overlays: Vec<Vec<u8>>,
}

impl Files {
    fn read(base: &str, overlays: &[&str]) -> io::Result<Self> {
        let overlays = overlays.iter().map(fs::read).collect::<io::Result<_>>()?;
        Ok(Self { base: fs::read(base)?, overlays })
    }

    fn overlays(&self) -> Vec<&[u8]> {
        self.overlays.iter().map(Vec::as_slice).collect()
    }
}

/// The cases of the table, and the series in which one size doubles; all folders where none is named.
fn write_cases(directory: &Path, folders: &[&str]) -> Result {
    let wanted = |folder: &str| folders.is_empty() || folders.contains(&folder);
    if wanted("named") {
        for case in cases::named() {
            write_case(&directory.join("named").join(&case.name), &case)?;
        }
    }
    let sizes = |first: usize, count: u32| (0..count).map(move |n| first << n);
    for nodes in sizes(1000, 10).chain([1_000_000]).filter(|_| wanted("base")) {
        write_case(&directory.join(format!("base/{nodes:07}")), &cases::tree(nodes, 20, 1))?;
    }
    for fragments in sizes(32, 10).filter(|_| wanted("overlay")) {
        write_case(&directory.join(format!("overlay/{fragments:07}")), &cases::tree(10_000, fragments, 1))?;
    }
    for overlays in sizes(1, 12).filter(|_| wanted("overlays")) {
        write_case(&directory.join(format!("overlays/{overlays:07}")), &cases::tree(10_000, 20, overlays))?;
    }
    if wanted("dense") {
        for case in dense::shapes(1000) {
            write_case(&directory.join("dense").join(&case.name), &case)?;
        }
    }
    Ok(())
}

fn write_case(directory: &Path, case: &Case) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join("base.dtb"), &case.base)?;
    for (index, overlay) in case.overlays.iter().enumerate() {
        fs::write(directory.join(format!("{index:05}.dtbo")), overlay)?;
    }
    Ok(())
}
