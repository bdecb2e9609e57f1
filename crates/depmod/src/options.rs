//! What shapes the outputs beside the modules, and what of them there is already.

use crate::index::Layout;
use crate::kernel::KernelSymbols;
use crate::outputs::Output;
use crate::resolution::Carried;

/// What shapes the outputs beside the modules.
#[derive(Clone, Copy)]
pub struct Options<'o> {
    /// The kernel's own symbols.
    pub kernel: Option<KernelSymbols<'o>>,
    /// A character that is taken off once at the front of a symbol.
    pub symbol_prefix: Option<u8>,
    /// Tell of symbols that nobody exports and of those of another version. Only of use with `kernel`.
    pub report_symbols: bool,
    /// Tell of duplicates.
    pub warn_duplicates: bool,
    /// Tell each dependency and the symbol that makes it, on [`Built::needs`](crate::Built::needs).
    pub show_needs: bool,
    /// Make the text files only.
    pub text_only: bool,
    /// The order of the nodes of an index.
    pub layout: Layout,
    /// What need not be made again.
    pub reuse: Reuse<'o>,
    /// The content of modules.builtin, or what is to be told instead: then its index is an empty file.
    pub builtin: Result<&'o [u8], &'o [u8]>,
    /// The content of modules.builtin.modinfo, likewise.
    pub builtin_modinfo: Result<&'o [u8], &'o [u8]>,
}

impl Default for Options<'_> {
    fn default() -> Self {
        Self {
            kernel: None,
            symbol_prefix: None,
            report_symbols: false,
            warn_duplicates: false,
            show_needs: false,
            text_only: false,
            layout: Layout::default(),
            reuse: Reuse::default(),
            builtin: Err(b"no modules.builtin"),
            builtin_modinfo: Err(b"no modules.builtin.modinfo"),
        }
    }
}

/// What an earlier run has made. Facts that only this was made of may be missing.
#[derive(Clone, Copy, Default)]
pub struct Reuse<'o> {
    /// Files that are where they belong and have the right bytes, as their [`InputChecksums`](crate::InputChecksums) tell.
    pub files: &'o [Output],
    /// `modules.dep.bin` is one of them, if it would be made of what has this checksum.
    pub dep_index: Option<u128>,
    /// Dependencies that hold; those of the other modules are resolved.
    pub resolved: Option<&'o Carried>,
}
