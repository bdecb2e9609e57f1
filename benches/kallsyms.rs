//! Steps of `kbt kallsyms` alone, for callgrind; driven by `cargo xtask bench kallsyms`.
//!
//! `kallsyms learn MAP` reads the symbols of a System.map and learns their tokens in [`measured_learn`]. `kallsyms sizes VMLINUX
//! RECORD` lets the arrays' symbols state the sizes that a pad file has.

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::FileExt as _;

use kbt_elf::{Header, SectionTable, StringTable, SymbolTable, section_type};
use kbt_kallsyms::{Array, Choice, Kernel, Learned, PadFile, SymbolEntry, learn, parse_nm, select};

/// The step that is counted; callgrind knows it by its name.
#[inline(never)]
fn measured_learn(symbols: &[SymbolEntry<'_>]) -> Learned {
    learn(symbols, &[]).unwrap()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["learn", map] => measure_learning(map),
        ["sizes", vmlinux, record] => state_sizes(vmlinux, record),
        _ => {}
    }
}

fn measure_learning(map: &str) {
    let text = fs::read(map).unwrap();
    let choice = Choice { all_symbols: true, absolute_percpu: true };
    let selection = select(parse_nm(&text), Kernel::V6_1, choice).unwrap();
    let learned = black_box(measured_learn(black_box(&selection.symbols)));
    println!("{} symbols, {} codes", selection.symbols.len(), learned.names.total());
}

/// Writes the sizes of a record's arrays to their symbols (64 bits, little-endian), as a linker would.
fn state_sizes(vmlinux: &str, record: &str) {
    const SIZE: u64 = 16;
    let record = PadFile::parse(&fs::read(record).unwrap()).unwrap();
    let file = File::options().read(true).write(true).open(vmlinux).unwrap();
    let read = |offset: u64, size: u64| {
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        file.read_exact_at(&mut bytes, offset).unwrap();
        bytes
    };
    let header = Header::parse(&read(0, Header::MAX_SIZE)[..]).unwrap();
    let (offset, size) = header.section_table_range(header.section_count.into());
    let bytes = read(offset, size);
    let sections = SectionTable::new(header.class, header.endian, &bytes, StringTable::default());
    let (_, symtab) = sections.of_type(section_type::SYMTAB).unwrap();
    let strtab = sections.get(symtab.link as usize).unwrap();
    let (names, entries) = (read(strtab.offset, strtab.size), read(symtab.offset, symtab.size));
    let symbols = SymbolTable::new(header.class, header.endian, &entries, StringTable::new(&names));
    for (index, symbol) in (0..).zip(symbols.iter()) {
        let array = symbols.name(&symbol).and_then(Array::from_symbol);
        if let Some((_, size)) = record.slots.iter().find(|(slot, _)| Some(*slot) == array) {
            let place = symtab.offset + index * header.class.symbol_size() + SIZE;
            file.write_all_at(&size.to_le_bytes(), place).unwrap();
        }
    }
}
