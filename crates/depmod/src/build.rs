//! From the facts of all modules to the eleven files.

use crate::cycles;
use crate::dependencies::{Dependencies, Reports};
use crate::facts::Facts;
use crate::message::Messages;
use crate::modules::Modules;
use crate::options::Options;
use crate::outputs::{Join, Outputs};
use crate::symbols::SymbolTable;

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
