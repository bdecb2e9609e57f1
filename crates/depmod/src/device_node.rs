//! Device nodes that load a module: what its aliases say of them.

use crate::lines::c_string;

/// The device node of a module with these aliases, where it has one; `Err` has the name of a node without numbers.
pub(crate) fn device_node<'a>(
    aliases: impl Iterator<Item = &'a [u8]>,
) -> Result<Option<DeviceNode<'a>>, &'a [u8]> {
    let (mut name, mut numbers) = (None, None);
    for alias in aliases {
        if let Some(node) = alias.strip_prefix(b"devname:") {
            name = Some(c_string(node));
        } else if let Some((major, minor)) = device_numbers(alias, b"char-major-") {
            numbers = Some((b'c', major, minor));
        } else if let Some((major, minor)) = device_numbers(alias, b"block-major-") {
            numbers = Some((b'b', major, minor));
        }
        if name.is_some() && numbers.is_some() {
            break;
        }
    }
    match (name, numbers) {
        (None, _) => Ok(None),
        (Some(name), Some((kind, major, minor))) => Ok(Some(DeviceNode { name, kind, major, minor })),
        (Some(name), None) => Err(name),
    }
}

/// A device node that loads a module.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DeviceNode<'a> {
    pub(crate) name: &'a [u8],
    /// `c` or `b`.
    pub(crate) kind: u8,
    pub(crate) major: u32,
    pub(crate) minor: u32,
}

/// As `sscanf` with `%u-%u` behind `prefix`.
fn device_numbers(alias: &[u8], prefix: &[u8]) -> Option<(u32, u32)> {
    let mut rest = alias.strip_prefix(prefix)?;
    let major = unsigned(&mut rest)?;
    rest = rest.strip_prefix(b"-")?;
    Some((major, unsigned(&mut rest)?))
}

/// As `%u`: white space, a sign, digits; too large numbers are cut like C cuts them.
pub(crate) fn unsigned(rest: &mut &[u8]) -> Option<u32> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let start = rest.iter().position(|byte| !is_space(byte))?;
    let mut text = rest.get(start..)?;
    let negative = text.first() == Some(&b'-');
    if let [b'-' | b'+', behind @ ..] = text {
        text = behind;
    }
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, behind) = text.split_at_checked(digits).filter(|_| digits > 0)?;
    *rest = behind;
    let value = number
        .iter()
        .try_fold(0_u64, |value, &digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
    let value = match value {
        Some(value) if negative => value.wrapping_neg(),
        Some(value) => value,
        None => u64::MAX,
    };
    // The lower half, as a C conversion to `unsigned int`.
    u32::try_from(value & u64::from(u32::MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_needs_a_name_and_numbers() {
        let node = |aliases: &[&'static str]| device_node(aliases.iter().map(|alias| alias.as_bytes()));
        let expected = DeviceNode { name: b"net/tun", kind: b'c', major: 10, minor: 200 };
        assert_eq!(node(&["x", "devname:net/tun", "char-major-10-200"]), Ok(Some(expected)));
        assert_eq!(node(&["char-major-10-*"]), Ok(None));
        assert_eq!(node(&["devname:x", "block-major-7-*"]), Err(b"x".as_slice()));
        let last = node(&["char-major-1-1", "block-major-+2- 3", "devname:a", "devname:b"]).unwrap().unwrap();
        assert_eq!((last.name, last.kind, last.major, last.minor), (b"a".as_slice(), b'b', 2, 3));
    }
}
