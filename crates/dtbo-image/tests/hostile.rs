//! What no packer wrote: mutated images and configurations, and each refusal with its place.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use kbt_dtbo_image::{Config, ConfigErrorKind, DtTable, ErrorKind, Image, TableVersion, repack};
use kbt_testkit::dtbo_image::odd;
use kbt_testkit::random::Random;

/// Reads an image and everything in it; what can be read can be taken apart and joined.
fn exercise(bytes: &[u8]) {
    let Ok(table) = DtTable::parse(bytes) else { return };
    let total = table.header().total_size as usize;
    assert!(total <= bytes.len());
    for (index, entry) in table.entries().iter().enumerate() {
        assert_eq!(table.stored(index).map(<[u8]>::len), Some(entry.dt_size as usize));
    }
    assert_eq!(table.stored(table.entries().len()), None);
    assert_eq!(table.trailing().len(), bytes.len() - total);
    assert!(!table.to_string().is_empty());
    assert!(repack(&Image::of(&table)).unwrap().bytes == bytes);
}

#[test]
fn mutated_images_are_refused_or_read() {
    let mut random = Random::new(7);
    for _ in 0..30_000 {
        let mut bytes = odd(&mut random);
        for _ in 0..=random.below(4) {
            let at = random.below(bytes.len().min(300));
            match random.below(4) {
                0 => bytes[at] ^= 1 << random.below(8),
                1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
                2 => bytes.truncate(at.max(1)),
                _ => bytes.extend_from_slice(&[0; 3]),
            }
        }
        exercise(&bytes);
    }
}

#[test]
fn every_truncation_is_refused() {
    let bytes = odd(&mut Random::new(3));
    let total = DtTable::parse(&bytes).unwrap().header().total_size as usize;
    for length in 0..total {
        let error = DtTable::parse(&bytes[..length]).unwrap_err();
        match error.kind {
            ErrorKind::ShorterThanHeader { len } if length < 32 => assert_eq!(len, length),
            ErrorKind::Truncated { len, .. } if length >= 32 => assert_eq!((len, error.offset), (length, 4)),
            other => panic!("{length}: {other:?}"),
        }
    }
}

/// An image of one entry with 8 bytes of data, one word replaced.
fn with(word: usize, value: u32) -> Vec<u8> {
    let mut words = vec![0xd7b7_ab1e, 72, 32, 32, 1, 32, 2048, 0, 8, 64, 0, 0, 0, 0, 0, 0, 0, 0];
    words[word] = value;
    words.into_iter().flat_map(u32::to_be_bytes).collect()
}

#[test]
fn refusals_name_the_field_and_its_offset() {
    let refusal = |word, value| {
        let error = DtTable::parse(&with(word, value)).unwrap_err();
        (error.kind, error.offset)
    };
    let v0 = TableVersion::V0;
    assert_eq!(refusal(0, 0xd00d_feed), (ErrorKind::BadMagic { found: 0xd00d_feed }, 0));
    assert_eq!(refusal(1, 73), (ErrorKind::Truncated { total_size: 73, len: 72 }, 4));
    assert_eq!(refusal(2, 36), (ErrorKind::HeaderSize { found: 36 }, 8));
    assert_eq!(refusal(3, 64), (ErrorKind::EntrySize { found: 64, version: v0 }, 12));
    assert_eq!(refusal(4, 3), (ErrorKind::TableOutside { offset: 32, count: 3 }, 16));
    assert_eq!(refusal(4, u32::MAX), (ErrorKind::TableOutside { offset: 32, count: u32::MAX }, 16));
    assert_eq!(refusal(5, 31), (ErrorKind::TableOutside { offset: 31, count: 1 }, 16));
    assert_eq!(refusal(5, u32::MAX), (ErrorKind::TableOutside { offset: u32::MAX, count: 1 }, 16));
    assert_eq!(refusal(7, 3), (ErrorKind::UnknownVersion { found: 3 }, 28));
    assert_eq!(refusal(8, 9), (ErrorKind::EntryOutside { index: 0, offset: 64, size: 9 }, 32));
    let huge = ErrorKind::EntryOutside { index: 0, offset: u32::MAX, size: 8 };
    assert_eq!(refusal(9, u32::MAX), (huge, 32));
    assert!(DtTable::parse(&with(6, 0)).is_ok(), "the page size is informational");
}

#[test]
fn mutated_configurations_are_refused_or_read() {
    let text = b"# c\n  version=1\n page_size=0x1000\n id=/:x\na.dtbo # f\n rev=017\nb.dtbo\n custom2=0xff\n";
    let mut random = Random::new(11);
    for _ in 0..30_000 {
        let mut bytes = text.to_vec();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            bytes[at] = b"\n =#/:x0\xff"[random.below(9)];
        }
        if let Err(error) = Config::parse(&bytes) {
            assert!(error.offset <= bytes.len());
            assert!(error.line <= bytes.iter().filter(|&&byte| byte == b'\n').count() + 1);
        }
    }
}

#[test]
fn refusals_of_configurations_name_the_line() {
    let refusal = |text: &str| {
        let error = Config::parse(text.as_bytes()).unwrap_err();
        (error.kind, error.line, error.offset)
    };
    let unknown = |key: &str| ConfigErrorKind::UnknownOption(key.to_owned());
    let bad =
        |key: &str, value: &str| ConfigErrorKind::BadValue { key: key.to_owned(), value: value.to_owned() };
    assert_eq!(refusal(""), (ConfigErrorKind::NoEntries, 0, 0));
    assert_eq!(refusal("# only\n"), (ConfigErrorKind::NoEntries, 1, 7));
    assert_eq!(refusal("id=1\na\n"), (ConfigErrorKind::OptionBeforeFile("id=1".to_owned()), 1, 0));
    assert_eq!(refusal("\n a.dtbo\n"), (ConfigErrorKind::GlobalWithoutValue("a.dtbo".to_owned()), 2, 1));
    assert_eq!(refusal("a\n page_size=4096\n"), (unknown("page_size"), 2, 2));
    assert_eq!(refusal(" idd=1\na\n"), (unknown("idd"), 1, 0));
    assert_eq!(refusal("a\n id=1=2\n"), (ConfigErrorKind::TwoEqualSigns("id=1=2".to_owned()), 2, 2));
    assert_eq!(refusal("a\n id=08\n"), (bad("id", "08"), 2, 2));
    assert_eq!(refusal(" page_size=0\na\n"), (bad("page_size", "0"), 1, 0));
    assert_eq!(refusal(" version=3\na\n"), (bad("version", "3"), 1, 0));
    assert_eq!(refusal(" dt_type=dts\na\n"), (bad("dt_type", "dts"), 1, 0));
    let error = Config::parse(b"a\n id=1\xff\n").unwrap_err();
    assert_eq!((error.kind, error.line, error.offset), (ConfigErrorKind::NotText, 2, 7));
}
