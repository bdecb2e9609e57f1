//! Indexes: what is written is read again, and the bytes are those of the format.

#![allow(clippy::unwrap_used, reason = "a test that fails to set itself up has failed")]

use kbt_depmod::{Index, IndexBuilder, IndexError, Layout, WriteError};

fn build(entries: &[(&str, &str, u32)], layout: Layout) -> Vec<u8> {
    let mut builder = IndexBuilder::new();
    for (key, value, priority) in entries {
        builder.insert(key.as_bytes(), value.as_bytes(), *priority);
    }
    builder.build(layout).unwrap()
}

fn read(bytes: &[u8]) -> Vec<(String, String, u32)> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let entries = Index::parse(bytes).unwrap().entries();
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| (text(&entry.key), text(entry.value), entry.priority))
        .collect()
}

#[test]
fn the_bytes_of_a_small_index() {
    let bytes = build(&[("ab", "x", 1), ("ac", "y", 2)], Layout::PreOrder);
    let mut expected = vec![0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 12];
    // The root has no prefix and one child, `a`, at 18.
    expected.extend(b"aa\x20\0\0\x12");
    // That has two children, `b` at 28 and `c` at 38.
    expected.extend(b"bc\x40\0\0\x1c\x40\0\0\x26");
    expected.extend(b"\0\0\0\x01\0\0\0\x01x\0");
    expected.extend(b"\0\0\0\x01\0\0\0\x02y\0");
    assert_eq!(bytes, expected);
    let bytes = build(&[("ab", "x", 1), ("ac", "y", 2)], Layout::PostOrder);
    let mut expected = vec![0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 42];
    expected.extend(b"\0\0\0\x01\0\0\0\x01x\0");
    expected.extend(b"\0\0\0\x01\0\0\0\x02y\0");
    expected.extend(b"bc\x40\0\0\x0c\x40\0\0\x16");
    expected.extend(b"aa\x20\0\0\x20");
    assert_eq!(bytes, expected);
}

#[test]
fn an_index_without_entries_is_a_root() {
    let bytes = build(&[], Layout::PreOrder);
    assert_eq!(bytes, [0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0, 0, 0, 12]);
    assert_eq!(read(&bytes), []);
}

#[test]
fn values_go_by_priority_and_the_newest_first() {
    let entries = [("k", "b1", 2), ("k", "a", 1), ("k", "b2", 2), ("k", "c", 3), ("", "e", 9)];
    let bytes = build(&entries, Layout::PreOrder);
    let values: Vec<_> = read(&bytes).into_iter().map(|(_, value, _)| value).collect();
    assert_eq!(values, ["e", "a", "b2", "b1", "c"]);
    let found = Index::parse(&bytes).unwrap().get(b"k").unwrap();
    assert_eq!(found.len(), 4);
    assert_eq!(Index::parse(&bytes).unwrap().get(b"kk").unwrap(), []);
}

/// Numbers from a seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn key(&mut self) -> String {
        let length = self.below(20);
        (0..length).map(|_| char::from(b"ab-:\x7f\x01*["[self.below(8)])).collect()
    }
}

#[test]
fn what_is_written_is_read_again() {
    for seed in 1..300 {
        let mut random = Random(seed * 0x9E37_79B9);
        let count = random.below(60);
        let mut entries: Vec<(String, String, u32)> = Vec::new();
        for _ in 0..count {
            let priority = u32::try_from(random.below(5)).unwrap();
            entries.push((random.key(), random.key(), priority));
        }
        let borrowed: Vec<_> = entries.iter().map(|(k, v, p)| (k.as_str(), v.as_str(), *p)).collect();
        let mut expected: Vec<_> = entries.iter().cloned().rev().collect();
        expected.sort_by(|a, b| (&a.0, a.2).cmp(&(&b.0, b.2)));
        for layout in [Layout::PreOrder, Layout::PostOrder] {
            let bytes = build(&borrowed, layout);
            assert_eq!(read(&bytes), expected, "seed {seed}, {layout:?}");
            for (key, ..) in &entries {
                let wanted: Vec<_> =
                    expected.iter().filter(|entry| entry.0 == *key).map(|e| e.1.clone()).collect();
                let found = Index::parse(&bytes).unwrap().get(key.as_bytes()).unwrap();
                let found: Vec<_> =
                    found.iter().map(|e| String::from_utf8(e.value.to_vec()).unwrap()).collect();
                assert_eq!(found, wanted, "seed {seed}, {key:?}");
            }
        }
    }
}

#[test]
fn a_deep_trie_needs_no_stack() {
    let keys: Vec<String> = (1..3000).map(|length| "a".repeat(length)).collect();
    let entries: Vec<_> = keys.iter().map(|key| (key.as_str(), "v", 0)).collect();
    assert_eq!(read(&build(&entries, Layout::PostOrder)).len(), 2999);
}

#[test]
fn what_is_not_ascii_is_refused_with_its_entry() {
    let mut builder = IndexBuilder::new();
    builder.insert(b"fine", b"v", 0);
    builder.insert(b"k\xFFy", b"v", 0);
    assert_eq!(builder.build(Layout::PreOrder), Err(WriteError::NotAscii { entry: 1, byte: 0xFF }));
}

#[test]
fn duplicates_are_told_in_their_order() {
    let mut builder = IndexBuilder::new();
    for (key, value) in [("b", "1"), ("a", "1"), ("b", "2"), ("b", "1"), ("a", "1"), ("b", "1")] {
        builder.insert(key.as_bytes(), value.as_bytes(), 0);
    }
    let found: Vec<_> = builder.duplicates().iter().map(|again| (again.entry, again.key)).collect();
    assert_eq!(found, [(3, b"b".as_slice()), (4, b"a"), (5, b"b")]);
}

#[test]
fn broken_indexes_are_refused() {
    let good = build(&[("ab", "x", 1), ("ac", "y", 2)], Layout::PreOrder);
    let error = |bytes: &[u8]| match Index::parse(bytes) {
        Err(error) => error,
        Ok(index) => index.entries().find_map(Result::err).unwrap(),
    };
    assert_eq!(error(b"\0"), IndexError::BadMagic);
    for end in 4..good.len() {
        assert!(matches!(error(&good[..end]), IndexError::Truncated(_)), "{end}");
    }
    let mut loops = good.clone();
    loops[14..18].copy_from_slice(&[0x20, 0, 0, 12]);
    assert_eq!(error(&loops), IndexError::Shared(12));
    let mut range = good;
    range[12] = b'z';
    assert_eq!(error(&range), IndexError::BadRange(12));
}
