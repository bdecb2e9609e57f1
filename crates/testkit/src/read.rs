//! A flattened device tree as an owned tree: short and strict, for files that a tool has written.

use crate::tree::{Node, Tree};

/// Reads a file of version 16 or 17.
///
/// # Errors
/// What is wrong and where, for a reader of a failed test.
pub fn read(bytes: &[u8]) -> Result<Tree, String> {
    let file = Bytes(bytes);
    if file.cell(0)? != 0xd00d_feed {
        return Err("no device tree: the magic is wrong".into());
    }
    let file = Bytes(file.slice(0, file.size(4)?)?);
    let (version, compatible) = (file.cell(20)?, file.cell(24)?);
    if compatible > 17 || version < 16 {
        return Err(format!("version {version}, compatible with {compatible}"));
    }
    let structure_at = file.size(8)?;
    let structure = match version {
        16 => file.slice(structure_at, bytes.len().min(file.0.len()).saturating_sub(structure_at))?,
        _ => file.slice(structure_at, file.size(36)?)?,
    };
    let strings = Bytes(file.slice(file.size(12)?, file.size(32)?)?);
    Ok(Tree {
        root: nodes(&Bytes(structure), &strings)?,
        reservations: reservations(&file)?,
        boot_cpuid: file.cell(28)?,
    })
}

fn reservations(file: &Bytes<'_>) -> Result<Vec<(u64, u64)>, String> {
    let mut entries = Vec::new();
    for at in (file.size(16)?..).step_by(16) {
        let wide = |at| Ok::<_, String>(u64::from(file.cell(at)?) << 32 | u64::from(file.cell(at + 4)?));
        match (wide(at)?, wide(at + 8)?) {
            (0, 0) => break,
            entry => entries.push(entry),
        }
    }
    Ok(entries)
}

fn nodes(structure: &Bytes<'_>, strings: &Bytes<'_>) -> Result<Node, String> {
    let mut open: Vec<Node> = Vec::new();
    let mut root = None;
    let mut at = 0;
    loop {
        let token = structure.cell(at)?;
        let token_at = at;
        at += 4;
        match (token, open.last_mut()) {
            (1, _) if root.is_none() => {
                let name = structure.text(at)?;
                at = (at + name.len() + 1).next_multiple_of(4);
                open.push(Node::new(name));
            }
            (2, Some(_)) => {
                let node = open.pop().unwrap();
                match open.last_mut() {
                    Some(parent) => parent.children.push(node),
                    None => root = Some(node),
                }
            }
            (3, Some(node)) => {
                let (length, name) = (structure.size(at)?, strings.text(structure.size(at + 4)?)?);
                node.properties.push((name.to_owned(), structure.slice(at + 8, length)?.to_vec()));
                at = (at + 8 + length).next_multiple_of(4);
            }
            (4, _) => {}
            (9, None) => return root.ok_or_else(|| "no root node".to_owned()),
            _ => {
                return Err(format!(
                    "token {token:#x} at {token_at:#x} of the structure block is out of place"
                ));
            }
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn slice(&self, at: usize, length: usize) -> Result<&'a [u8], String> {
        let end = at.checked_add(length).ok_or("a length overflows")?;
        self.0.get(at..end).ok_or_else(|| format!("{at:#x}..{end:#x} is beyond {:#x}", self.0.len()))
    }

    fn cell(&self, at: usize) -> Result<u32, String> {
        Ok(u32::from_be_bytes(self.slice(at, 4)?.try_into().unwrap()))
    }

    fn size(&self, at: usize) -> Result<usize, String> {
        Ok(self.cell(at)? as usize)
    }

    fn text(&self, at: usize) -> Result<&'a str, String> {
        let tail = self.0.get(at..).ok_or("a name is beyond its block")?;
        let end = tail.iter().position(|&byte| byte == 0).ok_or("a name has no end")?;
        std::str::from_utf8(&tail[..end]).map_err(|_| format!("the name at {at:#x} is no text"))
    }
}
