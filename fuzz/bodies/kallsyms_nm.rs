//! nm's lines or a System.map: what is made a table of is read back as it was.

use kbt_kallsyms::{Array, Content};
use kbt_kallsyms::{
    Choice, Class, Endianness, Greedy, Kernel, NamesReader, Optimal, Origin, SymbolEntry, Tables, addresses,
    learn, parse_map, parse_nm, select, source,
};

/// One input.
pub fn run(bytes: &[u8]) {
    check(&parse_nm(bytes).collect::<Vec<_>>());
    if let Ok(map) = parse_map(bytes) {
        check(&map);
    }
}

fn check(symbols: &[SymbolEntry<'_>]) {
    for kernel in Kernel::ALL {
        let choice = Choice { all_symbols: true, absolute_percpu: kernel < Kernel::V7_0 };
        let Ok(selection) = select(symbols.iter().copied(), kernel, choice) else { continue };
        let symbols = selection.symbols;
        let learned = learn(&symbols, b"A").expect("a fuzzer's text is short");
        let greedy = Greedy::new(&learned.tokens).compress(&symbols).expect("every byte has a code");
        assert!(greedy == learned.names);
        let way = kernel.addresses(choice.absolute_percpu, false);
        let layout = kernel.layout(Class::Elf64, Endianness::Big, way);
        let origin =
            Origin { text: selection.text, base: addresses::relative_base(&symbols), cut_names: false };
        let Ok(tables) = Tables::encode(&symbols, &learned.tokens, &learned.names, layout, origin) else {
            continue;
        };
        let text = source::print(&symbols, &learned.tokens, &learned.names, layout, origin, kernel);
        assert!(!text.expect("what can be encoded can be printed").is_empty());
        let Some(Content::Bytes(names)) = tables.get(Array::Names) else { panic!("a table has names") };
        let mut reader = NamesReader::new(names, &layout);
        for symbol in &symbols {
            let mut name = Vec::new();
            learned.tokens.expand(reader.read().expect("it was written"), &mut name);
            assert!(name.split_first() == Some((&symbol.kind, symbol.name)));
        }
        if let Ok(optimal) = Optimal::new(&learned.tokens) {
            let shortest = optimal.compress(&symbols).expect("every byte has a code");
            assert!(shortest.total() <= learned.names.total());
        }
    }
}
