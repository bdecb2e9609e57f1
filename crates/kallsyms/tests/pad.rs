//! The table before the link, of made objects.

#![allow(clippy::unwrap_used)]

use kbt_elf::{
    Class, DefinedSymbol, Endianness, Image, ReadOnlySection, Relocation, RelocationKind, Target,
    relocatable, section_type,
};
use kbt_kallsyms::{
    AddressTable, Array, Error, ErrorKind, Kernel, LinkerScript, PadFile, PadOptions, Superset, pad,
};

/// An object that defines these symbols in one section and asks for those.
fn object(class: Class, section: &str, defined: &[&str], wanted: &[&str]) -> Vec<u8> {
    let machine = if class == Class::Elf64 { 62 } else { 3 };
    object_for(machine, class, section, defined, wanted)
}

fn object_for(machine: u16, class: Class, section: &str, defined: &[&str], wanted: &[&str]) -> Vec<u8> {
    let target = Target { class, endian: Endianness::Little, machine, flags: 0 };
    let symbols: Vec<_> = (0..)
        .zip(defined)
        .map(|(offset, name)| DefinedSymbol { name: name.as_bytes(), offset, size: 1 })
        .collect();
    let relocations: Vec<_> = wanted
        .iter()
        .map(|name| Relocation {
            kind: RelocationKind::Pointer,
            offset: 0,
            symbol: name.as_bytes(),
            addend: 0,
        })
        .collect();
    let section = ReadOnlySection {
        name: section.as_bytes(),
        bytes: &[0; 64],
        alignment: 8,
        symbols: &symbols,
        relocations: &relocations,
    };
    relocatable(&target, &section).unwrap()
}

const ARRAYS_6_12: [&str; 8] = [
    "kallsyms_num_syms",
    "kallsyms_names",
    "kallsyms_markers",
    "kallsyms_token_table",
    "kallsyms_token_index",
    "kallsyms_offsets",
    "kallsyms_relative_base",
    "kallsyms_seqs_of_names",
];

fn padded(objects: &[Vec<u8>], script: &str, options: PadOptions) -> Result<kbt_kallsyms::Pad, Error> {
    let script = LinkerScript::parse(script.as_bytes()).unwrap();
    let mut superset = Superset::default();
    for object in objects {
        superset.add_object(&Image::parse(&object[..])?, &script)?;
    }
    pad(&superset, &script, options)
}

const ALL: PadOptions =
    PadOptions { all_symbols: true, cut_names: false, slack: 0, kernel: None, place_relative: false };

fn slot(record: &PadFile, array: Array) -> u64 {
    record.slots.iter().find(|(own, _)| *own == array).unwrap().1
}

#[test]
fn the_layout_follows_the_arrays_that_are_asked_for() {
    let without = |names: &[&str]| -> Vec<&str> {
        ARRAYS_6_12.into_iter().filter(|array| !names.contains(array)).collect()
    };
    let base = "kallsyms_relative_base";
    for (class, arrays, relative, kernel, addresses) in [
        (Class::Elf64, without(&[]), false, Kernel::V6_12, AddressTable::BaseRelative),
        (Class::Elf64, without(&[base]), false, Kernel::V7_0, AddressTable::PlaceRelative),
        (Class::Elf32, without(&[base]), true, Kernel::V7_0, AddressTable::PlaceRelative),
        (Class::Elf32, without(&[base]), false, Kernel::V7_0, AddressTable::Absolute32),
        (
            Class::Elf64,
            without(&["kallsyms_seqs_of_names"]),
            false,
            Kernel::V5_10,
            AddressTable::BaseRelative,
        ),
    ] {
        let options = PadOptions { place_relative: relative, ..ALL };
        let pad = padded(&[object(class, ".text", &["_stext"], &arrays)], "", options).unwrap();
        assert_eq!((pad.record.kernel, pad.record.layout.addresses), (kernel, addresses), "{arrays:?}");
        assert_eq!(pad.record.layout.seqs, arrays.contains(&"kallsyms_seqs_of_names"));
    }
    let mut arrays = without(&[base, "kallsyms_offsets"]);
    arrays.push("kallsyms_addresses");
    let pad = padded(&[object(Class::Elf64, ".text", &["a"], &arrays)], "", ALL).unwrap();
    assert_eq!(pad.record.layout.addresses, AddressTable::Absolute);
    assert_eq!(slot(&pad.record, Array::Addresses), 8 * pad.symbols as u64);
}

