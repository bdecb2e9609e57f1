//! Dev-only: makes device trees, overlays and kernel modules for tests and benchmarks, and finds the reference tools that
//! they are compared with.
//!
//! Nothing here uses `kbt-fdt` or `kbt-dto`: the writer, the reader and the comparison are a second opinion,
//! simple and owned where those are fast and borrowed.
//!
//! - [`tree`]: an owned tree, [`write`](mod@write) and [`read`](mod@read): to bytes and back;
//! - [`overlay`]: overlays as dtc's `-@` makes them, with fixups and symbols;
//! - [`compare`]: whether two trees mean the same;
//! - [`mod@fdt_rs`]: the token stream as another parser sees it;
//! - [`dtbo_image`]: DTBO images of odd layouts;
//! - [`module`]: kernel modules, real and odd;
//! - [`peers`]: the reference tools and real trees;
//! - [`callgrind`]: counts of instructions;
//! - [`cases`]: the trees that the benchmarks measure, [`dense`]: those of the most and smallest nodes, [`random`]: the
//!   numbers that they and mutations use.

pub mod callgrind;
pub mod cases;
pub mod compare;
pub mod dense;
pub mod dtbo_image;
pub mod fdt_rs;
pub mod golden;
pub mod module;
pub mod overlay;
pub mod peers;
pub mod random;
pub mod read;
pub mod tree;
pub mod write;

use peers::place;

pub use compare::{differences, lost_phandles};
pub use overlay::{Overlay, Target};
pub use read::read;
pub use tree::{Node, Tree};
pub use write::{BlockOrder, StringSharing, WriteOptions, write};
