//! Pad files: what is read is written as it was meant, and read again the same.

use kbt_kallsyms::PadFile;

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(record) = PadFile::parse(bytes) else { return };
    let text = record.to_text();
    let again = PadFile::parse(text.as_bytes()).expect("an own file is read");
    assert!(again == record && again.to_text() == text);
}
