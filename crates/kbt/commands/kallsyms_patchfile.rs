//! `kbt kallsyms patchfile`.

use kbt_elf::Edit;

use crate::args::kallsyms_link::Patchfile;
use crate::depfile;
use crate::in_place::InPlace;
use crate::input;
use crate::inputs::Inputs;
use crate::output::Set;
use crate::report::{Failure, Report};

/// Writes a file's bytes over those of another.
pub fn run(args: &Patchfile, report: &mut Report) -> Result<(), Failure> {
    let mut bytes = match args.length {
        // Of an endless file no more than that.
        Some(length) => input::read_headed(&args.patch, |_| length)?,
        None => input::read(&args.patch)?,
    };
    if let Some(length) = args.length {
        match usize::try_from(length) {
            Ok(length) if length <= bytes.len() => bytes.truncate(length),
            _ => {
                let message =
                    format!("it has {} bytes, fewer than {length}: all of them are written", bytes.len());
                report.warn(Failure::new("short-patch", message).at_file(input::name(&args.patch)));
            }
        }
    }
    let place = match args.in_place {
        true => Some(InPlace::recovered(&args.file, args.sync, report)?),
        false => {
            InPlace::recover_before(&args.file, args.sync, report)?;
            None
        }
    };
    let status = match &place {
        Some(place) => place.opened()?.metadata(),
        None => std::fs::metadata(&args.file),
    };
    let status = status.map_err(|error| Failure::io("read", args.file.display(), &error))?;
    let mut inputs = Inputs::default();
    inputs.file(&args.patch);
    inputs.spare(&args.file, &status, false)?;
    let size = status.len();
    let edit = Edit { offset: args.offset, bytes };
    let end = edit.end().unwrap_or(u64::MAX);
    if end > size {
        let message =
            format!("{} bytes at {} end {} bytes behind its end", edit.bytes.len(), edit.offset, end - size);
        return Err(Failure::new("short-write", message).at_file(args.file.display()).at_offset(args.offset));
    }
    report.field("written", edit.bytes.len());
    let mut set = Set::made_of(&inputs);
    depfile::add_for(&args.depfile, &args.file, &mut set)?;
    if let Some(place) = place {
        return set.publish_after(args.sync, || place.apply(&[place.change(&edit)?], args.sync));
    }
    set.add_edited(&args.file, &args.file, &[edit])?;
    set.publish(args.sync)
}
