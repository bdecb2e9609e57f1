//! depmod.d: which directories win, which are left out (depmod.d(5)).

use crate::lines::words;
use crate::message::{Level, Messages};
use crate::pattern::Pattern;

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
    pub(crate) excludes: Vec<Vec<u8>>,
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
        for (name, text) in files {
            config.add_file(name, text, version, messages);
        }
        for list in [&mut config.overrides, &mut config.externals, &mut config.excludes] {
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
        name == b"build" || name == b"source" || self.excludes.iter().any(|exclude| exclude == name)
    }

    fn add_file(&mut self, name: &[u8], text: &[u8], version: &[u8], messages: &mut Messages) {
        let mut rest = text;
        let mut number = 0;
        while let Some(line) = logical_line(&mut rest, &mut number) {
            if line.first() == Some(&b'#') {
                continue;
            }
            let mut words = words(&line, b"\t ");
            let Some(command) = words.next() else { continue };
            let place = [name, b":", number.to_string().as_bytes(), b": "].concat();
            match self.add_line(command, words, version) {
                Line::Taken => {}
                Line::Bad => {
                    messages.error(&[&place, b"ignoring bad line starting with '", command, b"'"]);
                }
                Line::OtherKernel(what, pattern) => {
                    messages.tell(Level::Info, &[&place, what, b" did not match ", pattern]);
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
        version: &[u8],
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
                if !matches(pattern, version) {
                    return Line::OtherKernel(b"override kernel", pattern);
                }
                self.overrides.push([directory, b"/", module].concat());
            }
            b"external" => {
                let (Some(pattern), Some(directory)) = (words.next(), words.next()) else { return Line::Bad };
                if !matches(pattern, version) {
                    return Line::OtherKernel(b"external directory", pattern);
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
    NotImplemented,
}

fn search(word: &[u8]) -> Search {
    match word {
        b"built-in" => Search::BuiltIn,
        b"external" => Search::External,
        path => Search::Path(path.to_vec()),
    }
}

/// Whether the pattern of an `override` or `external` line is for this kernel: `*`, or a POSIX extended expression.
fn matches(pattern: &[u8], version: &[u8]) -> bool {
    pattern == b"*" || Pattern::parse(pattern).is_some_and(|pattern| pattern.is_in(version))
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
        assert_eq!(config.excludes, [b"bc".to_vec(), b"a".to_vec()]);
        assert_eq!(
            told,
            [
                "ERROR: f:5: ignoring bad line starting with 'override'",
                "ERROR: f:6: ignoring bad line starting with '#no'",
                "INFO: f:7: external directory did not match ^5",
            ]
        );
    }
}
