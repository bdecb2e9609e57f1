//! From the facts of all modules to the eleven files.

use crate::cycles;
use crate::dependencies::{Dependencies, Reports};
use crate::facts::Facts;
use crate::index::Layout;
use crate::kernel::KernelSymbols;
use crate::message::Messages;
use crate::modules::Modules;
use crate::outputs::{Join, Output, Outputs};
use crate::resolution::Carried;
use crate::symbols::SymbolTable;

/// What shapes the outputs beside the modules.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// The kernel's own symbols.
    pub kernel: Option<KernelSymbols<'o>>,
    /// A character that is taken off once at the front of a symbol.
    pub symbol_prefix: Option<u8>,
    /// Tell of symbols that nobody exports and of those of another version. Only of use with `kernel`.
    pub report_symbols: bool,
    /// Tell of duplicates.
    pub warn_duplicates: bool,
    /// Tell each dependency and the symbol that makes it, on [`Built::needs`].
    pub show_needs: bool,
    /// Make the text files only.
    pub text_only: bool,
    /// The order of the nodes of an index.
    pub layout: Layout,
    /// What need not be made again.
    pub reuse: Reuse<'o>,
    /// The content of modules.builtin, or what is to be told instead: then its index is an empty file.
    pub builtin: Result<&'o [u8], &'o [u8]>,
    /// The content of modules.builtin.modinfo, likewise.
    pub builtin_modinfo: Result<&'o [u8], &'o [u8]>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            kernel: None,
            symbol_prefix: None,
            report_symbols: false,
            warn_duplicates: false,
            show_needs: false,
            text_only: false,
            layout: Layout::default(),
            reuse: Reuse::default(),
            builtin: Err(b"no modules.builtin"),
            builtin_modinfo: Err(b"no modules.builtin.modinfo"),
        }
    }
}

/// What an earlier run has made. Facts that only this was made of may be missing.
#[derive(Clone, Copy, Default)]
pub struct Reuse<'o> {
    /// Files that are where they belong and have the right bytes, as their [`InputChecksums`](crate::InputChecksums) tell.
    pub files: &'o [Output],
    /// `modules.dep.bin` is one of them, if it would be made of what has this checksum.
    pub dep_index: Option<u128>,
    /// Dependencies that hold; those of the other modules are resolved.
    pub resolved: Option<&'o Carried>,
}

/// What came of it.
#[derive(Debug)]
pub struct Built {
    /// The files; where something fatal was told there are none.
    pub outputs: Option<Outputs>,
    /// A line for each dependency, where they were asked for.
    pub needs: Vec<u8>,
    /// The direct dependencies.
    pub dependencies: Dependencies,
}

/// Joins the facts of `modules`, one each in their order, into the files.
pub fn build(
    modules: &Modules,
    facts: &[Facts<'_>],
    options: &Options<'_>,
    messages: &mut Messages,
) -> Built {
    let mut needs = Vec::new();
    let (symbols, dependencies) = resolve(modules, facts, options, &mut needs, messages);
    let outputs = match dependencies.order() {
        Err(users) => {
            cycles::report(modules, &dependencies, &users, messages);
            None
        }
        Ok(order) => {
            let join = Join {
                modules,
                facts,
                options,
                symbols: &symbols,
                dependencies: &dependencies,
                order: &order,
            };
            join.outputs(messages)
        }
    };
    Built { outputs, needs, dependencies }
}

/// The direct dependencies alone.
pub fn dependencies(modules: &Modules, facts: &[Facts<'_>], options: &Options<'_>) -> Dependencies {
    resolve(modules, facts, options, &mut Vec::new(), &mut Messages::default()).1
}

fn resolve<'f>(
    modules: &Modules,
    facts: &[Facts<'f>],
    options: &Options<'f>,
    needs: &mut Vec<u8>,
    messages: &mut Messages,
) -> (SymbolTable<'f>, Dependencies) {
    let mut symbols = SymbolTable::new(options.symbol_prefix);
    if let Some(kernel) = options.kernel {
        kernel.load(&mut symbols, messages);
    }
    symbols.reserve(facts.iter().map(|facts| facts.exports().len()).sum());
    for (index, &facts) in (0..).zip(facts) {
        symbols.add_module(index, facts);
    }
    let reports = Reports {
        unknown: options.report_symbols && options.kernel.is_some(),
        versions: options.kernel.is_some_and(|kernel| kernel.has_versions()),
        needs: options.show_needs,
    };
    let dependencies =
        Dependencies::resolve(modules, facts, &symbols, (reports, options.reuse), needs, messages);
    (symbols, dependencies)
}
