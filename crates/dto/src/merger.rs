//! Merges one after the other in the same memory.

use alloc::vec::Vec;
use core::mem;

use kbt_fdt::{Blob, Tree};

use crate::base::{Base, read_base};
use crate::error::{Error, Warning};
use crate::memory::Memory;
use crate::{Merge, Merged, Options, read_overlays};

/// Merges again and again. It holds no more memory than its largest merges may have needed, whatever inputs there were in
/// which place.
#[derive(Debug)]
pub struct Merger {
    memory: Memory,
}

impl Default for Merger {
    fn default() -> Self {
        Self { memory: Memory::kept() }
    }
}

impl Merger {
    /// Merges `overlays` into `base`, as [`apply`](crate::apply()) does. Beside the tree that comes
    /// out little is new memory.
    ///
    /// # Errors
    /// As there. What was merged before, or could not be, makes no difference.
    pub fn apply(&mut self, base: &[u8], overlays: &[&[u8]], options: &Options) -> Result<Merged, Error> {
        let (blob, tree) = read_base(base, &mut self.memory)?;
        self.merge(&blob, tree, overlays, options, |merge| merge.finish(&blob, overlays))
    }

    /// Merges `overlays` into a base that is read already.
    ///
    /// # Errors
    /// As [`apply`](crate::apply()).
    pub fn apply_to(
        &mut self,
        base: &Base<'_>,
        overlays: &[&[u8]],
        options: &Options,
    ) -> Result<Merged, Error> {
        let tree = base.tree().copied_to(self.memory.tree());
        self.merge(base.blob(), tree, overlays, options, |merge| merge.finish(base.blob(), overlays))
    }

    /// Says whether `overlays` could be merged into `base`, and warns as a merge does, but writes no tree.
    ///
    /// # Errors
    /// As there; a tree that would be too large to write is not noticed.
    pub fn check(
        &mut self,
        base: &Base<'_>,
        overlays: &[&[u8]],
        options: &Options,
    ) -> Result<Vec<Warning>, Error> {
        let tree = base.tree().copied_to(self.memory.tree());
        self.merge(base.blob(), tree, overlays, options, |merge| Ok(mem::take(&mut merge.live.warnings)))
    }

    fn merge<T>(
        &mut self,
        base: &Blob<'_>,
        tree: Tree,
        overlays: &[&[u8]],
        options: &Options,
        finish: impl FnOnce(&mut Merge<'_, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let sources = read_overlays(&mut self.memory, base, tree, overlays.iter().copied())?;
        let mut merge = Merge::new(&mut self.memory, base, sources, options)?;
        let result = merge.run().and_then(|()| finish(&mut merge));
        self.memory.keep(merge.live, merge.overlays);
        result
    }
}
