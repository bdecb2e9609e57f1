//! What a step has to say beside its result: kept, for who called to print.

/// How much a message matters, by kmod's names and order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is written.
    Fatal,
    /// Something was left out.
    Error,
    /// Something may be wrong.
    Warning,
    /// For who asks twice.
    Info,
}

impl Level {
    /// The word in front of a message.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Error => "ERROR",
            Self::Warning => "WARNING",
            Self::Info => "INFO",
        }
    }
}

/// Messages in the order in which they came up. Names are bytes, so are they.
#[derive(Debug, Default)]
pub struct Messages {
    text: Vec<u8>,
    ends: Vec<(Level, usize)>,
}

impl Messages {
    /// Tells a message that is made of these parts.
    pub fn tell(&mut self, level: Level, parts: &[&[u8]]) {
        parts.iter().for_each(|part| self.text.extend_from_slice(part));
        self.ends.push((level, self.text.len()));
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (Level, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(level, end)| {
            let text = self.text.get(start..end).unwrap_or_default();
            start = end;
            (level, text)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    pub(crate) fn error(&mut self, parts: &[&[u8]]) {
        self.tell(Level::Error, parts);
    }

    pub(crate) fn warn(&mut self, parts: &[&[u8]]) {
        self.tell(Level::Warning, parts);
    }
}
