//! How often a merge allocates, for `cargo xtask bench dto`: `dto_allocations BASE OVERLAY...` prints the
//! count and the most bytes that were held at once. A program of its own, since counting takes time.

use std::fs;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let files: io::Result<Vec<Vec<u8>>> = std::env::args_os().skip(1).map(fs::read).collect();
    let Ok(Some((base, overlays))) = files.as_ref().map(|files| files.split_first()) else {
        eprintln!("`cargo xtask bench dto` runs this");
        return ExitCode::FAILURE;
    };
    let overlays: Vec<_> = overlays.iter().map(Vec::as_slice).collect();
    let mut applied = true;
    let measured = allocation_counter::measure(|| {
        applied = kbt_dto::apply(base, &overlays, &kbt_dto::Options::default()).is_ok();
    });
    println!("{} {}", measured.count_total, measured.bytes_max);
    if applied { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
