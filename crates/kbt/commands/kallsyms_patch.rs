//! `kbt kallsyms patch`.

use std::borrow::Cow;
use std::path::Path;

use kbt_elf::Edit;
use kbt_kallsyms::{
    Array, Located, PadFile, Patch as Table, PatchError, PatchOptions, SymbolEntry, address_digits, patch,
    wanted,
};

use crate::args::kallsyms_link::Patch;
use crate::depfile;
use crate::in_place::{Change, InPlace, Recovery, stale};
use crate::input;
use crate::inputs::Inputs;
use crate::kallsyms::kernel_file::KernelFile;
use crate::memory::keep_memory;
use crate::output::{self, Output, Set};
use crate::report::{Failure, Report};

/// Patches a kernel, or undoes what a killed run has left.
pub fn run(args: &Patch, report: &mut Report) -> Result<(), Failure> {
    let path = Path::new(&args.vmlinux);
    if args.undo {
        return undo(path, args.sync);
    }
    if args.output.as_deref() == Some(Path::new("-")) {
        return Err(
            Failure::usage("a kernel is patched in a file, and '-' is none").hint("name a file with -o")
        );
    }
    keep_memory();
    // Before it is read: a killed run may have left it half written.
    let place = match args.in_place {
        true => Some(InPlace::recovered(path, args.sync, report)?),
        false => {
            InPlace::recover_before(path, args.sync, report)?;
            None
        }
    };
    let sysmap = args.sysmap.as_deref().map(Output::parse);
    sysmap.iter().try_for_each(|output| output.leave_json(report))?;
    let record = match &args.pad_file {
        Some(word) => Some(read_record(word)?),
        None => None,
    };
    let options = PatchOptions {
        record: record.as_ref(),
        all_symbols: args.all_symbols.then_some(true),
        kernel: args.kernel,
        relearn: args.relearn,
        optimal: args.optimal,
        cut_names: args.lto_clang,
        map: args.sysmap.is_some(),
    };
    let mut file = match &place {
        Some(place) => KernelFile::opened(&args.vmlinux, place.opened()?)?,
        None => KernelFile::open(&args.vmlinux)?,
    };
    file.fetch_symbols()?;
    let located = Located::by_symbols(&file.elf()?).map_err(|error| file.refused(&error))?;
    // The second time for what the first has shown to be needed.
    for _ in 0..2 {
        let ranges = wanted(&file.elf()?, &located).map_err(|error| file.refused(&error))?;
        file.fetch(ranges)?;
    }
    let table = patch(&file.elf()?, &located, options);
    let table = table.map_err(|error| refused(&error, &file, &located, options))?;
    tell(&table, report);
    let mut inputs = Inputs::default();
    inputs.changed(&args.vmlinux);
    inputs.files(&args.pad_file);
    let mut set = Set::made_of(&inputs);
    depfile::add_for(&args.depfile, args.output.as_deref().unwrap_or(path), &mut set)?;
    let is_right = table.edits.is_empty() && args.output.is_none();
    if place.is_none() && is_right {
        Set::sweep(path);
    } else if place.is_none() {
        set.add_edited(args.output.as_deref().unwrap_or(path), path, &table.edits)?;
    }
    let digits = address_digits(file.elf()?.header().class);
    let map = sysmap.as_ref().map(|output| (output, system_map(&table.map, digits)));
    let results: Vec<_> = map.iter().map(|(output, text)| (*output, &text[..])).collect();
    // Symbols do not change: what is printed of the map is right even where the kernel cannot be written.
    output::stage_all(&mut set, &results, args.sync)?;
    // A new depfile says that there is nothing left to do: first the kernel. What is right already is not touched.
    set.publish_after(args.sync, || match place.filter(|_| !is_right) {
        Some(place) => write(&place, &file, &table.edits, args.sync),
        None => Ok(()),
    })
}