#[test]
fn discarded_symbols_are_left_out_and_assigned_ones_come_in() {
    let wanted: Vec<&str> = ARRAYS_6_12.into_iter().chain(["_text", "__start_x", "defined"]).collect();
    let objects = [
        object(Class::Elf64, ".text", &["defined", "other", "__crc_dropped"], &wanted),
        object(Class::Elf64, ".discard.x", &["gone", "away"], &[]),
    ];
    let script = "a = b; SECTIONS { .o : { _stext = .; other = .; } /DISCARD/ : { *(.discard.*) } }";
    let symbols = |script| padded(&objects, script, ALL).unwrap().symbols;
    // defined, other; _text, __start_x; a, _stext; the eight arrays.
    assert_eq!(symbols(script), 2 + 2 + 2 + 8);
    assert_eq!(symbols(""), 2 + 2 + 2 + 8);
    assert_eq!(symbols("SECTIONS { /DISCARD/ : { *(.discard.*) *(.text) } }"), 2 + 8);
    // 6.1's generator leaves the arrays out.
    let old = PadOptions { kernel: Some(Kernel::V6_1), ..ALL };
    assert_eq!(padded(&objects, script, old).unwrap().symbols, 2 + 2 + 2);
}

#[test]
fn only_what_may_lie_in_the_text() {
    let objects = [
        object(Class::Elf64, ".rodata", &["constant", "another"], &ARRAYS_6_12),
        object(Class::Elf64, ".text", &["code"], &[]),
    ];
    let options = PadOptions { all_symbols: false, ..ALL };
    let of = |script| padded(&objects, script, options).unwrap().symbols;
    // Written sections are read-only data here, so nothing is code; what is not placed may be.
    assert_eq!(of(""), 8);
    assert_eq!(padded(&objects, "", ALL).unwrap().symbols, 3 + 8);
}

