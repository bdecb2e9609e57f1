//! A finding of the lint: what, and where.

use alloc::string::String;

use kbt_dto::Input;

use crate::rule::{Rule, Severity};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One of the lint's own rules, with what is to be said of this case.
    Rule(Rule, String),
    /// The merge refuses the overlay.
    Refused(kbt_dto::ErrorKind),
    /// The merge warns of it.
    Odd(kbt_dto::WarningKind),
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was found.
    pub what: What,
    /// In which input.
    pub input: Input,
    /// Path of the node in that input, where the finding is about one; in an overlay a path of the overlay.
    pub node: Option<String>,
    /// The property's name.
    pub property: Option<String>,
    /// The overlay, by its index, that did first what this one does again.
    pub earlier: Option<usize>,
    /// Byte offset in the input.
    pub offset: Option<usize>,
    /// How many more of its rule, in this input or later ones, are not listed: of each rule no more than
    /// [`MAX_OF_RULE`](crate::lint::MAX_OF_RULE) are, and the last of them counts the rest.
    pub unlisted: usize,
}

impl Finding {
    /// How bad it is.
    pub fn severity(&self) -> Severity {
        match &self.what {
            What::Rule(rule, _) => rule.severity(),
            What::Refused(_) => Severity::Error,
            What::Odd(_) => Severity::Warning,
        }
    }
}
