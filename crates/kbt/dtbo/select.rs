//! Naming an entry of an image: by its index, or by fields that it alone has.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;

use kbt_dtbo_image::{DtTable, DtTableEntry, Field, parse_number};
use serde_json::Value;

use crate::report::Failure;

/// An argument that names an entry of an image: `IMAGE#INDEX`, `IMAGE#id=N,rev=N`.
#[derive(Debug, Clone)]
pub struct EntryRef {
    /// The file before the `#`.
    pub image: OsString,
    /// The text behind it.
    pub selector: String,
}

impl EntryRef {
    /// Splits `IMAGE#SELECTOR`. A file whose whole name is the word, `#` included, is taken as that file.
    pub fn parse(word: &OsStr) -> Option<Self> {
        let bytes = word.as_bytes();
        let sign = bytes.iter().rposition(|&byte| byte == b'#')?;
        // A file's name may be any bytes; a selector is text.
        let (image, selector) = (&bytes[..sign], str::from_utf8(&bytes[sign + 1..]).ok()?);
        let names_entry = !image.is_empty() && fs::symlink_metadata(word).is_err();
        names_entry.then(|| Self { image: OsStr::from_bytes(image).into(), selector: selector.to_owned() })
    }
}

/// How many entries a message lists at most.
const LISTED: usize = 16;

/// An entry as named on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// From 0.
    Index(usize),
    /// `id=0x10,rev=2`: every field must fit.
    Fields(Vec<(Field, u32)>),
}

impl Selector {
    /// Reads `INDEX` (decimal) or `field=value[,field=value...]`.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Index).map_err(|_| not_understood(text, text));
        }
        let fields = text.split(',').map(|part| {
            let (key, value) = part.split_once('=')?;
            Some((Field::from_name(key)?, parse_number(value)?))
        });
        let fields: Option<Vec<_>> = fields.collect();
        fields.map(Self::Fields).ok_or_else(|| {
            let bad = text.split(',').find(|part| !understood(part)).unwrap_or(text);
            not_understood(text, bad)
        })
    }

    /// The index of the one entry that fits; failures list what there is.
    pub fn find(&self, table: &DtTable<'_>) -> Result<usize, Failure> {
        let entries = table.entries();
        match self {
            Self::Index(index) if *index < entries.len() => Ok(*index),
            Self::Index(index) => {
                let message = match entries.len() {
                    0 => format!("there is no entry {index}: the image has none at all"),
                    1 => format!("there is no entry {index}: the image has entry 0 alone"),
                    count => format!("there is no entry {index}: the image has entries 0 to {}", count - 1),
                };
                Err(Failure::new("no-such-entry", message).detail("entries", count(entries)))
            }
            Self::Fields(fields) => {
                let fits =
                    |entry: &DtTableEntry| fields.iter().all(|(field, value)| get(entry, *field) == *value);
                let found: Vec<usize> = entries
                    .iter()
                    .enumerate()
                    .filter(|(_, entry)| fits(entry))
                    .map(|(index, _)| index)
                    .collect();
                match found[..] {
                    [index] => Ok(index),
                    [] => Err(none_fits(self, entries)),
                    _ => Err(several_fit(self, entries, &found)),
                }
            }
        }
    }
}

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(f, "{index}"),
            Self::Fields(fields) => {
                for (position, (field, value)) in fields.iter().enumerate() {
                    write!(f, "{}{field}={value:#x}", if position == 0 { "" } else { "," })?;
                }
                Ok(())
            }
        }
    }
}

/// A field of an entry.
pub fn get(entry: &DtTableEntry, field: Field) -> u32 {
    match field {
        Field::Id => entry.id,
        Field::Rev => entry.rev,
        Field::Flags => entry.flags,
        Field::Custom(index) => entry.custom.get(index).copied().unwrap_or(0),
    }
}

fn understood(part: &str) -> bool {
    part.split_once('=')
        .is_some_and(|(key, value)| Field::from_name(key).is_some() && parse_number(value).is_some())
}

fn not_understood(text: &str, bad: &str) -> Failure {
    Failure::usage(format!("'{bad}' names no entry"))
        .hint("name it by its index (2) or by its fields (id=0x10,rev=2,custom0=3)")
        .detail("selector", text)
}

fn none_fits(selector: &Selector, entries: &[DtTableEntry]) -> Failure {
    let all: Vec<usize> = (0..entries.len()).collect();
    Failure::new("no-such-entry", format!("no entry has {selector}"))
        .hint(format!("the image has {}", listing(entries, &all)))
        .detail("entries", count(entries))
}

fn several_fit(selector: &Selector, entries: &[DtTableEntry], found: &[usize]) -> Failure {
    Failure::new("ambiguous-entry", format!("{} entries have {selector}", found.len()))
        .hint(format!("add a field or name one by its index: {}", listing(entries, found)))
        .detail("entries", found.to_vec())
}

/// `#0 (id=0x1, rev=0x0), #1 (...)`: id and rev, and the other fields where one of them is set.
fn listing(entries: &[DtTableEntry], which: &[usize]) -> String {
    let mut words: Vec<String> = which
        .iter()
        .take(LISTED)
        .filter_map(|&index| {
            let entry = entries.get(index)?;
            let mut word = format!("#{index} (id={:#x}, rev={:#x}", entry.id, entry.rev);
            for field in std::iter::once(Field::Flags).chain((0..entry.custom.len()).map(Field::Custom)) {
                let value = get(entry, field);
                if value != 0 {
                    word += &format!(", {field}={value:#x}");
                }
            }
            Some(word + ")")
        })
        .collect();
    if which.len() > LISTED {
        words.push(format!("and {} more", which.len() - LISTED));
    }
    if words.is_empty() { "no entry at all".to_owned() } else { words.join(", ") }
}

fn count(entries: &[DtTableEntry]) -> Value {
    entries.len().into()
}