#[test]
fn the_object_has_the_arrays_in_their_rooms() {
    let names: Vec<String> = (0..1000).map(|number| format!("init_module_{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let options = PadOptions { slack: 24, ..ALL };
    let pad = padded(&[object(Class::Elf64, ".text", &names, &ARRAYS_6_12)], "", options).unwrap();
    assert_eq!(pad.symbols, 1008);
    assert_eq!(slot(&pad.record, Array::Offsets), 4 * 1008 + 24);
    assert_eq!(slot(&pad.record, Array::SeqsOfNames), 3 * 1008 + 24);
    assert_eq!(slot(&pad.record, Array::Markers), 4 * 4 + 24);
    let image = Image::parse(&pad.object[..]).unwrap();
    let sections = image.sections().unwrap();
    let (_, symtab) = sections.of_type(section_type::SYMTAB).unwrap();
    let symbols = image.symbols(&sections, &symtab).unwrap();
    let (_, rodata) = sections.named(b".rodata").unwrap();
    let mut found = Vec::new();
    for symbol in symbols.iter().skip(1).filter(|symbol| !symbol.is_undefined()) {
        let array = Array::from_symbol(symbols.name(&symbol).unwrap()).unwrap();
        assert_eq!(symbol.value % 8, 0);
        found.push((array, symbol.size));
        if array == Array::TokenTable {
            let start = usize::try_from(symbol.value).unwrap();
            let tokens = pad.record.tokens.bytes();
            assert_eq!(&image.data(&rodata).unwrap()[start..start + tokens.len()], tokens);
        }
    }
    assert_eq!(found, pad.record.slots);
    // One relocation: the base.
    assert_eq!(sections.named(b".rela.rodata").unwrap().1.size, 24);
    let text = pad.record.to_text();
    assert!(PadFile::parse(text.as_bytes()).unwrap().to_text() == text);
}

#[test]
fn what_cannot_be_padded_is_refused() {
    let refused = |objects: &[Vec<u8>]| padded(objects, "", ALL).unwrap_err().kind;
    assert_eq!(refused(&[]), ErrorKind::NotAsked);
    assert_eq!(refused(&[object(Class::Elf64, ".text", &["a"], &["_text"])]), ErrorKind::NotAsked);
    let asks = object(Class::Elf64, ".text", &["a"], &ARRAYS_6_12);
    let brings = object(Class::Elf64, ".rodata", &["kallsyms_names"], &[]);
    assert_eq!(refused(&[asks.clone(), brings]), ErrorKind::HasTable);
    assert_eq!(refused(&[asks, object(Class::Elf32, ".text", &["a"], &[])]), ErrorKind::MixedMachines);
    assert_eq!(refused(&[b"no object".to_vec()]), ErrorKind::Elf(kbt_elf::ErrorKind::BadMagic));
}

/// gas writes no symbol table where there is nothing to write.
#[test]
fn an_object_without_symbols_brings_none() {
    let asks = object(Class::Elf64, ".text", &["a"], &ARRAYS_6_12);
    let mut bare = object(Class::Elf64, ".note", &["b"], &[]);
    // A section of symbols becomes one of plain bytes.
    let sections = usize::try_from(Image::parse(&bare[..]).unwrap().header().section_offset).unwrap();
    let symtab = bare[sections..].chunks(64).position(|header| header[4] == 2).unwrap();
    bare[sections + 64 * symtab + 4] = 1;
    let symbols = |objects: &[Vec<u8>]| padded(objects, "", ALL).map(|pad| pad.symbols);
    assert_eq!(
        symbols(&[asks.clone(), bare.clone()]).unwrap(),
        symbols(std::slice::from_ref(&asks)).unwrap()
    );
    // A kernel that was stripped had some.
    bare[16] = 2;
    assert_eq!(symbols(&[asks, bare]).unwrap_err().kind, ErrorKind::NoSymbolTable);
}

/// ld makes them where code asks for an address by way of a table, without anybody asking for the table.
#[test]
fn what_the_linker_makes_has_room() {
    const S390: u16 = 22;
    const RISCV: u16 = 243;
    let padded_for = |machine, script: &'static str| {
        let object = object_for(machine, Class::Elf64, ".text", &["open"], &ARRAYS_6_12);
        padded(&[object], script, ALL).unwrap()
    };
    let (x86, s390, riscv) = (padded_for(62, ""), padded_for(S390, ""), padded_for(RISCV, ""));
    assert_eq!(s390.symbols, x86.symbols + 2);
    assert_eq!(riscv.symbols, x86.symbols + 3);
    assert!(s390.record.tokens.bytes().contains(&b'Y'));
    // What is thrown away has no name; where it is not sure, it has.
    let thrown_away = "SECTIONS { /DISCARD/ : { *(.interp .dynamic) } }";
    assert_eq!(padded_for(S390, thrown_away).symbols, x86.symbols + 1);
    let kept = "SECTIONS { .dynamic : { *(.dynamic) } }";
    assert_eq!(padded_for(62, kept).symbols, x86.symbols + 2);
    let of_one_file = "SECTIONS { /DISCARD/ : { some.o(.dynamic) } }";
    assert_eq!(padded_for(62, of_one_file).symbols, x86.symbols);
    assert_eq!(padded_for(S390, of_one_file).symbols, x86.symbols + 2);
}

#[test]
fn borders_of_sections_have_room_wherever_they_are() {
    let object = object(Class::Elf64, ".data", &["__start_made", "__stop_made", "other"], &ARRAYS_6_12);
    let count = |kernel| {
        let options = PadOptions { all_symbols: false, kernel: Some(kernel), ..ALL };
        padded(std::slice::from_ref(&object), "", options).unwrap().symbols
    };
    assert_eq!(count(Kernel::V6_12), count(Kernel::V6_6) + 2);
}
