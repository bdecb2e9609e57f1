//! What depmod says while it works: kmod's lines on standard error, or warnings of the JSON result.

use std::io::{self, IsTerminal as _, Write as _};

use kbt_depmod::{Level, Messages};

use crate::report::{Failure, Report, visible};

/// Where messages go.
pub struct Log<'r> {
    pub report: &'r mut Report,
    /// The least important level that is told.
    least: Level,
    /// Of a name that is no UTF-8 a terminal shows what it is not, and a file gets the bytes, as from kmod. What would steer
    /// a terminal, now or when a log is read, or end the line, is an escape in both.
    terminal: bool,
    /// What is to be told next.
    pub messages: Messages,
}

impl<'r> Log<'r> {
    /// With `-v` that many times.
    pub fn new(report: &'r mut Report, verbose: u8) -> Self {
        let least = if verbose >= 2 { Level::Info } else { Level::Warning };
        Self { report, least, terminal: io::stderr().is_terminal(), messages: Messages::default() }
    }

    /// Tells one message.
    pub fn tell(&mut self, level: Level, text: impl AsRef<[u8]>) {
        self.messages.tell(level, &[text.as_ref()]);
    }

    /// Prints what was told.
    pub fn flush(&mut self) {
        let mut lines = Vec::new();
        for (level, text) in self.messages.iter().filter(|(level, _)| *level <= self.least) {
            if self.report.is_json() {
                self.report.warn(Failure::new(code(level), String::from_utf8_lossy(text)));
            } else if !self.report.is_quiet() || level < Level::Warning {
                lines.extend_from_slice(format!("depmod: {}: ", level.name()).as_bytes());
                // Some of kmod's messages end with the line that they are about.
                let (text, end) = match text {
                    [text @ .., b'\n'] => (text, &b"\n\n"[..]),
                    text => (text, &b"\n"[..]),
                };
                for chunk in text.utf8_chunks() {
                    lines.extend_from_slice(visible(chunk.valid()).as_bytes());
                    match chunk.invalid() {
                        [_, ..] if self.terminal => lines.extend_from_slice("\u{fffd}".as_bytes()),
                        bytes => lines.extend_from_slice(bytes),
                    }
                }
                lines.extend_from_slice(end);
            }
        }
        self.messages.clear();
        // Whether anybody listens is no matter for the result.
        let _ = io::stderr().write_all(&lines);
    }
}

fn code(level: Level) -> &'static str {
    match level {
        Level::Fatal => "fatal",
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    }
}