/// Writes the edits into the file.
fn write(place: &InPlace, file: &KernelFile, edits: &[Edit], sync: bool) -> Result<(), Failure> {
    let elf = file.elf()?;
    let mut changes = Vec::with_capacity(edits.len());
    for edit in edits {
        changes.push(match elf.bytes_at(edit.offset, edit.bytes.len() as u64) {
            Some(old) => Change { offset: edit.offset, old: Cow::Borrowed(old), new: &edit.bytes },
            None => place.change(edit)?,
        });
    }
    place.apply(&changes, sync)
}

fn undo(path: &Path, sync: bool) -> Result<(), Failure> {
    match InPlace::open(path)?.recover(sync)? {
        Recovery::Undone => Ok(()),
        Recovery::None => Err(Failure::new("nothing-to-undo", "no killed run has left anything to undo")
            .at_file(path.display())),
        Recovery::Stale => Err(stale(path)),
    }
}

fn read_record(word: &std::ffi::OsStr) -> Result<PadFile, Failure> {
    // A record has a few kilobytes: the names of arrays, and the tokens.
    PadFile::parse(&input::read_headed(word, |_| 1 << 20)?).map_err(|error| {
        let hint = "give the file that `kbt kallsyms pad --pad-file` has written for this kernel";
        Failure::new("bad-pad-file", error.to_string()).at_file(input::name(word)).hint(hint)
    })
}

fn tell(table: &Table<'_>, report: &mut Report) {
    report.field("symbols", table.count);
    let size = |array: Array, bytes: u64| (array.to_string(), bytes.into());
    let needed = table.sizes.iter().map(|size_of| size(size_of.array, size_of.needed)).collect();
    let room = table.sizes.iter().map(|size_of| size(size_of.array, size_of.room)).collect();
    report.field("needed", serde_json::Value::Object(needed));
    report.field("room", serde_json::Value::Object(room));
    report.field("changed", !table.edits.is_empty());
    for name in &table.too_long {
        let name = String::from_utf8_lossy(name);
        let message = format!("{name} has {} bytes, more than the kernel holds: it is left out", name.len());
        report.warn(Failure::new("long-name", message));
    }
}

/// Lines as nm prints them.
fn system_map(symbols: &[SymbolEntry<'_>], digits: usize) -> Vec<u8> {
    let size = symbols.iter().map(|symbol| digits + 4 + symbol.name.len()).sum();
    let mut text = Vec::with_capacity(size);
    for symbol in symbols {
        for shift in (0..digits).rev() {
            let digit = u8::try_from(symbol.address >> (4 * shift) & 0xf).unwrap_or(0);
            text.push(if digit < 10 { b'0' + digit } else { b'a' - 10 + digit });
        }
        text.extend([b' ', symbol.kind, b' ']);
        text.extend_from_slice(symbol.name);
        text.push(b'\n');
    }
    text
}

fn refused(error: &PatchError, file: &KernelFile, located: &Located, options: PatchOptions<'_>) -> Failure {
    let missing = match error {
        PatchError::Table(error) => return file.refused(error),
        PatchError::TooSmall(missing) => missing,
    };
    let name = file.name();
    let message = format!("not enough padding in {name} for the new kallsyms, {error}");
    let failure = Failure::new("not-enough-padding", message);
    let most = missing.iter().map(|(_, bytes)| *bytes).max().unwrap_or(0);
    let slack = most.saturating_add(options.record.map_or(0, |record| record.slack.into()));
    let fits = |options| file.elf().is_ok_and(|image| patch(&image, located, options).is_ok());
    let otherwise = match options {
        PatchOptions { optimal: false, .. } if fits(PatchOptions { optimal: true, ..options }) => {
            "; or --optimal, with which it fits"
        }
        PatchOptions { relearn: true, record: Some(_), .. }
            if fits(PatchOptions { relearn: false, ..options }) =>
        {
            "; or leave --relearn out, and it fits"
        }
        _ => "",
    };
    let mut failure =
        failure.hint(format!("link it with an object of `kbt kallsyms pad --slack {slack}`{otherwise}"));
    for (array, bytes) in missing {
        failure = failure.detail(array.symbol(), *bytes);
    }
    failure.detail("slack", slack)
}
