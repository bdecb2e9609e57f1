//! The ENTRY of `kbt dtbo pack`: `FILE[,key=value...]`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use kbt_compress::Compression;
use kbt_dtbo_image::{EntryOptions, Field, Value};

use super::build::Source;
use crate::report::Failure;

/// Reads an ENTRY. Options are taken from the right as long as the text behind a comma looks like `key=value`, so
/// commas in file names need no care; an empty option ends the file's name, whatever that looks like.
pub fn parse(word: &OsStr) -> Result<Source, Failure> {
    let (mut file, mut options) = (word.as_bytes(), Vec::new());
    while let Some(comma) = file.iter().rposition(|&byte| byte == b',') {
        let (name, tail) = (&file[..comma], &file[comma + 1..]);
        if tail.is_empty() {
            file = name;
            break;
        }
        let Some(option) = key_value(tail) else { break };
        options.push(option);
        file = name;
    }
    if file.is_empty() {
        return Err(Failure::usage(format!("'{}' names no file", word.to_string_lossy())));
    }
    let mut source = Source {
        file: OsString::from(OsStr::from_bytes(file)),
        options: EntryOptions::default(),
        compression: None,
    };
    for (key, value) in options.into_iter().rev() {
        set(&mut source, key, value).map_err(|failure| failure.detail("entry", word.to_string_lossy()))?;
    }
    Ok(source)
}

/// `key=value` with a key of letters and digits.
fn key_value(tail: &[u8]) -> Option<(&str, &str)> {
    let (key, value) = std::str::from_utf8(tail).ok()?.split_once('=')?;
    let plain = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    plain.then_some((key, value))
}

fn set(source: &mut Source, key: &str, value: &str) -> Result<(), Failure> {
    if key == "compression" {
        source.compression = Some(Compression::from_name(value).ok_or_else(|| {
            Failure::usage(format!("'{value}' is no compression")).hint("there are none, zlib, gzip and lz4")
        })?);
        return Ok(());
    }
    let field = Field::from_name(key).ok_or_else(|| {
        Failure::usage(format!("an entry has no option '{key}'"))
            .hint("options are id, rev, flags, custom0 to custom10 and compression; if this is part of the file's name, end it with a comma")
    })?;
    let value = Value::parse(value).ok_or_else(|| {
        Failure::usage(format!("'{value}' is no value for {key}"))
            .hint("give a 32-bit number (7, 0x7, 07) or /node:property")
    })?;
    source.options.set(field, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(word: &str) -> String {
        parse(OsStr::new(word)).unwrap().file.into_string().unwrap()
    }

    fn id(word: &str) -> Option<Value> {
        parse(OsStr::new(word)).unwrap().options.get(Field::Id).cloned()
    }

    #[test]
    fn options_are_taken_from_the_right() {
        assert_eq!(file("a.dtbo,id=0x10,rev=2"), "a.dtbo");
        assert_eq!(id("a.dtbo,id=0x10,rev=2"), Some(Value::Number(0x10)));
        assert_eq!(id("a.dtbo,id=1,id=2"), Some(Value::Number(2)));
        assert_eq!(parse(OsStr::new("a,compression=lz4")).unwrap().compression, Some(Compression::Lz4));
    }

    #[test]
    fn commas_in_names() {
        assert_eq!(file("a,b.dtbo,id=1"), "a,b.dtbo");
        assert_eq!(file("a,x=1,b.dtbo"), "a,x=1,b.dtbo");
        assert_eq!((file("a,id=1,"), id("a,id=1,")), ("a,id=1".into(), None));
        assert_eq!((file("a,id=1,,id=2"), id("a,id=1,,id=2")), ("a,id=1".into(), Some(Value::Number(2))));
        assert_eq!(file("a,,"), "a,");
    }

    #[test]
    fn refusals() {
        for word in ["", ",id=1", "a,idd=1", "a,id=", "a,id=08", "a,id=4294967296", "a,compression=xz"] {
            assert!(parse(OsStr::new(word)).is_err(), "{word}");
        }
    }
}
