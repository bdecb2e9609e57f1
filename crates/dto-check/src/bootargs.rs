//! The command line of a final tree whose boot loader has joined it: `/chosen/bootargs`, and behind it every
//! `bootargs_ext` of the overlays, in order.
//!
//! Boot loaders add words of their own anywhere, so the pieces are looked for one behind the other, each as whole words.

use alloc::string::String;
use alloc::vec::Vec;

use kbt_dts::{Dts, IndexedTree};
use kbt_fdt::{NodeIndex, Property};

/// What the command line is to be made of.
#[derive(Default)]
pub(crate) struct Line<'r, 'a> {
    /// The last `bootargs` that an overlay sets, else the base's.
    bootargs: Option<Piece<'r, 'a>>,
    extensions: Vec<Piece<'r, 'a>>,
}

/// A value of `/chosen`.
#[derive(Clone, Copy)]
pub(crate) struct Piece<'r, 'a> {
    /// The overlay's number; none for the base.
    pub(crate) index: Option<usize>,
    pub(crate) dts: &'r Dts<'a>,
    pub(crate) property: Property,
}

impl<'r, 'a> Line<'r, 'a> {
    /// Takes what a tree before the merge brings.
    pub(crate) fn start(base: Option<&'r Dts<'a>>) -> Self {
        let mut line = Self::default();
        let of = |dts: &'r Dts<'a>| Some((dts, dts.tree().child(NodeIndex::ROOT, b"chosen")?));
        if let Some((dts, chosen)) = base.and_then(of) {
            for property in dts.tree().properties(chosen) {
                line.take(Piece { index: None, dts, property });
            }
        }
        line
    }

    /// Takes a property of `/chosen`, if it is one of the command line's.
    pub(crate) fn take(&mut self, piece: Piece<'r, 'a>) -> bool {
        match piece.dts.tree().property_name(&piece.property) {
            b"bootargs" => self.bootargs = Some(piece),
            b"bootargs_ext" => match self.extensions.last_mut() {
                // Of one overlay the last counts.
                Some(last) if last.index == piece.index => *last = piece,
                _ => self.extensions.push(piece),
            },
            _ => return false,
        }
        true
    }

    /// How many pieces there are.
    pub(crate) fn len(&self) -> usize {
        self.bootargs.iter().len() + self.extensions.len()
    }

    /// The pieces that the final tree's command line does not have in this order.
    pub(crate) fn missing(&self, last: &IndexedTree<'_>) -> Vec<Piece<'r, 'a>> {
        let chosen = last.child(NodeIndex::ROOT, b"chosen");
        let mut rest =
            text(chosen.and_then(|chosen| last.property_value(chosen, b"bootargs")).unwrap_or_default());
        let pieces = self.bootargs.iter().chain(&self.extensions);
        let is_missing =
            |piece: &&Piece<'r, 'a>| match behind(rest, text(piece.dts.tree().value(&piece.property))) {
                Some(behind) => {
                    rest = behind;
                    false
                }
                None => true,
            };
        pieces.filter(is_missing).copied().collect()
    }
}

/// A value up to its NUL.
fn text(value: &[u8]) -> &[u8] {
    value.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// What stands behind `words` in a line; none where it does not have them.
fn behind<'l>(line: &'l [u8], words: &[u8]) -> Option<&'l [u8]> {
    // No kernel takes more than 4096 bytes; so a search in all places of a line ends.
    const LONGEST: usize = 1 << 14;
    let (words, line) = (words.trim_ascii(), line.get(..LONGEST).unwrap_or(line));
    if words.is_empty() {
        return Some(line);
    }
    // Each start is a word's, so that a line is looked through once for each word that it has.
    let starts =
        (0..line.len()).filter(|&at| at == 0 || line.get(at - 1).is_some_and(u8::is_ascii_whitespace));
    let ends = starts.filter_map(|at| line.get(at..)?.strip_prefix(words));
    ends.into_iter().find(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

/// How a piece is told of.
pub(crate) fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(text(line)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn words_are_whole() {
        assert_eq!(behind(b"a bb c", b"bb"), Some(&b" c"[..]));
        assert_eq!(behind(b"a bb c", b"a bb"), Some(&b" c"[..]));
        assert_eq!(behind(b"a bb c", b"c"), Some(&b""[..]));
        assert_eq!(behind(b"abb b c", b"b"), Some(&b" c"[..]));
        assert_eq!(behind(b"a bb", b"b"), None);
        assert_eq!(behind(b"a bb", b"a b"), None);
        assert_eq!(behind(b"a", b" "), Some(&b"a"[..]));
        assert_eq!(behind(b"", b"a"), None);
    }
}
