//! `kbt dto verify`.

use std::ffi::{OsStr, OsString};

use kbt_dtbo_image::TableKind;
use kbt_dto::{Input, Options};
use kbt_dto_check::{Fault, FaultKind, TargetFault, verify};
use kbt_dts::{Dts, compare};
use serde_json::{Value, json};

use crate::args::dto::Verify;
use crate::dtbo::image;
use crate::dtbo::property;
use crate::dtbo::select::EntryRef;
use crate::dto::failure::{Names, unread};
use crate::input;
use crate::output::Output;
use crate::report::{Failure, Report, visible};
use crate::tree;

/// The word of a device's command line that names the entries which its boot loader applied.
const DTBO_IDX: &str = "androidboot.dtbo_idx=";

/// An overlay and what messages call it.
struct Overlay {
    name: OsString,
    bytes: Vec<u8>,
}

/// Holds the overlays against the final tree.
pub fn run(args: &Verify, report: &mut Report) -> Result<(), Failure> {
    let mut reader = tree::Reader::new(args.limit.max_size);
    let last = reader.read(&args.last)?;
    let overlays = overlays(args, &last, &mut reader)?;
    let names: Vec<OsString> = overlays.iter().map(|overlay| overlay.name.clone()).collect();
    let names = Names { base: &args.last, overlays: &names };
    let bytes: Vec<&[u8]> = overlays.iter().map(|overlay| overlay.bytes.as_slice()).collect();
    let options = Options {
        loose_names: args.names.loose_names,
        concat_bootargs: args.concat_bootargs,
        ..Options::default()
    };
    let base = match &args.base {
        Some(word) => {
            let base = reader.read(word)?;
            refuse_base((word, &base), &last, (&bytes, &options), &names, report)?;
            Some(base)
        }
        None => None,
    };
    let verified = verify(&last, base.as_deref(), &bytes, &options);
    let verified = verified.map_err(|(input, error)| unread(&error).at_file(names.of(input)))?;
    let faults = verified.faults;
    report.field("overlays", overlays.len());
    report.field("nodes", verified.nodes);
    report.field("properties", verified.properties);
    report.field("faults", faults.iter().map(|fault| json(fault, &names)).collect::<Vec<_>>());
    report.field("unlisted", verified.unlisted);
    let Some(first) = faults.first() else {
        return tell(
            report,
            &format!(
                "{}: holds {} of {} overlays: {} nodes, {} properties\n",
                input::name(&args.last),
                overlays.len(),
                overlays.len(),
                verified.nodes,
                verified.properties
            ),
        );
    };
    if !report.is_json() {
        let lines = faults.iter().map(|fault| format!("{}\n", failure(fault, &names)));
        Output::Stdout.write(visible_lines(lines).as_bytes(), false)?;
    }
    let message = match (faults.len() + verified.unlisted, verified.unlisted) {
        (1, _) => "the tree lacks one thing that the overlays ask for".to_owned(),
        (count, 0) => format!("the tree lacks {count} things that the overlays ask for"),
        (count, unlisted) => {
            format!("the tree lacks {count} things that the overlays ask for, {unlisted} of them not listed")
        }
    };
    Err(Failure::new("not-verified", message).at_file(input::name(&args.last)).hint(hint(first)))
}

fn tell(report: &Report, text: &str) -> Result<(), Failure> {
    if report.is_json() || report.is_quiet() {
        return Ok(());
    }
    Output::Stdout.write(visible_lines(std::iter::once(text.to_owned())).as_bytes(), false)
}

fn visible_lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| visible(line.trim_end_matches('\n')).into_owned() + "\n").collect()
}

