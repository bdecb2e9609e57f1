//! The kernel's own symbols: Module.symvers (`-E`) and System.map (`-F`).

use crate::lines::{SYMBOL_LINE, fgets, words};
use crate::message::Messages;
use crate::symbols::SymbolTable;

/// A file that lists the symbols of the kernel.
#[derive(Debug, Clone, Copy)]
pub enum KernelSymbols<'t> {
    /// Module.symvers: rows of checksum, symbol, owner, kind.
    Symvers {
        /// The file's name, for messages.
        name: &'t [u8],
        /// Its content.
        text: &'t [u8],
    },
    /// System.map: rows of address, kind, symbol.
    SystemMap {
        /// The file's name, for messages.
        name: &'t [u8],
        /// Its content.
        text: &'t [u8],
    },
}

impl<'t> KernelSymbols<'t> {
    /// Whether checksums are known and can be compared.
    pub fn has_versions(&self) -> bool {
        matches!(self, Self::Symvers { .. })
    }

    pub(crate) fn load(self, symbols: &mut SymbolTable<'t>, messages: &mut Messages) {
        match self {
            Self::Symvers { name, text } => load_symvers(name, text, symbols, messages),
            Self::SystemMap { name, text } => load_system_map(name, text, symbols, messages),
        }
        symbols.add_made_up();
    }
}

fn load_symvers<'t>(name: &[u8], text: &'t [u8], symbols: &mut SymbolTable<'t>, messages: &mut Messages) {
    for (number, line) in (1_usize..).zip(fgets(text, SYMBOL_LINE)) {
        let mut words = words(line, b" \t");
        let (Some(version), Some(symbol), Some(b"vmlinux")) = (words.next(), words.next(), words.next())
        else {
            continue;
        };
        match parse_crc(version) {
            Some(crc) => symbols.add_kernel(symbols.without_prefix(symbol), crc),
            None => {
                let number = number.to_string();
                messages.error(&[
                    name,
                    b":",
                    number.as_bytes(),
                    b" Invalid symbol version ",
                    version,
                    b": Success",
                ]);
            }
        }
    }
}

/// As `strtoull` in base 16 that has to take all of the word.
fn parse_crc(word: &[u8]) -> Option<u64> {
    let (negative, word) = match word {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        word => (false, word),
    };
    let digits = match word {
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => rest,
        word => word,
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    let mut overflow = false;
    for &digit in digits {
        let digit = char::from(digit).to_digit(16)?;
        overflow |= value >> 60 != 0;
        value = (value << 4) | u64::from(digit);
    }
    Some(match (overflow, negative) {
        (true, _) => u64::MAX,
        (false, true) => value.wrapping_neg(),
        (false, false) => value,
    })
}

fn load_system_map<'t>(name: &[u8], text: &'t [u8], symbols: &mut SymbolTable<'t>, messages: &mut Messages) {
    for (number, line) in (1_usize..).zip(fgets(text, SYMBOL_LINE)) {
        let Some(symbol) = line.splitn(3, |&byte| byte == b' ').nth(2) else {
            let number = number.to_string();
            messages.error(&[name, b":", number.as_bytes(), b": invalid line: ", line]);
            continue;
        };
        if let Some(symbol) = symbols.without_prefix(symbol).strip_prefix(b"__ksymtab_") {
            symbols.add_kernel(symbol.strip_suffix(b"\n").unwrap_or(symbol), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(kernel: KernelSymbols<'_>, prefix: Option<u8>, name: &str) -> (Option<u64>, usize) {
        let mut symbols = SymbolTable::new(prefix);
        let mut messages = Messages::default();
        kernel.load(&mut symbols, &mut messages);
        (symbols.find(name.as_bytes()).map(|symbol| symbol.crc), messages.iter().count())
    }

    #[test]
    fn only_rows_of_vmlinux_count() {
        let text =
            "0x0000002a\tfind\tvmlinux\tEXPORT_SYMBOL\n1\tother\tvmlinux_x\tE\nzz bad vmlinux E\n0x7 gone\n";
        let symvers = KernelSymbols::Symvers { name: b"s", text: text.as_bytes() };
        assert_eq!(load(symvers, None, "find"), (Some(42), 1));
        assert_eq!(load(symvers, None, ".find"), (Some(42), 1));
        assert_eq!(load(symvers, None, "other"), (None, 1));
        assert_eq!(load(symvers, None, "__this_module"), (Some(0), 1));
    }

    #[test]
    fn a_map_names_exports_by_their_table_entries() {
        let text = "c0 R __ksymtab_one\nc1 T two\nbroken\nc2 R ___ksymtab_three\n";
        let map = KernelSymbols::SystemMap { name: b"m", text: text.as_bytes() };
        assert_eq!(load(map, None, "one"), (Some(0), 1));
        assert_eq!(load(map, None, "two"), (None, 1));
        assert_eq!(load(map, None, "three"), (None, 1));
        assert_eq!(load(map, Some(b'_'), "three"), (Some(0), 1));
        assert_eq!(load(map, Some(b'_'), "_three"), (Some(0), 1));
    }

    #[test]
    fn checksums_are_read_as_c_reads_them() {
        assert_eq!(parse_crc(b"0x10"), Some(16));
        assert_eq!(parse_crc(b"fF"), Some(255));
        assert_eq!(parse_crc(b"-1"), Some(u64::MAX));
        assert_eq!(parse_crc(b"123456789abcdef01"), Some(u64::MAX));
        assert_eq!(parse_crc(b"0x"), None);
        assert_eq!(parse_crc(b"1g"), None);
    }
}
