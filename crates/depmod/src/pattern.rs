//! POSIX extended regular expressions (regcomp(3) with `REG_EXTENDED`), for the kernel versions of depmod.d.
//!
//! **Idea.** The expression becomes a tree, the tree a program of byte sets, splits and anchors; all places that the
//! program may be at move over the text together, so a match takes program times text, whatever the expression.
//!
//! **Limits.** Bytes are characters (the C locale). No back references and no GNU anchors such as `\<`: kmod's C library
//! has them, nobody's depmod.d does. Such an expression, a wrong one and one whose counted repetitions pass
//! [`MAX_PROGRAM`] match nothing.

/// Steps of the largest program.
const MAX_PROGRAM: usize = 1 << 16;

/// Parentheses inside each other.
const MAX_DEPTH: u32 = 100;

/// The largest count in braces (`RE_DUP_MAX`).
const MAX_COUNT: u32 = 32767;

/// An expression that was understood.
pub(crate) struct Pattern {
    program: Vec<Step>,
}

type Set = [u64; 4];

#[derive(Clone)]
enum Node {
    Set(Set),
    Start,
    End,
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat(Box<Node>, u32, Option<u32>),
}

enum Step {
    Set(Set),
    Start,
    End,
    /// Goes on behind this step and there.
    Split(usize),
    Jump(usize),
    Match,
}

impl Pattern {
    /// Understands an expression, or not.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut parser = Parser { rest: text, depth: 0 };
        let node = parser.either()?;
        let mut program = Vec::new();
        emit(&node, &mut program)?;
        program.push(Step::Match);
        Some(Self { program })
    }

    /// Whether a part of `text` matches.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        let mut places = Places { now: Vec::new(), seen: vec![usize::MAX; self.program.len()] };
        for at in 0..=text.len() {
            let before = std::mem::take(&mut places.now);
            // A match may begin anywhere.
            self.follow(0, at, text.len(), &mut places);
            for place in before {
                self.follow(place, at, text.len(), &mut places);
            }
            if places.now.iter().any(|&place| matches!(self.program.get(place), Some(Step::Match))) {
                return true;
            }
            let Some(&byte) = text.get(at) else { return false };
            places.now.retain_mut(|place| {
                let taken = matches!(self.program.get(*place), Some(Step::Set(set)) if has(set, byte));
                *place += 1;
                taken
            });
        }
        false
    }

    /// Adds the steps that wait for a byte, or for nothing more, from `place` on.
    fn follow(&self, place: usize, at: usize, end: usize, places: &mut Places) {
        let mut open = vec![place];
        while let Some(place) = open.pop() {
            let Some(seen) = places.seen.get_mut(place) else { continue };
            if std::mem::replace(seen, at) == at {
                continue;
            }
            match self.program.get(place) {
                Some(Step::Set(_) | Step::Match) => places.now.push(place),
                Some(Step::Start) if at == 0 => open.push(place + 1),
                Some(Step::End) if at == end => open.push(place + 1),
                Some(Step::Split(other)) => open.extend([*other, place + 1]),
                Some(Step::Jump(other)) => open.push(*other),
                _ => {}
            }
        }
    }
}

struct Places {
    now: Vec<usize>,
    /// Where in the text each step was last reached.
    seen: Vec<usize>,
}

fn emit(node: &Node, program: &mut Vec<Step>) -> Option<()> {
    if program.len() > MAX_PROGRAM {
        return None;
    }
    match node {
        Node::Set(set) => program.push(Step::Set(*set)),
        Node::Start => program.push(Step::Start),
        Node::End => program.push(Step::End),
        Node::Sequence(nodes) => nodes.iter().try_for_each(|node| emit(node, program))?,
        Node::Either(nodes) => emit_either(nodes, program)?,
        Node::Repeat(node, least, most) => emit_repeat(node, *least, *most, program)?,
    }
    Some(())
}

fn emit_either(nodes: &[Node], program: &mut Vec<Step>) -> Option<()> {
    let mut exits = Vec::new();
    for (index, node) in nodes.iter().enumerate() {
        let last = index + 1 == nodes.len();
        let split = program.len();
        if !last {
            program.push(Step::Split(0));
        }
        emit(node, program)?;
        if !last {
            exits.push(program.len());
            program.push(Step::Jump(0));
            program[split] = Step::Split(program.len());
        }
    }
    for exit in exits {
        program[exit] = Step::Jump(program.len());
    }
    Some(())
}

fn emit_repeat(node: &Node, least: u32, most: Option<u32>, program: &mut Vec<Step>) -> Option<()> {
    for _ in 0..least {
        emit(node, program)?;
    }
    let Some(most) = most else {
        let split = program.len();
        program.push(Step::Split(0));
        emit(node, program)?;
        program.push(Step::Jump(split));
        program[split] = Step::Split(program.len());
        return Some(());
    };
    let mut splits = Vec::new();
    for _ in least..most {
        splits.push(program.len());
        program.push(Step::Split(0));
        emit(node, program)?;
    }
    for split in splits {
        program[split] = Step::Split(program.len());
    }
    Some(())
}

