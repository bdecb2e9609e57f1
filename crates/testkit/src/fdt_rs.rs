//! The token stream of a file as the crate fdt-rs sees it, an oracle for `kbt-fdt`.
//!
//! It refuses node names of more than 29 bytes, and its debug assertions fire on malformed files, so it is
//! asked about well-formed ones only.

use std::panic::catch_unwind;

use fdt_rs::base::DevTree;
use fdt_rs::base::parse::ParsedTok;
use fdt_rs::prelude::FallibleIterator as _;

/// A token with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// A node starts; its name.
    BeginNode(Vec<u8>),
    /// The innermost node ends.
    EndNode,
    /// A property: name and value.
    Prop(Vec<u8>, Vec<u8>),
    /// Nothing.
    Nop,
}

/// All tokens in front of the end token, or `None` where fdt-rs does not accept the file.
pub fn tokens(file: &[u8]) -> Option<Vec<Token>> {
    catch_unwind(|| {
        let size = u32::from_be_bytes(*file.get(4..)?.first_chunk()?) as usize;
        let file = file.get(..size)?;
        // A vector of bytes has no alignment of its own: the copy starts at its first aligned byte.
        let mut room = vec![0; file.len() + 3];
        let start = room.as_ptr().align_offset(4);
        let aligned = room.get_mut(start..start + file.len())?;
        aligned.copy_from_slice(file);
        parse(aligned)
    })
    .ok()?
}

fn parse(file: &[u8]) -> Option<Vec<Token>> {
    // SAFETY: `DevTree::new` asks for a buffer that is 4-byte aligned and as long as its header says;
    // `tokens` has seen to both.
    #[allow(unsafe_code)]
    let tree = unsafe { DevTree::new(file) }.ok()?;
    let name = |offset: usize| {
        let tail = file.get(tree.off_dt_strings() + offset..)?;
        Some(tail.split(|&byte| byte == 0).next()?.to_vec())
    };
    let mut parsed = tree.parse_iter();
    let mut tokens = Vec::new();
    while let Some(token) = parsed.next().ok()? {
        tokens.push(match token {
            ParsedTok::BeginNode(node) => Token::BeginNode(node.name.to_vec()),
            ParsedTok::EndNode => Token::EndNode,
            ParsedTok::Prop(property) => Token::Prop(name(property.name_offset)?, property.prop_buf.to_vec()),
            ParsedTok::Nop => Token::Nop,
        });
    }
    Some(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Node, write};

    #[test]
    fn tokens_come_with_names_and_values() {
        let tree = Node::new("").child(Node::new("a@1").cells("reg", &[1]));
        let expected = [
            Token::BeginNode(vec![]),
            Token::BeginNode(b"a@1".to_vec()),
            Token::Prop(b"reg".to_vec(), vec![0, 0, 0, 1]),
            Token::EndNode,
            Token::EndNode,
        ];
        assert_eq!(tokens(&write(&tree.into())).as_deref(), Some(&expected[..]));
    }

    #[test]
    fn a_long_name_is_refused() {
        assert_eq!(tokens(&write(&Node::new("").child(Node::new("n".repeat(40))).into())), None);
    }
}
