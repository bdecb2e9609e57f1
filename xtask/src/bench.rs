//! `cargo xtask bench`: measures one area and prints its table, as docs/benchmarks.md holds it; with `--plots`, its
//! pictures.

mod build;
mod depmod;
mod dto;
mod jobserver;
mod kallsyms;
mod matrix;
mod plots;
mod process;
mod table;

use crate::areas::{self, Area};
use crate::run::Result;

const AREAS: &[Area] = &[
    Area {
        name: "depmod",
        help: "the whole command, against kmod 30 and 34: [--quick] [--rounds N]",
        run: depmod::run,
    },
    Area { name: "dto", help: "the merge of overlays, against dtoolkit and libfdt: [memory]", run: dto::run },
    Area {
        name: "kallsyms",
        help: "the table of a kernel's symbols, against nm, mksysmap, scripts/kallsyms and gcc",
        run: kallsyms::run,
    },
    Area {
        name: "matrix",
        help: "every overlay on every base of Debian's trees, against a loop of fdtoverlay",
        run: matrix::run,
    },
    Area {
        name: "jobserver",
        help: "a start beside a script's, work by several threads, tokens kept by mode",
        run: jobserver::run,
    },
];

/// The verb: the area, then the area's own words; or `--plots` and what it takes.
pub fn run(words: &[String]) -> Result {
    match words.split_first() {
        Some((first, rest)) if first == "--plots" => plots::run(rest),
        _ => areas::run(AREAS, "which area, or --plots?", words),
    }
}
