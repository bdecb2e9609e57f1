//! For messages: labels that are spelled much like one that is missing.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::error::text;
use crate::live::Live;
use crate::source::NodeId;

/// So many suggestions at most.
const MOST: usize = 3;
/// Longer labels are not compared.
const LONGEST: usize = 64;

/// The labels below `symbols` that differ least from `label`, the nearest first.
pub(crate) fn near(live: &Live<'_>, symbols: NodeId, label: &str) -> Vec<String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    let bound = (label.len() / 3).max(1) + 1;
    for known in live.property_names(symbols) {
        let known = text(known);
        if known.len() > LONGEST || label.len() > LONGEST || known.len().abs_diff(label.len()) > bound {
            continue;
        }
        let distance = distance(&known, label);
        if distance <= bound {
            found.push((distance, known.to_string()));
        }
    }
    found.sort();
    found.truncate(MOST);
    found.into_iter().map(|(_, label)| label).collect()
}

/// Levenshtein's distance: how many bytes to change, insert or drop.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, byte) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, other) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(byte != other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::distance;

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("i2c1", "i2c1"), 0);
        assert_eq!(distance("i2c1", "i2c2"), 1);
        assert_eq!(distance("uart", "uart0"), 1);
        assert_eq!(distance("", "abc"), 3);
    }
}
