//! The symbols that modules want, as hashes: who wants one of a few names is found without the names of all.
//!
//! **Limits.** A hash is the same in each run, and of 32 bits: names that share one make a module look as if it wanted a
//! symbol, never the other way round.

use crate::facts::{Facts, Import};
use crate::name_hash::NameHasher;

/// Low bits of a hash that are looked up first.
const FIRST_BITS: u32 = 16;

/// Makes the hashes of names.
pub struct WantHasher(NameHasher);

impl Default for WantHasher {
    fn default() -> Self {
        Self(NameHasher::fixed())
    }
}

impl WantHasher {
    /// The hashes of what a module wants, one behind the other.
    pub fn wants<'f>(&self, facts: Facts<'f>) -> impl Iterator<Item = [u8; 4]> + use<'f, '_> {
        facts.imports().map(|import| self.want(import).to_le_bytes())
    }

    /// A look-up passes a dot over, see [`SymbolTable::find`](crate::symbols::SymbolTable::find).
    fn want(&self, import: Import<'_>) -> u32 {
        self.of(import.name.strip_prefix(b".").unwrap_or(import.name))
    }

    fn of(&self, name: &[u8]) -> u32 {
        (self.0.hash(name) >> 32) as u32
    }
}

/// Some exported symbols.
pub struct Exported {
    hasher: WantHasher,
    first: Vec<u64>,
    /// Sorted.
    hashes: Vec<u32>,
}

impl Exported {
    /// Those of these modules.
    pub fn by<'f>(modules: impl IntoIterator<Item = Facts<'f>>) -> Self {
        let hasher = WantHasher::default();
        let exports = modules.into_iter().flat_map(Facts::exports);
        let mut hashes: Vec<u32> = exports.map(|export| hasher.of(export.name)).collect();
        hashes.sort_unstable();
        let mut first = vec![0; 1 << (FIRST_BITS - 6)];
        for hash in &hashes {
            let (word, bit) = place(*hash);
            first.get_mut(word).into_iter().for_each(|word| *word |= bit);
        }
        Self { hasher, first, hashes }
    }

    /// Whether a module may want one of them, by the hashes of what it wants.
    pub fn meet(&self, wants: &[u8]) -> bool {
        let mut wants = wants.as_chunks().0.iter().map(|hash| u32::from_le_bytes(*hash));
        wants.any(|hash| self.has(hash))
    }

    /// The same by what it wants.
    pub fn meet_facts(&self, facts: Facts<'_>) -> bool {
        facts.imports().any(|import| self.has(self.hasher.want(import)))
    }

    fn has(&self, hash: u32) -> bool {
        let (word, bit) = place(hash);
        self.first.get(word).is_some_and(|word| word & bit != 0) && self.hashes.binary_search(&hash).is_ok()
    }
}

/// The word and the bit of a hash's low bits.
fn place(hash: u32) -> (usize, u64) {
    let low = hash & ((1 << FIRST_BITS) - 1);
    ((low >> 6) as usize, 1 << (low & 63))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{FactsBuilder, ModuleFacts};

    fn module(exports: &[&str], imports: &[&str]) -> ModuleFacts {
        let mut builder = FactsBuilder::new();
        exports.iter().for_each(|name| builder.push_export(name.as_bytes(), 1));
        imports.iter().for_each(|name| builder.push_import(name.as_bytes(), 1, false));
        builder.finish().unwrap()
    }

    #[test]
    fn who_wants_one_of_them_is_met() {
        let exporter = module(&["one", "a_symbol_of_a_long_name"], &["other"]);
        let exported = Exported::by([exporter.view()]);
        let meet = |imports: &[&str]| {
            let module = module(&[], imports);
            let wants: Vec<u8> = WantHasher::default().wants(module.view()).flatten().collect();
            assert_eq!(exported.meet(&wants), exported.meet_facts(module.view()));
            exported.meet(&wants)
        };
        assert!(meet(&["x", "one"]) && meet(&[".one"]) && meet(&["a_symbol_of_a_long_name"]));
        assert!(!meet(&["x", "other", "two", "..one"]) && !meet(&[]));
    }
}