struct Parser<'p> {
    rest: &'p [u8],
    depth: u32,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.next();
        }
        found
    }

    fn either(&mut self) -> Option<Node> {
        let mut nodes = vec![self.sequence()?];
        while self.take(b'|') {
            nodes.push(self.sequence()?);
        }
        Some(Node::Either(nodes))
    }

    fn sequence(&mut self) -> Option<Node> {
        let mut nodes = Vec::new();
        while let Some(byte) = self.peek() {
            if byte == b'|' || (byte == b')' && self.depth > 0) {
                break;
            }
            let atom = self.atom()?;
            // An anchor alone is not repeated: what follows it begins anew, and may be no count.
            let anchor = matches!(atom, Node::Start | Node::End);
            nodes.push(if anchor { atom } else { self.repeated(atom)? });
        }
        Some(Node::Sequence(nodes))
    }

    fn repeated(&mut self, mut node: Node) -> Option<Node> {
        while let Some(byte) = self.peek() {
            let (least, most) = match byte {
                b'*' => (0, None),
                b'+' => (1, None),
                b'?' => (0, Some(1)),
                b'{' => self.counts()?,
                _ => break,
            };
            if byte != b'{' {
                self.next();
            }
            node = Node::Repeat(Box::new(node), least, most);
        }
        Some(node)
    }

    /// `{n}`, `{n,}`, `{n,m}` or `{,m}`.
    fn counts(&mut self) -> Option<(u32, Option<u32>)> {
        self.next();
        let least = self.count();
        let most = if self.take(b',') { self.count() } else { Some(least?) };
        let bounded = most.is_none_or(|most| least.unwrap_or(0) <= most && most <= MAX_COUNT);
        (self.take(b'}') && bounded && (least.is_some() || most.is_some()))
            .then_some((least.unwrap_or(0), most))
            .filter(|(least, _)| *least <= MAX_COUNT)
    }

    fn count(&mut self) -> Option<u32> {
        let mut count = None;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit) {
            self.next();
            count = Some(count.unwrap_or(0_u32).saturating_mul(10).saturating_add(u32::from(digit - b'0')));
        }
        count
    }

    fn atom(&mut self) -> Option<Node> {
        Some(match self.next()? {
            b'*' | b'+' | b'?' | b'{' => return None,
            b'^' => Node::Start,
            b'$' => Node::End,
            b'.' => Node::Set(not(set_of(|byte| byte == 0))),
            b'[' => Node::Set(self.bracket()?),
            b'(' => self.group()?,
            b'\\' => Node::Set(escape(self.next()?)?),
            byte => Node::Set(set_of(|other| other == byte)),
        })
    }

    fn group(&mut self) -> Option<Node> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let node = self.either()?;
        self.depth -= 1;
        self.take(b')').then_some(node)
    }

    /// A bracket expression behind its `[`.
    fn bracket(&mut self) -> Option<Set> {
        let negated = self.take(b'^');
        let mut set = Set::default();
        let mut first = true;
        loop {
            let byte = self.next()?;
            match byte {
                b']' if !first => break,
                b'[' if self.peek() == Some(b':') => set = or(set, class(self.until(b':')?)?),
                // A class of equals begins no range, and no range ends with one or with a class of characters.
                b'[' if self.peek() == Some(b'=') => {
                    let only = self.element(byte)?;
                    set = or(set, set_of(|byte| byte == only));
                }
                // Elsewhere it stands for a range.
                b'-' if !first && self.peek() != Some(b']') => return None,
                byte => {
                    let low = self.element(byte)?;
                    let high = if self.peek() == Some(b'-') && self.rest.get(1).is_some_and(|&b| b != b']') {
                        self.next();
                        let byte = self.next()?;
                        if byte == b'[' && matches!(self.peek(), Some(b':' | b'=')) {
                            return None;
                        }
                        self.element(byte)?
                    } else {
                        low
                    };
                    if low > high {
                        return None;
                    }
                    set = or(set, set_of(|byte| (low..=high).contains(&byte)));
                }
            }
            first = false;
        }
        Some(if negated { not(set) } else { set })
    }

    /// One character of a bracket expression: itself, or `[.x.]` or `[=x=]`.
    fn element(&mut self, byte: u8) -> Option<u8> {
        let mark = self.peek().filter(|mark| byte == b'[' && matches!(mark, b'.' | b'='));
        match mark.map(|mark| self.until(mark)) {
            None => Some(byte),
            Some(Some([only])) => Some(*only),
            Some(_) => None,
        }
    }

    /// What stands between `mark` and `mark]`.
    fn until(&mut self, mark: u8) -> Option<&[u8]> {
        self.next();
        let end = self.rest.windows(2).position(|pair| pair == [mark, b']'])?;
        let (name, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest.get(2..)?;
        Some(name)
    }
}

