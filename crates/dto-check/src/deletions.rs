//! `/delete-node/` and `/delete-property/` in the source of an overlay.
//!
//! dtc deletes from a node that the same source has made before: in another block of `/`, or of `&label` where the label is of
//! the same file. The braces that make a node delete nothing, not even what they have themselves. A fragment for a label of the base begins empty, so that there is nothing
//! to delete in it: the directive goes without a word, and the compiled overlay has no trace of it. Hence the look at the
//! source.
//!
//! The source is read as text: comments, strings and character literals are known, `#include` is not followed, and the
//! lines that cpp leaves (`# 12 "file"`) are kept count of. Both branches of an `#if` count as there.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
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
    /// The same in code units of UTF-16, as editors count.
    pub column_utf16: u32,
    /// The file that cpp names, where it did; no more of a name than a path may be long.
    pub file: Option<Arc<str>>,
}

/// `PATH_MAX` of Linux.
const LONGEST_NAME: usize = 4096;

/// The directives of an overlay's source that delete nothing; none in a source without `/plugin/`.
pub fn deletions(source: &[u8]) -> Vec<Deletion> {
    let mut scan = Scan { rest: source, place: Place::START, file: None, fresh: true };
    let mut plugin = false;
    let mut found = Vec::new();
    let mut nodes = Nodes::default();
    let mut directive: Option<Deletion> = None;
    while let Some((place, word)) = scan.next_word() {
        if let Some(mut deletion) = directive.take() {
            deletion.text.push(' ');
            deletion.text.push_str(&String::from_utf8_lossy(word));
            if !nodes.has(word) {
                found.push(deletion);
            }
            continue;
        }
        match word {
            b"/plugin/" => plugin = true,
            b"/delete-node/" | b"/delete-property/" => {
                directive = Some(Deletion {
                    text: String::from_utf8_lossy(word).into_owned(),
                    line: place.line,
                    column: place.byte,
                    column_utf16: place.utf16,
                    file: scan.file.clone(),
                });
            }
            _ => nodes.read(word),
        }
    }
    if plugin { found } else { Vec::new() }
}

/// What the source has put into nodes so far.
#[derive(Default)]
struct Nodes<'s> {
    /// Properties and nodes, by the node that they stand in; the latter with the node that they are.
    names: BTreeMap<(Node, &'s [u8]), Option<Node>>,
    labels: BTreeMap<&'s [u8], Node>,
    /// The last node that was begun.
    last: Node,
    /// The nodes whose braces are open, and whether these are the braces that make it.
    open: Vec<(Node, bool)>,
    /// What this statement has begun with, and the labels in front of it.
    first: Option<&'s [u8]>,
    waiting: Vec<&'s [u8]>,
}

/// The number of a node; 0 is what stands outside of braces.
type Node = usize;

impl<'s> Nodes<'s> {
    /// Whether a directive in the innermost braces deletes what it names.
    fn has(&self, word: &[u8]) -> bool {
        match word.strip_prefix(b"&") {
            Some(label) => self.labels.contains_key(label),
            None => {
                let (here, is_new) = self.here();
                !is_new && self.names.contains_key(&(here, word))
            }
        }
    }

    fn here(&self) -> (Node, bool) {
        self.open.last().copied().unwrap_or_default()
    }

    fn read(&mut self, word: &'s [u8]) {
        match word {
            b"{" => self.enter(),
            b"}" => {
                self.end();
                self.open.pop();
            }
            b";" => self.end(),
            b"/omit-if-no-ref/" => {}
            _ if self.first.is_some() => {}
            _ => match word.strip_suffix(b":") {
                Some(label) => self.waiting.push(label),
                None => self.first = Some(word),
            },
        }
    }

    /// A statement ends that opened no braces: a property, or nothing.
    fn end(&mut self) {
        let (here, _) = self.here();
        if let Some(name) = self.first.take() {
            self.names.entry((here, name)).or_default();
        }
        self.waiting.clear();
    }

