//! The symbols that modules and the kernel export, each with its owner.

use hashbrown::HashTable;

use crate::facts::Facts;
use crate::hash::{SYMBOL_BUCKETS, bucket};
use crate::name_hash::NameHasher;

/// The owner of a symbol that is the kernel's own.
const KERNEL: u32 = u32::MAX;

/// An exported symbol.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Symbol<'s> {
    pub(crate) name: &'s [u8],
    pub(crate) crc: u64,
    owner: u32,
}

impl Symbol<'_> {
    /// The module that exports it; none where the kernel does.
    pub(crate) fn owner(&self) -> Option<u32> {
        (self.owner != KERNEL).then_some(self.owner)
    }
}

const NOBODYS: Symbol<'static> = Symbol { name: b"", crc: 0, owner: KERNEL };

/// All symbols by their names; of two with one name the later counts.
pub(crate) struct SymbolTable<'s> {
    symbols: Vec<Symbol<'s>>,
    by_name: HashTable<u32>,
    hasher: NameHasher,
    /// A character that symbols of some architectures begin with.
    prefix: Option<u8>,
}

impl<'s> SymbolTable<'s> {
    /// Without symbols; `prefix` is taken off once at the front of a name.
    pub(crate) fn new(prefix: Option<u8>) -> Self {
        Self { symbols: Vec::new(), by_name: HashTable::new(), hasher: NameHasher::default(), prefix }
    }

    /// Makes room for that many more.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.symbols.reserve(count);
        let (symbols, hasher) = (&self.symbols, &self.hasher);
        self.by_name.reserve(count, |&index| hasher.hash(name_of(symbols, index)));
    }

    /// Adds the symbols of the module of this index.
    pub(crate) fn add_module(&mut self, index: u32, facts: Facts<'s>) {
        for export in facts.exports() {
            let name = self.without_prefix(export.name);
            self.add(Symbol { name, crc: export.crc, owner: index });
        }
    }

    /// Adds a symbol of the kernel's; `name` as it is.
    pub(crate) fn add_kernel(&mut self, name: &'s [u8], crc: u64) {
        self.add(Symbol { name, crc, owner: KERNEL });
    }

    /// Adds those that the loader makes up itself: for every module, on S390, on PowerPC.
    pub(crate) fn add_made_up(&mut self) {
        self.add_kernel(b"__this_module", 0);
        self.add_kernel(b"_GLOBAL_OFFSET_TABLE_", 0);
        if self.find(b"TOC.").is_none() {
            self.add_kernel(b"TOC.", 0);
        }
    }

    /// The symbol that a module means by this name: the dot of PowerPC's function descriptors is passed over.
    #[inline]
    pub(crate) fn find(&self, name: &[u8]) -> Option<&Symbol<'s>> {
        let name = self.without_prefix(name.strip_prefix(b".").unwrap_or(name));
        let hash = self.hasher.hash(name);
        let index = self.by_name.find(hash, |&index| name_of(&self.symbols, index) == name)?;
        self.symbols.get(*index as usize)
    }

    /// The modules' symbols in kmod's order: by bucket, then by name.
    pub(crate) fn sorted(&self) -> Vec<&Symbol<'s>> {
        let symbols = self.symbols.iter().filter(|symbol| symbol.owner != KERNEL);
        let buckets: Vec<usize> =
            symbols.clone().map(|symbol| bucket(symbol.name, SYMBOL_BUCKETS) as usize).collect();
        // Where each bucket begins, and then ends.
        let mut places = vec![0; SYMBOL_BUCKETS as usize];
        for bucket in &buckets {
            places.get_mut(*bucket).into_iter().for_each(|count| *count += 1);
        }
        let mut start: usize = 0;
        places.iter_mut().for_each(|place| start += std::mem::replace(place, start));
        let mut sorted = vec![&NOBODYS; buckets.len()];
        for (symbol, bucket) in symbols.zip(buckets) {
            let Some(place) = places.get_mut(bucket) else { continue };
            sorted.get_mut(*place).into_iter().for_each(|place| *place = symbol);
            *place += 1;
        }
        let mut start = 0;
        for end in places {
            sorted
                .get_mut(start..end)
                .into_iter()
                .for_each(|bucket| bucket.sort_unstable_by(|a, b| a.name.cmp(b.name)));
            start = end;
        }
        sorted
    }

    /// Without the symbol prefix.
    pub(crate) fn without_prefix<'n>(&self, name: &'n [u8]) -> &'n [u8] {
        match self.prefix {
            Some(prefix) => name.strip_prefix(&[prefix]).unwrap_or(name),
            None => name,
        }
    }

    fn add(&mut self, symbol: Symbol<'s>) {
        let (symbols, hasher) = (&mut self.symbols, &self.hasher);
        let hash = hasher.hash(symbol.name);
        let found = self.by_name.find(hash, |&index| name_of(symbols, index) == symbol.name).copied();
        if let Some(old) = found.and_then(|index| symbols.get_mut(index as usize)) {
            *old = symbol;
            return;
        }
        // There are fewer symbols than bytes of text, which facts count in 32 bits a module.
        let index = u32::try_from(symbols.len()).unwrap_or(u32::MAX);
        symbols.push(symbol);
        self.by_name.insert_unique(hash, index, |&index| hasher.hash(name_of(symbols, index)));
    }
}

fn name_of<'s>(symbols: &[Symbol<'s>], index: u32) -> &'s [u8] {
    symbols.get(index as usize).map(|symbol| symbol.name).unwrap_or_default()
}
