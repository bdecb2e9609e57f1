//! Why an overlay cannot be applied, and what is odd about one that can: a kind and its place.

use alloc::string::String;
use core::fmt;

/// A longer name, in bytes, of an overlay's property or label is refused: many properties can end in one long string.
pub(crate) const LONGEST_NAME: usize = 1024;

/// Which of the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// The base tree.
    Base,
    /// The overlay of this index, from 0.
    Overlay(usize),
}

/// Where in an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The input.
    pub input: Input,
    /// Byte offset in it.
    pub offset: Option<usize>,
    /// The fragment's node name.
    pub fragment: Option<String>,
    /// The property's name.
    pub property: Option<String>,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is no sound device tree.
    Malformed(kbt_fdt::ErrorKind),
    /// A label is needed and the base has no `__symbols__`.
    NoSymbols {
        /// The label.
        label: String,
    },
    /// No tree so far has this label.
    UnresolvedLabel {
        /// The label.
        label: String,
        /// Labels that exist and are spelled most alike, the nearest first.
        near: alloc::vec::Vec<String>,
    },
    /// The value of a symbol is no path.
    BadSymbol {
        /// The label.
        label: String,
    },
    /// A symbol's path leads to no node.
    SymbolPathMissing {
        /// The label.
        label: String,
        /// The path.
        path: String,
    },
    /// A fragment's target path leads to no node.
    TargetPathMissing {
        /// The path.
        path: String,
        /// The path that would be found if names without a unit address matched one that has one.
        loose: Option<String>,
    },
    /// A fragment's target is a phandle that no node has.
    TargetPhandleMissing {
        /// The phandle.
        phandle: u32,
    },
    /// A fragment has neither `target` nor `target-path`.
    NoTarget,
    /// `target` is not one cell, or a phandle that cannot be, or `target-path` is no string.
    BadTarget,
    /// `--forbid-root`: the fragment's target is the root node.
    RootForbidden,
    /// `--labels-only`: the fragment's target is given by a path.
    PathForbidden {
        /// The path.
        path: String,
    },
    /// No phandle is left below 0xffffffff.
    PhandlesUsedUp,
    /// A phandle of 0 or 0xffffffff.
    BadPhandle {
        /// The value.
        phandle: u32,
    },
    /// A `phandle` or `linux,phandle` of an overlay that is not one cell.
    BadPhandleLength {
        /// The value's length in bytes.
        length: u32,
    },
    /// A property of an overlay whose name, or a label that, is longer than 1024 bytes.
    NameTooLong,
    /// A node of an overlay that has two properties `phandle`, or two `linux,phandle`.
    PhandleTwice,
    /// An entry of `__fixups__` that is not `path:property:offset`.
    BadFixup {
        /// The entry.
        entry: String,
    },
    /// An entry of `__fixups__` or `__local_fixups__` names a node that the overlay lacks.
    FixupNodeMissing {
        /// The node's path.
        path: String,
    },
    /// An entry of `__fixups__` or `__local_fixups__` names a property that the node lacks.
    FixupPropertyMissing {
        /// The node's path.
        path: String,
    },
    /// A fixup's four bytes are not inside the property.
    FixupOutOfBounds {
        /// Its offset in the property, in bytes.
        at: u32,
        /// The property's length in bytes.
        length: u32,
    },
    /// A value in `__local_fixups__` that is no list of cells.
    BadLocalFixup,
    /// An entry of the overlay's `__symbols__` that is no absolute path.
    BadOverlaySymbol,
    /// An entry of the overlay's `__symbols__` names a fragment that the overlay lacks.
    SymbolFragmentMissing {
        /// The path.
        path: String,
    },
    /// The merged tree would be nested too deep.
    TooDeep,
    /// There is no memory for the merged tree.
    NoMemory,
    /// The merged tree would reach 4 GiB, or symbols would repeat long paths
    /// until it is 16 times as large as the inputs.
    TooLarge,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(kind) => kind.fmt(f),
            Self::NoSymbols { label } => {
                write!(f, "label '{label}' cannot be resolved: the base has no __symbols__")
            }
            Self::UnresolvedLabel { label, .. } => write!(f, "label '{label}' is not in the base tree"),
            Self::BadSymbol { label } => write!(f, "the symbol of label '{label}' is not a path"),
            Self::SymbolPathMissing { label, path } => {
                write!(f, "the symbol of label '{label}' leads to {path}, which does not exist")
            }
            Self::TargetPathMissing { path, .. } => write!(f, "target path {path} does not exist"),
            Self::TargetPhandleMissing { phandle } => {
                write!(f, "no node has the target's phandle {phandle:#x}")
            }
            Self::NoTarget => f.write_str("the fragment has neither target nor target-path"),
            Self::BadTarget => f.write_str("the fragment's target is neither a phandle nor a path"),
            Self::RootForbidden => f.write_str("the overlay changes the root node, which is forbidden"),
            Self::PathForbidden { path } => {
                write!(f, "the target is the path {path}, only labels are allowed")
            }
            Self::PhandlesUsedUp => f.write_str("the phandle space is used up"),
            Self::BadPhandle { phandle } => write!(f, "{phandle:#x} cannot be a phandle"),
            Self::BadPhandleLength { length } => write!(f, "a phandle has 4 bytes, not {length}"),
            Self::NameTooLong => write!(f, "a name is longer than {LONGEST_NAME} bytes"),
            Self::PhandleTwice => f.write_str("a node has the phandle twice"),
            Self::BadFixup { entry } => write!(f, "fixup '{entry}' is not path:property:offset"),
            Self::FixupNodeMissing { path } => {
                write!(f, "a fixup names the node {path}, which does not exist")
            }
            Self::FixupPropertyMissing { path } => {
                write!(f, "a fixup names a property that {path} does not have")
            }
            Self::FixupOutOfBounds { at, length } => {
                write!(f, "a fixup at byte {at} is outside its property of {length} bytes")
            }
            Self::BadLocalFixup => f.write_str("a local fixup is not a list of cells"),
            Self::BadOverlaySymbol => f.write_str("a symbol of the overlay is not an absolute path"),
            Self::SymbolFragmentMissing { path } => {
                write!(f, "a symbol of the overlay leads to {path}, which is not in a fragment")
            }
            Self::TooDeep => {
                write!(f, "the merged tree would be nested deeper than {} levels", kbt_fdt::MAX_DEPTH)
            }
            Self::NoMemory => f.write_str("there is no memory for the merged tree"),
            Self::TooLarge => f.write_str("the merged tree would be too large"),
        }
    }
}

