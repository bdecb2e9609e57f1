//! The words of a linker script.
//!
//! Which bytes make a word depends on the place: `*` is a file name before a parenthesis and a product in an
//! expression. Expressions are skipped as a whole, so that only names and patterns are left.

use super::{ScriptError, ScriptErrorKind};

/// A script, read from the front.
pub struct Words<'a> {
    text: &'a [u8],
    position: usize,
}

/// Bytes that end a name or a pattern.
fn ends_word(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'(' | b')' | b'{' | b'}' | b';' | b',' | b'"')
}

impl<'a> Words<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0 }
    }

    fn error(kind: ScriptErrorKind, offset: usize) -> ScriptError {
        ScriptError { kind, offset }
    }

    /// The error about the byte that comes next.
    pub fn unopened(&self) -> ScriptError {
        Self::error(ScriptErrorKind::Unopened, self.position)
    }

    fn rest(&self) -> &'a [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    /// The next byte that is neither space nor comment; it is not taken.
    pub fn peek(&mut self) -> Result<Option<u8>, ScriptError> {
        loop {
            match *self.rest() {
                [byte, ..] if byte.is_ascii_whitespace() => self.position += 1,
                // A line that the preprocessor has left: `# 12 "file"`.
                [b'#', ..] if self.begins_line() => self.skip_line(),
                [b'/', b'*', ..] => self.skip_comment()?,
                [byte, ..] => return Ok(Some(byte)),
                [] => return Ok(None),
            }
        }
    }

    fn begins_line(&self) -> bool {
        self.position == 0 || self.text.get(self.position - 1) == Some(&b'\n')
    }

    fn skip_line(&mut self) {
        let rest = self.rest();
        self.position += rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    }

    fn skip_comment(&mut self) -> Result<(), ScriptError> {
        let body = self.text.get(self.position + 2..).unwrap_or_default();
        let end = body.windows(2).position(|pair| pair == b"*/");
        let end = end.ok_or_else(|| Self::error(ScriptErrorKind::Unclosed, self.position))?;
        self.position += 2 + end + 2;
        Ok(())
    }

    /// Takes `byte`, which must come next; `open` is where what it belongs to begins.
    pub fn expect(&mut self, byte: u8, open: usize) -> Result<(), ScriptError> {
        match self.peek()? {
            Some(found) if found == byte => {
                self.position += 1;
                Ok(())
            }
            None => Err(Self::error(ScriptErrorKind::Unclosed, open)),
            Some(b')' | b'}') => Err(self.unopened()),
            Some(_) => Err(Self::error(ScriptErrorKind::Statement, self.position)),
        }
    }

    /// The first word of the next statement, without quotes, and its offset; `None` before a closing parenthesis or
    /// brace and at the end.
    pub fn statement(&mut self) -> Result<Option<(&'a [u8], usize)>, ScriptError> {
        while let Some(b';' | b',') = self.peek()? {
            self.position += 1;
        }
        self.word(|byte| ends_word(byte) || byte == b'=')
    }

    /// The next pattern in the parentheses of an input section statement, and its offset; `None` before the closing
    /// one.
    pub fn pattern(&mut self) -> Result<Option<(&'a [u8], usize)>, ScriptError> {
        while self.peek()? == Some(b',') {
            self.position += 1;
        }
        self.word(ends_word)
    }

    fn word(&mut self, ends: impl Fn(u8) -> bool) -> Result<Option<(&'a [u8], usize)>, ScriptError> {
        let at = self.position;
        match self.rest() {
            [] | [b')' | b'}', ..] => Ok(None),
            [b'"', quoted @ ..] => {
                let len = quoted.iter().position(|byte| *byte == b'"');
                let len = len.ok_or_else(|| Self::error(ScriptErrorKind::Unclosed, at))?;
                self.position += len + 2;
                Ok(Some((quoted.get(..len).unwrap_or_default(), at)))
            }
            rest => {
                let len = rest.iter().position(|byte| ends(*byte)).unwrap_or(rest.len());
                if len == 0 {
                    return Err(Self::error(ScriptErrorKind::Statement, at));
                }
                let word = rest.get(..len).unwrap_or_default();
                // `name+=1`: what stands before the equals sign may belong to the operator.
                let is_assigned = rest.get(len) == Some(&b'=');
                let operator = word.iter().rev().take_while(|byte| b"+-*/&|^<>".contains(byte)).count();
                let len = if is_assigned && operator < len { len - operator } else { len };
                self.position += len;
                Ok(Some((word.get(..len).unwrap_or_default(), at)))
            }
        }
    }

    /// Takes the operator of an assignment, `=`, `+=`, `<<=` and the like, if one comes next.
    pub fn operator(&mut self) -> Result<bool, ScriptError> {
        self.peek()?;
        let len = match self.rest() {
            [b'=', b'=', ..] => 0,
            [b'=', ..] => 1,
            [b'+' | b'-' | b'*' | b'/' | b'&' | b'|' | b'^', b'=', ..] => 2,
            [b'<', b'<', b'=', ..] | [b'>', b'>', b'=', ..] => 3,
            _ => 0,
        };
        self.position += len;
        Ok(len > 0)
    }

    /// Goes behind the next `end` that lies outside of parentheses and strings; `open` is where what it ends begins.
    pub fn skip_to(&mut self, end: u8, open: usize) -> Result<(), ScriptError> {
        let mut depth = 0_usize;
        loop {
            match self.peek()? {
                None => return Err(Self::error(ScriptErrorKind::Unclosed, open)),
                Some(byte) if byte == end && depth == 0 => {
                    self.position += 1;
                    return Ok(());
                }
                Some(b'(') => depth += 1,
                Some(b')') if depth == 0 => return Err(self.unopened()),
                Some(b')') => depth -= 1,
                // A statement that lacks its semicolon, a section that lacks its brace.
                Some(b'}') if end != b'}' => return Err(Self::error(ScriptErrorKind::Unclosed, open)),
                Some(b'"') => {
                    let _ = self.word(|_| true)?;
                    continue;
                }
                Some(_) => {}
            }
            self.position += 1;
        }
    }

    /// As [`Self::skip_to`]; gives what was skipped, without `end`.
    pub fn take_to(&mut self, end: u8, open: usize) -> Result<&'a [u8], ScriptError> {
        let before = self.rest();
        self.skip_to(end, open)?;
        let len = before.len().saturating_sub(self.rest().len() + 1);
        Ok(before.get(..len).unwrap_or_default())
    }

    /// Takes what may follow the closing brace of an output section: `>region AT>region :phdr =fill ,`.
    pub fn skip_output_tail(&mut self) -> Result<(), ScriptError> {
        loop {
            self.peek()?;
            match self.rest() {
                [b'>' | b':' | b'=', ..] => {
                    self.position += 1;
                    if self.peek()? == Some(b'(') {
                        self.position += 1;
                        self.skip_to(b')', self.position)?;
                    } else {
                        let _ = self.word(ends_word)?;
                    }
                }
                [b'A', b'T', rest @ ..] if rest.trim_ascii_start().starts_with(b">") => self.position += 2,
                [b',', ..] => self.position += 1,
                _ => return Ok(()),
            }
        }
    }
}
