//! Steps of `kbt kallsyms` alone, for callgrind; driven by `cargo xtask bench kallsyms`.
//!
//! `kallsyms learn MAP` reads the symbols of a System.map and learns their tokens in [`measured_learn`].

#![allow(clippy::unwrap_used, reason = "a benchmark may panic")]

use std::hint::black_box;

use kbt_kallsyms::{Choice, Kernel, Learned, SymbolEntry, learn, parse_nm, select};

/// The step that is counted; callgrind knows it by its name.
#[inline(never)]
fn measured_learn(symbols: &[SymbolEntry<'_>]) -> Learned {
    learn(symbols, &[]).unwrap()
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [step, map] = words.as_slice() else { return };
    assert_eq!(step, "learn");
    let text = std::fs::read(map).unwrap();
    let choice = Choice { all_symbols: true, absolute_percpu: true };
    let selection = select(parse_nm(&text), Kernel::V6_1, choice).unwrap();
    let learned = black_box(measured_learn(black_box(&selection.symbols)));
    println!("{} symbols, {} codes", selection.symbols.len(), learned.names.total());
}
