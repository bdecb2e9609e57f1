//! `kbt dto apply`.

use std::ffi::OsString;

use kbt_dto::{Error, ErrorKind, Input, Options, Place, Warning};

use crate::args::dto::Apply;
use crate::depfile::Depfile;
use crate::input;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};
use crate::tree;

/// Merges the overlays into the base and writes the result.
pub fn run(args: &Apply, report: &mut Report) -> Result<(), Failure> {
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    let mut reader = tree::Reader::new(args.limit.max_size);
    let base = reader.read(&args.base)?;
    let overlays = args.overlays.iter().map(|word| reader.read(word)).collect::<Result<Vec<_>, _>>()?;
    let overlays: Vec<&[u8]> = overlays.iter().map(Vec::as_slice).collect();
    let options = Options {
        concat_bootargs: args.concat_bootargs,
        padding: args.padding,
        loose_names: args.loose_names,
        forbid_root: args.forbid_root,
        labels_only: args.labels_only,
    };
    let named = Names { base: &args.base, overlays: &args.overlays };
    let merged = kbt_dto::apply(&base, &overlays, &options).map_err(|error| named.failure(&error))?;
    for warning in &merged.warnings {
        let warning = named.warning(warning);
        if args.deny_warnings {
            return Err(warning.hint("leave --deny-warnings out to accept it"));
        }
        report.warn(warning);
    }
    let mut depfile = Depfile::new(&args.depfile);
    std::iter::once(&args.base).chain(&args.overlays).for_each(|word| depfile.tree(word));
    let mut files = Set::default();
    depfile.add(&output, &mut files)?;
    output.write_with(files, &merged.bytes, args.sync)?;
    report.field("output", args.output.to_string_lossy());
    report.field("bytes", merged.bytes.len());
    report.field("overlays", overlays.len());
    Ok(())
}

/// The inputs as the user named them.
pub struct Names<'n> {
    /// The base.
    pub base: &'n OsString,
    /// The overlays, in their order.
    pub overlays: &'n [OsString],
}

impl Names<'_> {
    /// The name of an input.
    pub fn of(&self, input: Input) -> String {
        match input {
            Input::Base => input::name(self.base),
            Input::Overlay(index) => {
                self.overlays.get(index).map(|word| input::name(word)).unwrap_or_default()
            }
        }
    }

    /// The failure for an error of the merge.
    pub fn failure(&self, error: &Error) -> Failure {
        let failure = self.at(&error.place, code(&error.kind), &error.kind.to_string());
        let failure = match hint(&error.kind, error.place.input) {
            Some(hint) => failure.hint(hint),
            None => failure,
        };
        match &error.kind {
            ErrorKind::UnresolvedLabel { label, near } => {
                failure.detail("label", label.as_str()).detail("near", near.clone())
            }
            ErrorKind::NoSymbols { label }
            | ErrorKind::BadSymbol { label }
            | ErrorKind::SymbolPathMissing { label, .. } => failure.detail("label", label.as_str()),
            _ => failure,
        }
    }

    /// The warning for something odd.
    pub fn warning(&self, warning: &Warning) -> Failure {
        self.at(&warning.place, warning_code(&warning.kind), &warning.kind.to_string())
    }

    fn at(&self, place: &Place, code: &'static str, message: &str) -> Failure {
        let mut context = String::new();
        if let Some(fragment) = &place.fragment {
            context.push_str(fragment);
            context.push_str(": ");
        }
        if let Some(property) = &place.property {
            context.push_str("property '");
            context.push_str(property);
            context.push_str("': ");
        }
        let mut failure = Failure::new(code, context + message).at_file(self.of(place.input));
        if let Some(offset) = place.offset {
            failure = failure.at_offset(offset as u64);
        }
        if let Input::Overlay(index) = place.input {
            failure = failure.detail("overlay", index);
        }
        if let Some(fragment) = &place.fragment {
            failure = failure.detail("fragment", fragment.as_str());
        }
        if let Some(property) = &place.property {
            failure = failure.detail("property", property.as_str());
        }
        failure
    }
}

