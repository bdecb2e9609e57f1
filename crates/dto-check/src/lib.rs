//! Overlays judged.
//!
//! - [`lint()`]: what is wrong, odd or fragile in overlays for a base, each finding with a rule and a place;
//! - [`verify`](verify()): whether a tree holds what overlays ask for, as a device's final tree must;
//! - [`deletions()`]: `/delete-node/` in an overlay's source, which dtc drops.
//!
//! The merge itself is `kbt_dto`'s, labels and references are `kbt_dts`'s: this crate compares what they say.
//!
//! ```
//! use kbt_dto_check::{Rule, What, lint, verify};
//! use kbt_testkit::{Node, Overlay, Target, write};
//!
//! let base = write(&Node::new("").child(Node::new("soc")).into());
//! let overlay = |node| {
//!     let mut overlay = Overlay::new();
//!     overlay.fragment(Target::path("/soc"), node);
//!     write(&overlay.finish())
//! };
//! let found = lint(&base, &[&overlay(Node::new(""))], &Default::default())?;
//! assert!(matches!(found[0].what, What::Rule(Rule::EmptyFragment, _)));
//!
//! let wanted = overlay(Node::new("").flag("dma-coherent"));
//! let verified = verify(&base, None, &[&wanted], &Default::default())?;
//! assert_eq!(verified.faults.len(), 1, "the tree lacks the property");
//! # Ok::<(), (kbt_dto::Input, kbt_dts::Error)>(())
//! ```
//!
//! ```
//! let source = b"/dts-v1/; /plugin/;\n&uart {\n    /delete-node/ modem;\n};\n";
//! let found = kbt_dto_check::deletions(source);
//! assert_eq!((found[0].text.as_str(), found[0].line), ("/delete-node/ modem", 3));
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod bootargs;
mod deletions;
mod finding;
pub mod lint;
mod placement;
mod rule;
mod verify;

pub use deletions::{Deletion, deletions};
pub use finding::{Finding, What};
pub use lint::lint;
pub use placement::{Fragment, Placement, TargetFault};
pub use rule::{RULES, Rule, Severity};
pub use verify::{Fault, FaultKind, Verified, verify};
