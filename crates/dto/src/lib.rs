//! Device-tree overlays merged into a base tree: one parse of every input, one write.
//!
//! [`apply`] gives what applying the overlays one after the other would give: exact node names, the base's
//! phandles kept, `__symbols__` merged, and targets looked up in the tree as it is by then, so that an overlay
//! may build on an earlier one, and a fragment on an earlier fragment.
//!
//! The semantics are libfdt's (`fdt_overlay_apply`, dtc 1.7.2), with libufdt's exact names; where both are
//! wrong or silent, `docs/formats/overlay.md` says what is done here.
//!
//! Cost: one checked pass over the base, work in proportion to the overlays, and copies of untouched ranges. Who merges
//! again and again keeps a [`Merger`].
//!
//! ```
//! # fn main() -> Result<(), kbt_dto::Error> {
//! # let tree = |inner: &[u8]| kbt_fdt::write::assemble(&kbt_fdt::write::Parts {
//! #     structure: &[&[0, 0, 0, 1, 0, 0, 0, 0], inner, &[0, 0, 0, 2, 0, 0, 0, 9]].concat(), ..Default::default() }).unwrap();
//! # let (base, overlay) = (tree(&[]), tree(&[]));
//! let merged = kbt_dto::apply(&base, &[&overlay], &kbt_dto::Options::default())?;
//! for warning in &merged.warnings {
//!     eprintln!("{warning}");
//! }
//! let tree: Vec<u8> = merged.bytes;
//! # Ok(())
//! # }
//! ```

#![no_std]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod base;
mod bootargs;
mod children;
mod error;
mod fixups;
mod links;
mod live;
mod local_fixups;
mod lookup;
mod memory;
mod merge;
mod merger;
mod names;
mod ordered;
mod overlay;
mod paths;
mod phandles;
mod properties;
mod siblings;
mod source;
mod splice;
mod suggest;
mod symbols;
mod table;
mod target;
mod unwritten;
mod wide;

use alloc::vec::Vec;
use core::mem;

use kbt_fdt::{Blob, Tree};

pub use base::Base;
pub use error::{Error, ErrorKind, Input, Place, Warning, WarningKind};
pub use merger::Merger;
pub use unwritten::Unwritten;

use base::read_base;
use bootargs::BootArguments;
use live::Live;
use memory::Memory;
use merge::Merging;
use overlay::{Overlay, Overlays};
use source::{NodeId, Source, SourceId};

/// What a merge is allowed to do.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Join `/chosen/bootargs` and every `bootargs_ext`, in order, and remove the latter.
    pub concat_bootargs: bool,
    /// Zero bytes to leave free at the end of the tree.
    pub padding: u32,
    /// Let a name without a unit address match a node that has one, as libfdt does.
    pub loose_names: bool,
    /// Refuse a fragment whose target is the root node.
    pub forbid_root: bool,
    /// Refuse a fragment that gives its target by a path.
    pub labels_only: bool,
}

/// The merged tree.
#[derive(Debug)]
pub struct Merged {
    /// A flattened device tree of version 17.
    pub bytes: Vec<u8>,
    /// What was odd, in the order in which it was met; at most 100 of a kind.
    pub warnings: Vec<Warning>,
}

/// Merges `overlays`, in their order, into `base`.
///
/// Reservations and the boot processor's id are the base's. The inputs need no alignment.
///
/// # Errors
/// The first thing that makes a tree unsound or an overlay inapplicable, with its place. Nothing is merged
/// partly.
pub fn apply(base: &[u8], overlays: &[&[u8]], options: &Options) -> Result<Merged, Error> {
    let mut memory = Memory::default();
    let (blob, tree) = read_base(base, &mut memory)?;
    let sources = read_overlays(&mut memory, &blob, tree, overlays.iter().copied())?;
    let mut merge = Merge::new(&mut memory, &blob, sources, options)?;
    merge.run()?;
    merge.finish(&blob, overlays)
}

/// The same for a tree that is written piece by piece, without room for all of it.
///
/// # Errors
/// As [`apply`].
pub fn merge<'a>(
    base: &'a [u8],
    overlays: impl IntoIterator<Item = &'a [u8], IntoIter: ExactSizeIterator>,
    options: &Options,
) -> Result<Unwritten<'a>, Error> {
    let mut memory = Memory::default();
    let (blob, tree) = read_base(base, &mut memory)?;
    let sources = read_overlays(&mut memory, &blob, tree, overlays.into_iter())?;
    let mut merge = Merge::new(&mut memory, &blob, sources, options)?;
    merge.run()?;
    Unwritten::new(blob, merge.live, options.padding)
}

/// The sources of a merge: the base, what the merge makes, and the overlays.
fn read_overlays<'a>(
    memory: &mut Memory,
    base: &Blob<'a>,
    tree: Tree,
    overlays: impl ExactSizeIterator<Item = &'a [u8]>,
) -> Result<Vec<Source<'a>>, Error> {
    let mut sources = Vec::with_capacity(overlays.len() + 2);
    sources.push(Source::base(base, tree));
    sources.push(Source::made(memory.tree())?);
    for (index, bytes) in overlays.enumerate() {
        let input = Input::Overlay(index);
        let blob = Blob::parse(bytes).map_err(|error| source::malformed(error, input))?;
        sources.push(Source::overlay(&blob, input, memory.tree())?);
    }
    Ok(sources)
}

