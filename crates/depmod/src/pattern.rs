//! POSIX extended regular expressions (regcomp(3) with `REG_EXTENDED`), for the kernel versions of depmod.d.
//!
//! **Idea.** The expression becomes a program of byte sets, splits and anchors, written while it is read; jumps count from
//! where they stand, so that a repetition is a copy of what it repeats. All places that the program may be at move over the
//! text together, so a match takes program times text, whatever the expression.
//!
//! **Limits.** Bytes are characters (the C locale). No back references and no GNU anchors such as `\<`: kmod's C library
//! has them, nobody's depmod.d does. Such an expression and a wrong one match nothing; so does one that is too large: whose
//! program passes [`MAX_PROGRAM`], whose parentheses pass [`MAX_DEPTH`], or that would take more than is left of the
//! [`Budget`] of all expressions together. Nothing but parentheses recurses.

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

/// Why there is no [`Pattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// regcomp(3) refuses it, too, or it asks for what is not there.
    Wrong,
    /// It passes a limit.
    TooLarge,
}

/// Steps that may still be written for expressions: a copy of a step is one, too.
pub(crate) struct Budget(usize);

impl Budget {
    const START: usize = 1 << 18;
    const BY_BYTE: usize = 4;

    /// For no expression yet.
    pub(crate) fn new() -> Self {
        Self(Self::START)
    }

    /// Each expression brings what an ordinary one of its length takes, whatever those before it took.
    fn add(&mut self, text: &[u8]) {
        self.0 = self.0.saturating_add(text.len().saturating_mul(Self::BY_BYTE));
    }
}

type Set = [u64; 4];

#[derive(Clone, Copy)]
enum Step {
    Set(Set),
    Start,
    End,
    /// Goes on behind this step, and so many steps further on.
    Split(usize),
    /// Goes on behind this step, and so many steps before it.
    Loop(usize),
    /// Goes on so many steps further on.
    Jump(usize),
    Match,
}

impl Pattern {
    /// Understands an expression, or not.
    pub(crate) fn parse(text: &[u8], budget: &mut Budget) -> Result<Self, Refusal> {
        budget.add(text);
        let mut parser = Parser { rest: text, depth: 0, program: Vec::new(), budget, is_too_large: false };
        match parser.either().and_then(|()| parser.write(Step::Match)) {
            Some(()) => Ok(Self { program: parser.program }),
            None if parser.is_too_large => Err(Refusal::TooLarge),
            None => Err(Refusal::Wrong),
        }
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
                Some(Step::Split(steps)) => open.extend([place + steps, place + 1]),
                Some(Step::Loop(steps)) => open.extend([place.saturating_sub(*steps), place + 1]),
                Some(Step::Jump(steps)) => open.push(place + steps),
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

struct Parser<'p> {
    rest: &'p [u8],
    depth: u32,
    program: Vec<Step>,
    budget: &'p mut Budget,
    is_too_large: bool,
}

impl Parser<'_> {
    /// Takes so many steps from the budget; none where a limit is passed.
    fn pay(&mut self, steps: usize) -> Option<()> {
        let left = self.budget.0.checked_sub(steps);
        self.is_too_large |= left.is_none() || self.program.len().saturating_add(steps) > MAX_PROGRAM;
        if self.is_too_large {
            return None;
        }
        self.budget.0 = left?;
        Some(())
    }

    fn write(&mut self, step: Step) -> Option<()> {
        self.pay(1)?;
        self.program.push(step);
        Some(())
    }

    fn write_all(&mut self, steps: &[Step]) -> Option<()> {
        self.pay(steps.len())?;
        self.program.extend_from_slice(steps);
        Some(())
    }

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

    fn either(&mut self) -> Option<()> {
        let mut exits = Vec::new();
        loop {
            let start = self.program.len();
            self.sequence()?;
            if !self.take(b'|') {
                break;
            }
            let branch = self.program.split_off(start);
            self.write(Step::Split(branch.len() + 2))?;
            self.write_all(&branch)?;
            exits.push(self.program.len());
            self.write(Step::Jump(1))?;
        }
        let end = self.program.len();
        for exit in exits {
            self.program[exit] = Step::Jump(end - exit);
        }
        Some(())
    }

    fn sequence(&mut self) -> Option<()> {
        while let Some(byte) = self.peek() {
            if byte == b'|' || (byte == b')' && self.depth > 0) {
                break;
            }
            let start = self.program.len();
            self.atom()?;
            // An anchor alone is not repeated: what follows it begins anew, and may be no count.
            if !matches!(byte, b'^' | b'$') {
                self.repetitions(start)?;
            }
        }
        Some(())
    }

