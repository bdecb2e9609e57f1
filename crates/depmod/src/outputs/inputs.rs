//! Checksums of what each file is made of: a file of the same inputs has the same bytes.

use super::Output;
use crate::build::Options;
use crate::digest::Digest;
use crate::facts::{Checksums, Kind};
use crate::index::Layout;
use crate::modules::Modules;

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
        let mut of = |kind: Kind| {
            piece.clear();
            piece.extend(shape);
            for (file, checksums) in modules.iter().zip(checksums) {
                // No name holds a NUL, so that this cannot be read in two ways.
                piece.extend_from_slice(file.name);
                piece.push(0);
                piece.extend(checksums.of(kind).to_le_bytes());
            }
            Digest::of(&piece)
        };
        let (aliases, exports) = (of(Kind::Alias), of(Kind::Export));
        let (softdeps, weakdeps) = (of(Kind::Softdep), of(Kind::Weakdep));
        let text = |text: Result<&[u8], &[u8]>| {
            let mut digest = Digest::default();
            digest.update(&shape);
            digest.update(text.ok()?);
            Some(digest.finish())
        };
        Self(Output::ALL.map(|output| match output {
            Output::Dep | Output::DepBin => None,
            Output::Alias | Output::AliasBin | Output::Devname => Some(aliases),
            Output::Softdep => Some(softdeps),
            Output::Weakdep => Some(weakdeps),
            Output::Symbols | Output::SymbolsBin => Some(exports),
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

    /// The checksum of the exported symbols: of it and of what a module wants its dependencies are made.
    pub fn exports(&self) -> u128 {
        self.of(Output::Symbols).unwrap_or_default()
    }

    /// The checksum of what `modules.dep.bin` is made of: the text of `modules.dep`.
    pub fn of_dep_index(text: &[u8], layout: Layout) -> u128 {
        let mut digest = Digest::default();
        digest.update(&[u8::from(layout == Layout::PostOrder)]);
        digest.update(text);
        digest.finish()
    }
}
