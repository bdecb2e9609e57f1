//! The names under which kbt stands in for the tool of that name: one table, looked up by `argv[0]`.

mod depmod;
mod fdtoverlay;
mod jobserver_exec;
mod kallsyms;
mod mkdtboimg;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::{exit, usage};

/// What runs under one name; it gets the words after `argv[0]`.
pub type Entry = fn(Vec<OsString>) -> ExitCode;

/// Reads the words of a tool that exits 1 where it refuses them; else what is left is to exit.
fn parse<A: Parser>(name: &'static str, words: Vec<OsString>) -> Result<A, ExitCode> {
    A::try_parse_from(std::iter::once(name.into()).chain(words)).map_err(|error| {
        let code = usage::finish(name, false, &error);
        if error.use_stderr() { ExitCode::from(exit::FAILURE) } else { code }
    })
}

/// The tools that kbt answers for.
const TABLE: &[(&str, Entry)] = &[
    ("depmod", depmod::run),
    ("fdtoverlay", fdtoverlay::run),
    ("jobserver-exec", jobserver_exec::run),
    ("kallsyms", kallsyms::run),
    ("mkdtboimg", mkdtboimg::run),
    ("mkdtboimg.py", mkdtboimg::run),
];

/// The names that kbt answers for.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

/// The entry for this `argv[0]`, if its file name is one of the table's.
pub fn by_name(argv0: &OsStr) -> Option<Entry> {
    let name = Path::new(argv0).file_name()?;
    TABLE.iter().find(|(known, _)| name == *known).map(|(_, entry)| *entry)
}
