//! `--depfile`: what a result was made of, as a rule that make includes and ninja reads (`deps = gcc`).
//!
//! The rule is `OUTPUT: INPUT...`, with a rule of its own for each input, so that make goes on where one was removed, as
//! with `gcc -MMD -MP`. It appears together with the output. Names are written as they were given, since ninja looks the
//! output up by its very spelling.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::args::depfile::Depfile as Args;
use crate::dtbo::select::EntryRef;
use crate::output::{Output, Set};
use crate::report::Failure;

/// The inputs of a command, where a rule is wanted.
pub struct Depfile<'a> {
    file: Option<&'a Path>,
    inputs: Vec<OsString>,
    known: HashSet<OsString>,
}

impl<'a> Depfile<'a> {
    /// Nothing is kept where no file is named.
    pub fn new(args: &'a Args) -> Self {
        Self { file: args.depfile.as_deref(), inputs: Vec::new(), known: HashSet::new() }
    }

    /// Adds a file that is read. Standard input is none.
    pub fn input(&mut self, name: impl AsRef<OsStr>) {
        let name = name.as_ref();
        if self.file.is_some() && name != "-" && self.known.insert(name.to_owned()) {
            self.inputs.push(name.to_owned());
        }
    }

    /// Adds where a tree is read from: a file, or an entry's image.
    pub fn tree(&mut self, word: &OsStr) {
        match EntryRef::parse(word) {
            Some(entry) => self.input(entry.image),
            None => self.input(word),
        }
    }

    /// Stages the rule for `output` beside what else appears with it.
    ///
    /// # Errors
    /// Where the output has no name, and where a name cannot be written in a rule.
    pub fn add(&self, output: &Output, files: &mut Set) -> Result<(), Failure> {
        match output {
            Output::File(path) => self.add_for(path, files),
            Output::Stdout if self.file.is_none() => Ok(()),
            Output::Stdout => {
                Err(Failure::usage("a depfile is about a file, and the result goes to standard output")
                    .hint("name the output with -o, or leave --depfile out"))
            }
        }
    }

    /// The same for an output of this name.
    pub fn add_for(&self, output: &Path, files: &mut Set) -> Result<(), Failure> {
        let Some(file) = self.file else { return Ok(()) };
        files.add(file, &rule(output.as_os_str(), &self.inputs)?)
    }
}

fn rule(output: &OsStr, inputs: &[OsString]) -> Result<Vec<u8>, Failure> {
    let mut text = escaped(output)?;
    text.push(b':');
    for input in inputs {
        text.extend(b" \\\n ");
        text.extend(escaped(input)?);
    }
    text.push(b'\n');
    // An input may be the output as well: `kbt dto apply a.dtb b.dtbo -o a.dtb`.
    for input in inputs.iter().filter(|input| *input != output) {
        text.extend(escaped(input)?);
        text.extend(b":\n");
    }
    Ok(text)
}

/// A name as make and ninja both read it, which is what gcc writes: a blank and `#` behind a backslash, `$` twice, and
/// backslashes in front of a blank twice.
fn escaped(name: &OsStr) -> Result<Vec<u8>, Failure> {
    let bytes = name.as_bytes();
    let mut text = Vec::with_capacity(bytes.len() + 8);
    let mut backslashes = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        match byte {
            0..b' ' | 0x7f => return Err(unnamed(name)),
            // Behind them a `:` or the line's end would be read as escaped.
            b'\\' if at + 1 == bytes.len() => return Err(unnamed(name)),
            b' ' | b'#' => text.extend(std::iter::repeat_n(b'\\', backslashes + 1)),
            b':' => text.push(b'\\'),
            b'$' => text.push(b'$'),
            _ => {}
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
        text.push(byte);
    }
    Ok(text)
}

fn unnamed(name: &OsStr) -> Failure {
    let name = name.to_string_lossy();
    let message = "a depfile cannot name a file with a control character in it, or a backslash at its end";
    Failure::usage(message).at_file(name).hint("rename it, or leave --depfile out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(output: &str, inputs: &[&str]) -> String {
        let inputs: Vec<OsString> = inputs.iter().map(OsString::from).collect();
        String::from_utf8(rule(output.as_ref(), &inputs).unwrap()).unwrap()
    }

    #[test]
    fn a_rule_and_one_for_each_input() {
        assert_eq!(of("out", &["a", "b"]), "out: \\\n a \\\n b\na:\nb:\n");
        assert_eq!(of("a", &["a", "b"]), "a: \\\n a \\\n b\nb:\n");
        assert_eq!(of("out", &[]), "out:\n");
    }

    #[test]
    fn names_are_escaped_as_gcc_escapes_them() {
        assert_eq!(of("my out", &[]), "my\\ out:\n");
        assert_eq!(of("a#b$c", &[]), "a\\#b$$c:\n");
        assert_eq!(of("a\\b", &[]), "a\\b:\n");
        assert_eq!(of("a\\ b", &[]), "a\\\\\\ b:\n");
        assert_eq!(of("a:b", &[]), "a\\:b:\n");
    }

    #[test]
    fn what_no_rule_can_name_is_refused() {
        for name in ["a\nb", "a\tb", "a\\"] {
            assert!(escaped(name.as_ref()).is_err(), "{name:?}");
        }
    }
}
