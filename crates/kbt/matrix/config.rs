//! The configuration: which overlays go with which bases, and which pairs are to be refused.

use crate::report::Failure;

/// What a line says of what it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It is to apply.
    Apply,
    /// It is to be refused.
    Refuse,
    /// It is not tried.
    Skip,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: usize,
    /// What it says.
    pub word: Word,
    /// A pattern of bases.
    pub bases: String,
    /// Patterns of overlays that are applied one after the other; at least one.
    pub overlays: Vec<String>,
}

/// Reads a configuration.
///
/// # Errors
/// The first line that is none.
pub fn parse(text: &str) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let code = line.split_once('#').map_or(line, |(code, _)| code);
        let mut words = code.split_whitespace();
        let Some(first) = words.next() else { continue };
        let bad = |message: String| {
            Err(Failure::new("bad-config", format!("line {}: {message}", index + 1))
                .hint("a line is: apply|refuse|skip BASES OVERLAYS..."))
        };
        let word = match first {
            "apply" => Word::Apply,
            "refuse" => Word::Refuse,
            "skip" => Word::Skip,
            other => return bad(format!("'{other}' is none of apply, refuse and skip")),
        };
        let Some(bases) = words.next() else { return bad("no base is named".to_owned()) };
        let overlays: Vec<String> = words.map(str::to_owned).collect();
        if overlays.is_empty() {
            return bad("no overlay is named".to_owned());
        }
        lines.push(Line { number: index + 1, word, bases: bases.to_owned(), overlays });
    }
    Ok(lines)
}

/// Whether a name fits a pattern: `*` stands for anything but `/`, `**` for anything, `?` for one byte but `/`.
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut at, mut from) = (0, 0);
    // Where to go on if what follows a star does not fit: behind `*`, and behind `**`.
    let mut stars: [Option<(usize, usize)>; 2] = [None, None];
    loop {
        match pattern.get(at) {
            Some(b'*') => {
                let both = pattern.get(at + 1) == Some(&b'*');
                at += 1 + usize::from(both);
                stars[usize::from(both)] = Some((at, from));
                if both {
                    stars[0] = None;
                }
                continue;
            }
            Some(b'?') if name.get(from).is_some_and(|byte| *byte != b'/') => {}
            Some(byte) if name.get(from) == Some(byte) => {}
            None if from == name.len() => return true,
            _ => {
                // The shorter star takes one more byte, else the longer one.
                let single = stars[0].filter(|(_, taken)| name.get(*taken).is_some_and(|byte| *byte != b'/'));
                let index = if single.is_some() { 0 } else { 1 };
                let Some((behind, taken)) = single.or(stars[1]).filter(|(_, taken)| *taken < name.len())
                else {
                    return false;
                };
                if index == 1 {
                    stars[0] = None;
                }
                stars[index] = Some((behind, taken + 1));
                (at, from) = (behind, taken + 1);
                continue;
            }
        }
        at += 1;
        from += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name) in [
            ("a.dtb", "a.dtb"),
            ("*.dtb", "a.dtb"),
            ("a*b*c", "axxbyybzzc"),
            ("**", "a/b/c"),
            ("**/c.dtb", "a/b/c.dtb"),
            ("a/*/c", "a/b/c"),
            ("**b*", "a/b/xb"),
            ("?.dtb", "a.dtb"),
            ("rk*-**-x*.dtb", "rk1-a/b-x9.dtb"),
            ("", ""),
        ] {
            assert!(fits(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.dtb", "a/b.dtb"),
            ("a?", "a/"),
            ("a", "ab"),
            ("a*", "ba"),
            ("a/*/c", "a/b/b/c"),
            ("", "a"),
            ("*", ""),
        ] {
            assert_eq!(fits(pattern, name), (pattern, name) == ("*", ""), "{pattern} {name}");
        }
        // No time that grows with the power of the stars.
        assert!(!fits(&"*a".repeat(40), &("a".repeat(20_000) + "b")));
    }

    #[test]
    fn lines() {
        let lines = parse("# all\napply a* b c # both\n\n refuse x y\n").unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].overlays, ["b", "c"]);
        assert_eq!((lines[1].number, lines[1].word), (4, Word::Refuse));
        for bad in ["do a b", "apply", "apply a"] {
            assert_eq!(parse(bad).unwrap_err().code, "bad-config");
        }
    }
}
