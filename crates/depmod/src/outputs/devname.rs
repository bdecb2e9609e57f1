//! `modules.devname`.

use super::{Join, push_line};
use crate::device_node::device_node;
use crate::message::Messages;

pub(super) fn text(join: &Join<'_>, messages: &mut Messages) -> Vec<u8> {
    let mut text = Vec::new();
    for (file, facts) in join.modules.iter().zip(join.facts) {
        match device_node(facts.aliases()) {
            Ok(None) => {}
            Ok(Some(node)) => {
                if text.is_empty() {
                    push_line(&mut text, &[b"# Device nodes to trigger on-demand module loading."]);
                }
                let numbers = format!("{}{}:{}", char::from(node.kind), node.major, node.minor);
                push_line(&mut text, &[file.name, b" ", node.name, b" ", numbers.as_bytes()]);
            }
            Err(node) => {
                let why = b") but lacks major and minor information. Ignoring.";
                messages.error(&[b"Module '", file.name, b"' has devname (", node, why]);
            }
        }
    }
    text
}
