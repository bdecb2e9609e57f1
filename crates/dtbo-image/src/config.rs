//! mkdtboimg's configuration file.
//!
//! `#` starts a comment. Before the first file, a line that starts with a blank sets an option of the image or a
//! default of every entry. A line without `=` names a file; `key=value` lines after it are that entry's options.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::number::{Value, parse_size};
use crate::options::{EntryOptions, Field};
use crate::table::{DEFAULT_PAGE_SIZE, TableKind, TableVersion};

/// A configuration, read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `dt_type`
    pub kind: TableKind,
    /// `version`
    pub version: TableVersion,
    /// `page_size`, in bytes, not 0.
    pub page_size: u32,
    /// What entries get that set nothing else.
    pub defaults: EntryOptions,
    /// The entries in order; at least one.
    pub entries: Vec<ConfigEntry>,
}

/// One file and its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigEntry {
    /// As written.
    pub file: String,
    /// What its lines set.
    pub options: EntryOptions,
    /// The line that names it, from 1.
    pub line: usize,
}

/// A configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// What is wrong.
    pub kind: ConfigErrorKind,
    /// The line, from 1.
    pub line: usize,
    /// Byte offset in the file.
    pub offset: usize,
}

/// The kinds of [`ConfigError`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigErrorKind {
    /// The file is not UTF-8.
    NotText,
    /// A line that starts with a blank, stands before the first file and has no `=`.
    GlobalWithoutValue(String),
    /// An option that starts at the margin before the first file.
    OptionBeforeFile(String),
    /// An option that does not exist, or not there.
    UnknownOption(String),
    /// A second `=`.
    TwoEqualSigns(String),
    /// A value that the option cannot take.
    BadValue {
        /// The option.
        key: String,
        /// The text behind `=`.
        value: String,
    },
    /// The file names no entry.
    NoEntries,
}

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    ///
    /// The first line that is not understood.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let text = core::str::from_utf8(bytes).map_err(|error| {
            let offset = error.valid_up_to();
            let line = bytes.iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1;
            ConfigError { kind: ConfigErrorKind::NotText, line, offset }
        })?;
        let mut config = Self {
            kind: TableKind::Dtb,
            version: TableVersion::V0,
            page_size: DEFAULT_PAGE_SIZE,
            defaults: EntryOptions::default(),
            entries: Vec::new(),
        };
        // Some editors put a byte order mark in front.
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (mut line, mut offset) = (0, text.len() - lines.len());
        for raw in lines.split_inclusive('\n') {
            line += 1;
            config.line(raw, line).map_err(|kind| ConfigError { kind, line, offset })?;
            offset += raw.len();
        }
        if config.entries.is_empty() {
            return Err(ConfigError { kind: ConfigErrorKind::NoEntries, line, offset });
        }
        Ok(config)
    }

    fn line(&mut self, raw: &str, number: usize) -> Result<(), ConfigErrorKind> {
        let line = raw.split('#').next().unwrap_or_default();
        let words = line.trim();
        if words.is_empty() {
            return Ok(());
        }
        match self.entries.last_mut() {
            None if line.starts_with([' ', '\t']) => self.global(words),
            None if words.contains('=') => Err(ConfigErrorKind::OptionBeforeFile(words.to_owned())),
            Some(entry) if words.contains('=') => {
                let (key, value) = key_value(words)?;
                set(&mut entry.options, key, value)
            }
            _ => {
                let options = EntryOptions::default();
                self.entries.push(ConfigEntry { file: words.to_owned(), options, line: number });
                Ok(())
            }
        }
    }

    fn global(&mut self, words: &str) -> Result<(), ConfigErrorKind> {
        let (key, value) = key_value(words)?;
        let bad = || ConfigErrorKind::BadValue { key: key.to_owned(), value: value.to_owned() };
        match key {
            "dt_type" => self.kind = TableKind::from_name(value).ok_or_else(bad)?,
            "page_size" => {
                self.page_size = parse_size(value).filter(|&size| size != 0).ok_or_else(bad)?;
            }
            "version" => {
                self.version = parse_size(value).and_then(TableVersion::from_number).ok_or_else(bad)?;
            }
            _ => set(&mut self.defaults, key, value)?,
        }
        Ok(())
    }
}

fn key_value(words: &str) -> Result<(&str, &str), ConfigErrorKind> {
    let Some((key, value)) = words.split_once('=') else {
        return Err(ConfigErrorKind::GlobalWithoutValue(words.to_owned()));
    };
    if value.contains('=') {
        return Err(ConfigErrorKind::TwoEqualSigns(words.to_owned()));
    }
    Ok((key.trim_end(), value.trim_start()))
}

fn set(options: &mut EntryOptions, key: &str, value: &str) -> Result<(), ConfigErrorKind> {
    let field = Field::from_name(key).ok_or_else(|| ConfigErrorKind::UnknownOption(key.to_owned()))?;
    let bad = || ConfigErrorKind::BadValue { key: key.to_owned(), value: value.to_owned() };
    options.set(field, Value::parse(value).ok_or_else(bad)?);
    Ok(())
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.kind {
            ConfigErrorKind::NotText => f.write_str("this is no UTF-8 text"),
            ConfigErrorKind::GlobalWithoutValue(line) => {
                write!(
                    f,
                    "'{line}' starts with a blank and has no '=', so it is neither an option nor a file"
                )
            }
            ConfigErrorKind::OptionBeforeFile(line) => {
                write!(f, "the option '{line}' stands before the first file and does not start with a blank")
            }
            ConfigErrorKind::UnknownOption(key) => write!(f, "there is no option '{key}' here"),
            ConfigErrorKind::TwoEqualSigns(line) => write!(f, "'{line}' has more than one '='"),
            ConfigErrorKind::BadValue { key, value } => write!(f, "'{value}' is no value for {key}"),
            ConfigErrorKind::NoEntries => f.write_str("the configuration names no file"),
        }
    }
}

impl core::error::Error for ConfigError {}
