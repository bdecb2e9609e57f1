//! The text files that depmod reads, the first byte says which: no panic, and outputs that can be read.

use kbt_depmod::{
    Config, FactsBuilder, Index, KernelSymbols, Messages, ModuleFacts, Modules, Options, Output, build,
};

/// One input.
pub fn run(bytes: &[u8]) {
    let Some((kind, text)) = bytes.split_first() else { return };
    let mut messages = Messages::default();
    let config = match kind {
        b'c' => Config::parse([(b"c".as_slice(), text)], b"6.1.0-50-amd64", &mut messages),
        _ => Config::default(),
    };
    let mut modules = Modules::new(b"/m");
    for path in ["/m/kernel/a-b.ko", "/m/updates/a_b.ko.xz", "/x/a-b.ko", "/m/kernel/c.ko"] {
        modules.offer(path.as_bytes(), 0, &config);
    }
    modules.sort();
    if *kind == b'o' {
        modules.sort_by_order(b"modules.order", text, &mut messages);
    }
    let facts: Vec<ModuleFacts> = (0..modules.len()).map(|_| facts(*kind, text)).collect();
    let views: Vec<_> = facts.iter().map(ModuleFacts::view).collect();
    let kernel = match kind {
        b'E' => Some(KernelSymbols::Symvers { name: b"s", text }),
        b'F' => Some(KernelSymbols::SystemMap { name: b"m", text }),
        _ => None,
    };
    let options = Options {
        kernel,
        symbol_prefix: text.first().copied(),
        report_symbols: true,
        warn_duplicates: true,
        builtin: if *kind == b'b' { Ok(text) } else { Err(b"none") },
        builtin_modinfo: if *kind == b'i' { Ok(text) } else { Err(b"none") },
        ..Options::default()
    };
    let built = build(&modules, &views, &options, &mut messages);
    let Some(outputs) = built.outputs else { return };
    for (_, bytes) in outputs.iter().filter(|(output, bytes)| output.is_index() && !bytes.is_empty()) {
        Index::parse(bytes).expect("kbt's own").entries().for_each(|entry| drop(entry.expect("kbt's own")));
    }
    assert_eq!(outputs.iter().count(), Output::ALL.len());
}

/// A module whose aliases are the lines.
fn facts(kind: u8, text: &[u8]) -> ModuleFacts {
    let mut builder = FactsBuilder::new();
    builder.push_import(b"printk", 1, false);
    if kind == b'a' {
        // Texts of modules hold no NUL.
        text.split(|byte| matches!(byte, b'\n' | 0)).for_each(|alias| builder.push_alias(alias));
    }
    builder.finish().unwrap_or_default()
}
