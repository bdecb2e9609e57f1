//! What is packed is read back; numbers, configurations and sharing as mkdtboimg has them.

// A test that cannot go on ends in a panic, its helpers too.
#![allow(clippy::unwrap_used, clippy::panic)]

use kbt_dtbo_image::{
    CompressionFormat, Config, DtTable, ErrorKind, Field, Layout, PackEntry, Sharing, TableKind,
    TableVersion, Value, pack, parse_number, parse_size, share_any, share_first,
};

fn layout(version: TableVersion) -> Layout {
    Layout { kind: TableKind::Dtb, version, page_size: 4096, alignment: 1 }
}

#[test]
fn every_version_holds_its_fields() {
    for version in TableVersion::ALL {
        let mut entry = PackEntry {
            blob: 1,
            id: 0x8000_0001,
            rev: 2,
            flags: if version.has_flags() { 0xab3 } else { 0 },
            ..Default::default()
        };
        for (index, word) in entry.custom.iter_mut().take(version.custom_count()).enumerate() {
            *word = 0xc000_0000 + u32::try_from(index).unwrap();
        }
        let image = pack(&layout(version), &[entry], &[b"first", b"second"]).unwrap();
        let table = DtTable::parse(&image).unwrap();
        assert_eq!(table.stored(0), Some(&b"second"[..]));
        let read = table.entries()[0];
        assert_eq!(
            (read.id, read.rev, read.flags, read.custom),
            (entry.id, entry.rev, entry.flags, entry.custom)
        );
        assert_eq!(image.len(), 32 + version.entry_size() as usize + 11);
    }
}

#[test]
fn a_field_that_the_version_lacks_is_refused() {
    let kind = |version, entry| pack(&layout(version), &[entry], &[b""]).unwrap_err().kind;
    let flags = PackEntry { flags: 1, ..Default::default() };
    assert!(matches!(kind(TableVersion::V0, flags), ErrorKind::NotInVersion { field: "flags", .. }));
    let mut custom = PackEntry::default();
    custom.custom[3] = 1;
    assert!(matches!(kind(TableVersion::V1, custom), ErrorKind::NotInVersion { index: 0, .. }));
    assert!(pack(&layout(TableVersion::V0), &[custom], &[b""]).is_ok());
    let none = pack(&layout(TableVersion::V0), &[], &[]).unwrap_err();
    assert_eq!(none.kind, ErrorKind::NoEntries);
    let no_blob = pack(&layout(TableVersion::V0), &[PackEntry::default()], &[]).unwrap_err();
    assert_eq!(no_blob.kind, ErrorKind::NoSuchBlob { index: 0 });
}

#[test]
fn alignment_fills_with_zeros() {
    let entries = [0, 1].map(|blob| PackEntry { blob, ..Default::default() });
    let aligned = Layout { alignment: 64, ..layout(TableVersion::V0) };
    let image = pack(&aligned, &entries, &[b"a", b"b"]).unwrap();
    let table = DtTable::parse(&image).unwrap();
    assert_eq!([table.entries()[0].dt_offset, table.entries()[1].dt_offset], [128, 192]);
    assert_eq!(image.len(), 193, "nothing is filled behind the last");
    assert!(table.gaps().iter().all(|gap| gap.bytes.iter().all(|&byte| byte == 0)));
}

#[test]
fn numbers() {
    for (text, value) in [
        ("0", Some(0)),
        ("7", Some(7)),
        ("077", Some(0o77)),
        ("0o17", Some(0o17)),
        ("00", Some(0)),
        ("0xFf", Some(255)),
        ("0XfF", Some(255)),
        ("4294967295", Some(u32::MAX)),
        ("0xffffffff", Some(u32::MAX)),
        ("4294967296", None),
        ("08", None),
        ("0x", None),
        ("", None),
        ("+1", None),
        ("-1", None),
        ("0x+1", None),
        ("1 ", None),
    ] {
        assert_eq!(parse_number(text), value, "{text:?}");
    }
    assert_eq!(parse_size("010"), Some(10), "sizes know no octal");
    assert_eq!(parse_size("0x10"), Some(16));
}

#[test]
fn values_of_properties() {
    let property =
        |node: &str, property: &str| Some(Value::Property { node: node.into(), property: property.into() });
    assert_eq!(Value::parse("/:board_id"), property("/", "board_id"));
    assert_eq!(Value::parse("/board/:id"), property("/board", "id"));
    assert_eq!(Value::parse("/a/b:c:d"), property("/a/b", "c:d"));
    assert_eq!(Value::parse("/board"), None);
    assert_eq!(Value::parse("/board:"), None);
}

#[test]
fn names_of_fields() {
    assert_eq!(Field::from_name("custom10"), Some(Field::Custom(10)));
    for name in ["custom", "custom11", "custom01", "custom+1", "Id", "size"] {
        assert_eq!(Field::from_name(name), None, "{name}");
    }
}

#[test]
fn the_first_of_a_file_decides_about_sharing() {
    let entries = [("a", 0), ("a", 1), ("a", 1), ("b", 1), ("a", 0), ("b", 1)];
    let sharing = Sharing { blob_of: vec![0, 1, 2, 3, 0, 3], first_entry: vec![0, 1, 2, 3] };
    assert_eq!(share_first(entries), sharing);
    let sharing = Sharing { blob_of: vec![0, 1, 1, 2, 0, 2], first_entry: vec![0, 1, 3] };
    assert_eq!(share_any(entries), sharing);
}

#[test]
fn configuration() {
    let text = "# comment\n\tversion=2\n  page_size = 04096 # decimal\n  id=0x10\nb.dtbo\n  id=2\n\
                custom10=/:x\n  sub/c.dtbo # a file, for it has no '='\r\n rev=1\r\n rev=2";
    let config = Config::parse(text.as_bytes()).unwrap();
    assert_eq!((config.version, config.page_size, config.kind), (TableVersion::V2, 4096, TableKind::Dtb));
    assert_eq!(config.defaults.get(Field::Id), Some(&Value::Number(16)));
    let files: Vec<_> = config.entries.iter().map(|entry| (entry.file.as_str(), entry.line)).collect();
    assert_eq!(files, [("b.dtbo", 5), ("sub/c.dtbo", 8)]);
    let [b, c] = &config.entries[..] else { panic!() };
    assert_eq!(b.options.get(Field::Id), Some(&Value::Number(2)));
    assert!(matches!(b.options.get(Field::Custom(10)), Some(Value::Property { .. })));
    assert_eq!(c.options.get(Field::Rev), Some(&Value::Number(2)), "the last wins");
    assert_eq!(c.options.or(&config.defaults).get(Field::Id), Some(&Value::Number(16)));
}

#[test]
fn compression_lies_in_four_bits() {
    assert_eq!(CompressionFormat::of_flags(0xab2), CompressionFormat::Gzip);
    assert_eq!(CompressionFormat::of_flags(0x1f), CompressionFormat::Unknown(15));
    assert_eq!(CompressionFormat::Lz4.in_flags(0xab2), 0xab3);
    assert_eq!(CompressionFormat::None.in_flags(0xab2), 0xab0);
}
