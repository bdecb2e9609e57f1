//! What a run left: exit code, both streams, every file that it wrote.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use super::Tree;

/// What a run left.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code, or the signal as a negative number.
    pub exit: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// Permissions and content by name, relative to the tree's root.
    pub files: BTreeMap<String, (u32, Vec<u8>)>,
}

/// One part of the outcomes that is not the same.
#[derive(Debug)]
pub struct Difference {
    /// `exit`, `stdout`, `stderr`, or the base name of a file.
    pub part: String,
    pub text: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.text)
    }
}

impl Outcome {
    pub fn of(output: Output, tree: &Tree) -> Self {
        use std::os::unix::process::ExitStatusExt as _;
        let exit = output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0));
        let mut files = BTreeMap::new();
        collect(&tree.root, &tree.root, &mut |name, path| {
            if !tree.is_input(name) {
                let mode = fs::metadata(path).unwrap().permissions().mode() & 0o7777;
                files.insert(name.to_owned(), (mode, fs::read(path).unwrap()));
            }
        });
        Self { exit, stdout: output.stdout, stderr: output.stderr, files }
    }

    /// The content of an output in the module directory.
    pub fn output(&self, name: &str) -> &[u8] {
        let found = self.files.iter().find(|(path, _)| path.rsplit('/').next() == Some(name));
        found.map_or(&[], |(_, (_, bytes))| bytes)
    }

    /// How `other` differs from this.
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let mut found = Vec::new();
        let mut note = |part: &str, text: String| found.push(Difference { part: part.to_owned(), text });
        if self.exit != other.exit {
            note("exit", format!("{} became {}", self.exit, other.exit));
        }
        for (part, a, b) in [("stdout", &self.stdout, &other.stdout), ("stderr", &self.stderr, &other.stderr)]
        {
            if a != b {
                note(part, first_difference(a, b));
            }
        }
        for name in self.files.keys().chain(other.files.keys().filter(|name| !self.files.contains_key(*name)))
        {
            let part = name.rsplit('/').next().unwrap_or(name);
            match (self.files.get(name), other.files.get(name)) {
                (Some(_), None) => note(part, format!("{name} is missing")),
                (None, Some(_)) => note(part, format!("{name} is too many")),
                (Some((mode, _)), Some((other, _))) if mode != other => {
                    note(part, format!("mode {mode:o} became {other:o}"));
                }
                (Some((_, a)), Some((_, b))) if a != b => note(part, first_difference(a, b)),
                _ => {}
            }
        }
        found
    }
}

/// The first line that is another one, or the first byte of what is no text.
fn first_difference(a: &[u8], b: &[u8]) -> String {
    let is_text = |bytes: &[u8]| !bytes.contains(&0);
    if !is_text(a) || !is_text(b) {
        let at = a.iter().zip(b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
        return format!("{} bytes became {}, first at byte {at}", a.len(), b.len());
    }
    let lines = |bytes: &[u8]| -> Vec<String> {
        bytes.split(|&byte| byte == b'\n').map(|line| String::from_utf8_lossy(line).into_owned()).collect()
    };
    let (a, b) = (lines(a), lines(b));
    let at = a.iter().zip(&b).position(|(a, b)| a != b).unwrap_or(a.len().min(b.len()));
    let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_else(|| "the end".to_owned());
    format!("line {}: {:?} became {:?}", at + 1, line(&a), line(&b))
}

/// Calls `visit` with the name relative to `root` and the path of each file.
pub fn collect(root: &Path, directory: &Path, visit: &mut dyn FnMut(&str, &Path)) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, visit);
        } else if path.is_file() {
            visit(path.strip_prefix(root).unwrap().to_str().unwrap(), &path);
        }
    }
}
