//! A flattened device tree: what is accepted can be read through, and the flat tree says what the tokens say.

use kbt_fdt::{Blob, NodeIndex, Token};

/// One input.
pub fn run(bytes: &[u8]) {
    let Ok(blob) = Blob::parse(bytes) else { return };
    let _ = blob.reservations().iter().count();
    let structure = blob.structure();
    let tokens_of_anything = structure.tokens().count();
    let Ok(tree) = blob.tree() else { return };
    assert!(tokens_of_anything * 4 <= structure.bytes().len());

    let mut open: Vec<NodeIndex> = Vec::new();
    let mut next = 0;
    let mut ended = false;
    for (at, token) in structure.tokens() {
        match token {
            Token::BeginNode(name) => {
                let index = NodeIndex(next);
                let node = tree.node(index);
                assert_eq!((node.begin, structure.name(node)), (at, name));
                assert_eq!(node.parent, open.last().copied().unwrap_or(index));
                open.push(index);
                next += 1;
            }
            Token::EndNode => {
                let node = tree.node(open.pop().expect("a node is open"));
                assert_eq!((node.end, node.subtree_end), (at, NodeIndex(next)));
            }
            Token::Prop(property, value) => {
                assert!(!open.is_empty());
                assert_eq!(structure.value(&property), value);
                assert!(blob.strings().get(property.name).is_some());
            }
            Token::Nop => {}
            Token::End => ended = true,
        }
    }
    assert!(ended && open.is_empty());
    assert_eq!(tree.nodes().len(), next as usize);
    for index in (0..next).map(NodeIndex) {
        assert!(tree.children(index).all(|child| tree.node(child).parent == index));
        let _ = structure.properties(tree.node(index)).count();
        let _ = tree.phandles_in(index, NodeIndex(index.0 + 1)).len();
    }
}
