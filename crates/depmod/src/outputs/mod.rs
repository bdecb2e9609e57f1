//! The eleven files, in the order in which depmod writes them.

mod alias;
mod builtin;
mod dep;
mod devname;
mod inputs;
mod softdep;
mod symbols;

use std::cell::OnceCell;

use crate::dependencies::{Dependencies, Order};
use crate::facts::Facts;
use crate::index::{IndexBuilder, WriteError};
use crate::message::{Level, Messages};
use crate::modules::Modules;
use crate::options::Options;
use crate::symbols::SymbolTable;

pub use inputs::InputChecksums;

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
    silent: Vec<Output>,
}

impl Outputs {
    /// The files, in the order of writing.
    pub fn iter(&self) -> impl Iterator<Item = (Output, &[u8])> {
        self.files.iter().map(|(output, bytes)| (*output, bytes.as_slice()))
    }

    /// Whether there was nothing to tell while this one was made, so that another time it need not be.
    pub fn is_silent(&self, output: Output) -> bool {
        self.silent.contains(&output)
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
        let lines = dep::Lines::new(self);
        let symbols = OnceCell::new();
        let symbols = || symbols.get_or_init(|| self.symbols.sorted()).as_slice();
        for output in Output::ALL.into_iter().filter(|output| self.is_wanted(*output, &lines)) {
            let told = messages.len();
            let bytes = match output {
                // It is given away below.
                Output::Dep => continue,
                Output::DepBin => lines.index(self, messages)?,
                Output::Alias => alias::text(self),
                Output::AliasBin => alias::index(self, messages)?,
                Output::Softdep => softdep::softdep(self),
                Output::Weakdep => softdep::weakdep(self),
                Output::Symbols => symbols::text(self, symbols()),
                Output::SymbolsBin => symbols::index(self, symbols(), messages)?,
                Output::BuiltinBin => builtin::names(self, messages)?,
                Output::BuiltinAliasBin => builtin::aliases(self, messages)?,
                Output::Devname => devname::text(self, messages),
            };
            outputs.files.push((output, bytes));
            if messages.len() == told {
                outputs.silent.push(output);
            }
        }
        outputs.files.insert(0, (Output::Dep, lines.text));
        Ok(())
    }

    /// Whether a file is asked for and not there yet.
    fn is_wanted(&self, output: Output, lines: &dep::Lines) -> bool {
        let Options { text_only, layout, reuse, .. } = self.options;
        if *text_only && output.is_index() || reuse.files.contains(&output) {
            return false;
        }
        let dep_index = reuse.dep_index.filter(|_| output == Output::DepBin);
        dep_index.is_none_or(|inputs| inputs != InputChecksums::of_dep_index(&lines.text, *layout))
    }

    /// Makes the index of these entries. `source` names the file that an entry comes from.
    fn index<'t>(
        &self,
        output: Output,
        builder: &IndexBuilder<'t>,
        source: impl FnOnce(usize) -> Option<&'t [u8]>,
        messages: &mut Messages,
    ) -> Result<Vec<u8>, Failed> {
        builder.build(self.options.layout).map_err(|error| {
            let source = match error {
                WriteError::NotAscii { entry, .. } => source(entry),
                WriteError::TooLarge => None,
            };
            let source = source.map(|source| [source, b": "].concat()).unwrap_or_default();
            let text = format!("cannot make {}: ", output.name());
            messages.tell(Level::Fatal, &[text.as_bytes(), &source, error.to_string().as_bytes()]);
            Failed
        })
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
