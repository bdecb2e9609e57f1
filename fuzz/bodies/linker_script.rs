//! Linker scripts, and an object behind one: no panic, places inside the text, and every question of a section, a name or the
//! object's symbols has an answer.

use kbt_elf::Image;
use kbt_kallsyms::linker_script::Placement;
use kbt_kallsyms::{Kernel, LinkerScript, Superset};

/// One input: a script, up to where an ELF file begins.
pub fn run(bytes: &[u8]) {
    let end = bytes.windows(4).position(|magic| magic == b"\x7fELF").unwrap_or(bytes.len());
    let (text, object) = bytes.split_at(end);
    match LinkerScript::parse(text) {
        Ok(script) => {
            ask(text, &script);
            names_of(object, &script);
        }
        Err(error) => assert!(error.offset <= text.len()),
    }
}

fn ask<'a>(text: &'a [u8], script: &LinkerScript<'a>) {
    for name in script.assigned() {
        assert!(!name.is_empty() && name.len() <= text.len());
        let _ = script.is_absolute(name);
        let _ = script.placement(name);
    }
    for section in [&b".text"[..], b".discard.x", b"", b"[", text.get(..64).unwrap_or(text)] {
        assert_ne!(script.placement(section), Placement::Output(b"/DISCARD/"));
        assert!(!script.is_absolute(section) || script.assigned().contains(&section));
    }
}

fn names_of<'a>(object: &'a [u8], script: &LinkerScript<'a>) {
    let mut superset = Superset::default();
    if let Ok(image) = Image::parse(object) {
        let _ = superset.add_object(&image, script);
    }
    for kernel in [Kernel::V5_10, Kernel::V6_12] {
        let all = superset.names(script, kernel, true);
        assert!(superset.names(script, kernel, false).len() <= all.len());
    }
}
