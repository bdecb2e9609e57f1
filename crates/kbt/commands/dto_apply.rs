//! `kbt dto apply`.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt as _;

use kbt_dto::Options;

use crate::args::dto::Apply;
use crate::depfile;
use crate::dto::failure::Names;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::packed::Packed;
use crate::report::{Failure, Report};
use crate::tree;

/// Merges the overlays into the base and writes the result.
pub fn run(args: Apply, report: &mut Report) -> Result<(), Failure> {
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    let no_memory = |_| Failure::new("no-memory", "there is no memory for all of the overlays");
    let words = Packed::words(args.overlays).map_err(no_memory)?;
    let mut reader = tree::Reader::new(args.limit.max_size);
    let base = reader.read(&args.base)?;
    let mut overlays = Packed::with_room(words.len());
    for word in words.iter() {
        overlays.push(reader.read(OsStr::from_bytes(word))?).map_err(no_memory)?;
    }
    // Images of which entries were taken are not needed any more.
    drop(reader);
    let options = Options {
        concat_bootargs: args.concat_bootargs,
        padding: args.padding,
        loose_names: args.names.loose_names,
        forbid_root: args.forbid_root,
        labels_only: args.labels_only,
    };
    let named = Names { base: &args.base, overlays: &words };
    let merged = kbt_dto::merge(&base, overlays.iter(), &options).map_err(|error| named.failure(&error))?;
    for warning in merged.warnings() {
        let warning = named.warning(warning);
        if args.deny_warnings {
            return Err(warning.hint("leave --deny-warnings out to accept it"));
        }
        report.warn(warning);
    }
    let mut inputs = Inputs::default();
    inputs.changed_tree(&args.base);
    words.iter().for_each(|word| inputs.changed_tree(OsStr::from_bytes(word)));
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    let write = |file: &mut dyn Write| merged.write(|bytes| file.write_all(bytes));
    output.write_changed(files, &write, args.sync)?;
    report.field("output", args.output.to_string_lossy());
    report.field("bytes", merged.size());
    report.field("overlays", overlays.len());
    Ok(())
}
