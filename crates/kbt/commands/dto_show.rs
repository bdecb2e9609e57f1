//! `kbt dto show`.

use kbt_dts::{Dts, Error, Oddity};

use crate::args::dto::Show;
use crate::depfile;
use crate::dto::failure::unread;
use crate::input;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};
use crate::tree;

/// Prints the tree.
pub fn run(args: &Show, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.tree);
    let bytes = tree::Reader::new(args.limit.max_size).read(&args.tree)?;
    let failed = |error: Error| unread(&error).at_file(&name);
    let shown = Dts::parse(&bytes).and_then(|dts| dts.show()).map_err(failed)?;
    for oddity in &shown.oddities {
        report.warn(warning(oddity).at_file(&name));
    }
    let output = Output::parse(&args.output);
    let mut inputs = Inputs::default();
    inputs.tree(&args.tree);
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    if report.is_json() && matches!(output, Output::Stdout) {
        report.field("dts", String::from_utf8_lossy(&shown.text).into_owned());
        return Ok(());
    }
    output.write_with(files, &shown.text, false)
}

fn warning(oddity: &Oddity) -> Failure {
    let (code, message) = match oddity {
        Oddity::NodeName { parent, name } => {
            ("odd-name", format!("{parent}: dtc takes no node of the name '{name}'"))
        }
        Oddity::PropertyName { node, name } => {
            ("odd-name", format!("{node}: dtc takes no property of the name '{name}'"))
        }
        Oddity::DuplicateNode { node } => {
            ("duplicate-node", format!("there are several nodes {node}; dtc takes no such source"))
        }
        Oddity::DuplicateProperty { node, name } => (
            "duplicate-property",
            format!("{node} has the property '{name}' twice; dtc takes no such source"),
        ),
        Oddity::BootCpuid(cpu) => (
            "boot-cpuid",
            format!("the header names boot CPU {cpu}, which is not the first of /cpus: use 'dtc -b {cpu}'"),
        ),
    };
    Failure::new(code, message)
}
