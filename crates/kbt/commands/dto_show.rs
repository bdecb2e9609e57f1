//! `kbt dto show`.

use kbt_dts::{Dts, Error, ErrorKind, Oddity};

use crate::args::dto::Show;
use crate::depfile;
use crate::input;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};
use crate::tree;

use super::dto_apply;

/// Prints the tree.
pub fn run(args: &Show, report: &mut Report) -> Result<(), Failure> {
    let name = input::name(&args.tree);
    let bytes = tree::Reader::new(args.limit.max_size).read(&args.tree)?;
    let failed = |error: Error| failure(&error).at_file(&name);
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

/// Why a tree cannot be shown or compared, without the file's name.
pub fn failure(error: &Error) -> Failure {
    let (code, hint) = match &error.kind {
        ErrorKind::Malformed(kind) => (dto_apply::malformed(kind), dto_apply::malformed_hint(kind)),
        ErrorKind::PropertyNameTooLong => {
            ("name-too-long", Some("the file is damaged: copy or build it again"))
        }
        _ => ("too-large", Some("the file is damaged or made to be so: no compiler writes such a tree")),
    };
    let failure = Failure::new(code, error.kind.to_string()).at_offset(error.offset as u64);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
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
