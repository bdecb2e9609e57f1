//! The text of `nm` and of System.map: a line a symbol, `address type name`.
//!
//! The text of several objects is one list: a line that is not three words, the first a number in hexadecimal and the
//! second one letter, is passed over. So are headers (`vmlinux.o:`), empty lines and undefined symbols, which have no
//! address.

use crate::error::{Error, ErrorKind};
use crate::symbol::SymbolEntry;

/// The symbols of a text, in its order.
pub fn parse_nm(text: &[u8]) -> impl Iterator<Item = SymbolEntry<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line)
}

/// One line; `None` where it is no symbol.
pub fn parse_line(line: &[u8]) -> Option<SymbolEntry<'_>> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    // A NUL is no letter: it stands for a symbol that has none yet.
    let &[kind @ (1..)] = kind else { return None };
    if words.next().is_some() || name.contains(&0) {
        return None;
    }
    Some(SymbolEntry::new(address_of(address)?, kind, name))
}

/// The symbols of a System.map, as the generators of 6.2 and later read it: a number, a blank, a letter, a blank, and all the
/// rest of the line is the name.
///
/// # Errors
///
/// The first line that is something else.
pub fn parse_map(text: &[u8]) -> Result<Vec<SymbolEntry<'_>>, Error> {
    let lines = text.strip_suffix(b"\n").unwrap_or(text).split(|&byte| byte == b'\n');
    let lines = lines.filter(|_| !text.is_empty());
    (1..).zip(lines).map(|(line, text)| map_line(text).ok_or(ErrorKind::BadLine { line }.into())).collect()
}

fn map_line(line: &[u8]) -> Option<SymbolEntry<'_>> {
    let line = line.trim_ascii_start();
    let line = line.strip_prefix(b"0x").unwrap_or(line);
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit()).filter(|&digits| digits > 0)?;
    match line.split_at_checked(digits)? {
        (address, [b' ', kind @ (1..), b' ', name @ ..]) if !name.is_empty() && !name.contains(&0) => {
            Some(SymbolEntry::new(address_of(address)?, *kind, name))
        }
        _ => None,
    }
}

/// Reads up to 16 hexadecimal digits.
fn address_of(word: &[u8]) -> Option<u64> {
    if word.len() > 16 {
        return None;
    }
    word.iter().try_fold(0, |address, &byte| Some(address << 4 | u64::from(char::from(byte).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_symbol_is_passed_over() {
        let text = b"\nvmlinux.o:\n                 U printk\n0000000000000010 T start\nffffffff81000000 t \xc3\xa4\r\n\
            10 T a b\n12345678901234567 T wide\n1g T x\n10 \0 x\n10 TT x\n10 T\n20 d last";
        let symbols: Vec<_> = parse_nm(text).collect();
        let expected = [
            SymbolEntry::new(0x10, b'T', b"start"),
            SymbolEntry::new(0xffff_ffff_8100_0000, b't', b"\xc3\xa4"),
            SymbolEntry::new(0x20, b'd', b"last"),
        ];
        assert_eq!(symbols, expected);
    }

    #[test]
    fn a_map_is_read_to_the_letter() {
        let entry = |address, kind, name: &'static [u8]| SymbolEntry::new(address, kind, name);
        let text = b"10 T _text\n 0x11 - a b\n12 T  c\n13 t d\r";
        let expected = [
            entry(0x10, b'T', b"_text"),
            entry(0x11, b'-', b"a b"),
            entry(0x12, b'T', b" c"),
            entry(0x13, b't', b"d\r"),
        ];
        assert_eq!(parse_map(text).unwrap(), expected);
        assert_eq!(parse_map(b"").unwrap(), []);
        for bad in [
            "",
            "20 T",
            "20 T ",
            "20 T a\0b",
            "20 \0 a",
            "20",
            " T x",
            "20  T x",
            "20 TT x",
            "                 U x",
            "foo.o:",
        ] {
            let text = format!("10 T a\n{bad}\n30 T b\n");
            let error = parse_map(text.as_bytes()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::BadLine { line: 2 }, "{bad:?}");
        }
    }
}
