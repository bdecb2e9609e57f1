//! The token table against the plain statement of the algorithm, and every way of compressing against expanding.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test may panic; its numbers are small"
)]

use std::collections::BTreeMap;

use kbt_kallsyms::{Error, ErrorKind, Greedy, Optimal, SymbolEntry, TokenTable, learn};
use kbt_testkit::random::Random;

/// Codes with their pairs, and the compressed names.
type Plain = (Vec<(u8, [u8; 2])>, Vec<Vec<u8>>);

/// Every pair counted anew for each code: slow and plain.
fn learn_plainly(symbols: &[SymbolEntry<'_>], reserved: &[u8]) -> Plain {
    let mut texts: Vec<Vec<u8>> = symbols.iter().map(|symbol| text(symbol)).collect();
    let used: Vec<u8> = texts.iter().flatten().chain(reserved).copied().collect();
    let mut merges = Vec::new();
    for code in (0..=255).rev().filter(|code| !used.contains(code)) {
        let mut counts = BTreeMap::new();
        for pair in texts.iter().flat_map(|text| text.windows(2)) {
            *counts.entry((pair[1], pair[0])).or_insert(0) += 1;
        }
        // The first of the largest: a map goes through its keys in their order.
        let Some(most) = counts.values().copied().max() else { break };
        let (&(second, first), _) = counts.iter().find(|&(_, &count)| count == most).unwrap();
        merges.push((code, [first, second]));
        for text in &mut texts {
            let mut at = 0;
            while at + 1 < text.len() {
                if text[at..].starts_with(&[first, second]) {
                    text.splice(at..at + 2, [code]);
                }
                at += 1;
            }
        }
    }
    (merges, texts)
}

fn text(symbol: &SymbolEntry<'_>) -> Vec<u8> {
    [&[symbol.kind], symbol.name].concat()
}

fn symbols(names: &[Vec<u8>]) -> Vec<SymbolEntry<'_>> {
    let kinds = *b"TtDdRrBbW";
    (0..).zip(names).map(|(index, name)| SymbolEntry::new(index, kinds[index as usize % 9], name)).collect()
}

/// Names over few letters, so that pairs overlap and tokens grow.
fn random_names(random: &mut Random, letters: &[u8]) -> Vec<Vec<u8>> {
    let name = |random: &mut Random| {
        (0..1 + random.below(24)).map(|_| letters[random.below(letters.len())]).collect()
    };
    (0..1 + random.below(60)).map(|_| name(random)).collect()
}

#[test]
fn tokens_are_those_of_the_plain_algorithm() {
    let mut random = Random::new(5);
    let all: Vec<u8> = (1..=255).collect();
    for round in 0..300 {
        let letters: &[u8] = [b"a", &b"ab"[..], b"abc_", b"abcdefghij_.", &all][round % 5];
        let names = random_names(&mut random, letters);
        let symbols = symbols(&names);
        let reserved: &[u8] = if round % 2 == 0 { b"" } else { b"AV?" };
        let learned = learn(&symbols, reserved).unwrap();
        let (merges, texts) = learn_plainly(&symbols, reserved);
        assert_eq!(learned.tokens.merges(), merges, "round {round}");
        assert!(learned.names.iter().eq(texts.iter().map(Vec::as_slice)), "round {round}");
        check_ways(&symbols, &learned.tokens, &texts);
    }
}

/// Greedy is what learning gives, optimal is never longer, and all expand to the names.
fn check_ways(symbols: &[SymbolEntry<'_>], tokens: &TokenTable, texts: &[Vec<u8>]) {
    let greedy = Greedy::new(tokens);
    let names = greedy.compress(symbols).unwrap();
    assert!(names.iter().eq(texts.iter().map(Vec::as_slice)));
    let optimal = Optimal::new(tokens).unwrap();
    let shortest = optimal.compress(symbols).unwrap();
    assert_eq!((names.len(), shortest.len()), (symbols.len(), symbols.len()));
    for ((symbol, name), short) in symbols.iter().zip(names.iter()).zip(shortest.iter()) {
        assert!(short.len() <= name.len() && short.len() <= optimal.bound(symbol.name).unwrap());
        assert!(name.len() <= greedy.bound(symbol.name, b"TtDdRrBbW").unwrap_or(usize::MAX));
        for codes in [name, short] {
            let mut expanded = Vec::new();
            tokens.expand(codes, &mut expanded);
            assert_eq!(expanded, text(symbol));
        }
    }
}

#[test]
fn a_byte_without_a_code_is_refused() {
    let names = [b"abc".to_vec()];
    let learned = learn(&symbols(&names), &[]).unwrap();
    let other = [SymbolEntry::new(0, b'T', b"abd")];
    let expected = Error::new(ErrorKind::NoCode { byte: b'd' });
    assert_eq!(Greedy::new(&learned.tokens).compress(&other).unwrap_err(), expected);
    assert_eq!(Optimal::new(&learned.tokens).unwrap().compress(&other).unwrap_err(), expected);
}

#[test]
fn nothing_is_learned_of_nothing() {
    let learned = learn(&[], &[]).unwrap();
    assert!(learned.tokens.merges().is_empty() && learned.names.is_empty());
    assert_eq!(learned.tokens.bytes(), [0; 256]);
}

#[test]
fn strings_that_sixteen_bits_do_not_reach_are_refused() {
    let name = vec![b'a'; 511];
    let names = vec![name; 600];
    let learned = learn(&symbols(&names), &[]).unwrap();
    assert!(learned.tokens.index().is_ok());
    let long = vec![b'a'; 300];
    let tokens = TokenTable::from_strings(std::iter::repeat_n(long.as_slice(), 256));
    assert_eq!(tokens.index().unwrap_err().kind, ErrorKind::LongTokens { len: 301 * 256 });
}
