//! A kernel's image: whatever table is found can be read through, and no count makes the reader grow.

use kbt_elf::Image;
use kbt_kallsyms::{Located, Table, read_symbols, search, verify};

/// One input.
pub fn run(bytes: &[u8]) {
    if let Ok(located) = search(bytes, None, |offset| offset) {
        read(&located, bytes);
    }
    let Ok(image) = Image::parse(bytes) else { return };
    let symbols = read_symbols(&image);
    let Ok(located) = Located::by_symbols(&image) else { return };
    let Some(table) = read(&located, bytes) else { return };
    if let Ok(symbols) = symbols
        && let Ok(Some(difference)) = verify(&table, symbols)
    {
        assert!(!difference.to_string().is_empty());
    }
}

fn read<'a>(located: &Located, bytes: &'a [u8]) -> Option<Table<'a>> {
    let table = Table::read(located, bytes).ok()?;
    assert!(table.len() * 2 <= bytes.len());
    assert_eq!(table.addresses.len(), table.len());
    let mut room = Vec::new();
    for index in 0..table.len() {
        let Ok(entry) = table.entry(index, &mut room) else { break };
        assert!(entry.is_some());
    }
    Some(table)
}