/// Why nothing was merged, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// Where.
    pub place: alloc::boxed::Box<Place>,
}

impl Error {
    /// An error in `input`, with no place in it yet.
    pub(crate) fn new(kind: ErrorKind, input: Input) -> Self {
        Self { kind, place: Place { input, offset: None, fragment: None, property: None }.into() }
    }

    pub(crate) fn at(mut self, offset: usize) -> Self {
        self.place.offset.get_or_insert(offset);
        self
    }

    /// Names the fragment, if the name is known.
    pub(crate) fn fragment(mut self, name: &[u8]) -> Self {
        if !name.is_empty() {
            self.place.fragment.get_or_insert_with(|| text(name));
        }
        self
    }

    pub(crate) fn property(mut self, name: &[u8]) -> Self {
        self.place.property.get_or_insert_with(|| text(name));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl core::error::Error for Error {}

/// What is odd, though the trees could be merged.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A fragment has both `target` and `target-path`; `target` counts.
    TwoTargets,
    /// Siblings of one name were met; the first is taken, and in an overlay the others are merged into it.
    DuplicateNode {
        /// The name.
        name: String,
    },
    /// A node has two properties of one name; the last value is taken.
    DuplicateProperty,
    /// The overlay has no fragment, so nothing of it was merged.
    NoFragments,
    /// The base has `__fixups__`: it is an overlay itself, with labels that nobody resolved.
    BaseIsOverlay,
}

impl fmt::Display for WarningKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TwoTargets => {
                f.write_str("the fragment has target and target-path; target-path is ignored")
            }
            Self::DuplicateNode { name } => {
                write!(f, "there are several nodes '{name}' beside each other; the first is taken")
            }
            Self::DuplicateProperty => f.write_str("a node has the property twice; the last is taken"),
            Self::NoFragments => {
                f.write_str("the overlay has no fragment with an __overlay__; nothing to merge")
            }
            Self::BaseIsOverlay => {
                f.write_str("the base has __fixups__: it is an overlay with unresolved labels")
            }
        }
    }
}

/// Something odd, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What is odd.
    pub kind: WarningKind,
    /// Where.
    pub place: Place,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

/// For messages: what is not UTF-8 is shown as U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString as _;

    use super::*;

    /// The command needs no memory for the merged tree, so that only who calls [`apply`](crate::apply) can meet this.
    #[test]
    fn no_memory_is_said_in_one_sentence() {
        let error = Error::new(ErrorKind::NoMemory, Input::Base);
        assert_eq!(error.to_string(), "there is no memory for the merged tree");
    }
}
