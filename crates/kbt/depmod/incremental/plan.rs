//! What of the last run's work still holds.
//!
//! **Idea.** An output stays if it would be made of what it was made of, by a checksum of that, and if it still has the bytes
//! that it had, by the state of the file or by a checksum of them. A module's dependencies stay if all exported symbols
//! and the symbols that it wants do.
//!
//! **Limits.** modules.dep is made and written each time: its time tells of this run. An output whose making told
//! something is made again, to tell it again; and where a run tells more than files, all is made.

use std::fs;
use std::path::Path;

use kbt_depmod::{
    Built, Checksums, Digest, FileIdentity, InputChecksums, Kind, KnownFile, Layout, Modules, Options,
    Output, Resolution, Reuse,
};

use super::now::Now;
use super::{Gathered, Incremental, Learnt, identity};
use crate::depmod::path;
use crate::depmod::publish::may_stay;

/// Bytes of the largest output that is compared; an index cannot be larger.
const MAX_SIZE: u64 = 1 << 28;

/// What stays, and what is to be read for the rest.
pub struct Plan {
    inputs: InputChecksums,
    checksums: Vec<Checksums>,
    /// Files that are there.
    known: Vec<KnownFile>,
    /// The same without modules.dep.bin, of which only the making of modules.dep tells whether it stays.
    files: Vec<Output>,
    is_resolved: bool,
    /// The kinds of facts that are needed of modules that were kept.
    pub kinds: Vec<Kind>,
}

impl Incremental {
    /// What stays of the last run's work in `output`, the directory; nothing, if `all` is to be made.
    pub fn plan(
        &self,
        modules: &Modules,
        gathered: &Gathered<'_>,
        options: &Options<'_>,
        output: &[u8],
        all: bool,
    ) -> Plan {
        let checksums = gathered.checksums();
        let inputs = InputChecksums::new(modules, &checksums, options);
        let mut plan = Plan {
            inputs,
            checksums,
            known: Vec::new(),
            files: Vec::new(),
            is_resolved: false,
            kinds: Vec::new(),
        };
        if all {
            plan.kinds.extend(Kind::ALL);
            return plan;
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
        plan.is_resolved =
            gathered.last().is_some_and(|last| last.cache.resolution().context == inputs.exports());
        plan.kinds = plan.missing_kinds(gathered);
        plan
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
    pub fn reuse<'p>(&'p self, gathered: &'p Gathered<'_>) -> Reuse<'p> {
        let dep_index = self.known.iter().find(|known| known.output == Output::DepBin);
        let resolution = gathered.last().filter(|_| self.is_resolved).map(|last| last.cache.resolution());
        Reuse {
            files: &self.files,
            dep_index: dep_index.map(|known| known.inputs),
            resolved: resolution.map(|resolution| (resolution, self.checksums.as_slice())),
        }
    }

    fn missing_kinds(&self, gathered: &Gathered<'_>) -> Vec<Kind> {
        let reuse = self.reuse(gathered);
        let mut unresolved =
            (0..self.checksums.len()).filter(|module| reuse.dependencies(*module).is_none()).peekable();
        let lacks = |outputs: &[Output]| outputs.iter().any(|output| !self.files.contains(output));
        let is_needed = |kind: &Kind| match kind {
            Kind::Alias => lacks(&[Output::Alias, Output::AliasBin, Output::Devname]),
            Kind::Softdep => lacks(&[Output::Softdep]),
            Kind::Weakdep => lacks(&[Output::Weakdep]),
            Kind::Export => lacks(&[Output::Symbols, Output::SymbolsBin]) || unresolved.peek().is_some(),
            Kind::Import => unresolved.any(|module| gathered.is_kept(module)),
        };
        Kind::ALL.into_iter().filter(is_needed).collect()
    }

    /// How many symbols the modules export.
    pub fn symbols(&self, gathered: &Gathered<'_>) -> usize {
        match gathered.last().filter(|_| !self.kinds.contains(&Kind::Export)) {
            Some(last) => last.cache.resolution().symbols,
            None => gathered.symbols(),
        }
    }

    /// What the next run may know of what this one has made.
    pub fn learnt(&self, gathered: &Gathered<'_>, built: Built, layout: Layout) -> Learnt {
        let known = |output: Output| {
            let outputs = built.outputs.as_ref()?;
            let Some(bytes) = outputs.get(output) else {
                return self.known.iter().find(|known| known.output == output).copied();
            };
            let dep = || Some(InputChecksums::of_dep_index(outputs.get(Output::Dep)?, layout));
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
        let resolution = Resolution {
            context: self.inputs.exports(),
            symbols: self.symbols(gathered),
            imports: self.checksums.iter().map(|checksums| checksums.of(Kind::Import)).collect(),
            dependencies: built.dependencies,
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
