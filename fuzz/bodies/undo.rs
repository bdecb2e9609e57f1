//! Undo files: what is read is what was written; a file that was cut or has another bit is none.

#[path = "../../crates/kbt/in_place/undo.rs"]
#[allow(dead_code)]
mod file;

use file::{Change, decode, encode};

/// One input: a file, and the changes that it would be if their sum were right.
pub fn run(bytes: &[u8]) {
    if let Some(changes) = decode(bytes) {
        assert!(written(&changes) == bytes);
    }
    let changes = changes(bytes);
    let mut file = written(&changes);
    assert!(decode(&file) == Some(changes));
    let at = bytes.iter().fold(0_usize, |sum, &byte| sum.wrapping_mul(31) ^ usize::from(byte)) % file.len();
    assert!(decode(&file[..at]).is_none());
    file[at] ^= 1 << (bytes.len() % 8);
    assert!(decode(&file).is_none());
}

fn written(changes: &[Change<'_>]) -> Vec<u8> {
    let mut file = Vec::new();
    let mut write = |part: &[u8]| {
        file.extend_from_slice(part);
        Ok::<_, ()>(())
    };
    encode(changes, &mut write).expect("memory takes all");
    file
}

/// Changes of the input: of each a byte says how long it is, and where.
fn changes(mut bytes: &[u8]) -> Vec<Change<'_>> {
    let mut changes = Vec::new();
    while let Some((&len, rest)) = bytes.split_first() {
        let len = usize::from(len).min(rest.len() / 2);
        let (old, rest) = rest.split_at(len);
        let (new, rest) = rest.split_at(len);
        changes.push(Change { offset: (rest.len() * 7919) as u64, old: old.into(), new });
        bytes = rest;
    }
    changes
}
