//! A linked kernel: its patch stays within the arrays' file, changes no symbol, and what it makes is a table that can be read
//! and that nothing is left to do for.

use kbt_elf::{Edit, Image};
use kbt_kallsyms::{Located, Patch, PatchOptions, Table, patch, read_symbols, wanted};

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((patch, symbols)) = patched(bytes, bytes.len().is_multiple_of(2)) else { return };
    let mut new = bytes.to_vec();
    let mut last = 0;
    for Edit { offset, bytes } in &patch.edits {
        let start = usize::try_from(*offset).expect("it is in the file");
        assert!(last <= start, "edits that overlap or are out of order");
        last = start + bytes.len();
        new.get_mut(start..last).expect("it is in the file").copy_from_slice(bytes);
    }
    let image = Image::parse(&new[..]).expect("headers stay");
    assert!(read_symbols(&image).expect("symbols stay") == symbols);
    let located = Located::by_symbols(&image).expect("the arrays stay");
    let table = Table::read(&located, &new[..]).expect("what was made can be read");
    assert_eq!(table.len(), patch.count);
}

/// The patch, and the symbols before it.
fn patched(bytes: &[u8], relearn: bool) -> Option<(Patch<'_>, Vec<kbt_kallsyms::SymbolEntry<'_>>)> {
    let image = Image::parse(bytes).ok()?;
    let located = Located::by_symbols(&image).ok()?;
    assert!(wanted(&image, &located).is_ok());
    let options = PatchOptions { relearn, map: !relearn, ..PatchOptions::default() };
    let patch = patch(&image, &located, options).ok()?;
    Some((patch, read_symbols(&image).expect("they were read")))
}
