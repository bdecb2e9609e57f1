//! One symbol, and the order in which the table has them.

use crate::order::sort_by_address;

/// A symbol as `nm` prints it: address, type letter, name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SymbolEntry<'a> {
    /// Where it is, or the value of an absolute one.
    pub address: u64,
    /// nm's letter for its type (`T`, `d`, ...): the table keeps it as the first byte of the name.
    pub kind: u8,
    /// Whether the table keeps the value itself where it keeps distances else: per-cpu symbols under
    /// `--absolute-percpu`.
    pub absolute: bool,
    /// Where in the order of names this one waits in the room of a pad, counted from 1; 0 where it does not, or was not
    /// looked for.
    pub(crate) waiting: u32,
    /// The name, without NUL bytes.
    pub name: &'a [u8],
}

impl<'a> SymbolEntry<'a> {
    /// A symbol at an address of the kernel's.
    pub fn new(address: u64, kind: u8, name: &'a [u8]) -> Self {
        Self { address, kind, absolute: false, waiting: 0, name }
    }

    /// Whether another definition of the name would have won.
    fn is_weak(&self) -> bool {
        matches!(self.kind, b'w' | b'W')
    }

    /// Whether the name looks like one that a linker script makes at the border of a section.
    fn may_be_provided(&self) -> bool {
        let Some(rest) = self.name.strip_prefix(b"__").filter(|_| self.name.len() >= 8) else { return false };
        let starts: [&[u8]; 3] = [b"start_", b"stop_", b"end_"];
        let ends: [&[u8]; 2] = [b"_start", b"_end"];
        starts.iter().any(|start| rest.starts_with(start)) || ends.iter().any(|end| self.name.ends_with(end))
    }

    fn leading_underscores(&self) -> usize {
        self.name.iter().take_while(|&&byte| byte == b'_').count()
    }

    /// The order among symbols of one address: what the kernel shows for an address is the first.
    fn rank(&self) -> (bool, bool, usize) {
        (self.is_weak(), self.may_be_provided(), self.leading_underscores())
    }
}

/// Sorts into the table's order: by address, then weak ones last, those that a linker script may have made last,
/// fewer leading underscores first, and else as they came (scripts/kallsyms.c, `compare_symbols`).
pub fn sort_symbols(symbols: &mut [SymbolEntry<'_>]) {
    sort_by_address(symbols);
    for group in symbols.chunk_by_mut(|a, b| a.address == b.address) {
        if group.len() > 1 {
            group.sort_by_key(SymbolEntry::rank);
        }
    }
}

/// Sorts as `nm -n` does: by address, then by name, then as they came.
pub(crate) fn sort_as_nm(symbols: &mut [SymbolEntry<'_>]) {
    sort_by_address(symbols);
    for group in symbols.chunk_by_mut(|a, b| a.address == b.address) {
        if group.len() > 1 {
            group.sort_by_key(|symbol| symbol.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_addresses_are_ranked() {
        let names: [(&[u8], u8); 8] = [
            (b"__foo_end", b'T'),
            (b"weak", b'W'),
            (b"__two", b'T'),
            (b"_one", b'T'),
            (b"__start_x", b'D'),
            (b"b", b't'),
            (b"a", b't'),
            (b"__end_y", b'W'),
        ];
        let mut symbols: Vec<_> = names.iter().map(|&(name, kind)| SymbolEntry::new(1, kind, name)).collect();
        symbols.push(SymbolEntry::new(0, b'W', b"__end_first"));
        sort_symbols(&mut symbols);
        let sorted: Vec<&str> =
            symbols.iter().map(|symbol| std::str::from_utf8(symbol.name).unwrap()).collect();
        let expected =
            ["__end_first", "b", "a", "_one", "__two", "__foo_end", "__start_x", "weak", "__end_y"];
        assert_eq!(sorted, expected);
    }

    #[test]
    fn short_names_are_no_borders() {
        // Seven bytes: scripts/kallsyms looks at eight and more.
        assert!(!SymbolEntry::new(0, b'T', b"__x_end").may_be_provided());
        assert!(SymbolEntry::new(0, b'T', b"__xy_end").may_be_provided());
        assert!(!SymbolEntry::new(0, b'T', b"_xyz_end").may_be_provided());
    }
}
