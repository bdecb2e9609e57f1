//! nm's lines or a System.map: what is made a table of is read back as it was.

use kbt_kallsyms::{Array, Content};
use kbt_kallsyms::{
    Choice, Class, Endianness, Greedy, Kernel, Learned, NamesReader, Optimal, Origin, Selection, SymbolEntry,
    Tables, addresses, learn, parse_map, parse_nm, select, source,
};

/// One input, as one kernel's tables: which kernel is its length's matter, so that a search reaches all of them and makes
/// each input's tables, which take most of its time, once.
pub fn run(bytes: &[u8]) {
    let kernel = Kernel::ALL[bytes.len() % Kernel::ALL.len()];
    let choice = Choice { all_symbols: true, absolute_percpu: kernel < Kernel::V7_0 };
    let symbols: Vec<_> = parse_nm(bytes).collect();
    let map = parse_map(bytes).ok().filter(|map| *map != symbols);
    for symbols in [Some(symbols), map].into_iter().flatten() {
        let Ok(selection) = select(symbols, kernel, choice) else { continue };
        encode(kernel, choice, &selection, &learn_anew(&selection.symbols));
    }
}

fn learn_anew(symbols: &[SymbolEntry<'_>]) -> Learned {
    let learned = learn(symbols, b"A").expect("a fuzzer's text is short");
    let greedy = Greedy::new(&learned.tokens).compress(symbols).expect("every byte has a code");
    assert!(greedy == learned.names);
    if let Ok(optimal) = Optimal::new(&learned.tokens) {
        let shortest = optimal.compress(symbols).expect("every byte has a code");
        assert!(shortest.total() <= learned.names.total());
    }
    learned
}

fn encode(kernel: Kernel, choice: Choice, selection: &Selection<'_>, learned: &Learned) {
    let Learned { tokens, names } = learned;
    let symbols = &selection.symbols;
    let way = kernel.addresses(choice.absolute_percpu, false);
    let layout = kernel.layout(Class::Elf64, Endianness::Big, way);
    let base = addresses::relative_base(symbols);
    let origin = Origin { text: selection.text, base, cut_names: false };
    let Ok(tables) = Tables::encode(symbols, tokens, names, layout, origin) else { return };
    let text = source::print(symbols, tokens, names, layout, origin, kernel);
    assert!(!text.expect("what can be encoded can be printed").is_empty());
    let Some(Content::Bytes(names)) = tables.get(Array::Names) else { panic!("a table has names") };
    let mut reader = NamesReader::new(names, &layout);
    for symbol in symbols {
        let mut name = Vec::new();
        tokens.expand(reader.read().expect("it was written"), &mut name);
        assert!(name.split_first() == Some((&symbol.kind, symbol.name)));
    }
}
