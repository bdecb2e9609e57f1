//! The rules of the lint: code, severity, and what is said of each. `docs/dto-lint.md` has an example of every one.

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a look.
    Note,
    /// Works, but probably not as meant, or not with every boot loader.
    Warning,
    /// Does not work.
    Error,
}

impl Severity {
    /// `note`, `warning` or `error`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// A rule of the lint's own; what the merge refuses or warns of has its own codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Rule {
    /// A fragment changes the root node.
    RootTarget,
    /// `/delete-node/` or `/delete-property/` in an overlay's source.
    DeleteDoesNothing,
    /// A fragment without content.
    EmptyFragment,
    /// A child of the overlay's root, or a property of it, that no tool merges.
    OutsideFragment,
    /// A node that the tree has with a unit address.
    LooseName,
    /// A node of the overlay with a phandle, where the tree's has one, too.
    PhandleClash,
    /// Two nodes of a tree with one phandle.
    DuplicatePhandle,
    /// A phandle written as a number.
    HardCodedPhandle,
    /// A phandle of the base that no node has.
    DanglingReference,
    /// A label that nobody uses.
    UnusedLabel,
    /// A symbol whose path leads to no node.
    DanglingSymbol,
    /// A symbol of a base that leads into a fragment.
    SymbolIntoFragment,
    /// A symbol of an overlay that leads to no content of a fragment.
    SymbolOutsideOverlay,
    /// `/chosen/bootargs` is replaced.
    BootargsReplaced,
    /// Two overlays set `/chosen/bootargs_ext`.
    BootargsExtTwice,
    /// Siblings of one name.
    DuplicateNode,
    /// A property twice in one node.
    DuplicateProperty,
    /// Two overlays set a property to different values.
    PropertyConflict,
    /// Two overlays set a property to one value.
    PropertyTwice,
    /// Two overlays bring a node.
    NodeTwice,
}

/// All rules.
pub const RULES: &[Rule] = &[
    Rule::RootTarget,
    Rule::DeleteDoesNothing,
    Rule::EmptyFragment,
    Rule::OutsideFragment,
    Rule::LooseName,
    Rule::PhandleClash,
    Rule::DuplicatePhandle,
    Rule::HardCodedPhandle,
    Rule::DanglingReference,
    Rule::UnusedLabel,
    Rule::DanglingSymbol,
    Rule::SymbolIntoFragment,
    Rule::SymbolOutsideOverlay,
    Rule::BootargsReplaced,
    Rule::BootargsExtTwice,
    Rule::DuplicateNode,
    Rule::DuplicateProperty,
    Rule::PropertyConflict,
    Rule::PropertyTwice,
    Rule::NodeTwice,
];

impl Rule {
    /// The code, stable for machines.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// How bad a finding is.
    pub fn severity(self) -> Severity {
        self.row().1
    }

    /// What the rule is about, in a sentence without a full stop.
    pub fn summary(self) -> &'static str {
        self.row().2
    }

    /// What mends a finding.
    pub fn mend(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static Row {
        // One row a rule: a test holds it so.
        &ROWS[self as usize]
    }
}

/// Code, severity, summary, mend.
type Row = (&'static str, Severity, &'static str, &'static str);

use Severity::{Error, Note, Warning};

/// What is said of each rule, in the order of [`Rule`].
const ROWS: [Row; 20] = [
    (
        "root-target",
        Warning,
        "a fragment changes the root node",
        "hang it on a labelled node of the base, such as &odm or &soc: not every boot loader lets an \
         overlay change the root",
    ),
    (
        "delete-does-nothing",
        Warning,
        "an overlay's source deletes what it does not have",
        "an overlay cannot delete: dtc drops the directive; set status = \"disabled\", or change the base",
    ),
    (
        "empty-fragment",
        Note,
        "a fragment changes nothing",
        "remove it; if the source has /delete-node/ or /delete-property/ there, dtc has dropped it",
    ),
    (
        "outside-fragment",
        Warning,
        "something stands outside of the fragments, where no tool merges it",
        "move it into &label { ... } or &{/} { ... }",
    ),
    (
        "loose-name",
        Warning,
        "a node without a unit address, where the tree has one of that name with an address",
        "write the unit address: libfdt changes the node that is there, kbt and libufdt add a second one",
    ),
    (
        "phandle-clash",
        Warning,
        "the overlay gives a phandle to a node that has one",
        "refer to the node by the base's label instead of labelling it again: libufdt overwrites the \
         phandle, and the base's references dangle",
    ),
    ("duplicate-phandle", Error, "two nodes of one tree have the same phandle", "leave phandles to dtc"),
    (
        "hard-coded-phandle",
        Warning,
        "a phandle is written as a number",
        "write &label: phandles are numbered anew by every build of the base",
    ),
    (
        "dangling-reference",
        Warning,
        "a phandle of the base leads to no node",
        "was the base merged by a tool that overwrites phandles? build it again from its source",
    ),
    (
        "unused-label",
        Note,
        "nobody refers to a label of the overlay",
        "remove it, unless a later overlay is to use it",
    ),
    ("dangling-symbol", Warning, "a symbol leads to no node", "build the tree again with 'dtc -@'"),
    (
        "symbol-into-fragment",
        Warning,
        "a symbol of the base leads into a fragment",
        "the base was merged by a tool that does not rewrite symbols: merge it with kbt dto apply",
    ),
    (
        "symbol-outside-overlay",
        Warning,
        "a label of the overlay is on no content of a fragment, so that a merge drops it",
        "put the label on a node inside of the fragment",
    ),
    (
        "bootargs-replaced",
        Warning,
        "the overlay replaces the kernel's command line",
        "set bootargs_ext instead, which the boot loader (or --concat-bootargs) appends",
    ),
    (
        "bootargs-ext-twice",
        Warning,
        "two overlays set bootargs_ext, and the later one replaces the earlier",
        "join them in one overlay, or merge with --concat-bootargs, which takes both",
    ),
    (
        "duplicate-node",
        Warning,
        "a node has two children of one name",
        "merge them in the source: tools take the first, or both",
    ),
    (
        "duplicate-property",
        Warning,
        "a node has a property twice",
        "remove one: tools take the first, or the last",
    ),
    (
        "property-conflict",
        Warning,
        "two overlays set a property differently, and the later one wins",
        "is the order meant? then it must always be this one",
    ),
    ("property-twice", Note, "two overlays set a property to the same value", "leave it to one of them"),
    (
        "node-twice",
        Note,
        "two overlays bring the same node, which becomes one",
        "is it meant? then label it in the first one, and refer to it by the label",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_its_row() {
        assert_eq!(RULES.len(), ROWS.len());
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(*rule as usize, index, "{}", rule.code());
        }
        assert_eq!(Rule::RootTarget.code(), "root-target");
        assert_eq!(Rule::NodeTwice.code(), "node-twice");
    }
}
