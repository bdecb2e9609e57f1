//! What a linker script says of names and sections: the symbols that it assigns, and the input sections that it
//! throws away.
//!
//! A reader of the script that the kernel's build leaves behind the preprocessor (`arch/*/kernel/vmlinux.lds`); the
//! language is that of the GNU ld manual, chapter 3. Expressions are skipped, not evaluated: neither question needs
//! their values.
//!
//! What cannot be decided counts as kept, so that the symbols of a kernel are never underrated: a pattern with a file
//! name other than `*`, with excluded files or section flags, may or may not match.

mod glob;
mod rules;
mod words;

use core::fmt;
use std::collections::HashMap;

use rules::Rules;
use words::Words;

/// What is wrong with a script, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScriptError {
    /// What is wrong.
    pub kind: ScriptErrorKind,
    /// Byte offset in the script.
    pub offset: usize,
}

/// The kinds of [`ScriptError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScriptErrorKind {
    /// What opens here never ends: a comment, a string, a parenthesis or a brace.
    Unclosed,
    /// A closing parenthesis or brace without one that opens.
    Unopened,
    /// A statement that is none of the language.
    Statement,
}

impl fmt::Display for ScriptErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unclosed => "what opens here never ends",
            Self::Unopened => "this closes what was never opened",
            Self::Statement => "this is no statement of a linker script",
        })
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at byte {})", self.kind, self.offset)
    }
}

impl core::error::Error for ScriptError {}

/// Where the script puts an input section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement<'a> {
    /// Into `/DISCARD/`: none of its symbols reaches the output.
    Discarded,
    /// Into the output section of this name, as the first statement that surely or possibly matches says.
    Output(&'a [u8]),
    /// No statement matches: the linker makes an output section of the same name.
    Orphan,
}

/// A script that was read.
#[derive(Debug, Clone, Default)]
pub struct LinkerScript<'a> {
    assigned: Vec<&'a [u8]>,
    /// Every assigned name, and whether all that is assigned to it is absolute.
    absolute: HashMap<&'a [u8], bool>,
    rules: Rules<'a>,
}

/// The name of the output section that is none.
const DISCARD: &[u8] = b"/DISCARD/";

/// Functions that assign to the name in them.
const PROVIDES: [&[u8]; 3] = [b"PROVIDE", b"PROVIDE_HIDDEN", b"HIDDEN"];

/// Functions around patterns of input sections, or around statements of them, that change neither which sections
/// match nor what happens to them.
const TRANSPARENT: [&[u8]; 7] = [
    b"KEEP",
    b"REVERSE",
    b"SORT",
    b"SORT_BY_ALIGNMENT",
    b"SORT_BY_INIT_PRIORITY",
    b"SORT_BY_NAME",
    b"SORT_NONE",
];

/// Functions whose arguments name neither symbols nor sections: a statement each, or what opens a block of words.
const SKIPPED: [&[u8]; 19] = [
    b"ASCIZ",
    b"ASSERT",
    b"BYTE",
    b"ENTRY",
    b"EXTERN",
    b"FILL",
    b"GROUP",
    b"INPUT",
    b"LINKER_VERSION",
    b"LONG",
    b"OUTPUT",
    b"OUTPUT_ARCH",
    b"OUTPUT_FORMAT",
    b"QUAD",
    b"SEARCH_DIR",
    b"SHORT",
    b"SQUAD",
    b"STARTUP",
    b"TARGET",
];

impl<'a> LinkerScript<'a> {
    /// Reads a script that the preprocessor is done with.
    ///
    /// # Errors
    ///
    /// What is not closed, and what is no statement. Words that it does not know are taken for names.
    pub fn parse(text: &'a [u8]) -> Result<Self, ScriptError> {
        let mut reader = Reader { words: Words::new(text), script: Self::default() };
        reader.file()?;
        Ok(reader.script)
    }

    /// The symbols that the script assigns, `PROVIDE`d ones included, in its order; a name may come more than once.
    pub fn assigned(&self) -> &[&'a [u8]] {
        &self.assigned
    }

