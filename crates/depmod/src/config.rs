//! depmod.d: which directories win, which are left out (depmod.d(5)).

use std::collections::BTreeSet;

use crate::lines::words;
use crate::message::{Level, Messages};
use crate::pattern::{Budget, Pattern, Refusal};

/// What the configuration files say, in the order in which it is asked.
#[derive(Debug, Default, Clone)]
pub struct Config {
    /// `DIRECTORY/MODULE` of each `override` line, the last line first.
    pub(crate) overrides: Vec<Vec<u8>>,
    /// The `search` entries, the last first: a later one has the higher priority.
    pub(crate) searches: Vec<Search>,
    /// The `external` directories, the last line first.
    pub(crate) externals: Vec<Vec<u8>>,
    /// Names that are left out, files and directories.
    pub(crate) excludes: BTreeSet<Vec<u8>>,
}

/// An entry of a `search` line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Search {
    /// A directory below the version's.
    Path(Vec<u8>),
    /// What no other entry matches.
    BuiltIn,
    /// The `external` directories.
    External,
}

impl Config {
    /// The configuration of these files' contents, in their order, for a kernel of that `version`.
    pub fn parse<'f>(
        files: impl IntoIterator<Item = (&'f [u8], &'f [u8])>,
        version: &[u8],
        messages: &mut Messages,
    ) -> Self {
        let mut config = Self::default();
        let mut kernel = Kernel { version, budget: Budget::new() };
        for (name, text) in files {
            config.add_file(name, text, &mut kernel, messages);
        }
        for list in [&mut config.overrides, &mut config.externals] {
            list.reverse();
        }
        config.searches.reverse();
        if config.searches.is_empty() {
            config.searches.push(Search::Path(b"updates".to_vec()));
        }
        config
    }

    /// The directories outside of the version's, in the order in which they are searched.
    pub fn externals(&self) -> impl Iterator<Item = &[u8]> {
        self.externals.iter().map(Vec::as_slice)
    }

    /// Whether the walk passes over a file or directory of this name.
    pub fn excludes(&self, name: &[u8]) -> bool {
        name == b"build" || name == b"source" || self.excludes.contains(name)
    }

    fn add_file(&mut self, name: &[u8], text: &[u8], kernel: &mut Kernel<'_>, messages: &mut Messages) {
        let mut rest = text;
        let mut number = 0;
        while let Some(line) = logical_line(&mut rest, &mut number) {
            if line.first() == Some(&b'#') {
                continue;
            }
            let mut words = words(&line, b"\t ");
            let Some(command) = words.next() else { continue };
            let place = [name, b":", number.to_string().as_bytes(), b": "].concat();
            match self.add_line(command, words, kernel) {
                Line::Taken => {}
                Line::Bad => {
                    messages.error(&[&place, b"ignoring bad line starting with '", command, b"'"]);
                }
                Line::OtherKernel(what, pattern) => {
                    messages.tell(Level::Info, &[&place, what, b" did not match ", pattern]);
                }
                Line::TooLarge(what) => {
                    messages.warn(&[&place, what, b" is too large an expression, it matches no kernel"]);
                }
                Line::NotImplemented => {
                    messages.tell(Level::Info, &[&place, b"command ", command, b" not implemented yet"]);
                }
            }
        }
    }

    fn add_line<'l>(
        &mut self,
        command: &[u8],
        mut words: impl Iterator<Item = &'l [u8]>,
        kernel: &mut Kernel<'_>,
    ) -> Line<'l> {
        match command {
            b"search" => self.searches.extend(words.map(search)),
            b"exclude" => self.excludes.extend(words.map(<[u8]>::to_vec)),
            b"override" => {
                let (Some(module), Some(pattern), Some(directory)) =
                    (words.next(), words.next(), words.next())
                else {
                    return Line::Bad;
                };
                if let Err(line) = kernel.is_meant(b"override kernel", pattern) {
                    return line;
                }
                self.overrides.push([directory, b"/", module].concat());
            }
            b"external" => {
                let (Some(pattern), Some(directory)) = (words.next(), words.next()) else { return Line::Bad };
                if let Err(line) = kernel.is_meant(b"external directory", pattern) {
                    return line;
                }
                self.externals.push(directory.to_vec());
            }
            b"include" | b"make_map_files" => return Line::NotImplemented,
            _ => return Line::Bad,
        }
        Line::Taken
    }
}

