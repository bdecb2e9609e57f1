//! `--depfile`: what a result was made of, as a rule that make includes and ninja reads (`deps = gcc`).
//!
//! The rule is `OUTPUT: INPUT...`, with a rule of its own for each input, so that make goes on where one was removed, as
//! with `gcc -MMD -MP`. It appears together with the output. Names are written as they were given, since ninja looks the
//! output up by its very spelling. What both tools would not read as the name that it is, is refused.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
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
                    .hint("name a file for the result, or leave --depfile out"))
            }
        }
    }

    /// The same where a run writes several files, or none: the first file stands for the others, since they appear together.
    ///
    /// # Errors
    /// As [`Depfile::add`], and where no file is written at all.
    pub fn add_first<'o>(
        &self,
        outputs: impl IntoIterator<Item = &'o Output>,
        files: &mut Set,
    ) -> Result<(), Failure> {
        let mut outputs = outputs.into_iter();
        let first = outputs.find(|output| matches!(output, Output::File(_)));
        self.add(first.unwrap_or(&Output::Stdout), files)
    }

    /// The same for an output of this name.
    pub fn add_for(&self, output: &Path, files: &mut Set) -> Result<(), Failure> {
        let Some(file) = self.file else { return Ok(()) };
        if file == Path::new("-") {
            return Err(Failure::usage("a depfile is a file, and '-' is none").hint("name a file"));
        }
        let place = fs::canonicalize(file).ok().filter(|place| place.is_file());
        if place.is_some() && self.inputs.iter().any(|input| fs::canonicalize(input).ok() == place) {
            return Err(Failure::usage("the depfile would replace an input")
                .at_file(file.display())
                .hint("name another file with --depfile"));
        }
        files.add(file, &rule(output.as_os_str(), &self.inputs)?)
    }
}

fn rule(output: &OsStr, inputs: &[OsString]) -> Result<Vec<u8>, Failure> {
    let mut text = escaped(output)?;
    text.push(b':');
    // What is changed in its place does not need itself: make warns of such a circle, and ninja refuses it.
    let inputs = inputs.iter().filter(|input| *input != output);
    let inputs = inputs.map(|input| escaped(input)).collect::<Result<Vec<_>, _>>()?;
    for input in &inputs {
        text.extend(b" \\\n ");
        text.extend(input);
    }
    text.push(b'\n');
    for input in &inputs {
        text.extend(input);
        text.extend(b":\n");
    }
    Ok(text)
}

/// A name as make and ninja both read it, which is what gcc writes: a blank and `#` behind a backslash, `$` twice, and
/// backslashes in front of a blank twice.
fn escaped(name: &OsStr) -> Result<Vec<u8>, Failure> {
    let bytes = name.as_bytes();
    if let Some(what) = unspeakable(bytes) {
        let name = name.to_string_lossy();
        return Err(Failure::usage(format!("a depfile cannot name a file with {what}"))
            .at_file(name)
            .hint("rename it, or leave --depfile out"));
    }
    let mut text = Vec::with_capacity(bytes.len() + 8);
    let mut backslashes = 0;
    for &byte in bytes {
        match byte {
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

/// What of a name make or ninja reads as something else, with no escape that both of them know: wildcards, patterns,
/// assignments, members of archives, a home directory; bytes that ninja's depfiles have no room for.
fn unspeakable(name: &[u8]) -> Option<String> {
    const NOWHERE: &[u8] = b"%*?[;=<>^`|";
    const NOT_LAST: &[u8] = b"\\:& ";
    if name.iter().any(u8::is_ascii_control) {
        return Some("a control character".into());
    }
    if let Some(&byte) = name.iter().find(|byte| NOWHERE.contains(byte)) {
        return Some(format!("'{}' in its name", char::from(byte)));
    }
    if let Some(&byte) = name.last().filter(|byte| NOT_LAST.contains(byte)) {
        return Some(format!("'{}' at the end of its name", char::from(byte)));
    }
    if name.windows(2).any(|pair| matches!(pair, br"\:" | br"\#" | br"\$")) {
        return Some("a backslash in front of ':', '#' or '$' in its name".into());
    }
    if name.ends_with(b")") && name.contains(&b'(') {
        return Some("a name like that of an archive's member".into());
    }
    name.starts_with(b"~").then(|| "'~' at the start of its name".into())
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
        assert_eq!(of("a", &["a", "b"]), "a: \\\n b\nb:\n");
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
        for name in ["a\nb", "a\tb", "a\\", "a:", "a*b", "a=b", "a(b)", "~a", "a\\:b"] {
            assert!(escaped(name.as_ref()).is_err(), "{name:?}");
        }
    }
}