    /// Braces open: those of a node that is there already, or of a new one.
    fn enter(&mut self) {
        let (here, _) = self.here();
        let first = self.first.take().unwrap_or_default();
        let known = match first.strip_prefix(b"&") {
            Some(label) => self.labels.get(label).copied(),
            None => self.names.get(&(here, first)).copied().flatten(),
        };
        let node = known.unwrap_or_else(|| {
            self.last += 1;
            self.last
        });
        if !first.starts_with(b"&") {
            self.names.insert((here, first), Some(node));
        }
        for label in self.waiting.drain(..) {
            self.labels.entry(label).or_insert(node);
        }
        // Fragments that come first make the root node.
        let is_new = known.is_none() && !(first == b"/" && node > 1);
        self.open.push((node, is_new));
    }
}

/// Where a word stands, each from 1.
#[derive(Debug, Clone, Copy)]
struct Place {
    line: u32,
    byte: u32,
    utf16: u32,
    /// Whether the next byte is the second of four in UTF-8, which are a pair in UTF-16.
    is_pair: bool,
}

impl Place {
    const START: Self = Self { line: 1, byte: 1, utf16: 1, is_pair: false };

    fn pass(&mut self, byte: u8) {
        if byte == b'\n' {
            *self = Self { line: self.line.saturating_add(1), ..Self::START };
            return;
        }
        self.byte = self.byte.saturating_add(1);
        // What follows the first byte of a letter counts nothing, but in a pair. What is no UTF-8 counts about the same.
        let is_second = core::mem::replace(&mut self.is_pair, matches!(byte, 0xf0..=0xf4));
        let counts = is_second || !matches!(byte, 0x80..=0xbf);
        self.utf16 = self.utf16.saturating_add(u32::from(counts));
    }
}

struct Scan<'s> {
    rest: &'s [u8],
    place: Place,
    file: Option<Arc<str>>,
    /// Whether nothing but blanks stands in front on this line.
    fresh: bool,
}

