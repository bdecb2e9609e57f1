//! This test's own program, which is an ELF file on every host that kbt runs on.

use kbt_elf::{Image, section_type, symbol_type};

#[test]
fn sections_and_symbols_of_this_program() {
    let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let image = Image::parse(&bytes[..]).unwrap();
    let sections = image.sections().unwrap();
    let (_, text) = sections.named(b".text").unwrap();
    assert!(text.size > 1000 && image.data(&text).unwrap().len() as u64 == text.size);
    let (_, bss) = sections.named(b".bss").unwrap();
    assert_eq!((bss.kind, image.data(&bss).unwrap()), (section_type::NOBITS, &[][..]));
    let (_, table) = sections.of_type(section_type::SYMTAB).unwrap();
    let symbols = image.symbols(&sections, &table).unwrap();
    let main = symbols.iter().find(|symbol| symbols.name(symbol) == Some(b"main")).unwrap();
    assert_eq!(main.kind(), symbol_type::FUNC);
    let home = sections.get(main.section as usize).unwrap();
    assert_eq!(sections.name(&home), Some(&b".text"[..]));
    assert!((home.address..home.address + home.size).contains(&main.value));
}
