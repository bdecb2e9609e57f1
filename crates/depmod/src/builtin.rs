//! What is built into the kernel: modules.builtin and modules.builtin.modinfo.

use crate::lines::{PATH_LINE, fgets};
use crate::message::Messages;
use crate::names::{base_name, push_module_name};

/// Bytes of the buffers that kmod reads a part of a record into.
const BUFFER: usize = 4096;

/// The names of the modules that modules.builtin lists, one behind the other, with their ends.
pub(crate) fn module_names(text: &[u8], messages: &mut Messages) -> (Vec<u8>, Vec<usize>) {
    let (mut names, mut ends) = (Vec::with_capacity(text.len() / 2), Vec::new());
    for line in fgets(text, PATH_LINE) {
        if !line.first().is_some_and(u8::is_ascii_alphabetic) {
            messages.error(&[b"Invalid modules.builtin line: ", line]);
        } else if !base_name(line).is_empty() {
            push_module_name(line, &mut names);
            ends.push(names.len());
        }
    }
    (names, ends)
}

/// An alias of a built-in module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BuiltinAlias<'t> {
    pub(crate) module: &'t [u8],
    pub(crate) alias: &'t [u8],
}

/// The aliases of modules.builtin.modinfo: records `module.key=value`, each ended by a NUL, of which the key is `alias`.
pub(crate) fn aliases<'t>(text: &'t [u8], messages: &mut Messages) -> Vec<BuiltinAlias<'t>> {
    let mut aliases = Vec::new();
    let mut stream = Stream { rest: text, ended: false };
    while !stream.ended {
        let module = stream.until(b'.', messages);
        if module.is_empty() {
            continue;
        }
        if stream.until(b'=', messages) != b"alias" {
            stream.skip_record();
            continue;
        }
        let alias = stream.until(0, messages);
        if !alias.is_empty() {
            aliases.push(BuiltinAlias { module, alias });
        }
    }
    aliases
}

/// The file as kmod reads it, part by part.
struct Stream<'t> {
    rest: &'t [u8],
    /// Whether a read met the end of the file.
    ended: bool,
}

impl<'t> Stream<'t> {
    /// What stands in front of `end`, which is taken too; nothing where a NUL or the end of the file comes first.
    fn until(&mut self, end: u8, messages: &mut Messages) -> &'t [u8] {
        let part = self.rest.iter().position(|&byte| byte == end || byte == 0).unwrap_or(self.rest.len());
        if part >= BUFFER {
            return self.too_long(end, messages);
        }
        let (text, behind) = self.rest.split_at_checked(part).unwrap_or_default();
        let Some((&found, behind)) = behind.split_first() else {
            (self.rest, self.ended) = (&[], true);
            return &[];
        };
        self.rest = behind;
        if found == end { text } else { &[] }
    }

    /// A part that fills the buffer: it is told, and the byte behind is lost.
    fn too_long(&mut self, end: u8, messages: &mut Messages) -> &'t [u8] {
        let (text, behind) = self.rest.split_at_checked(BUFFER).unwrap_or_default();
        messages.warn(&[b"Could not flush stream: 28. Partial content: ", text]);
        let Some((&found, behind)) = behind.split_first() else {
            (self.rest, self.ended) = (&[], true);
            return &[];
        };
        self.rest = behind;
        if found == end { text.get(..BUFFER - 1).unwrap_or_default() } else { &[] }
    }

    fn skip_record(&mut self) {
        match self.rest.iter().position(|&byte| byte == 0) {
            Some(end) => self.rest = self.rest.get(end + 1..).unwrap_or_default(),
            None => (self.rest, self.ended) = (&[], true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_at_the_dot_and_lines_begin_with_a_letter() {
        let mut messages = Messages::default();
        let (names, ends) = module_names(b"kernel/a-b.ko\n\nkernel/c.ko", &mut messages);
        assert_eq!((names.as_slice(), ends.as_slice()), (b"a_bc".as_slice(), [3, 4].as_slice()));
        assert_eq!(
            messages.iter().map(|(_, text)| text).collect::<Vec<_>>(),
            [b"Invalid modules.builtin line: \n"]
        );
    }

    #[test]
    fn only_aliases_are_taken_from_modinfo() {
        let mut messages = Messages::default();
        let text = b"a.license=GPL\0a.alias=x-1\0b.alias=\0nodot\0c.key\0lost.alias=1\0d.alias=y\0e.alias=z";
        let found = aliases(text, &mut messages);
        let expected = [(b"a", b"x-1".as_slice()), (b"d", b"y")];
        assert_eq!(
            found.iter().map(|a| (a.module, a.alias)).collect::<Vec<_>>(),
            expected.map(|(m, a)| (m.as_slice(), a))
        );
        assert!(messages.is_empty());
    }

    #[test]
    fn a_record_that_fills_the_buffer_is_told() {
        let mut messages = Messages::default();
        let text = [b"a.alias=".as_slice(), &[b'x'; 4097], b"\0"].concat();
        assert_eq!(aliases(&text, &mut messages), []);
        assert_eq!(messages.iter().count(), 1);
    }
}
