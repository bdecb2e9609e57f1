//! The text of `nm` and of System.map: a line a symbol, `address type name`.
//!
//! The text of several objects is one list: a line that is not three words, the first a number in hexadecimal and the
//! second one letter, is passed over. So are headers (`vmlinux.o:`), empty lines and undefined symbols, which have no
//! address.

use crate::symbol::SymbolEntry;

/// The symbols of a text, in its order.
pub fn parse_nm(text: &[u8]) -> impl Iterator<Item = SymbolEntry<'_>> {
    text.split(|&byte| byte == b'\n').filter_map(parse_line)
}

/// One line; `None` where it is no symbol.
pub fn parse_line(line: &[u8]) -> Option<SymbolEntry<'_>> {
    let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let (address, kind, name) = (words.next()?, words.next()?, words.next()?);
    let &[kind] = kind else { return None };
    if words.next().is_some() || name.contains(&0) {
        return None;
    }
    Some(SymbolEntry::new(address_of(address)?, kind, name))
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
            10 T a b\n12345678901234567 T wide\n1g T x\n10 TT x\n10 T\n20 d last";
        let symbols: Vec<_> = parse_nm(text).collect();
        let expected = [
            SymbolEntry::new(0x10, b'T', b"start"),
            SymbolEntry::new(0xffff_ffff_8100_0000, b't', b"\xc3\xa4"),
            SymbolEntry::new(0x20, b'd', b"last"),
        ];
        assert_eq!(symbols, expected);
    }
}
