//! Patterns for names of sections: `*`, `?`, `[a-z]`, `[!a]`, and `\` before a byte that means itself.

/// Whether all of `name` matches the pattern. Takes at most the product of the lengths.
pub fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Behind the last bracket that may close one, none need be looked for.
    let closed = pattern.iter().rposition(|byte| *byte == b']').unwrap_or(0);
    // Behind the last star, and where in the name it was tried.
    let mut star = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        if let [b'*', ..] = rest {
            p += 1;
            star = Some((p, n));
            continue;
        }
        let next = name.get(n).copied();
        if rest.is_empty() && next.is_none() {
            return true;
        }
        if let Some(used) = next.and_then(|byte| one(rest, byte, p < closed)) {
            p += used;
            n += 1;
            continue;
        }
        // The last star takes one byte more; where it has all, nothing can match.
        match star {
            Some((after, tried)) if tried < name.len() => {
                p = after;
                n = tried + 1;
                star = Some((after, n));
            }
            _ => return false,
        }
    }
}

/// How many bytes of the pattern the byte took, if it matches.
fn one(pattern: &[u8], byte: u8, may_close: bool) -> Option<usize> {
    match *pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (escaped == byte).then_some(2),
        [b'[', ..] if may_close => set(pattern, byte),
        [literal, ..] => (literal == byte).then_some(1),
        [] => None,
    }
}

/// A set of bytes in brackets; brackets that never close mean themselves.
fn set(pattern: &[u8], byte: u8) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A closing bracket that comes first is one of the set.
    let end = pattern.iter().skip(start + 1).position(|byte| *byte == b']').map(|index| index + start + 1);
    let Some(end) = end else { return (byte == b'[').then_some(1) };
    let mut members = pattern.get(start..end).unwrap_or_default();
    let mut found = false;
    while let [first, rest @ ..] = members {
        members = match rest {
            [b'-', last, rest @ ..] => {
                found |= (*first..=*last).contains(&byte);
                rest
            }
            _ => {
                found |= *first == byte;
                rest
            }
        };
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_of_the_kernel() {
        for (pattern, name) in [
            (".text", ".text"),
            (".text.*", ".text.unlikely.foo"),
            ("*", ""),
            ("*", ".data"),
            (".discard.*", ".discard."),
            (".note.*", ".note.GNU-stack"),
            ("___kentry+*", "___kentry+main"),
            (".text.[0-9a-zA-Z_]*", ".text.a"),
            (".data.[!.]*", ".data.x"),
            ("a*b*c", "axxbxbc"),
            ("[]x]", "]"),
            ("a\\*", "a*"),
            ("[x", "[x"),
        ] {
            assert!(matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
        for (pattern, name) in [
            (".text", ".text.x"),
            (".text.*", ".text"),
            (".text.[0-9a-zA-Z_]*", ".text..refcount"),
            (".data.[!.]*", ".data..percpu"),
            ("a*b*c", "axxbxb"),
            ("a\\*", "ab"),
            ("", "a"),
            ("?", ""),
        ] {
            assert!(!matches(pattern.as_bytes(), name.as_bytes()), "{pattern} {name}");
        }
    }

    #[test]
    fn many_brackets_that_never_close_take_no_cubic_time() {
        let pattern = [b"*".to_vec(), b"[".repeat(2000), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"[".repeat(20000)));
        assert!(matches(b"*[]", b"a[]") && matches(b"[]", b"[]"));
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        let pattern = [b"*a".repeat(2000), b"b".to_vec()].concat();
        assert!(!matches(&pattern, &b"a".repeat(20000)));
    }
}
