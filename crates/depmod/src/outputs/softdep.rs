//! `modules.softdep` and `modules.weakdep`.

use super::{Join, push_line};

pub(super) fn softdep(join: &Join<'_>) -> Vec<u8> {
    let mut text = b"# Soft dependencies extracted from modules themselves.\n".to_vec();
    for (file, facts) in join.modules.iter().zip(join.facts) {
        for value in facts.softdeps() {
            push_line(&mut text, &[b"softdep ", file.name, b" ", value]);
        }
    }
    text
}

pub(super) fn weakdep(join: &Join<'_>) -> Vec<u8> {
    let mut text = b"# Weak dependencies extracted from modules themselves.\n".to_vec();
    for (file, facts) in join.modules.iter().zip(join.facts) {
        for value in facts.weakdeps() {
            push_line(&mut text, &[b"weakdep ", file.name, b" ", value]);
        }
    }
    text
}
