//! What of the last run's work still holds.
//!
//! **Idea.** An output stays if it would be made of what it was made of, by a checksum of that, and if it still has the bytes
//! that it had, by the state of the file or by a checksum of them. Which modules' dependencies stay, `Resolution` knows: who
//! wants a symbol that a changed module exports is looked for by hashes, and only what those want is read whole.
//!
//! **Limits.** modules.dep is made and written each time: its time tells of this run. An output whose making told
//! something is made again, to tell it again; and where a run tells more than files, all is made.

use std::fs;
use std::path::Path;

use kbt_depmod::{
    Built, Carried, Checksums, Digest, Drift, FileIdentity, InputChecksums, Kind, KnownFile, Modules,
    Options, Output, Resolution, Reuse, WANTS,
};

use super::now::Now;
use super::stored::Part;
use super::{Gathered, Incremental, Learnt, identity};
use crate::depmod::path;
use crate::depmod::publish::may_stay;

/// Bytes of the largest output that is compared; an index cannot be larger.
const MAX_SIZE: u64 = 1 << 28;

/// From one of so many modules on whose wants are needed all are read at once.
const FEW: usize = 16;

/// What stays; what is needed of the facts for the rest was read.
pub struct Plan {
    inputs: InputChecksums,
    checksums: Vec<Checksums>,
    /// Files that are there.
    known: Vec<KnownFile>,
    /// The same without modules.dep.bin, of which only the making of modules.dep tells whether it stays.
    files: Vec<Output>,
    resolved: Option<Carried>,
    /// How many symbols the modules export, where their names were not read.
    symbols: Option<usize>,
}

impl Incremental {
    /// What stays of the last run's work in `output`, the directory; nothing, if `all` is to be made. `None` where what was
    /// kept turns out to be broken.
    pub fn plan(
        &self,
        modules: &Modules,
        gathered: &mut Gathered<'_>,
        options: &Options<'_>,
        output: &[u8],
        all: bool,
    ) -> Option<Plan> {
        let checksums = gathered.checksums();
        let inputs = InputChecksums::new(modules, &checksums, options);
        let mut plan =
            Plan { inputs, checksums, known: Vec::new(), files: Vec::new(), resolved: None, symbols: None };
        if all {
            Kind::ALL.into_iter().try_for_each(|kind| gathered.load(kind as usize))?;
            return Some(plan);
        }
        for known in gathered.known() {
            let inputs =
                if known.output == Output::DepBin { Some(known.inputs) } else { inputs.of(known.output) };
            if inputs == Some(known.inputs) {
                plan.known.extend(still_there(&self.now, path(output), known));
            }
        }
        plan.files
            .extend(plan.known.iter().map(|known| known.output).filter(|output| *output != Output::DepBin));
        plan.load(modules, gathered, options)?;
        Some(plan)
    }
}

/// The file as it is known, if it has the bytes that it had.
fn still_there(now: &Now, directory: &Path, known: &KnownFile) -> Option<KnownFile> {
    let file = directory.join(known.output.name());
    let seen = identity(&may_stay(&file)?);
    if seen == known.identity {
        return Some(*known);
    }
    let same = seen.size <= MAX_SIZE && fs::read(&file).is_ok_and(|bytes| Digest::of(&bytes) == known.bytes);
    let identity = if now.is_after(&seen) { seen } else { FileIdentity::default() };
    same.then_some(KnownFile { identity, ..*known })
}