/// The overlays that were applied, in order.
fn overlays(args: &Verify, last: &[u8], reader: &mut tree::Reader) -> Result<Vec<Overlay>, Failure> {
    if let [word] = &args.overlays[..]
        && EntryRef::parse(word).is_none()
        && word != "-"
        && let Ok(bytes) = image::read(word)
        && TableKind::detect(&bytes).is_some()
    {
        return entries(args, word, &bytes, last);
    }
    if args.idx.is_some() {
        let message = "--idx names entries of one image, and no image is given";
        return Err(Failure::usage(message).hint("name entries as IMAGE#INDEX where there are several files"));
    }
    let read = |word: &OsString| Ok(Overlay { name: word.clone(), bytes: reader.read(word)? });
    args.overlays.iter().map(read).collect()
}

/// The entries of an image.
fn entries(args: &Verify, word: &OsStr, bytes: &[u8], last: &[u8]) -> Result<Vec<Overlay>, Failure> {
    let name = input::name(word);
    let table = image::parse(&name, bytes)?;
    let indices = match &args.idx {
        Some(indices) => indices.clone(),
        None => stated(last).ok_or_else(|| {
            let message = format!("which entries were applied? the final tree has no {DTBO_IDX}N,M");
            Failure::usage(message).hint("name them in order: --idx 0,2").at_file(&name)
        })?,
    };
    let mut budget = image::Budget::new(&table, args.limit.max_size);
    let content = |index: usize| {
        let content = image::content(&table, index, &mut budget).map_err(|failure| failure.at_file(&name))?;
        let mut entry = word.to_owned();
        entry.push(format!("#{index}"));
        Ok(Overlay { name: entry, bytes: content.bytes.into_owned() })
    };
    indices.into_iter().map(content).collect()
}

/// The entries that the final tree's command line names.
fn stated(last: &[u8]) -> Option<Vec<usize>> {
    let line = property::first_string(last, "/chosen", "bootargs")?;
    let list = line.split_whitespace().find_map(|word| word.strip_prefix(DTBO_IDX))?;
    list.split(',').map(|number| number.parse().ok()).collect()
}

/// Refuses a final tree that is the base itself, though the overlays change it; warns where they change nothing, since
/// there nobody can tell.
fn refuse_base(
    (word, base): (&OsStr, &[u8]),
    last: &[u8],
    (overlays, options): (&[&[u8]], &Options),
    names: &Names<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    let own = word.to_owned();
    let merging = Names { base: &own, overlays: names.overlays };
    let merged = kbt_dto::apply(base, overlays, options).map_err(|error| merging.failure(&error))?;
    let parse = |bytes| Dts::parse(bytes).map_err(|error| unread(&error).at_file(input::name(word)));
    let (base, last, merged) = (parse(base)?, parse(last)?, parse(&merged.bytes)?);
    if compare(&base, &merged).is_empty() {
        let message = "it holds the overlays already, so whether they were merged cannot be told";
        report.warn(
            Failure::new("nothing-to-merge", message)
                .at_file(input::name(word))
                .hint("is it the tree before the merge? some that a kernel's build makes are merged ones"),
        );
    } else if compare(&base, &last).is_empty() {
        let message = "the tree is the base itself: no overlay was merged into it";
        return Err(Failure::new("not-merged", message)
            .at_file(names.of(Input::Base))
            .hint("give it the tree that the kernel was given (/sys/firmware/fdt)"));
    }
    Ok(())
}