    /// All that repeats the steps from `start` on.
    fn repetitions(&mut self, start: usize) -> Option<()> {
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
            let steps = self.program.split_off(start);
            // Nothing, however often, is nothing.
            if !steps.is_empty() {
                self.repeat(&steps, least, most)?;
            }
        }
        Some(())
    }

    fn repeat(&mut self, steps: &[Step], least: u32, most: Option<u32>) -> Option<()> {
        for _ in 0..least {
            self.write_all(steps)?;
        }
        match most {
            Some(most) => {
                for _ in least..most {
                    self.write(Step::Split(steps.len() + 1))?;
                    self.write_all(steps)?;
                }
            }
            None => {
                if least == 0 {
                    self.write(Step::Split(steps.len() + 2))?;
                    self.write_all(steps)?;
                }
                self.write(Step::Loop(steps.len()))?;
            }
        }
        Some(())
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

    fn atom(&mut self) -> Option<()> {
        let step = match self.next()? {
            b'*' | b'+' | b'?' | b'{' => return None,
            b'^' => Step::Start,
            b'$' => Step::End,
            b'.' => Step::Set(not(set_of(|byte| byte == 0))),
            b'[' => Step::Set(self.bracket()?),
            b'(' => return self.group(),
            b'\\' => Step::Set(escape(self.next()?)?),
            byte => Step::Set(set_of(|other| other == byte)),
        };
        self.write(step)
    }

    fn group(&mut self) -> Option<()> {
        self.depth += 1;
        self.is_too_large |= self.depth > MAX_DEPTH;
        if self.is_too_large {
            return None;
        }
        self.either()?;
        self.depth -= 1;
        self.take(b')').then_some(())
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
        Pattern::parse(pattern.as_bytes(), &mut Budget::new())
            .ok()
            .map(|pattern| pattern.is_in(text.as_bytes()))
    }

    fn refusal(pattern: &str) -> Option<Refusal> {
        Pattern::parse(pattern.as_bytes(), &mut Budget::new()).err()
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
            "(6|7|8)(x|\\.|y)1",
            "(x|y|)6.1",
            "^(6|\\.|1){3}\\.0",
            "^([0-9]+[.-]){2,}0",
            "^([0-9.]{1,2}){3}-",
            "^(6.){0,3}1\\.",
            "^6**+?{1}{1,}\\.1",
            "(){2}(()|()){3}*6(x?)*",
            "-5{1,2}0{1}{1}{1}-",
        ] {
            assert_eq!(is_in(pattern, version), Some(true), "{pattern}");
        }
        for pattern in [
            "^1",
            "6$",
            "^6.1$",
            "[[:upper:]]",
            "(5|7)\\.1",
            "0{3}",
            "x+",
            "[^0-9.amd-]",
            "^(6|\\.|1){5}",
            "^([0-9]+[.-]){5}",
            "^(5|7|)\\.1",
            "^6{2}|x{3}?y",
            "^6.1.0-(5?){1}-",
            "6{0}^\\.",
        ] {
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
            assert_eq!(refusal(pattern), Some(Refusal::Wrong), "{pattern}");
        }
    }

    #[test]
    fn what_is_too_large_matches_nothing() {
        for pattern in [
            "(((a{900}){900}){900})".into(),
            "(".repeat(100_000),
            "a{256}{257}".into(),
            // The program would fit, not the copies of it.
            format!("a{}", "*".repeat(300_000)),
            format!("{}a{{30000}}{}", "(".repeat(99), ")?".repeat(99)),
        ] {
            assert_eq!(refusal(&pattern), Some(Refusal::TooLarge), "{pattern:.40}");
        }
        assert_eq!(is_in("a{32767}", "a"), Some(false));
    }

    /// Each of these took minutes, or more stack than there is.
    #[test]
    fn repetitions_of_nothing_and_of_once_cost_nothing() {
        for pattern in
            ["(){32767}{32767}{32767}", "((){32767}){32767}", "(()|()*){0,20000}", "a{0}{32767}{32767}{9}"]
        {
            assert_eq!(refusal(pattern), None, "{pattern}");
        }
        assert_eq!(is_in(&format!("(a{}){{30000}}", "()".repeat(100_000)), "a"), Some(false));
        assert_eq!(is_in(&format!("^a{}$", "{1}".repeat(1_000_000)), "a"), Some(true));
    }

    #[test]
    fn the_budget_is_one_for_all_expressions() {
        let mut budget = Budget::new();
        let parsed = (0..100).take_while(|_| Pattern::parse(b"a{30000}", &mut budget).is_ok()).count();
        assert_eq!(parsed, Budget::START / 30_000);
        assert_eq!(Pattern::parse(b"^a*$", &mut budget).err(), None);
    }

    #[test]
    fn no_expression_takes_long() {
        let text = "a".repeat(4000);
        assert_eq!(is_in("(a*)*b", &text), Some(false));
        assert_eq!(is_in("(a|aa)+$", &text), Some(true));
    }
}
