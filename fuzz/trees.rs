//! How the targets that merge cut an input into trees.

/// A base and its overlays: `count` says how many trees follow, each behind its length in two big-endian bytes; one more
/// takes the rest.
pub fn trees(count: u8, mut rest: &[u8]) -> Vec<&[u8]> {
    let mut trees = Vec::new();
    for _ in 0..count % 4 {
        let Some((length, behind)) = rest.split_first_chunk() else { break };
        let (tree, behind) = behind.split_at(usize::from(u16::from_be_bytes(*length)).min(behind.len()));
        trees.push(tree);
        rest = behind;
    }
    trees.push(rest);
    trees
}
