//! `/delete-node/` and `/delete-property/` in the source of an overlay.
//!
//! dtc deletes what the same braces had before, or the node of a label of the same file. An overlay's fragments are
//! braces of their own, so that there is nothing to delete in them: the directive goes without a word, and the compiled
//! overlay has no trace of it. Hence the look at the source.
//!
//! The source is read as text: comments and strings are known, `#include` is not followed, and the lines that cpp leaves
//! (`# 12 "file"`) are kept count of.

use alloc::string::String;
use alloc::vec::Vec;

/// A directive that deletes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The directive and what it names, as written.
    pub text: String,
    /// Line, from 1, as cpp counts it.
    pub line: u32,
    /// Column in bytes, from 1.
    pub column: u32,
    /// The file that cpp names, where it did.
    pub file: Option<String>,
}

/// The directives of an overlay's source that delete nothing; none in a source without `/plugin/`.
pub fn deletions(source: &[u8]) -> Vec<Deletion> {
    let mut scan = Scan { rest: source, line: 1, column: 1, file: None, fresh: true };
    let mut plugin = false;
    let mut found = Vec::new();
    // Names met so far in each open brace; labels of the whole file.
    let mut scopes: Vec<Vec<&[u8]>> = alloc::vec![Vec::new()];
    let mut labels: Vec<&[u8]> = Vec::new();
    let mut directive: Option<Deletion> = None;
    while let Some((place, word)) = scan.next_word() {
        if let Some(mut deletion) = directive.take() {
            let known = match word.strip_prefix(b"&") {
                Some(label) => labels.contains(&label),
                None => scopes.last().is_some_and(|names| names.contains(&word)),
            };
            deletion.text.push(' ');
            deletion.text.push_str(&String::from_utf8_lossy(word));
            if !known {
                found.push(deletion);
            }
            continue;
        }
        match word {
            b"/plugin/" => plugin = true,
            b"/delete-node/" | b"/delete-property/" => {
                let text = String::from_utf8_lossy(word).into_owned();
                let file = scan.file.clone();
                directive = Some(Deletion { text, line: place.0, column: place.1, file });
            }
            b"{" if scopes.len() <= MAX_DEPTH => scopes.push(Vec::new()),
            b"}" if scopes.len() > 1 => _ = scopes.pop(),
            _ => match word.strip_suffix(b":") {
                Some(label) => note(&mut labels, label),
                None => scopes.last_mut().into_iter().for_each(|names| note(names, word)),
            },
        }
    }
    if plugin { found } else { Vec::new() }
}

/// Deeper braces are one scope.
const MAX_DEPTH: usize = 512;
/// Of so many names in one place the later ones are forgotten: a search is linear.
const MAX_NAMES: usize = 4096;

fn note<'s>(names: &mut Vec<&'s [u8]>, name: &'s [u8]) {
    if names.len() < MAX_NAMES {
        names.push(name);
    }
}

struct Scan<'s> {
    rest: &'s [u8],
    line: u32,
    column: u32,
    file: Option<String>,
    /// Whether nothing but blanks stands in front on this line.
    fresh: bool,
}