    /// Whether every assignment to this name is to `ABSOLUTE(...)`, alone or with one number added, or outside of output
    /// sections to numbers: ld and ld.lld make an absolute symbol of it, which no table of symbols has.
    pub fn is_absolute(&self, name: &[u8]) -> bool {
        self.absolute.get(name).is_some_and(|is_absolute| *is_absolute)
    }

    /// Where the sections of this name go: the first statement that matches takes them, as in ld.
    pub fn placement(&self, section: &[u8]) -> Placement<'a> {
        match self.rules.output(section) {
            Some(DISCARD) => Placement::Discarded,
            Some(output) => Placement::Output(output),
            None => Placement::Orphan,
        }
    }

    /// Notes a pattern of an output section, which is `certain` if it is for every file and every kind of section.
    fn place(&mut self, pattern: &'a [u8], output: &'a [u8], certain: bool) {
        // What is thrown away perhaps only of another file, a later statement decides.
        if certain || output != DISCARD {
            self.rules.push(pattern, output);
        }
    }
}

/// The statements, level by level.
struct Reader<'a> {
    words: Words<'a>,
    script: LinkerScript<'a>,
}

impl<'a> Reader<'a> {
    /// The statements outside of `SECTIONS`.
    fn file(&mut self) -> Result<(), ScriptError> {
        while let Some((word, at)) = self.words.statement()? {
            match word {
                b"SECTIONS" => {
                    self.words.expect(b'{', at)?;
                    self.sections(at)?;
                }
                b"PHDRS" | b"MEMORY" | b"VERSION" => {
                    self.words.expect(b'{', at)?;
                    self.words.skip_to(b'}', at)?;
                }
                _ if self.assignment(word, at, Around::Nothing)? => {}
                _ => return Err(ScriptError { kind: ScriptErrorKind::Statement, offset: at }),
            }
        }
        match self.words.peek()? {
            None => Ok(()),
            Some(_) => Err(self.words.unopened()),
        }
    }

    /// The statements in `SECTIONS { }`, which opened at `open`, its brace included.
    fn sections(&mut self, open: usize) -> Result<(), ScriptError> {
        while let Some((word, at)) = self.words.statement()? {
            if self.assignment(word, at, Around::Nothing)? {
                continue;
            }
            // Address, type, AT(), ALIGN() and constraint lie between the name and the brace.
            self.words.skip_to(b'{', at)?;
            self.output_section(word, at)?;
            self.words.skip_output_tail()?;
        }
        self.words.expect(b'}', open)
    }

    /// The statements in the braces of an output section, the closing one included.
    fn output_section(&mut self, output: &'a [u8], open: usize) -> Result<(), ScriptError> {
        // Parentheses of KEEP() and SORT() that are open around a statement.
        let mut depth = 0_usize;
        let mut certain = true;
        loop {
            let Some((word, at)) = self.words.statement()? else {
                match self.words.peek()? {
                    Some(b')') if depth > 0 => {
                        depth -= 1;
                        self.words.expect(b')', open)?;
                        continue;
                    }
                    Some(b'}') if depth == 0 => return self.words.expect(b'}', open),
                    Some(b')') => return Err(self.words.unopened()),
                    _ => return Err(ScriptError { kind: ScriptErrorKind::Unclosed, offset: open }),
                }
            };
            if self.assignment(word, at, Around::OutputSection)? {
                continue;
            }
            if self.words.peek()? != Some(b'(') {
                self.lone_word(output, word)?;
                continue;
            }
            self.words.expect(b'(', at)?;
            if TRANSPARENT.contains(&word) {
                depth += 1;
            } else if word == b"EXCLUDE_FILE" || word == b"INPUT_SECTION_FLAGS" {
                self.words.skip_to(b')', at)?;
                certain = false;
            } else {
                self.patterns(output, certain && word == b"*", at)?;
                certain = true;
            }
        }
    }

