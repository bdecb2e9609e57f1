//! A base for many merges: read once, shared by threads.

use kbt_fdt::{Blob, Tree};

use crate::error::{Error, Input};
use crate::memory::Memory;
use crate::source::malformed;

/// A base whose tokens are checked already, for [`Merger::apply_to`](crate::Merger::apply_to): a merge copies its list of
/// nodes instead of making it again.
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
        let (blob, tree) = read_base(bytes, &mut Memory::default())?;
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
}

/// Reads a base in memory that was kept.
pub(crate) fn read_base<'a>(base: &'a [u8], memory: &mut Memory) -> Result<(Blob<'a>, Tree), Error> {
    let blob = Blob::parse(base).map_err(|error| malformed(error, Input::Base))?;
    let tree = blob.tree_in(memory.tree(), false).map_err(|error| malformed(error, Input::Base))?;
    Ok((blob, tree))
}
