//! Objects that were written, read back.

#![allow(clippy::unwrap_used)]

use kbt_elf::{
    Class, DefinedSymbol, EmitError, Endianness, Image, ReadOnlySection, Relocation, RelocationKind, Target,
    relocatable, section_type,
};

const X86_64: u16 = 62;
const I386: u16 = 3;
const S390: u16 = 22;
const ARM: u16 = 40;
const AARCH64: u16 = 183;
const RISCV: u16 = 243;

fn target(machine: u16, class: Class, endian: Endianness) -> Target {
    Target { class, endian, machine, flags: 5 }
}

const SYMBOLS: [DefinedSymbol<'static>; 2] = [
    DefinedSymbol { name: b"table", offset: 0, size: 8 },
    DefinedSymbol { name: b"base", offset: 8, size: 8 },
];

fn pointer(offset: u64, symbol: &'static [u8], addend: i64) -> Relocation<'static> {
    Relocation { kind: RelocationKind::Pointer, offset, symbol, addend }
}

fn section<'a>(bytes: &'a [u8], relocations: &'a [Relocation<'a>]) -> ReadOnlySection<'a> {
    ReadOnlySection { name: b".rodata", bytes, alignment: 8, symbols: &SYMBOLS, relocations }
}

#[test]
fn what_was_written_is_read_back() {
    let bytes: Vec<u8> = (0..16).collect();
    let relocations = [pointer(8, b"_text", 0), pointer(0, b"table", 0)];
    for (machine, class, endian, numbers) in [
        (X86_64, Class::Elf64, Endianness::Little, [1, 1]),
        (S390, Class::Elf64, Endianness::Big, [22, 22]),
        (AARCH64, Class::Elf64, Endianness::Little, [257, 257]),
        (RISCV, Class::Elf64, Endianness::Little, [2, 2]),
    ] {
        let object = relocatable(&target(machine, class, endian), &section(&bytes, &relocations)).unwrap();
        let image = Image::parse(&object[..]).unwrap();
        assert_eq!((image.header().machine, image.header().file_type), (machine, 1));
        let sections = image.sections().unwrap();
        let (index, rodata) = sections.named(b".rodata").unwrap();
        assert_eq!((rodata.kind, rodata.flags, rodata.alignment), (1, 2, 8));
        assert_eq!(image.data(&rodata).unwrap(), bytes);
        let (_, symtab) = sections.of_type(section_type::SYMTAB).unwrap();
        let symbols = image.symbols(&sections, &symtab).unwrap();
        let found: Vec<_> =
            symbols.iter().skip(1).map(|s| (symbols.name(&s).unwrap(), s.value, s.size, s.section)).collect();
        let index = u16::try_from(index).unwrap();
        let expected: [(&[u8], u64, u64, u16); 3] =
            [(b"table", 0, 8, index), (b"base", 8, 8, index), (b"_text", 0, 0, 0)];
        assert_eq!(found, expected);
        // Global, without type, and the null symbol is the only local one.
        assert!(symbols.iter().skip(1).all(|symbol| symbol.info == 0x10));
        assert_eq!(symtab.info, 1);
        let (_, rela) = sections.named(b".rela.rodata").unwrap();
        assert_eq!((rela.info, rela.size), (u32::from(index), 48));
        let entries = image.data(&rela).unwrap();
        let word = |at: usize| {
            let bytes: [u8; 8] = entries[at..at + 8].try_into().unwrap();
            if endian == Endianness::Big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) }
        };
        assert_eq!([word(0), word(8)], [8, 3 << 32 | numbers[0]]);
        assert_eq!([word(24), word(32)], [0, 1 << 32 | numbers[1]]);
    }
}

#[test]
fn addends_lie_in_place_where_the_machine_has_them_there() {
    let relocations = [pointer(4, b"_text", -2)];
    for machine in [I386, ARM] {
        let target = target(machine, Class::Elf32, Endianness::Little);
        let object = relocatable(&target, &section(&[0x55; 8], &relocations)).unwrap();
        let image = Image::parse(&object[..]).unwrap();
        let sections = image.sections().unwrap();
        let (_, rodata) = sections.named(b".rodata").unwrap();
        assert_eq!(image.data(&rodata).unwrap(), [0x55, 0x55, 0x55, 0x55, 0xfe, 0xff, 0xff, 0xff]);
        assert_eq!(sections.named(b".rel.rodata").unwrap().1.size, 8);
    }
}

#[test]
fn flags_are_kept() {
    for (class, at) in [(Class::Elf32, 36), (Class::Elf64, 48)] {
        let object = relocatable(&target(RISCV, class, Endianness::Little), &section(&[], &[])).unwrap();
        assert_eq!(object[at..at + 4], [5, 0, 0, 0]);
        let image = Image::parse(&object[..]).unwrap();
        assert_eq!(image.header().flags, 5);
        assert!(image.sections().unwrap().named(b".rela.rodata").is_none());
    }
}

#[test]
fn what_cannot_be_written_is_refused() {
    let x86 = target(X86_64, Class::Elf64, Endianness::Little);
    let outside = [pointer(1, b"_text", 0)];
    assert_eq!(relocatable(&x86, &section(&[0; 8], &outside)), Err(EmitError::Outside(1)));
    let far = [pointer(u64::MAX, b"_text", 0)];
    assert_eq!(relocatable(&x86, &section(&[0; 8], &far)), Err(EmitError::Outside(u64::MAX)));
    let unknown = target(0x1234, Class::Elf64, Endianness::Little);
    let inside = [pointer(0, b"_text", 0)];
    assert_eq!(relocatable(&unknown, &section(&[0; 8], &inside)), Err(EmitError::UnknownMachine(0x1234)));
    assert!(relocatable(&unknown, &section(&[0; 8], &[])).is_ok());
}