    /// A word of an output section that no parenthesis follows: a file all of whose sections go there, or a
    /// statement without arguments.
    fn lone_word(&mut self, output: &'a [u8], word: &'a [u8]) -> Result<(), ScriptError> {
        match word {
            b"CONSTRUCTORS" | b"CREATE_OBJECT_SYMBOLS" | b"LINKER_VERSION" | b"SORT" => {}
            b"INCLUDE" => {
                let _ = self.words.statement()?;
            }
            _ => self.script.place(b"*", output, word == b"*"),
        }
        Ok(())
    }

    /// The patterns in the parentheses of an input section statement, which are open.
    fn patterns(&mut self, output: &'a [u8], certain: bool, open: usize) -> Result<(), ScriptError> {
        let mut depth = 1_usize;
        // Excluded files are for the pattern that follows them (or for all, before the parenthesis).
        let mut excluding = false;
        while depth > 0 {
            let Some((word, at)) = self.words.pattern()? else {
                self.words.expect(b')', open)?;
                depth -= 1;
                continue;
            };
            if self.words.peek()? == Some(b'(') {
                self.words.expect(b'(', at)?;
                if TRANSPARENT.contains(&word) {
                    depth += 1;
                } else {
                    self.words.skip_to(b')', at)?;
                    excluding = true;
                }
                continue;
            }
            self.script.place(word, output, certain && !excluding);
            excluding = false;
        }
        Ok(())
    }

    /// Reads the rest of an assignment, or of a function that is nothing but a statement; false where `word` begins
    /// something else.
    fn assignment(&mut self, word: &'a [u8], at: usize, around: Around) -> Result<bool, ScriptError> {
        if self.words.operator()? {
            // Without what is in front of it.
            self.words.peek()?;
            let expression = self.words.take_to(b';', at)?;
            let is_value = around == Around::Nothing && is_number(expression);
            self.assigns(word, is_value || is_absolute(expression));
            return Ok(true);
        }
        if PROVIDES.contains(&word) {
            self.words.expect(b'(', at)?;
            if let Some((name, _)) = self.words.statement()? {
                self.assigns(name, false);
            }
            self.words.skip_to(b')', at)?;
            return Ok(true);
        }
        let is_skipped = SKIPPED.contains(&word) && self.words.peek()? == Some(b'(');
        if is_skipped {
            self.words.expect(b'(', at)?;
            self.words.skip_to(b')', at)?;
        }
        Ok(is_skipped)
    }

    fn assigns(&mut self, name: &'a [u8], is_absolute: bool) {
        if name != b"." && !name.is_empty() {
            self.script.assigned.push(name);
            *self.script.absolute.entry(name).or_insert(true) &= is_absolute;
        }
    }
}

/// What an assignment stands in: within an output section ld lets numbers count from its start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Around {
    Nothing,
    OutputSection,
}

/// Whether an expression has numbers and operators only.
fn is_number(expression: &[u8]) -> bool {
    let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"_.$\\\"".contains(byte);
    let mut words = expression.split(|byte| !in_word(byte)).filter(|word| !word.is_empty()).peekable();
    words.peek().is_some() && words.all(|word| word.first().is_some_and(u8::is_ascii_digit))
}

/// Whether an expression is `ABSOLUTE(...)`, alone or with one number added. `ABSOLUTE(...) + name` is absolute for ld and in
/// the name's section for ld.lld; of others, such as those with `.`, only ld knows.
fn is_absolute(expression: &[u8]) -> bool {
    let Some(rest) = expression.strip_prefix(b"ABSOLUTE").map(<[u8]>::trim_ascii_start) else { return false };
    let mut depth = 0_usize;
    let closing = rest.iter().position(|&byte| {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    let Some(tail) = closing.filter(|&at| at > 0).and_then(|at| rest.get(at + 1..)) else { return false };
    let tail = tail.trim_ascii();
    let Some((b'+' | b'-', term)) = tail.split_first() else { return tail.is_empty() };
    let term = term.trim_ascii();
    term.first().is_some_and(u8::is_ascii_digit) && term.iter().all(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests;
