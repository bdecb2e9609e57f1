//! Checksums of what each file is made of: a file of the same inputs has the same bytes.
//!
//! That is the modules that have facts of a kind, in their order, and for an index of values with priorities their numbers.

use super::Output;
use crate::digest::Digest;
use crate::facts::{Checksums, Kind};
use crate::index::Layout;
use crate::modules::Modules;
use crate::options::Options;

/// One checksum a file. `modules.dep` has none, its index one of its own, [`InputChecksums::of_dep_index`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputChecksums([Option<u128>; Output::ALL.len()]);

impl InputChecksums {
    /// Of modules whose facts have these checksums, one each in their order.
    pub fn new(modules: &Modules, checksums: &[Checksums], options: &Options<'_>) -> Self {
        let mut piece = Vec::new();
        let shape = [
            u8::from(options.layout == Layout::PostOrder),
            u8::from(options.symbol_prefix.is_some()),
            options.symbol_prefix.unwrap_or_default(),
        ];
        let mut of = |kind: Kind, is_numbered: bool| {
            piece.clear();
            piece.extend(shape);
            let modules = (0_u32..).zip(modules.iter()).zip(checksums);
            for ((number, file), checksums) in modules.filter(|(_, checksums)| checksums.of(kind) != 0) {
                // No name holds a NUL, so that this cannot be read in two ways.
                piece.extend_from_slice(file.name);
                piece.push(0);
                piece.extend(checksums.of(kind).to_le_bytes());
                if is_numbered {
                    piece.extend(number.to_le_bytes());
                }
            }
            Digest::of(&piece)
        };
        let (alias, alias_index) = (of(Kind::Alias, false), of(Kind::Alias, true));
        let (symbols, symbols_index) = (of(Kind::Export, false), of(Kind::Export, true));
        let (softdeps, weakdeps) = (of(Kind::Softdep, false), of(Kind::Weakdep, false));
        let text = |text: Result<&[u8], &[u8]>| {
            let mut digest = Digest::default();
            digest.update(&shape);
            digest.update(text.ok()?);
            Some(digest.finish())
        };
        Self(Output::ALL.map(|output| match output {
            Output::Dep | Output::DepBin => None,
            Output::Alias | Output::Devname => Some(alias),
            Output::AliasBin => Some(alias_index),
            Output::Softdep => Some(softdeps),
            Output::Weakdep => Some(weakdeps),
            Output::Symbols => Some(symbols),
            Output::SymbolsBin => Some(symbols_index),
            Output::BuiltinBin => text(options.builtin),
            Output::BuiltinAliasBin => text(options.builtin_modinfo),
        }))
    }

    /// The checksum of one file's; `None` where it is made anew each time.
    pub fn of(&self, output: Output) -> Option<u128> {
        Output::ALL
            .iter()
            .position(|other| *other == output)
            .and_then(|index| self.0.get(index).copied().flatten())
    }

    /// The checksum of what `modules.dep.bin` is made of: the text of `modules.dep`.
    pub fn of_dep_index(text: &[u8], layout: Layout) -> u128 {
        let mut digest = Digest::default();
        digest.update(&[u8::from(layout == Layout::PostOrder)]);
        digest.update(text);
        digest.finish()
    }
}
