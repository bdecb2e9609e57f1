//! The eleven files, in the order in which depmod writes them.

mod alias;
mod builtin;
mod dep;
mod devname;
mod softdep;
mod symbols;

use crate::build::Options;
use crate::dependencies::{Dependencies, Order};
use crate::facts::Facts;
use crate::index::{IndexBuilder, WriteError};
use crate::message::{Level, Messages};
use crate::modules::Modules;
use crate::symbols::SymbolTable;

/// A file that depmod writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Output {
    /// `modules.dep`: each module and all that it needs.
    Dep,
    /// Its index, by the name of the module.
    DepBin,
    /// `modules.alias`
    Alias,
    /// Its index.
    AliasBin,
    /// `modules.softdep`
    Softdep,
    /// `modules.weakdep`
    Weakdep,
    /// `modules.symbols`: which module exports a symbol.
    Symbols,
    /// Its index.
    SymbolsBin,
    /// The index of the modules that are built into the kernel.
    BuiltinBin,
    /// The index of their aliases.
    BuiltinAliasBin,
    /// `modules.devname`: device nodes that load a module.
    Devname,
}

impl Output {
    /// All of them, in the order of writing.
    pub const ALL: [Self; 11] = [
        Self::Dep,
        Self::DepBin,
        Self::Alias,
        Self::AliasBin,
        Self::Softdep,
        Self::Weakdep,
        Self::Symbols,
        Self::SymbolsBin,
        Self::BuiltinBin,
        Self::BuiltinAliasBin,
        Self::Devname,
    ];

    /// The name of the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dep => "modules.dep",
            Self::DepBin => "modules.dep.bin",
            Self::Alias => "modules.alias",
            Self::AliasBin => "modules.alias.bin",
            Self::Softdep => "modules.softdep",
            Self::Weakdep => "modules.weakdep",
            Self::Symbols => "modules.symbols",
            Self::SymbolsBin => "modules.symbols.bin",
            Self::BuiltinBin => "modules.builtin.bin",
            Self::BuiltinAliasBin => "modules.builtin.alias.bin",
            Self::Devname => "modules.devname",
        }
    }

    /// Whether it is a binary index.
    pub fn is_index(self) -> bool {
        self.name().ends_with(".bin")
    }
}

/// The content of each file that was made.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outputs {
    files: Vec<(Output, Vec<u8>)>,
    indexes: Vec<(Output, u128)>,
}

impl Outputs {
    /// The files, in the order of writing.
    pub fn iter(&self) -> impl Iterator<Item = (Output, &[u8])> {
        self.files.iter().map(|(output, bytes)| (*output, bytes.as_slice()))
    }

    /// The checksums of what the indexes were made of, where [`Options::known`] was asked for them.
    pub fn indexes(&self) -> &[(Output, u128)] {
        &self.indexes
    }

    /// The content of one.
    pub fn get(&self, output: Output) -> Option<&[u8]> {
        self.iter().find(|(other, _)| *other == output).map(|(_, bytes)| bytes)
    }
}

/// Everything that the outputs are made of.
pub(crate) struct Join<'j> {
    pub(crate) modules: &'j Modules,
    pub(crate) facts: &'j [Facts<'j>],
    pub(crate) options: &'j Options<'j>,
    pub(crate) symbols: &'j SymbolTable<'j>,
    pub(crate) dependencies: &'j Dependencies,
    pub(crate) order: &'j Order,
}

/// Something fatal was told.
pub(crate) struct Failed;

impl Join<'_> {
    /// All files, or none where something fatal was told.
    pub(crate) fn outputs(&self, messages: &mut Messages) -> Option<Outputs> {
        let mut outputs = Outputs::default();
        self.make(&mut outputs, messages).ok().map(|()| outputs)
    }

    fn make(&self, outputs: &mut Outputs, messages: &mut Messages) -> Result<(), Failed> {
        let indexes = !self.options.text_only;
        let lines = dep::Lines::new(self);
        if indexes {
            lines.index(self, outputs, messages)?;
        }
        outputs.files.insert(0, (Output::Dep, lines.text));
        outputs.files.push((Output::Alias, alias::text(self)));
        if indexes {
            alias::index(self, outputs, messages)?;
        }
        outputs.files.push((Output::Softdep, softdep::softdep(self)));
        outputs.files.push((Output::Weakdep, softdep::weakdep(self)));
        let symbols = self.symbols.sorted();
        outputs.files.push((Output::Symbols, symbols::text(self, &symbols)));
        if indexes {
            symbols::index(self, &symbols, outputs, messages)?;
            builtin::names(self, outputs, messages)?;
            builtin::aliases(self, outputs, messages)?;
        }
        outputs.files.push((Output::Devname, devname::text(self, messages)));
        Ok(())
    }

    /// Makes the index of these entries, unless it is known. `source` names the file that an entry comes from.
    fn index<'t>(
        &self,
        (output, outputs): (Output, &mut Outputs),
        builder: &IndexBuilder<'t>,
        source: impl FnOnce(usize) -> Option<&'t [u8]>,
        messages: &mut Messages,
    ) -> Result<(), Failed> {
        if let Some(known) = self.options.known {
            let inputs = builder.inputs(self.options.layout);
            outputs.indexes.push((output, inputs));
            if known(output, inputs) {
                return Ok(());
            }
        }
        let bytes = builder.build(self.options.layout).map_err(|error| {
            let source = match error {
                WriteError::NotAscii { entry, .. } => source(entry),
                WriteError::TooLarge => None,
            };
            let source = source.map(|source| [source, b": "].concat()).unwrap_or_default();
            let text = format!("cannot make {}: ", output.name());
            messages.tell(Level::Fatal, &[text.as_bytes(), &source, error.to_string().as_bytes()]);
            Failed
        })?;
        outputs.files.push((output, bytes));
        Ok(())
    }

    fn name(&self, module: u32) -> &[u8] {
        self.modules.get(module as usize).map(|file| file.name).unwrap_or_default()
    }

    fn path(&self, module: u32) -> Option<&[u8]> {
        self.modules.get(module as usize).map(|file| file.path)
    }
}

fn push_line(text: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| text.extend_from_slice(part));
    text.push(b'\n');
}
