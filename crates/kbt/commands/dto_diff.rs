//! `kbt dto diff`.

use std::ffi::OsStr;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use kbt_dts::{Dts, NodeDifference, compare};
use kbt_fdt::{NodeIndex, Property};
use serde_json::{Value, json};

use crate::args::dto::Diff;
use crate::dto::failure::unread;
use crate::input;
use crate::output::stdout_is_open;
use crate::report::{Failure, Report};
use crate::tree;

/// As diff: the trees differ.
const DIFFERENT: u8 = 1;
/// As diff: one of them cannot be read.
const TROUBLE: u8 = 2;

const HEAD: Style = Style::new().bold();
const PLACE: Style = AnsiColor::Cyan.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const ADDED: Style = AnsiColor::Green.on_default();

/// The text may take so many bytes, and so many times the trees.
const TEXT_ALWAYS: usize = 1 << 20;
const TEXT_GROWTH: usize = 32;

/// One place where the trees differ, as it is told.
struct Place {
    path: String,
    labels: Vec<String>,
    changes: Vec<Change>,
}

struct Change {
    /// `node-added`, `property-changed`, ...
    kind: &'static str,
    property: Option<String>,
    /// Source, whole lines.
    left: Option<String>,
    right: Option<String>,
}

impl Change {
    /// Bytes of its text.
    fn size(&self) -> usize {
        self.left.iter().chain(&self.right).map(String::len).sum()
    }
}

/// Prints where the trees differ.
pub fn run(args: &Diff, report: &mut Report) -> Result<(), Failure> {
    let places = find(args).map_err(|failure| Failure { exit: TROUBLE, ..failure })?;
    if !places.is_empty() {
        report.exit_as(DIFFERENT);
    }
    if report.is_json() {
        report.field("same", places.is_empty());
        report.field("differences", places.iter().flat_map(json).collect::<Vec<_>>());
        return Ok(());
    }
    print(&args.left, &args.right, &places)
        .or_else(|error| if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
        .map_err(|error| Failure { exit: TROUBLE, ..Failure::io("write", "standard output", &error) })
}

fn find(args: &Diff) -> Result<Vec<Place>, Failure> {
    let mut reader = tree::Reader::new(args.limit.max_size);
    let (left, right) = (reader.read(&args.left)?, reader.read(&args.right)?);
    let most = TEXT_ALWAYS + (left.len() + right.len()).saturating_mul(TEXT_GROWTH);
    let left = parse(&args.left, &left)?;
    let right = parse(&args.right, &right)?;
    let mut places = header(&left, &right);
    let mut size = 0;
    for difference in compare(&left, &right) {
        let place = place(&left, &right, &difference).map_err(|error| unread(&error))?;
        size += place.changes.iter().map(Change::size).sum::<usize>();
        if size > most {
            let message = "the differences would be out of all proportion to the trees";
            return Err(Failure::new("too-large", message).at_file(input::name(&args.right)));
        }
        places.push(place);
    }
    Ok(places)
}

fn parse<'a>(word: &OsStr, bytes: &'a [u8]) -> Result<Dts<'a>, Failure> {
    Dts::parse(bytes).map_err(|error| unread(&error).at_file(input::name(word)))
}

/// What stands beside the nodes.
fn header(left: &Dts<'_>, right: &Dts<'_>) -> Vec<Place> {
    let mut changes = Vec::new();
    let text = |dts: &Dts<'_>| -> Vec<String> {
        let entries = dts.tree().blob().reservations().iter();
        entries.map(|it| format!("/memreserve/\t{:#018x} {:#018x};\n", it.address, it.size)).collect()
    };
    let mut change = |kind, one: String, other: String| {
        if one != other {
            let side = |text: String| (!text.is_empty()).then_some(text);
            changes.push(Change { kind, property: None, left: side(one), right: side(other) });
        }
    };
    change("reservations-changed", text(left).concat(), text(right).concat());
    let cpu = |dts: &Dts<'_>| format!("boot_cpuid_phys = {};\n", dts.tree().blob().header().boot_cpuid_phys);
    change("boot-cpuid-changed", cpu(left), cpu(right));
    if changes.is_empty() {
        return Vec::new();
    }
    vec![Place { path: "header".to_owned(), labels: Vec::new(), changes }]
}

fn place(left: &Dts<'_>, right: &Dts<'_>, difference: &NodeDifference) -> Result<Place, kbt_dts::Error> {
    let (dts, node) = match (difference.left, difference.right) {
        (Some(node), _) => (left, node),
        (None, Some(node)) => (right, node),
        (None, None) => (left, NodeIndex::ROOT),
    };
    let labels = dts.labels().of(node).map(|label| String::from_utf8_lossy(label).into_owned()).collect();
    let mut changes = Vec::new();
    match (difference.left, difference.right) {
        (Some(node), None) => changes.push(Change {
            kind: "node-removed",
            property: None,
            left: Some(text(left.show_subtree(node, 0)?)),
            right: None,
        }),
        (None, Some(node)) => changes.push(Change {
            kind: "node-added",
            property: None,
            left: None,
            right: Some(text(right.show_subtree(node, 0)?)),
        }),
        (Some(one), Some(other)) => {
            let properties = difference.properties.iter();
            changes.extend(properties.map(|it| {
                let shown =
                    |dts: &Dts<'_>, node, property: &Property| text(dts.show_property(node, property, 0));
                let name = |dts: &Dts<'_>, property: &Property| {
                    String::from_utf8_lossy(dts.tree().property_name(property)).into_owned()
                };
                Change {
                    kind: match (it.left, it.right) {
                        (Some(_), None) => "property-removed",
                        (None, _) => "property-added",
                        _ => "property-changed",
                    },
                    property: it.left.map(|it| name(left, &it)).or(it.right.map(|it| name(right, &it))),
                    left: it.left.map(|it| shown(left, one, &it)),
                    right: it.right.map(|it| shown(right, other, &it)),
                }
            }));
        }
        (None, None) => {}
    }
    Ok(Place { path: dts.tree().path(node), labels, changes })
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

fn json(place: &Place) -> Vec<Value> {
    let changes = place.changes.iter().map(|change| {
        json!({
            "path": place.path,
            "labels": place.labels,
            "kind": change.kind,
            "property": change.property,
            "left": change.left.as_deref().map(str::trim_end),
            "right": change.right.as_deref().map(str::trim_end),
        })
    });
    changes.collect()
}

fn print(left: &OsStr, right: &OsStr, places: &[Place]) -> std::io::Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    stdout_is_open()?;
    let mut out = std::io::BufWriter::new(anstream::stdout().lock());
    let visible = |text: &str| crate::report::visible(text).into_owned();
    writeln!(out, "{HEAD}--- {}{HEAD:#}", visible(&input::name(left)))?;
    writeln!(out, "{HEAD}+++ {}{HEAD:#}", visible(&input::name(right)))?;
    for place in places {
        let labels =
            if place.labels.is_empty() { String::new() } else { format!(" &{}", place.labels.join(" &")) };
        writeln!(out, "{PLACE}@@ {}{} @@{PLACE:#}", visible(&place.path), visible(&labels))?;
        for change in &place.changes {
            for line in change.left.iter().flat_map(|text| text.lines()) {
                writeln!(out, "{REMOVED}-{line}{REMOVED:#}")?;
            }
            for line in change.right.iter().flat_map(|text| text.lines()) {
                writeln!(out, "{ADDED}+{line}{ADDED:#}")?;
            }
        }
    }
    out.flush()
}