/// What became of a line.
enum Line<'l> {
    Taken,
    Bad,
    OtherKernel(&'static [u8], &'l [u8]),
    TooLarge(&'static [u8]),
    NotImplemented,
}

fn search(word: &[u8]) -> Search {
    match word {
        b"built-in" => Search::BuiltIn,
        b"external" => Search::External,
        path => Search::Path(path.to_vec()),
    }
}

/// The kernel that the lines are asked for.
struct Kernel<'v> {
    version: &'v [u8],
    budget: Budget,
}

impl Kernel<'_> {
    /// Whether the pattern of an `override` or `external` line is for this kernel: `*`, or a POSIX extended expression.
    fn is_meant<'l>(&mut self, what: &'static [u8], pattern: &'l [u8]) -> Result<(), Line<'l>> {
        match Pattern::parse(pattern, &mut self.budget) {
            _ if pattern == b"*" => Ok(()),
            Ok(pattern) if pattern.is_in(self.version) => Ok(()),
            Err(Refusal::TooLarge) => Err(Line::TooLarge(what)),
            Ok(_) | Err(Refusal::Wrong) => Err(Line::OtherKernel(what, pattern)),
        }
    }
}

/// Takes the next line off `rest`; a backslash in front of a line feed joins two, in front of another byte it is
/// dropped. `number` counts the lines of the file.
fn logical_line(rest: &mut &[u8], number: &mut u32) -> Option<Vec<u8>> {
    if rest.is_empty() {
        return None;
    }
    let mut line = Vec::new();
    let mut bytes = rest.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\n' => break,
            b'\\' => match bytes.next() {
                Some(b'\n') => *number += 1,
                Some(&byte) => line.push(byte),
                None => {}
            },
            byte => line.push(byte),
        }
    }
    *number += 1;
    *rest = bytes.as_slice();
    // A file that ends in a joined line gives nothing for it.
    if rest.is_empty() && line.is_empty() {
        return None;
    }
    line.truncate(crate::lines::c_string(&line).len());
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Config, Vec<String>) {
        let mut messages = Messages::default();
        let files = [(b"f".as_slice(), text.as_bytes())];
        let config = Config::parse(files, b"6.1.0-50-amd64", &mut messages);
        let told = messages
            .iter()
            .map(|(level, text)| format!("{}: {}", level.name(), String::from_utf8_lossy(text)));
        (config, told.collect())
    }

    #[test]
    fn later_lines_come_first() {
        let (config, told) =
            parse("search updates built-in\noverride a * x\noverride b 6.1 y\nsearch external z\n");
        let expected = [
            Search::Path(b"z".to_vec()),
            Search::External,
            Search::BuiltIn,
            Search::Path(b"updates".to_vec()),
        ];
        assert_eq!(config.searches, expected);
        assert_eq!(config.overrides, [b"y/b".to_vec(), b"x/a".to_vec()]);
        assert_eq!(told, [""; 0]);
    }

    #[test]
    fn without_a_search_line_updates_is_searched() {
        assert_eq!(parse("").0.searches, [Search::Path(b"updates".to_vec())]);
    }

    #[test]
    fn lines_join_and_bad_ones_are_told_with_their_number() {
        let (config, told) =
            parse("# c\n\n  exclude a \\\n b\\c\noverride x\n #no comment\nexternal ^5 /e\n");
        assert!(config.excludes.iter().eq([b"a".as_slice(), b"bc"]));
        assert!(config.excludes(b"bc") && config.excludes(b"build") && !config.excludes(b"b"));
        assert_eq!(
            told,
            [
                "ERROR: f:5: ignoring bad line starting with 'override'",
                "ERROR: f:6: ignoring bad line starting with '#no'",
                "INFO: f:7: external directory did not match ^5",
            ]
        );
    }

    /// Without one budget for all lines these would take hours.
    #[test]
    fn expressions_that_are_too_large_are_told_and_match_no_kernel() {
        let lines = 20_000;
        let text = format!("external 6.1 /a\n{}external ^6 /b\n", "external 6{9,30000} /x\n".repeat(lines));
        let (config, told) = parse(&text);
        assert_eq!(config.externals, [b"/b".to_vec(), b"/a".to_vec()]);
        let (too_large, others): (Vec<_>, Vec<_>) = told.iter().partition(|line| line.starts_with("WARNING"));
        assert!(others.len() < 100);
        let expected =
            "WARNING: f:20001: external directory is too large an expression, it matches no kernel";
        assert_eq!(too_large.last().map(|line| line.as_str()), Some(expected));
    }
}
