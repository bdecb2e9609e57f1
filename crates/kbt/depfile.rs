//! `--depfile`: what a result was made of, as a rule that make includes and ninja reads (`deps = gcc`).
//!
//! The rule is `OUTPUT: INPUT...`, with a rule of its own for each input, so that make goes on where one was removed, as
//! with `gcc -MMD -MP`. It appears together with the output. Names are written as they were given, since ninja looks the
//! output up by its very spelling. Words of make's are put behind `./`. What both tools would not read as the name that it is, is refused.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::args::depfile::Depfile;
use crate::output::{Output, Set};
use crate::report::Failure;

/// Stages the rule for `output`, where one is wanted, beside what else appears with it: of what these files are made of.
///
/// # Errors
/// Where the output has no name, and where a name cannot be written in a rule.
pub fn add(args: &Depfile, output: &Output, files: &mut Set<'_>) -> Result<(), Failure> {
    match output {
        Output::File(path) => add_for(args, path, files),
        Output::Stdout if args.depfile.is_none() => Ok(()),
        Output::Stdout => {
            Err(Failure::usage("a depfile is about a file, and the result goes to standard output")
                .hint("name a file for the result, or leave --depfile out"))
        }
    }
}

/// The same where a run writes several files, or none: the first file stands for the others, since they appear together.
///
/// # Errors
/// As [`add`], and where no file is written at all.
pub fn add_first<'o>(
    args: &Depfile,
    outputs: impl IntoIterator<Item = &'o Output>,
    files: &mut Set<'_>,
) -> Result<(), Failure> {
    let first = outputs.into_iter().find(|output| matches!(output, Output::File(_)));
    add(args, first.unwrap_or(&Output::Stdout), files)
}

/// The same for an output of this name.
///
/// # Errors
/// As [`add`].
pub fn add_for(args: &Depfile, output: &Path, files: &mut Set<'_>) -> Result<(), Failure> {
    let Some(file) = &args.depfile else { return Ok(()) };
    if file == Path::new("-") {
        return Err(Failure::usage("a depfile is a file, and '-' is none").hint("name a file"));
    }
    let inputs: Vec<&OsStr> = files.inputs().into_iter().flat_map(|inputs| inputs.names()).collect();
    files.add(file, &rule(output.as_os_str(), &inputs)?)
}

fn rule(output: &OsStr, inputs: &[&OsStr]) -> Result<Vec<u8>, Failure> {
    let mut text = escaped(output)?;
    text.push(b':');
    // What is changed in its place does not need itself: make warns of such a circle, and ninja refuses it.
    let inputs = inputs.iter().filter(|input| **input != output);
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
    if is_word_of_make(bytes) {
        text.extend(b"./");
    }
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

/// Whether make 4.3 takes a rule for this name for a definition (`define:`). Under `./` it is a file, for ninja the same one.
fn is_word_of_make(name: &[u8]) -> bool {
    let first = name.split(|&byte| byte == b' ').next();
    matches!(first, Some(b"define" | b"undefine" | b"override"))
}

/// What of a name make or ninja reads as something else, with no escape that both of them know: wildcards, patterns,
/// assignments, members of archives, a home directory, special targets (`.PHONY`, also behind `./`); bytes that ninja's depfiles have no room for.
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
    let is_special =
        |rest: &[u8]| rest.len() > 1 && rest.iter().all(|&byte| byte.is_ascii_uppercase() || byte == b'_');
    if name.strip_prefix(b"./").unwrap_or(name).strip_prefix(b".").is_some_and(is_special) {
        return Some("the name of a special target".into());
    }
    name.starts_with(b"~").then(|| "'~' at the start of its name".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(output: &str, inputs: &[&str]) -> String {
        let inputs: Vec<&OsStr> = inputs.iter().map(OsStr::new).collect();
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
    fn what_is_a_word_of_make_gets_a_directory() {
        assert_eq!(
            of("out", &["define", "a/define"]),
            "out: \\\n ./define \\\n a/define\n./define:\na/define:\n"
        );
        assert_eq!(of("undefine", &[]), "./undefine:\n");
        assert_eq!(of(".config", &[]), ".config:\n");
    }

    #[test]
    fn what_no_rule_can_name_is_refused() {
        for name in ["a\nb", "a\tb", "a\\", "a:", "a*b", "a=b", "a(b)", "~a", "a\\:b", ".PHONY", "./.WAIT"] {
            assert!(escaped(name.as_ref()).is_err(), "{name:?}");
        }
    }
}