impl Plan {
    /// What need not be made again.
    pub fn reuse(&self) -> Reuse<'_> {
        let dep_index = self.known.iter().find(|known| known.output == Output::DepBin);
        let dep_index = dep_index.map(|known| known.inputs);
        Reuse { files: &self.files, dep_index, resolved: self.resolved.as_ref() }
    }

    /// Reads what is needed of the facts that were kept.
    fn load(&mut self, modules: &Modules, gathered: &mut Gathered<'_>, options: &Options<'_>) -> Option<()> {
        self.carry(modules, gathered, options)?;
        let is_unresolved =
            |module: &usize| self.resolved.as_ref().is_none_or(|resolved| resolved.of(*module).is_none());
        let unresolved: Vec<usize> = (0..modules.len()).filter(is_unresolved).collect();
        let lacks = |outputs: &[Output]| outputs.iter().any(|output| !self.files.contains(output));
        let kinds = [
            (Kind::Alias, lacks(&[Output::Alias, Output::AliasBin, Output::Devname])),
            (Kind::Softdep, lacks(&[Output::Softdep])),
            (Kind::Weakdep, lacks(&[Output::Weakdep])),
            (Kind::Export, lacks(&[Output::Symbols, Output::SymbolsBin]) || !unresolved.is_empty()),
            (Kind::Import, unresolved.len() > modules.len() / FEW),
        ];
        for (kind, _) in kinds.iter().filter(|(_, is_needed)| *is_needed) {
            gathered.load(*kind as usize)?;
        }
        unresolved.iter().try_for_each(|module| gathered.load_imports(*module))?;
        if unresolved.is_empty() && !lacks(&[Output::Symbols, Output::SymbolsBin]) {
            self.symbols = gathered.last().map(|last| last.cache.resolution().symbols);
        }
        Some(())
    }

    /// Which dependencies stay.
    fn carry(&mut self, modules: &Modules, gathered: &mut Gathered<'_>, options: &Options<'_>) -> Option<()> {
        let is_kept = options.symbol_prefix.is_none();
        let drift = |last: &Part<'_>| last.cache.resolution().drift(modules, &self.checksums);
        let Some(drift) = gathered.last().filter(|_| is_kept).and_then(drift) else { return Some(()) };
        if !drift.gained().is_empty() {
            gathered.load(Kind::Export as usize)?;
            gathered.load(WANTS)?;
        }
        let carry = |last: &Part<'_>, drift: &Drift| {
            let may_want = |module, exported: &_| gathered.may_want(module, exported);
            drift.carry(last.cache.resolution(), &self.checksums, |module| gathered.facts(module), may_want)
        };
        self.resolved = gathered.last().map(|last| carry(last, &drift));
        Some(())
    }

    /// How many symbols the modules export.
    pub fn symbols(&self, gathered: &Gathered<'_>) -> usize {
        self.symbols.unwrap_or_else(|| gathered.symbols())
    }

    /// What the next run may know of what this one has made.
    pub fn learnt(
        &self,
        modules: &Modules,
        gathered: &Gathered<'_>,
        built: Built,
        options: &Options<'_>,
    ) -> Learnt {
        let known = |output: Output| {
            let outputs = built.outputs.as_ref()?;
            let Some(bytes) = outputs.get(output) else {
                return self.known.iter().find(|known| known.output == output).copied();
            };
            let dep = || Some(InputChecksums::of_dep_index(outputs.get(Output::Dep)?, options.layout));
            let inputs = if output == Output::DepBin { dep() } else { self.inputs.of(output) };
            // Its state is known when the next run finds it unchanged.
            let file = KnownFile {
                output,
                inputs: inputs?,
                bytes: Digest::of(bytes),
                identity: FileIdentity::default(),
            };
            outputs.is_silent(output).then_some(file)
        };
        let known = Output::ALL.into_iter().filter_map(known).collect();
        let symbols = self.symbols(gathered);
        let resolution = match options.symbol_prefix {
            None => Resolution::new(modules, &self.checksums, symbols, built.dependencies),
            Some(_) => Resolution::of_count(symbols),
        };
        Learnt { known, resolution }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_output_is_known_by_its_state_only_if_a_later_change_would_show() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("modules.alias");
        let write = |text| {
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        };
        write("text");
        let state = || identity(&may_stay(&file).unwrap());
        let mut known = KnownFile {
            output: Output::Alias,
            inputs: 1,
            bytes: Digest::of(b"text"),
            identity: FileIdentity::default(),
        };
        let (seconds, part) = state().changed;
        let device = state().device;
        let at = |changed| Now::at(device, changed);
        let seen =
            |now: &Now, known: &KnownFile| still_there(now, room.path(), known).map(|known| known.identity);
        assert_eq!(seen(&at((seconds, part)), &known), Some(FileIdentity::default()), "within the same tick");
        assert_eq!(seen(&at((seconds + 1, part)), &known), Some(state()));
        known.identity = state();
        // Then its bytes do not matter, else they do.
        known.bytes = 0;
        assert_eq!(seen(&at((seconds + 1, part)), &known), Some(state()));
        write("another text");
        assert_eq!(seen(&at((seconds + 1, part)), &known), None);
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("elsewhere", &file).unwrap();
        assert_eq!(still_there(&at((0, 0)), room.path(), &known), None);
    }
}
