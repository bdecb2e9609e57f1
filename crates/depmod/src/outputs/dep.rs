//! `modules.dep` and its index.

use super::{Failed, Join, Output};
use crate::dependencies::Closure;
use crate::index::IndexBuilder;
use crate::message::Messages;

/// A line for each module: its path and the paths of all that it needs.
pub(super) struct Lines {
    pub(super) text: Vec<u8>,
    /// Where each line ends, its line feed not counted.
    ends: Vec<usize>,
}

impl Lines {
    pub(super) fn new(join: &Join<'_>) -> Self {
        let mut lines = Self { text: Vec::new(), ends: Vec::with_capacity(join.modules.len()) };
        let mut closure = Closure::default();
        for (index, file) in (0..).zip(join.modules.iter()) {
            lines.text.extend_from_slice(file.relative);
            lines.text.push(b':');
            join.dependencies.closure(index, join.order, &mut closure);
            for &needed in &closure.found {
                lines.text.push(b' ');
                let needed = join.modules.get(needed as usize);
                lines.text.extend_from_slice(needed.map(|file| file.relative).unwrap_or_default());
            }
            lines.ends.push(lines.text.len());
            lines.text.push(b'\n');
        }
        lines
    }

    pub(super) fn index(&self, join: &Join<'_>, messages: &mut Messages) -> Result<Vec<u8>, Failed> {
        let mut index = IndexBuilder::new();
        index.reserve(self.ends.len());
        let mut start = 0;
        for ((priority, file), &end) in (0..).zip(join.modules.iter()).zip(&self.ends) {
            index.insert(file.name, self.text.get(start..end).unwrap_or_default(), priority);
            start = end + 1;
        }
        let source = |entry: usize| join.modules.get(entry).map(|file| file.path);
        join.index(Output::DepBin, &index, source, messages)
    }
}
