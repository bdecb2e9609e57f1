//! As many symbols as three bytes count, and one more. No peer is asked: it would take an hour. Here, since the long
//! comparisons run what is long.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use kbt_kallsyms::{
    Array, Choice, Class, Content, Endianness, ErrorKind, Kernel, Learned, NamesReader, Origin, SymbolEntry,
    Tables, learn, select, seqs::MAX_SYMBOLS,
};

/// Bytes of a name.
const LEN: usize = 4;

/// The name of a number: four of 65 bytes, so that names descend where numbers ascend.
fn name(number: usize) -> [u8; LEN] {
    let mut rest = number;
    let mut name = [0; LEN];
    for byte in name.iter_mut().rev() {
        *byte = b'z' - u8::try_from(rest % 65).unwrap();
        rest /= 65;
    }
    name
}

/// Five seconds of a release build.
#[test]
#[ignore = "1.3 GB of memory"]
fn as_many_as_three_bytes_count() {
    let names: Vec<u8> = (0..=MAX_SYMBOLS).flat_map(name).collect();
    let symbols = |count: usize| {
        let names = names.as_chunks::<LEN>().0.iter().take(count);
        names.zip(0x1000..).map(|(name, address)| SymbolEntry::new(address, b'T', name))
    };
    let choice = Choice { all_symbols: true, absolute_percpu: false };
    let kernel = Kernel::V6_12;
    let refused = select(symbols(MAX_SYMBOLS + 1), kernel, choice).unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TooManySymbols { count: MAX_SYMBOLS + 1 });
    let selection = select(symbols(MAX_SYMBOLS), kernel, choice).unwrap();
    let Learned { tokens, names: compressed } = learn(&selection.symbols, &[]).unwrap();
    let layout = kernel.layout(Class::Elf64, Endianness::Little, kernel.addresses(false, false));
    let origin = Origin { text: 0x1000, base: 0x1000, cut_names: false };
    let tables = Tables::encode(&selection.symbols, &tokens, &compressed, layout, origin).unwrap();
    let bytes = |array| match tables.get(array) {
        Some(Content::Bytes(bytes)) => &bytes[..],
        _ => panic!("{array} has bytes"),
    };
    assert_eq!(bytes(Array::NumSyms), (1_u32 << 24).to_le_bytes());
    // Names descend, so the first is the last symbol.
    let seqs = bytes(Array::SeqsOfNames).chunks_exact(3);
    assert!(seqs.zip((0..=0x00ff_ffff_u32).rev()).all(|(seq, number)| *seq == number.to_be_bytes()[1..]));
    assert_eq!(bytes(Array::SeqsOfNames).len(), 3 << 24);
    assert_eq!(bytes(Array::Markers).len(), 4 << 16);
    let last = u32::from_le_bytes(*bytes(Array::Markers).last_chunk().unwrap());
    let mut reader = NamesReader::new(&bytes(Array::Names)[usize::try_from(last).unwrap()..], &layout);
    let mut expanded = Vec::new();
    tokens.expand(reader.read().unwrap(), &mut expanded);
    assert_eq!(expanded[1..], name(MAX_SYMBOLS - 256));
}