fn escape(byte: u8) -> Option<Set> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    Some(match byte {
        b'w' => set_of(word),
        b'W' => not(set_of(word)),
        b's' => class(b"space")?,
        b'S' => not(class(b"space")?),
        b'0'..=b'9' | b'b' | b'B' | b'<' | b'>' | b'`' | b'\'' => return None,
        byte => set_of(|other| other == byte),
    })
}

fn class(name: &[u8]) -> Option<Set> {
    Some(match name {
        b"alpha" => set_of(|byte| byte.is_ascii_alphabetic()),
        b"digit" => set_of(|byte| byte.is_ascii_digit()),
        b"alnum" => set_of(|byte| byte.is_ascii_alphanumeric()),
        b"upper" => set_of(|byte| byte.is_ascii_uppercase()),
        b"lower" => set_of(|byte| byte.is_ascii_lowercase()),
        b"space" => set_of(|byte| matches!(byte, b' ' | b'\t'..=b'\r')),
        b"blank" => set_of(|byte| matches!(byte, b' ' | b'\t')),
        b"punct" => set_of(|byte| byte.is_ascii_punctuation()),
        b"print" => set_of(|byte| matches!(byte, b' '..=b'~')),
        b"graph" => set_of(|byte| byte.is_ascii_graphic()),
        b"cntrl" => set_of(|byte| byte.is_ascii_control()),
        b"xdigit" => set_of(|byte| byte.is_ascii_hexdigit()),
        _ => return None,
    })
}

fn set_of(is: impl Fn(u8) -> bool) -> Set {
    let mut set = Set::default();
    for byte in (0..=u8::MAX).filter(|&byte| is(byte)) {
        set[usize::from(byte >> 6)] |= 1 << (byte & 63);
    }
    set
}

fn has(set: &Set, byte: u8) -> bool {
    set[usize::from(byte >> 6)] & (1 << (byte & 63)) != 0
}

fn not(set: Set) -> Set {
    set.map(|word| !word)
}

fn or(a: Set, b: Set) -> Set {
    std::array::from_fn(|index| a[index] | b[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_in(pattern: &str, text: &str) -> Option<bool> {
        Pattern::parse(pattern.as_bytes()).map(|pattern| pattern.is_in(text.as_bytes()))
    }

    #[test]
    fn expressions_match_as_posix_says() {
        let version = "6.1.0-50-amd64";
        for pattern in [
            "",
            "6.1",
            "^6\\.",
            "amd64$",
            "^6.1.0-[0-9]{2}-amd64$",
            "x|amd",
            "(5|6)\\.1",
            "[[:digit:]]+-a",
            "6.*64",
            "^(6|7)(\\.[0-9]+)*-",
            "[]6]",
            "a?b?c?",
            "()",
            "[^a-z]$",
            "[a-c-]md",
            "[-a]md",
            "[[:alpha:]-]",
            "(^)*6",
            "0{1}",
            "0{0,}5",
            "-5?0",
            "[[.-.]]50",
            "\\w+\\.\\w",
        ] {
            assert_eq!(is_in(pattern, version), Some(true), "{pattern}");
        }
        for pattern in ["^1", "6$", "^6.1$", "[[:upper:]]", "(5|7)\\.1", "0{3}", "x+", "[^0-9.amd-]"] {
            assert_eq!(is_in(pattern, version), Some(false), "{pattern}");
        }
        assert_eq!(is_in(")", "a)"), Some(true));
    }

    #[test]
    fn what_regcomp_refuses_matches_nothing() {
        for pattern in [
            "*a",
            "a|*",
            "(",
            "[",
            "[z-a]",
            "a{2,1}",
            "a{x",
            "[[:nope:]]",
            "\\",
            "(a)\\1",
            "a{40000}",
            "^*",
            "a^+",
            "$?",
            "^{1}",
            "[a-c-e]",
            "[[:alpha:]-z]",
            "[[=a=]-c]",
            "[a-[=c=]]",
            "[a-[:alpha:]]",
        ] {
            assert_eq!(is_in(pattern, "a"), None, "{pattern}");
        }
        assert_eq!(is_in("(((a{900}){900}){900})", "a"), None);
        assert_eq!(is_in(&"(".repeat(100_000), "a"), None);
    }

    #[test]
    fn no_expression_takes_long() {
        let text = "a".repeat(4000);
        assert_eq!(is_in("(a*)*b", &text), Some(false));
        assert_eq!(is_in("(a|aa)+$", &text), Some(true));
    }
}
