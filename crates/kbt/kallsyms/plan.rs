//! From symbols to a table: the steps that `kbt kallsyms generate` and `kallsyms` share.

use kbt_elf::{Class, Endianness, Target};
use kbt_kallsyms::{
    AddressTable, Choice, Error, Kernel, Layout, Learned, Optimal, Origin, SymbolEntry, Tables, addresses,
    learn, select, source,
};

use crate::report::{Failure, Report};

/// What is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Whose generator is meant.
    pub kernel: Kernel,
    /// How addresses are kept.
    pub addresses: AddressTable,
    /// Which symbols.
    pub choice: Choice,
    /// Whether names are sorted without what clang's LTO appends.
    pub cut_names: bool,
    /// Whether names are cut into the fewest tokens.
    pub optimal: bool,
    /// The machine of an object; text where there is none.
    pub target: Option<Target>,
}

impl Plan {
    /// The layout of the table. Text is the same for all machines.
    fn layout(&self) -> Layout {
        let (class, endian) =
            self.target.map_or((Class::Elf64, Endianness::Little), |target| (target.class, target.endian));
        self.kernel.layout(class, endian, self.addresses)
    }

    /// Makes the table of symbols in nm's order.
    pub fn make<'a>(
        &self,
        symbols: impl IntoIterator<Item = SymbolEntry<'a>>,
        report: &mut Report,
    ) -> Result<Vec<u8>, Error> {
        let selection = select(symbols, self.kernel, self.choice)?;
        for name in &selection.too_long {
            let limit = self.kernel.name_limit();
            let (name, len) = (String::from_utf8_lossy(name), name.len());
            let message =
                format!("{name} has {len} bytes, kernels hold names of less than {limit}: it is left out");
            report.warn(Failure::new("long-name", message));
        }
        let symbols = selection.symbols;
        let Learned { tokens, mut names } = learn(&symbols, &[])?;
        if self.optimal {
            names = Optimal::new(&tokens)?.compress(&symbols)?;
        }
        let origin = Origin {
            text: selection.text,
            base: addresses::relative_base(&symbols),
            cut_names: self.cut_names,
        };
        let layout = self.layout();
        match &self.target {
            None => source::print(&symbols, &tokens, &names, layout, origin, self.kernel),
            Some(target) => Tables::encode(&symbols, &tokens, &names, layout, origin)?.object(target),
        }
    }
}