fn message(kind: &FaultKind) -> String {
    match kind {
        FaultKind::NoFragments => {
            "this is no overlay: it has no fragment, so nothing was to be merged".into()
        }
        FaultKind::NoOverlay => "the fragment has no __overlay__".into(),
        FaultKind::Target(TargetFault::None) => "the fragment states no target that can be read".into(),
        FaultKind::Target(TargetFault::Label(label)) => {
            format!("the target's label '{label}' is not in the tree")
        }
        FaultKind::Target(TargetFault::Path(path)) => format!("the target {path} is not in the tree"),
        FaultKind::Target(TargetFault::Phandle(phandle)) => {
            format!("no node of the tree has the target's phandle {phandle:#x}")
        }
        FaultKind::Target(TargetFault::Own(path)) => {
            format!("the target is {path}, which is not in the tree")
        }
        FaultKind::NodeMissing { loose: None } => "the node is not in the tree".into(),
        FaultKind::NodeMissing { loose: Some(path) } => {
            format!("the node is not in the tree, but there is {path}")
        }
        FaultKind::PropertyMissing => "the tree's node does not have it".into(),
        FaultKind::Value { wanted, found } => format!("the overlay wants {wanted}, the tree has {found}"),
        FaultKind::CommandLine { wanted, found } => {
            format!("the command line is to have '{wanted}' here, and is '{found}'")
        }
        FaultKind::LabelMissing { label } => format!("the label '{label}' is not in the tree"),
        FaultKind::Phandle { wanted, found: Some(found) } => {
            format!("a phandle is to lead to {wanted} and leads to {found}")
        }
        FaultKind::Phandle { wanted, found: None } => {
            format!("a phandle is to lead to {wanted} and leads nowhere")
        }
        FaultKind::LabelReplaced { label } => {
            format!("a later overlay has set the label '{label}' anew: only --base tells what it led to")
        }
        FaultKind::DuplicatePhandle { phandle, first } => {
            format!("{first} has the phandle {phandle:#x}, too")
        }
        FaultKind::Dangling { phandle } => format!("no node of the tree has the phandle {phandle:#x}"),
        _ => "the tree does not hold it".into(),
    }
}

/// The stable code of a fault.
fn code(kind: &FaultKind) -> &'static str {
    match kind {
        FaultKind::NoFragments => "no-fragments",
        FaultKind::NoOverlay => "no-overlay",
        FaultKind::Target(_) => "target-missing",
        FaultKind::NodeMissing { .. } => "node-missing",
        FaultKind::PropertyMissing => "property-missing",
        FaultKind::Value { .. } => "value-differs",
        FaultKind::CommandLine { .. } => "command-line",
        FaultKind::LabelMissing { .. } => "unresolved-label",
        FaultKind::Phandle { .. } => "phandle-differs",
        FaultKind::LabelReplaced { .. } => "label-replaced",
        FaultKind::DuplicatePhandle { .. } => "duplicate-phandle",
        FaultKind::Dangling { .. } => "dangling-reference",
        _ => "not-verified",
    }
}

fn hint(fault: &Fault) -> &'static str {
    match &fault.kind {
        FaultKind::PropertyMissing if fault.property.as_deref() == Some("bootargs_ext") => {
            "does the boot loader join it to bootargs? then say --concat-bootargs"
        }
        FaultKind::NodeMissing { loose: Some(_) } => "was it merged by libfdt? then say --loose-names",
        FaultKind::Dangling { .. } => {
            "the boot loader's merge overwrites phandles of the base: merge with kbt, or label no node again"
        }
        FaultKind::LabelReplaced { .. } => "name the tree before the merge by --base",
        FaultKind::DuplicatePhandle { .. } => {
            "the boot loader's merge numbers no phandles anew: merge with kbt, or with libfdt"
        }
        FaultKind::LabelMissing { .. } | FaultKind::Target(TargetFault::Label(_)) => {
            "is it the right entry? a final tree keeps its labels only if the base was built with 'dtc -@'"
        }
        _ => "are these the overlays that were applied, in this order?",
    }
}

fn failure(fault: &Fault, names: &Names<'_>) -> Failure {
    let property = fault.property.iter().map(|name| format!("property '{name}': "));
    let message = format!("{}: {}{}", fault.node, property.collect::<String>(), message(&fault.kind));
    Failure::new(code(&fault.kind), message).at_file(names.of(fault.input)).at_offset(fault.offset as u64)
}

fn json(fault: &Fault, names: &Names<'_>) -> Value {
    json!({
        "code": code(&fault.kind),
        "message": message(&fault.kind),
        "file": names.of(fault.input),
        "node": fault.node,
        "property": fault.property,
        "offset": fault.offset,
    })
}