struct Merge<'a, 'o> {
    live: Live<'a>,
    overlays: Overlays,
    options: &'o Options,
    boot_arguments: BootArguments,
}

impl<'a, 'o> Merge<'a, 'o> {
    /// Finds the overlays' parts and places their names in the merged strings block.
    fn new(
        memory: &mut Memory,
        base: &Blob<'a>,
        sources: Vec<Source<'a>>,
        options: &'o Options,
    ) -> Result<Self, Error> {
        // All places in all structure blocks can be counted in 32 bits.
        let bytes: usize = sources.iter().map(Source::counted_bytes).sum();
        let bytes = u32::try_from(bytes).map_err(|_| Error::new(ErrorKind::TooLarge, Input::Base))?;
        let mut live = Live::new(memory, sources, base.strings(), options.loose_names, bytes);

        let mut overlays = Overlays::of(memory, &mut live);
        overlays.place_names(&mut live)?;

        if live.find_child(NodeId::ROOT, b"__fixups__").is_some() {
            live.warn(WarningKind::BaseIsOverlay, SourceId::BASE, None);
        }
        let boot_arguments = BootArguments::default();
        let mut merge = Self { live, overlays, options, boot_arguments };
        if options.concat_bootargs {
            merge.boot_arguments.take_extension(&mut merge.live);
        }
        Ok(merge)
    }

    /// Does all other steps but the last, which writes.
    fn run(&mut self) -> Result<(), Error> {
        let mut overlays = mem::take(&mut self.overlays);
        let merged = overlays.merge_each(|overlay| self.apply(overlay));
        if overlays.kept {
            self.overlays = overlays;
        }
        merged?;
        if self.options.concat_bootargs {
            self.boot_arguments.join(&mut self.live);
        }
        if self.live.too_large {
            return Err(Error::new(ErrorKind::TooLarge, Input::Base));
        }
        Ok(())
    }

    /// Applies one overlay to the tree so far.
    fn apply(&mut self, mut overlay: Overlay<'_>) -> Result<(), Error> {
        let live = &mut self.live;
        symbols::find(live);
        phandles::shift_phandles(live, overlay.source)?;
        local_fixups::update_local_references(live, &mut overlay)?;
        fixups::resolve_fixups(live, &mut overlay)?;
        self.merge_fragments(&mut overlay)?;
        symbols::update_symbols(&mut self.live, &overlay)
    }

    fn merge_fragments(&mut self, overlay: &mut Overlay<'_>) -> Result<(), Error> {
        let live = &mut self.live;
        let id = overlay.source;
        let mut merging = Merging::new(self.options.loose_names || overlay.has_duplicates);
        for fragment in overlay.fragments.iter_mut() {
            let target = target::find_target(live, id, fragment, self.options)?;
            let content = NodeId { source: id, node: fragment.overlay };
            merging
                .merge_node(live, target, content)
                .map_err(|error| error.fragment(live.source(id).name(fragment.node)))?;
            if self.options.concat_bootargs {
                self.boot_arguments.take_extension(live);
            }
        }
        merging.follow_superseded(live, overlay);
        Ok(())
    }

    /// Writes the tree.
    fn finish(&mut self, base: &Blob<'_>, overlays: &[&[u8]]) -> Result<Merged, Error> {
        let bytes = self.write(base, overlays)?;
        Ok(Merged { bytes, warnings: mem::take(&mut self.live.warnings) })
    }

    fn write(&self, base: &Blob<'_>, overlays: &[&[u8]]) -> Result<Vec<u8>, Error> {
        let blocks = self.live.names.blocks();
        let made = self.live.source(SourceId::MADE).bytes.len();
        let inputs: usize = overlays.iter().map(|overlay| overlay.len()).sum();
        let reservations = base.reservations().bytes();
        // Nothing is written twice, so this is enough and no byte is moved.
        let parts = [
            kbt_fdt::write::structure_offset(reservations),
            self.live.source(SourceId::BASE).bytes.len(),
            blocks[0].len(),
            blocks[1].len(),
            inputs,
            made,
            self.options.padding as usize,
        ];
        let bound = parts.iter().try_fold(0_usize, |sum, part| sum.checked_add(*part));
        let too_large = || Error::new(ErrorKind::TooLarge, Input::Base);
        // All of this is written for sure.
        let least = parts[0].saturating_add(blocks[0].len()).saturating_add(self.options.padding as usize);
        u32::try_from(least).map_err(|_| too_large())?;
        let no_memory = |_| Error::new(ErrorKind::NoMemory, Input::Base);
        let mut out = Vec::new();
        out.try_reserve_exact(bound.ok_or_else(too_large)?).map_err(no_memory)?;
        kbt_fdt::write::begin(&mut out, reservations);
        splice::write_structure(&self.live, |bytes| out.extend_from_slice(bytes));
        let cpu = base.header().boot_cpuid_phys;
        kbt_fdt::write::finish(&mut out, cpu, reservations, &blocks, self.options.padding)
            .map_err(|_| too_large())?;
        Ok(out)
    }
}
