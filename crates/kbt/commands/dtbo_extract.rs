//! `kbt dtbo extract`.

use crate::args::dtbo::Extract;
use crate::depfile;
use crate::dtbo::image::{self, Budget};
use crate::dtbo::select::Selector;
use crate::input;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};

/// Writes one entry.
pub fn run(args: &Extract, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.image);
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    let selector = Selector::parse(args.entry.trim_start_matches('#'))?;
    let bytes = image::read(&args.image)?;
    let table = image::parse(&name, &bytes)?;
    let index = selector.find(&table).map_err(|failure| failure.at_file(&name))?;
    report.field("entry", index);
    let mut inputs = Inputs::default();
    inputs.file(&args.image);
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    if args.stored {
        return output.write_with(files, table.stored(index).unwrap_or_default(), args.sync);
    }
    let mut budget = Budget::new(&table, args.limit.max_size);
    let content = image::content(&table, index, &mut budget).map_err(|failure| failure.at_file(&name))?;
    output.write_with(files, &content.bytes, args.sync)
}
