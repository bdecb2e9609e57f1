//! What a merge or a tree that fails is to the user: one code, sentence and hint each, the same for every command.

use std::ffi::OsString;

use kbt_dto::{Error, ErrorKind, Input, Place, Warning};

use crate::input;
use crate::packed::Words;
use crate::report::Failure;

/// The inputs as the user named them.
pub struct Names<'n> {
    /// The base.
    pub base: &'n OsString,
    /// The overlays, in their order.
    pub overlays: &'n dyn Words,
}

impl Names<'_> {
    /// The name of an input.
    pub fn of(&self, input: Input) -> String {
        match input {
            Input::Base => input::name(self.base),
            Input::Overlay(index) => self.overlays.word(index).map(input::name).unwrap_or_default(),
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

/// A code, what it is about, and what mends it, whatever the case.
pub type Described = (&'static str, &'static str, &'static str);

/// What mends entries that dtc does not write.
const COMPILE_AGAIN: &str = "the overlay was changed after dtc wrote it; compile it again";
/// What mends symbols of a base.
const BUILD_AGAIN: &str = "the symbols do not fit the tree: build the base again with 'dtc -@'";

/// Every code of an error of the merge.
pub const ERRORS: &[Described] = &[
    ("no-symbols", "the base has no __symbols__", "build the base with 'dtc -@' so that it keeps its labels"),
    (
        "unresolved-label",
        "no tree so far has the label",
        "is this the right base, or does another overlay that defines the label have to come first?",
    ),
    ("bad-symbol", "a symbol is not a path", BUILD_AGAIN),
    ("symbol-path-missing", "the symbol of a label that is wanted leads to no node", BUILD_AGAIN),
    (
        "target-path-missing",
        "a fragment's target path leads to no node",
        "target a label of the base instead of a path",
    ),
    (
        "target-phandle-missing",
        "no node has the phandle of a fragment's target",
        "target a label; phandles are numbered anew by every build",
    ),
    ("no-target", "a fragment has no target", "compile the overlay with '/plugin/' and 'dtc -@'"),
    (
        "bad-target",
        "a fragment's target is neither a phandle nor a path",
        "compile the overlay with '/plugin/' and 'dtc -@'",
    ),
    ("root-forbidden", "a fragment changes the root node, which is forbidden", ODM_LAYOUT),
    (
        "path-forbidden",
        "a fragment gives its target by a path, which is forbidden",
        "give the node a label in the base and target that",
    ),
    (
        "phandles-used-up",
        "no phandle is left",
        "a phandle in the base or the overlay is far too large; number them from 1",
    ),
    ("bad-phandle", "a phandle that cannot be one", "phandles are numbers from 1 to 0xfffffffe"),
    ("phandle-twice", "a node has two phandles", COMPILE_AGAIN),
    (
        "name-too-long",
        "a name is longer than any can be",
        "names of properties and labels have a few dozen letters",
    ),
    ("bad-fixup", "an entry of __fixups__ cannot be read", COMPILE_AGAIN),
    ("fixup-node-missing", "a fixup names a node that the overlay lacks", COMPILE_AGAIN),
    ("fixup-property-missing", "a fixup names a property that the node lacks", COMPILE_AGAIN),
    ("fixup-out-of-bounds", "a fixup is outside of its property", COMPILE_AGAIN),
    ("bad-local-fixup", "a local fixup is not a list of cells", COMPILE_AGAIN),
    ("bad-overlay-symbol", "a symbol of the overlay is not a path", COMPILE_AGAIN),
    ("symbol-fragment-missing", "a symbol of the overlay leads into no fragment", COMPILE_AGAIN),
    ("too-deep", "the merged tree would be nested too deep", "no tree for Linux is deeper than 64 nodes"),
    ("too-large", "the merged tree would be too large", "a device tree is smaller than 4 GiB"),
    ("no-memory", "there is no memory for the merged tree", "leave it more, or ask for less padding"),
];

/// Every code of a warning of the merge that a lint passes on.
pub const WARNINGS: &[Described] = &[
    ("two-targets", "a fragment has target and target-path", "leave one: tools take target, or refuse it"),
    (
        "no-fragments",
        "the overlay has no fragment",
        "give the source '/plugin/;', and compile it with 'dtc -@'",
    ),
    ("base-is-overlay", "the base is an overlay itself", "give the base first, then its overlays"),
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
        ErrorKind::PhandleTwice => "phandle-twice",
        ErrorKind::NameTooLong => "name-too-long",
        ErrorKind::BadFixup { .. } => "bad-fixup",
        ErrorKind::FixupNodeMissing { .. } => "fixup-node-missing",
        ErrorKind::FixupPropertyMissing { .. } => "fixup-property-missing",
        ErrorKind::FixupOutOfBounds { .. } => "fixup-out-of-bounds",
        ErrorKind::BadLocalFixup => "bad-local-fixup",
        ErrorKind::BadOverlaySymbol => "bad-overlay-symbol",
        ErrorKind::SymbolFragmentMissing { .. } => "symbol-fragment-missing",
        ErrorKind::TooDeep => "too-deep",
        ErrorKind::TooLarge => "too-large",
        ErrorKind::NoMemory => "no-memory",
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
        Kind::UnsupportedVersion { .. } => {
            Some("versions 16 and 17 are read; build it again with a current dtc")
        }
        Kind::BlockOutOfBounds(_) | Kind::OverlappingBlocks(..) => {
            Some("the file is damaged; build it again")
        }
        Kind::TooDeep => Some("no tree for Linux is deeper than 64 nodes"),
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
        ErrorKind::UnresolvedLabel { near, .. } if !near.is_empty() => {
            format!("did you mean {}?", near.join(", "))
        }
        ErrorKind::TargetPathMissing { loose: Some(loose), .. } => {
            format!("there is {loose}; write the unit address, or use --loose-names")
        }
        ErrorKind::Malformed(Fdt::BadMagic(_)) if input == Input::Base => {
            "a flattened device tree (.dtb) is wanted; compile a .dts with 'dtc -@'".into()
        }
        ErrorKind::Malformed(Fdt::BadMagic(_)) => {
            "a compiled overlay (.dtbo) is wanted; an entry of a DTBO image is named IMAGE#INDEX".into()
        }
        ErrorKind::Malformed(kind) => malformed_hint(kind)?.into(),
        _ => {
            let code = code(kind);
            let (.., mend) = ERRORS.iter().find(|(known, ..)| *known == code)?;
            (*mend).into()
        }
    })
}

/// Why a tree cannot be shown or compared, without the file's name.
pub fn unread(error: &kbt_dts::Error) -> Failure {
    use kbt_dts::ErrorKind as Kind;
    let (code, hint) = match &error.kind {
        Kind::Malformed(kind) => (malformed(kind), malformed_hint(kind)),
        Kind::PropertyNameTooLong => ("name-too-long", Some("the file is damaged: copy or build it again")),
        _ => ("too-large", Some("the file is damaged or made to be so: no compiler writes such a tree")),
    };
    let failure = Failure::new(code, error.kind.to_string()).at_offset(error.offset as u64);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
