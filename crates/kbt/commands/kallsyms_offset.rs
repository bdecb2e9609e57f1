//! `kbt kallsyms offset`.

use std::os::unix::ffi::OsStrExt as _;

use kbt_elf::section_type;

use crate::args::kallsyms_link::Offset;
use crate::input;
use crate::kallsyms::kernel_file::KernelFile;
use crate::output::Output;
use crate::report::{Failure, Report};

/// Prints the file offset of a section.
pub fn run(args: &Offset, report: &mut Report) -> Result<(), Failure> {
    let mut file = KernelFile::open(&args.file)?;
    file.fetch_symbols()?;
    let sections = file.elf()?.sections().map_err(|error| file.refused(&error.into()))?;
    let name = input::name(&args.section);
    let failure = |code, message: String| Failure::new(code, message).at_file(file.name());
    let (_, section) = sections
        .named(args.section.as_bytes())
        .ok_or_else(|| failure("no-such-section", format!("there is no section {name}")))?;
    if section.kind == section_type::NOBITS {
        return Err(failure("no-bytes", format!("section {name} takes no room in the file")));
    }
    let inside = section.offset.checked_add(section.size).is_some_and(|end| end <= file.pieces.size());
    if !inside {
        return Err(failure("truncated", format!("section {name} reaches behind the end of the file")));
    }
    match args.size.and_then(|size| size.checked_sub(section.size)).filter(|short| *short > 0) {
        Some(short) => {
            let message = format!("section {name} has {} bytes, {short} too few", section.size);
            return Err(failure("section-too-small", message).detail("missing", short));
        }
        None if report.is_json() => {}
        None => return Output::Stdout.write(format!("{}\n", section.offset).as_bytes(), false),
    }
    report.field("offset", section.offset);
    report.field("size", section.size);
    Ok(())
}
