//! A base for many merges: read once, shared by threads.

use alloc::vec::Vec;

use kbt_fdt::{Blob, Tree};

use crate::error::{Error, Input};
use crate::source;
use crate::{Merged, Options, merge_into};

/// A base whose tokens are checked already. A merge copies its list of nodes instead of making it again.
#[derive(Debug, Clone)]
pub struct Base<'a> {
    blob: Blob<'a>,
    tree: Tree,
}

impl<'a> Base<'a> {
    /// Checks a base.
    ///
    /// # Errors
    /// What makes it unsound, with its place.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let blob = Blob::parse(bytes).map_err(|error| source::malformed(error, Input::Base))?;
        let tree = blob.nodes().map_err(|error| source::malformed(error, Input::Base))?;
        Ok(Self { blob, tree })
    }

    /// The blob.
    pub fn blob(&self) -> &Blob<'a> {
        &self.blob
    }

    /// Its nodes.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Merges `overlays` into it, as [`apply`](crate::apply) does.
    ///
    /// # Errors
    /// As there.
    pub fn apply(&self, overlays: &[&[u8]], options: &Options) -> Result<Merged, Error> {
        merge_into(&self.blob, self.tree.clone(), overlays, options)
    }

    /// Says whether `overlays` could be merged, and warns as a merge does, but writes no tree.
    ///
    /// # Errors
    /// As there; a tree that would be too large to write is not noticed.
    pub fn check(&self, overlays: &[&[u8]], options: &Options) -> Result<Vec<crate::Warning>, Error> {
        crate::check_merge(&self.blob, self.tree.clone(), overlays, options)
    }
}
