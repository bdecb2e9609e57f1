//! `kallsyms` (scripts/kallsyms of the kernel): its command line over the same steps as `kbt kallsyms generate`.
//!
//! The kernel's own build runs it as `kallsyms OPTIONS < in.map` (to 6.0) or `kallsyms OPTIONS in.map`. Which kernel's
//! text is wanted follows from that, from the options, and else from VERSION and PATCHLEVEL, which the kernel's makefile
//! exports.

use std::env;
use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

use clap::Parser;
use kbt_kallsyms::{AddressTable, Choice, Kernel, parse_map, parse_nm};

use crate::args::kallsyms::kernel;
use crate::input;
use crate::kallsyms::plan::Plan;
use crate::kallsyms::{read_text, refusal};
use crate::output::Output;
use crate::report::{Failure, Report};

const NAME: &str = "kallsyms";

/// Make the source of a kernel's symbol table from a sorted list of symbols
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_help = "This is kbt.")]
struct Args {
    /// Every symbol, not only those of the text
    #[arg(long, overrides_with = "all_symbols")]
    all_symbols: bool,
    /// Keep per-cpu symbols as absolute ones (before 6.15)
    #[arg(long, overrides_with = "absolute_percpu")]
    absolute_percpu: bool,
    /// Keep addresses as offsets from one (before 6.12, where it is always so)
    #[arg(long, overrides_with = "base_relative")]
    base_relative: bool,
    /// Sort names without `.llvm.` and what follows it (6.1 to 6.9)
    #[arg(long, overrides_with = "lto_clang")]
    lto_clang: bool,
    /// Keep addresses as offsets from their own place (7.0 and later)
    #[arg(long, overrides_with = "pc_relative")]
    pc_relative: bool,
    /// Whose text [default: VERSION.PATCHLEVEL of the environment, else the oldest kernel with these options]
    #[arg(long, value_name = "VERSION", value_parser = kernel)]
    kernel: Option<Kernel>,
    /// The list of symbols; standard input where there is none (to 6.0)
    map: Option<OsString>,
}

impl Args {
    /// The generator that takes these options.
    fn kernel(&self) -> Kernel {
        if let Some(kernel) = self.kernel {
            return kernel;
        }
        match built().filter(|&kernel| self.suits(kernel)) {
            Some(kernel) => kernel,
            None if self.pc_relative => Kernel::V7_0,
            None if self.map.is_none() => Kernel::V5_10,
            None if self.base_relative || self.lto_clang => Kernel::V6_1,
            None => Kernel::V6_12,
        }
    }

    /// Whether a generator of that kernel would take these options.
    fn suits(&self, kernel: Kernel) -> bool {
        (kernel >= Kernel::V7_0 || !self.pc_relative)
            && (kernel < Kernel::V6_12 || !self.base_relative)
            && ((Kernel::V6_1..=Kernel::V6_6).contains(&kernel) || !self.lto_clang)
            && (kernel < Kernel::V7_0 || !self.absolute_percpu)
            && self.map.is_none() == (kernel == Kernel::V5_10)
    }

    fn addresses(&self, kernel: Kernel) -> AddressTable {
        match kernel {
            Kernel::V7_0 if self.pc_relative => AddressTable::PlaceRelative,
            Kernel::V7_0 => AddressTable::Absolute32,
            Kernel::V6_12 => kernel.addresses(self.absolute_percpu, false),
            _ if self.base_relative => kernel.addresses(self.absolute_percpu, false),
            _ => AddressTable::Absolute,
        }
    }
}

/// The kernel in whose build this runs.
fn built() -> Option<Kernel> {
    let [version, patchlevel] = ["VERSION", "PATCHLEVEL"].map(|name| env::var(name).ok());
    kernel(&format!("{}.{}", version?, patchlevel?)).ok()
}

/// Runs with the words after `argv[0]`. Every refusal exits 1, as that of scripts/kallsyms does.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let args: Args = match super::parse(NAME, words) {
        Ok(args) => args,
        Err(code) => return code,
    };
    let mut report = Report::new(NAME, false, false);
    let result = generate(&args, &mut report);
    report.finish(result)
}

fn generate(args: &Args, report: &mut Report) -> Result<(), Failure> {
    let word = args.map.as_deref().unwrap_or(OsStr::new("-"));
    let kernel = args.kernel();
    let plan = Plan {
        kernel,
        addresses: args.addresses(kernel),
        choice: Choice { all_symbols: args.all_symbols, absolute_percpu: args.absolute_percpu },
        cut_names: args.lto_clang,
        optimal: false,
        target: None,
    };
    let text = read_text(word)?;
    // Later ones stop where earlier ones pass over what is no symbol.
    let symbols = match kernel {
        Kernel::V5_10 | Kernel::V6_1 => Ok(parse_nm(&text).collect()),
        _ => parse_map(&text),
    };
    let made = symbols.and_then(|symbols| plan.make(symbols, report));
    let bytes = made.map_err(|error| refusal(&error).at_file(input::name(word)))?;
    Output::Stdout.write(&bytes, false)
}