impl<'s> Scan<'s> {
    fn advance(&mut self, bytes: usize) {
        for &byte in self.rest.get(..bytes).unwrap_or(self.rest) {
            if byte == b'\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
                self.fresh = true;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The next name, reference, directive or brace, and its line and column.
    fn next_word(&mut self) -> Option<((u32, u32), &'s [u8])> {
        loop {
            let first = *self.rest.first()?;
            let skipped = if self.rest.starts_with(b"//") || first == b'#' && self.is_line_of_cpp() {
                let length = find(self.rest, b"\n").unwrap_or(self.rest.len());
                self.read_marker(length);
                length
            } else if self.rest.starts_with(b"/*") {
                find(self.rest, b"*/").map_or(self.rest.len(), |end| end + 2)
            } else if first == b'"' {
                string_length(self.rest)
            } else if first.is_ascii_whitespace() {
                1
            } else {
                break;
            };
            if !first.is_ascii_whitespace() {
                self.fresh = false;
            }
            self.advance(skipped);
        }
        self.fresh = false;
        let place = (self.line, self.column);
        let length = word_length(self.rest);
        let word = self.rest.get(..length)?;
        self.advance(length);
        Some((place, word))
    }

    /// `#include`, `#define`, `# 1 "file"`: not a property like `#size-cells`.
    fn is_line_of_cpp(&self) -> bool {
        const DIRECTIVES: [&[u8]; 12] = [
            b"# ",
            b"#define",
            b"#elif",
            b"#else",
            b"#endif",
            b"#error",
            b"#if ",
            b"#ifdef",
            b"#ifndef",
            b"#include",
            b"#line",
            b"#undef",
        ];
        self.fresh && DIRECTIVES.iter().any(|directive| self.rest.starts_with(directive))
    }

    /// Takes line and file from `# 12 "file"`.
    fn read_marker(&mut self, length: usize) {
        let Some(text) = self.rest.get(..length).and_then(|line| str::from_utf8(line).ok()) else { return };
        let Some(marker) = text.strip_prefix("# ").or_else(|| text.strip_prefix("#line ")) else { return };
        let (number, file) = marker.split_once(' ').unwrap_or((marker, ""));
        if let Ok(number) = number.parse::<u32>() {
            // The line behind the marker has that number.
            self.line = number.saturating_sub(1);
            let name = file.split('"').nth(1);
            self.file = name.map(String::from).or_else(|| self.file.take());
        }
    }
}

fn word_length(rest: &[u8]) -> usize {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b",._+*#?@-".contains(&byte);
    let names = |from: usize| rest.iter().skip(from).take_while(|&&byte| is_name(byte)).count();
    match rest.first() {
        Some(b'/') => {
            let directive =
                rest.iter().skip(1).take_while(|byte| byte.is_ascii_lowercase() || **byte == b'-').count();
            if directive > 0 && rest.get(directive + 1) == Some(&b'/') { directive + 2 } else { 1 }
        }
        Some(b'&') if rest.get(1) == Some(&b'{') => find(rest, b"}").map_or(rest.len(), |end| end + 1),
        Some(b'&') => 1 + names(1),
        _ => match names(0) {
            0 => 1,
            length => length + usize::from(rest.get(length) == Some(&b':')),
        },
    }
}

fn string_length(rest: &[u8]) -> usize {
    let mut at = 1;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    rest.len()
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use std::vec;

    use super::*;

    fn found(source: &str) -> Vec<(String, u32, u32)> {
        let all = deletions(source.as_bytes());
        all.into_iter().map(|deletion| (deletion.text, deletion.line, deletion.column)).collect()
    }

    #[test]
    fn what_a_fragment_does_not_have_is_not_deleted() {
        let source = "/dts-v1/;\n/plugin/;\n&uart {\n\tmade { };\n\t/delete-node/ made;\n\t/delete-node/ other;\n\
                      \t/delete-property/ dmas;\n};\n&uart { /delete-node/ made; };\n";
        let expected = vec![
            ("/delete-node/ other".into(), 6, 2),
            ("/delete-property/ dmas".into(), 7, 2),
            ("/delete-node/ made".into(), 9, 9),
        ];
        assert_eq!(found(source), expected);
    }

    #[test]
    fn labels_are_of_the_whole_file() {
        let source =
            "/plugin/; &a { x: made { }; }; /delete-node/ &x; /delete-node/ &{/soc}; /delete-node/ &y;";
        let names: Vec<_> = found(source).into_iter().map(|(text, ..)| text).collect();
        assert_eq!(names, ["/delete-node/ &{/soc}", "/delete-node/ &y"]);
    }

    #[test]
    fn comments_strings_and_bases_do_not_count() {
        let directive = "/delete-node/ x;";
        assert_eq!(found(&std::format!("/ {{ {directive} }};")), vec![]);
        assert_eq!(
            found(&std::format!(
                "/plugin/; // {directive}\n/* {directive} */ &a {{ s = \"\\\"{directive}\"; }};"
            )),
            vec![]
        );
    }

    #[test]
    fn cpp_counts_the_lines() {
        let source =
            "# 1 \"a.dtso\"\n/plugin/;\n# 40 \"b.dtsi\" 1\n&a {\n#size-cells = <1>;\n/delete-node/ x; };\n";
        let [deletion] = &deletions(source.as_bytes())[..] else { panic!("one") };
        assert_eq!((deletion.line, deletion.column, deletion.file.as_deref()), (42, 1, Some("b.dtsi")));
    }
}