/// Every code of an error of the merge, and what it is about.
pub const ERRORS: &[(&str, &str)] = &[
    ("no-symbols", "the base has no __symbols__"),
    ("unresolved-label", "no tree so far has the label"),
    ("bad-symbol", "a symbol is not a path"),
    ("symbol-path-missing", "the symbol of a label that is wanted leads to no node"),
    ("target-path-missing", "a fragment's target path leads to no node"),
    ("target-phandle-missing", "no node has the phandle of a fragment's target"),
    ("no-target", "a fragment has no target"),
    ("bad-target", "a fragment's target is neither a phandle nor a path"),
    ("root-forbidden", "a fragment changes the root node, which is forbidden"),
    ("path-forbidden", "a fragment gives its target by a path, which is forbidden"),
    ("phandles-used-up", "no phandle is left"),
    ("bad-phandle", "a phandle that cannot be one"),
    ("bad-fixup", "an entry of __fixups__ cannot be read"),
    ("fixup-node-missing", "a fixup names a node that the overlay lacks"),
    ("fixup-property-missing", "a fixup names a property that the node lacks"),
    ("fixup-out-of-bounds", "a fixup is outside of its property"),
    ("bad-local-fixup", "a local fixup is not a list of cells"),
    ("bad-overlay-symbol", "a symbol of the overlay is not a path"),
    ("symbol-fragment-missing", "a symbol of the overlay leads into no fragment"),
    ("too-deep", "the merged tree would be nested too deep"),
    ("too-large", "the merged tree would be too large"),
];

/// Every code of a warning of the merge that a lint passes on, and what it is about.
pub const WARNINGS: &[(&str, &str)] = &[
    ("two-targets", "a fragment has target and target-path"),
    ("no-fragments", "the overlay has no fragment"),
    ("base-is-overlay", "the base is an overlay itself"),
];

/// The kind of a warning for machines.
pub fn warning_code(kind: &kbt_dto::WarningKind) -> &'static str {
    use kbt_dto::WarningKind as Kind;
    match kind {
        Kind::TwoTargets => "two-targets",
        Kind::DuplicateNode { .. } => "duplicate-node",
        Kind::DuplicateProperty => "duplicate-property",
        Kind::NoFragments => "no-fragments",
        Kind::BaseIsOverlay => "base-is-overlay",
        _ => "odd",
    }
}

/// The kind of an error for machines.
pub fn code(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Malformed(kind) => malformed(kind),
        ErrorKind::NoSymbols { .. } => "no-symbols",
        ErrorKind::UnresolvedLabel { .. } => "unresolved-label",
        ErrorKind::BadSymbol { .. } => "bad-symbol",
        ErrorKind::SymbolPathMissing { .. } => "symbol-path-missing",
        ErrorKind::TargetPathMissing { .. } => "target-path-missing",
        ErrorKind::TargetPhandleMissing { .. } => "target-phandle-missing",
        ErrorKind::NoTarget => "no-target",
        ErrorKind::BadTarget => "bad-target",
        ErrorKind::RootForbidden => "root-forbidden",
        ErrorKind::PathForbidden { .. } => "path-forbidden",
        ErrorKind::PhandlesUsedUp => "phandles-used-up",
        ErrorKind::BadPhandle { .. } => "bad-phandle",
        ErrorKind::BadPhandleLength { .. } => "bad-phandle",
        ErrorKind::BadFixup { .. } => "bad-fixup",
        ErrorKind::FixupNodeMissing { .. } => "fixup-node-missing",
        ErrorKind::FixupPropertyMissing { .. } => "fixup-property-missing",
        ErrorKind::FixupOutOfBounds { .. } => "fixup-out-of-bounds",
        ErrorKind::BadLocalFixup => "bad-local-fixup",
        ErrorKind::BadOverlaySymbol => "bad-overlay-symbol",
        ErrorKind::SymbolFragmentMissing { .. } => "symbol-fragment-missing",
        ErrorKind::TooDeep => "too-deep",
        ErrorKind::TooLarge => "too-large",
        _ => "not-applicable",
    }
}

