//! The symbols that a module wants.

use kbt_elf::{Binding, SymbolTable, machine, symbol_type};

use super::versions::Versions;
use crate::FactsBuilder;

/// Machines whose undefined register symbols name a register and no symbol.
const SPARC: [u16; 2] = [machine::SPARC, machine::SPARCV9];

/// Pushes the undefined symbols in their order, then the entries of `__versions` that they left. A name outside the
/// table of names ends it with nothing.
pub fn read(
    symbols: &SymbolTable<'_>,
    machine: u16,
    bytes: &[u8],
    versions: &mut Versions,
    facts: &mut FactsBuilder,
) {
    let sparc = SPARC.contains(&machine);
    for symbol in symbols.iter().skip(1).filter(|symbol| symbol.is_undefined()) {
        if sparc && symbol.kind() == symbol_type::SPARC_REGISTER {
            continue;
        }
        let Some(rest) = symbols.strings().tail(symbol.name) else {
            facts.clear_imports();
            return;
        };
        // A symbol without a name wants nothing, be there a version without one or not.
        if rest.first() != Some(&0) {
            let (name, crc) = versions.visit(bytes, rest);
            facts.push_import(name, crc, symbol.binding() == Binding::Weak);
        }
    }
    for (name, crc) in versions.unvisited(bytes) {
        facts.push_import(name, crc, false);
    }
}
