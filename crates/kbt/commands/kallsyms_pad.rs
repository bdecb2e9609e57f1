//! `kbt kallsyms pad`.

use kbt_kallsyms::linker_script::ScriptError;
use kbt_kallsyms::{LinkerScript, PadOptions, Superset, pad};

use crate::args::kallsyms_link::Pad;
use crate::depfile;
use crate::input;
use crate::inputs::Inputs;
use crate::kallsyms::kernel_file::KernelFile;
use crate::kallsyms::{read_text, refusal};
use crate::output::{self, Output, Set};
use crate::report::{Failure, Report};

/// Makes the object and its record.
pub fn run(args: &Pad, report: &mut Report) -> Result<(), Failure> {
    let output = Output::parse(&args.output);
    let pad_file = args.pad_file.as_deref().map(Output::parse);
    std::iter::once(&output).chain(&pad_file).try_for_each(|output| output.leave_json(report))?;
    output::refuse_two_stdouts(std::iter::once(&output).chain(&pad_file))?;
    let text = match &args.lds {
        Some(lds) => read_text(lds)?,
        None => Vec::new(),
    };
    let lds = || args.lds.as_deref().map(input::name).unwrap_or_default();
    let script = LinkerScript::parse(&text).map_err(|error| broken(&error).at_file(lds()))?;
    let mut files = Vec::with_capacity(args.objects.len());
    for object in &args.objects {
        let mut file = KernelFile::open(object)?;
        file.fetch_symbols()?;
        files.push(file);
    }
    let mut superset = Superset::default();
    for file in &files {
        superset.add_object(&file.elf()?, &script).map_err(|error| file.refused(&error))?;
    }
    let options = PadOptions {
        all_symbols: args.all_symbols,
        cut_names: args.lto_clang,
        slack: args.slack,
        kernel: args.kernel,
        place_relative: args.pc_relative,
    };
    let pad = pad(&superset, &script, options).map_err(|error| refusal(&error))?;
    report.field("symbols", pad.symbols);
    report.field("kernel", pad.record.kernel.name());
    report.field("addresses", pad.record.layout.addresses.name());
    let sizes = pad.record.slots.iter().map(|(array, size)| (array.to_string(), (*size).into()));
    report.field("sizes", serde_json::Value::Object(sizes.collect()));
    let mut inputs = Inputs::default();
    inputs.files(args.objects.iter().chain(&args.lds));
    let mut files = Set::made_of(&inputs);
    depfile::add(&args.depfile, &output, &mut files)?;
    let text = pad.record.to_text();
    let record = pad_file.as_ref().map(|output| (output, text.as_bytes()));
    let results: Vec<_> = std::iter::once((&output, &pad.object[..])).chain(record).collect();
    output::write_all(files, &results, args.sync)
}

fn broken(error: &ScriptError) -> Failure {
    let hint = "give the script that the preprocessor has made, arch/*/kernel/vmlinux.lds";
    Failure::new("bad-linker-script", error.kind.to_string()).at_offset(error.offset as u64).hint(hint)
}
