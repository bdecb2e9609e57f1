//! `kbt kallsyms generate`.

use std::ffi::OsStr;

use kbt_elf::{Class, Pieces, Target};
use kbt_kallsyms::{Choice, Kernel, Located, Table, parse_nm, read_symbols_where};

use crate::args::kallsyms::Generate;
use crate::depfile;
use crate::input;
use crate::inputs::Inputs;
use crate::kallsyms::kernel_file::KernelFile;
use crate::kallsyms::plan::Plan;
use crate::kallsyms::{read_text, refusal};
use crate::memory::keep_memory;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};

/// Makes a table.
pub fn run(args: &Generate, report: &mut Report) -> Result<(), Failure> {
    keep_memory();
    let output = Output::parse(&args.output);
    output.leave_json(report)?;
    let bytes = match (&args.from_nm, &args.vmlinux) {
        (Some(word), _) => of_nm(args, word, is_text(&output), report),
        (None, Some(word)) => of_elf(args, word, is_text(&output), report),
        (None, None) => Err(Failure::usage("no input is given")),
    }?;
    let mut inputs = Inputs::default();
    inputs.files([&args.vmlinux, &args.from_nm, &args.like].into_iter().flatten());
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    output.write_with(files, &bytes, args.sync)
}

fn is_text(output: &Output) -> bool {
    match output {
        Output::Stdout => true,
        Output::File(path) => path.extension().is_some_and(|extension| extension == "S" || extension == "s"),
    }
}

fn of_nm(args: &Generate, word: &OsStr, is_text: bool, report: &mut Report) -> Result<Vec<u8>, Failure> {
    let kernel = args.kernel.ok_or_else(no_kernel)?;
    let target = match &args.like {
        _ if is_text => None,
        Some(like) => {
            let mut like = KernelFile::open(like)?;
            like.fetch([(0, kbt_elf::Header::MAX_SIZE)])?;
            Some(target(&like)?)
        }
        None => {
            let hint = "name an object of that kernel by --like, or write text: -o kallsyms.S";
            return Err(
                Failure::usage("an object is for one machine, which nm's lines do not say").hint(hint)
            );
        }
    };
    let text = read_text(word)?;
    let plan = plan(args, kernel, target, is_text);
    plan.make(parse_nm(&text), report).map_err(|error| refusal(&error).at_file(input::name(word)))
}

fn of_elf(args: &Generate, word: &OsStr, is_text: bool, report: &mut Report) -> Result<Vec<u8>, Failure> {
    let mut file = KernelFile::open(word)?;
    file.fetch_symbols()?;
    let kernel = match args.kernel {
        Some(kernel) => kernel,
        None => kernel_of_table(&mut file)?.ok_or_else(no_kernel)?,
    };
    let plan = plan(args, kernel, Some(target(&file)?), is_text);
    let is_fed = |kind, name: &[u8]| !(kernel.is_fed_by_map() && kernel.drops_from_map(kind, name));
    let symbols = read_symbols_where(&file.elf()?, is_fed).map_err(|error| file.refused(&error))?;
    plan.make(symbols, report).map_err(|error| file.refused(&error))
}

/// The generation whose table the file has; `None` where it has none.
fn kernel_of_table(file: &mut KernelFile) -> Result<Option<Kernel>, Failure> {
    let Ok(located) = Located::by_symbols(&file.elf()?) else { return Ok(None) };
    file.fetch_table(&located)?;
    let table = Table::read::<&Pieces>(&located, &file.pieces).map_err(|error| file.refused(&error))?;
    Ok(Some(Kernel::of_layout(&table.layout)))
}

fn target(file: &KernelFile) -> Result<Target, Failure> {
    let elf = file.elf()?;
    let header = elf.header();
    Ok(Target { class: header.class, endian: header.endian, machine: header.machine, flags: header.flags })
}

fn no_kernel() -> Failure {
    let message = "nothing here says for which kernel the table is";
    Failure::usage(message).hint("say it by --kernel: 5.10, 6.1, 6.6, 6.12, 7.0, or any version between")
}

fn plan(args: &Generate, kernel: Kernel, target: Option<Target>, is_text: bool) -> Plan {
    let absolute_percpu = args.choice.absolute_percpu;
    let narrow = target.is_some_and(|target| target.class == Class::Elf32);
    Plan {
        kernel,
        addresses: match args.addresses {
            Some(how) => how.table(absolute_percpu),
            None => kernel.addresses(absolute_percpu, narrow),
        },
        choice: Choice { all_symbols: args.choice.all_symbols, absolute_percpu },
        cut_names: args.lto_clang,
        optimal: args.optimal,
        target: if is_text { None } else { target },
    }
}