impl<'s> Scan<'s> {
    fn advance(&mut self, bytes: usize) {
        for &byte in self.rest.get(..bytes).unwrap_or(self.rest) {
            self.place.pass(byte);
            self.fresh |= byte == b'\n';
        }
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The next name, reference, directive or brace, and where it stands.
    fn next_word(&mut self) -> Option<(Place, &'s [u8])> {
        loop {
            let first = *self.rest.first()?;
            let skipped = if self.rest.starts_with(b"//") || first == b'#' && self.is_line_of_cpp() {
                let length = line_length(self.rest);
                self.read_marker(length);
                length
            } else if self.rest.starts_with(b"/*") {
                find(self.rest, b"*/").map_or(self.rest.len(), |end| end + 2)
            } else if first == b'"' {
                string_length(self.rest)
            } else if first == b'\'' {
                character_length(self.rest)
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
        let place = self.place;
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
            self.place.line = number.saturating_sub(1);
            if let Some(name) = file.split('"').nth(1) {
                let name = name.get(..name.floor_char_boundary(LONGEST_NAME)).unwrap_or_default();
                self.file = Some(name.into());
            }
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

/// A character literal, which has one character or an escape of one; else the quote alone.
fn character_length(rest: &[u8]) -> usize {
    // `'\x41'` and `'\101'` are the longest.
    const LONGEST: usize = 6;
    let from = if rest.get(1) == Some(&b'\\') { 3 } else { 2 };
    let end = rest.iter().take(LONGEST).skip(from).position(|&byte| byte == b'\'' || byte == b'\n');
    end.map(|end| from + end).filter(|&end| rest.get(end) == Some(&b'\'')).map_or(1, |end| end + 1)
}

/// A line of cpp's with those that it goes on in, or a comment's.
fn line_length(rest: &[u8]) -> usize {
    let ends = rest.iter().enumerate().filter(|&(at, &byte)| {
        let before = rest.get(..at).unwrap_or_default();
        byte == b'\n' && !(before.ends_with(b"\\") || before.ends_with(b"\\\r"))
    });
    ends.map(|(at, _)| at).next().unwrap_or(rest.len())
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
            ("/delete-node/ made".into(), 5, 2),
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
    fn blocks_of_one_node_are_one() {
        let names = |source: &str| -> Vec<String> {
            found(&std::format!("/plugin/; {source}")).into_iter().map(|(text, ..)| text).collect()
        };
        // What dtc 1.7.2 deletes is not told of.
        for deleted in [
            "&soc { x: cam { p = <1>; y { }; }; }; &x { /delete-property/ p; /delete-node/ y; };",
            "/ { a { x { }; }; }; / { a { /delete-node/ x; }; };",
            "/ { x: n { y { }; }; }; &x { /delete-node/ y; };",
            "&soc { p: cam { q; }; }; &p { z: zz { y { }; }; }; &z { /delete-node/ y; };",
            "&soc { x: cam { l; }; }; l2: &x { /delete-property/ l; }; /delete-node/ &l2;",
            "&soc { l: m: cam { l; }; }; &m { /delete-property/ l; };",
            "&soc { x: cam { l; }; }; &x { l = <2>; /delete-property/ l; };",
            "&soc { x: cam { }; }; &x { l = <2>; /delete-property/ l; };",
            "&soc { a; }; / { p = <3>; /delete-property/ p; };",
        ] {
            assert_eq!(names(deleted), [""; 0], "{deleted}");
        }
        for (kept, name) in [
            ("&soc { a = <1>; }; &soc { /delete-property/ a; };", "property/ a"),
            ("&soc { a = <1>; /delete-property/ a; };", "property/ a"),
            ("/ { p = <3>; /delete-property/ p; };", "property/ p"),
            ("/ { x: n { }; }; &x { y { z; /delete-property/ z; }; };", "property/ z"),
            ("&soc { cam { y { }; }; }; &{/fragment@0/__overlay__/cam} { /delete-node/ y; };", "node/ y"),
            ("&x { /delete-node/ y; }; &soc { x: cam { y { }; }; };", "node/ y"),
            ("&soc { a { y { }; }; b { /delete-node/ y; }; };", "node/ y"),
            // A value, a type and a label are no names.
            ("&soc { a = <b>; /delete-property/ b; };", "property/ b"),
            ("&soc { a = /bits/ 8 <1>; /delete-property/ bits; };", "property/ bits"),
            ("&soc { l: n { }; /delete-node/ l; };", "node/ l"),
        ] {
            assert_eq!(names(kept), [std::format!("/delete-{name}")], "{kept}");
        }
    }

    #[test]
    fn a_quote_in_a_character_opens_no_string() {
        for literal in ["'\"'", "'\\''", "'\\\\'", "'\\x22'", "'\\101'", "'a'"] {
            let source = std::format!("/plugin/; &soc {{ q = <{literal} 1>; /delete-node/ gone; }};");
            assert_eq!(found(&source).len(), 1, "{source}");
        }
        // What is none swallows nothing.
        assert_eq!(found("/plugin/; ' &soc { /delete-node/ gone; };").len(), 1);
    }

    #[test]
    fn lines_of_cpp_go_on() {
        assert_eq!(found("/plugin/;\n#define X \\\n /delete-node/ a; \\\r\n b\n&c { };").len(), 0);
        assert_eq!(found("/plugin/;\n#define X a\n&c { /delete-node/ a; };").len(), 1);
    }

    #[test]
    fn columns_are_counted_twice() {
        let source = "/plugin/; &soc { /* \u{e4}\u{1f600}\u{20ac} */ /delete-node/ x; };";
        let [deletion] = &deletions(source.as_bytes())[..] else { panic!("one") };
        let before = source.split_once("/delete").unwrap().0;
        assert_eq!(deletion.column as usize, before.len() + 1);
        assert_eq!(deletion.column_utf16 as usize, before.encode_utf16().count() + 1);
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
