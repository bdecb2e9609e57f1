//! Names: a module's, from its path; an alias's, as an index holds it.

use std::borrow::Cow;

/// C's `PATH_MAX`: kmod's buffers for names and aliases, with the final NUL.
const PATH_MAX: usize = 4096;

/// What a module's file may be called.
const EXTENSIONS: [&[u8]; 4] = [b".ko", b".ko.gz", b".ko.xz", b".ko.zst"];

/// Whether a file of this name is taken for a module.
pub fn has_module_extension(name: &[u8]) -> bool {
    EXTENSIONS.iter().any(|extension| name.len() > extension.len() && name.ends_with(extension))
}

/// What follows the last slash.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.get(base_start(path)..).unwrap_or_default()
}

pub(crate) fn base_start(path: &[u8]) -> usize {
    path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1)
}

/// Appends the name of the module at `path`: the base name up to its first dot, with `_` for `-`.
pub fn push_module_name(path: &[u8], name: &mut Vec<u8>) {
    let base = base_name(path);
    let end = base.iter().position(|&byte| byte == b'.').unwrap_or(base.len()).min(PATH_MAX - 1);
    name.extend(
        base.get(..end).unwrap_or_default().iter().map(|&byte| if byte == b'-' { b'_' } else { byte }),
    );
}

/// The alias as the indexes hold it: `_` for `-`, but not inside of brackets. `None` where a bracket has no partner.
///
/// Beyond 4095 bytes it is cut, as by kmod.
pub fn normalize_alias(alias: &[u8]) -> Option<Cow<'_, [u8]>> {
    // Most have none of these; looking for them all at once is a few instructions.
    let special = alias.iter().fold(false, |found, byte| found | matches!(byte, b'-' | b'[' | b']'));
    if !special && alias.len() < PATH_MAX {
        return Some(Cow::Borrowed(alias));
    }
    let mut normal = Cow::Borrowed(alias);
    let mut at = 0;
    while let Some(&byte) = alias.get(at).filter(|_| at < PATH_MAX - 1) {
        match byte {
            b'-' => {
                if let Some(place) = normal.to_mut().get_mut(at) {
                    *place = b'_';
                }
            }
            b']' => return None,
            b'[' => at += alias.get(at..)?.iter().position(|&byte| byte == b']')?,
            _ => {}
        }
        at += 1;
    }
    if at < alias.len() {
        normal.to_mut().truncate(at);
    }
    Some(normal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_ends_at_the_first_dot() {
        let name = |path: &str| {
            let mut name = Vec::new();
            push_module_name(path.as_bytes(), &mut name);
            String::from_utf8(name).unwrap()
        };
        assert_eq!(name("/lib/modules/1/kernel/snd-hda.v2.ko.xz"), "snd_hda");
        assert_eq!(name("..ko"), "");
        assert_eq!(name("plain\n"), "plain\n");
    }

    #[test]
    fn four_extensions_are_modules_and_nothing_alone() {
        for name in ["a.ko", "a.ko.gz", "a.ko.xz", "a.ko.zst"] {
            assert!(has_module_extension(name.as_bytes()), "{name}");
        }
        for name in [".ko", ".ko.gz", "a.ko.bz2", "a.kox", "ko"] {
            assert!(!has_module_extension(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn dashes_in_brackets_stay() {
        let normal = |alias: &str| normalize_alias(alias.as_bytes()).map(|alias| alias.into_owned());
        assert_eq!(normal("a-b[0-9]c-d").unwrap(), b"a_b[0-9]c_d");
        assert_eq!(normal("a]"), None);
        assert_eq!(normal("a[b"), None);
        assert_eq!(normal("[]]"), None);
        assert_eq!(normal(&"-".repeat(5000)).unwrap(), "_".repeat(4095).as_bytes());
    }
}