/// The code of an input that is no sound device tree.
pub fn malformed(kind: &kbt_fdt::ErrorKind) -> &'static str {
    use kbt_fdt::ErrorKind as Kind;
    match kind {
        Kind::BadMagic(_) => "bad-magic",
        Kind::TruncatedHeader | Kind::Truncated { .. } => "truncated",
        Kind::UnsupportedVersion { .. } => "unsupported-version",
        Kind::OverlappingBlocks(..) => "overlapping-blocks",
        Kind::TooDeep => "too-deep",
        _ => "malformed",
    }
}

/// What mends an input that is no sound device tree, whichever it is.
pub fn malformed_hint(kind: &kbt_fdt::ErrorKind) -> Option<&'static str> {
    use kbt_fdt::ErrorKind as Kind;
    match kind {
        Kind::BadMagic(_) => Some(
            "a flattened device tree (.dtb, .dtbo) is wanted; an entry of a DTBO image is named IMAGE#INDEX",
        ),
        Kind::Truncated { .. } | Kind::TruncatedHeader => {
            Some("the file was cut short; copy or build it again")
        }
        _ => None,
    }
}

/// The layout that lets an overlay do without the root node.
const ODM_LAYOUT: &str = "an overlay needs a label to hang on and the root node has none: give the base a labelled node \
                          such as 'odm: odm {}' or 'soc: soc {}' at the root and let the overlay add to &odm or &soc";

/// What most likely mends an error of the merge.
pub fn hint(kind: &ErrorKind, input: Input) -> Option<String> {
    use kbt_fdt::ErrorKind as Fdt;
    Some(match kind {
        ErrorKind::NoSymbols { .. } => "build the base with 'dtc -@' so that it keeps its labels".into(),
        ErrorKind::UnresolvedLabel { near, .. } if !near.is_empty() => {
            format!("did you mean {}?", near.join(", "))
        }
        ErrorKind::UnresolvedLabel { .. } => {
            "is this the right base, or does another overlay that defines the label have to come first?"
                .into()
        }
        ErrorKind::SymbolPathMissing { .. } | ErrorKind::BadSymbol { .. } => {
            "the symbols do not fit the tree: build the base again with 'dtc -@'".into()
        }
        ErrorKind::TargetPathMissing { loose: Some(loose), .. } => {
            format!("there is {loose}; write the unit address, or use --loose-names")
        }
        ErrorKind::TargetPathMissing { .. } => "target a label of the base instead of a path".into(),
        ErrorKind::TargetPhandleMissing { .. } => {
            "target a label; phandles are numbered anew by every build".into()
        }
        ErrorKind::NoTarget | ErrorKind::BadTarget => {
            "compile the overlay with '/plugin/' and 'dtc -@'".into()
        }
        ErrorKind::RootForbidden => ODM_LAYOUT.into(),
        ErrorKind::PathForbidden { .. } => "give the node a label in the base and target that".into(),
        ErrorKind::PhandlesUsedUp => {
            "a phandle in the base or the overlay is far too large; number them from 1".into()
        }
        ErrorKind::BadPhandle { .. } | ErrorKind::BadPhandleLength { .. } => {
            "phandles are numbers from 1 to 0xfffffffe".into()
        }
        ErrorKind::BadFixup { .. }
        | ErrorKind::FixupNodeMissing { .. }
        | ErrorKind::FixupPropertyMissing { .. }
        | ErrorKind::FixupOutOfBounds { .. }
        | ErrorKind::BadLocalFixup
        | ErrorKind::BadOverlaySymbol
        | ErrorKind::SymbolFragmentMissing { .. } => {
            "the overlay was changed after dtc wrote it; compile it again".into()
        }
        ErrorKind::Malformed(Fdt::BadMagic(_)) if input == Input::Base => {
            "a flattened device tree (.dtb) is wanted; compile a .dts with 'dtc -@'".into()
        }
        ErrorKind::Malformed(Fdt::BadMagic(_)) => {
            "a compiled overlay (.dtbo) is wanted; an entry of a DTBO image is named IMAGE#INDEX".into()
        }
        ErrorKind::Malformed(Fdt::Truncated { .. } | Fdt::TruncatedHeader) => {
            "the file was cut short; copy or build it again".into()
        }
        _ => return None,
    })
}
