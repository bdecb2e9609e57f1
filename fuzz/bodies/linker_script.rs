//! Linker scripts: no panic, places inside the text, and every answer about a section ends.

use kbt_kallsyms::LinkerScript;

/// One input.
pub fn run(bytes: &[u8]) {
    match LinkerScript::parse(bytes) {
        Ok(script) => {
            assert!(script.assigned().iter().all(|name| !name.is_empty() && name.len() <= bytes.len()));
            for section in [&b".text"[..], b".discard.x", b"", b"[", bytes.get(..64).unwrap_or(bytes)] {
                let _ = script.placement(section);
            }
        }
        Err(error) => assert!(error.offset <= bytes.len()),
    }
}
