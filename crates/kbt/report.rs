//! One voice: how every command tells of errors, warnings and results, as text and as JSON.

use std::borrow::Cow;
use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit;
use crate::output::stdout_is_open;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();

/// Why a command stopped, or what it wants to warn of: one sentence, its place, and the likely mend.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Failure {
    /// The kind in kebab-case, stable for machines: `unresolved-label`.
    pub code: &'static str,
    /// One sentence without the file's name and without a full stop.
    pub message: String,
    /// The file it is about, as the user named it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Byte offset in that file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What most likely mends it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Further fields for machines (`label`, `fragment`, ...), not shown as text.
    #[serde(flatten)]
    pub details: Map<String, Value>,
    /// The code that the process exits with; 0 stands for [`exit::FAILURE`].
    #[serde(skip)]
    pub exit: u8,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), ..Self::default() }
    }

    /// A command line that clap could not judge.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: exit::USAGE, ..Self::new("usage", message) }
    }

    /// A system call that failed on `file`.
    pub fn io(action: &str, file: impl fmt::Display, error: &std::io::Error) -> Self {
        // `Display` of an OS error ends in "(os error N)", which says nothing to a user.
        let text = error.to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        Self::new("io", format!("cannot {action}: {text}")).at_file(file)
    }

    /// Names the file.
    pub fn at_file(mut self, file: impl fmt::Display) -> Self {
        self.file = Some(file.to_string());
        self
    }

    /// Names the file where none is named yet.
    pub fn at_file_unless_named(self, file: impl fmt::Display) -> Self {
        if self.file.is_some() { self } else { self.at_file(file) }
    }

    /// Names the byte offset in the file.
    pub fn at_offset(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Adds the likely mend.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a field for machines.
    pub fn detail(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}: ")?;
        }
        f.write_str(&self.message)?;
        match self.offset {
            Some(offset) => write!(f, " (at byte {offset})"),
            None => Ok(()),
        }
    }
}

/// Collects what a run has to say and prints it in the form that was asked for.
pub struct Report {
    program: &'static str,
    quiet: bool,
    json: bool,
    warnings: Vec<Failure>,
    fields: Map<String, Value>,
    /// What a run that did not fail exits with.
    exit: u8,
}

impl Report {
    /// `program` is the name in front of every line; `quiet` drops warnings; `json` prints one object on
    /// standard output at the end instead of text.
    pub fn new(program: &'static str, quiet: bool, json: bool) -> Self {
        Self { program, quiet, json, warnings: Vec::new(), fields: Map::new(), exit: exit::OK }
    }

    /// Whether results are to be given as JSON.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Whether warnings are dropped.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Tells a warning, at once as text or at the end as JSON.
    pub fn warn(&mut self, warning: Failure) {
        if !self.quiet && !self.json {
            self.line(WARNING, "warning", &warning);
        }
        self.warnings.push(warning);
    }

    /// The same, unless it was told before.
    pub fn warn_once(&mut self, warning: Failure) {
        let is_old = |old: &Failure| (old.code, &old.message) == (warning.code, &warning.message);
        if !self.warnings.iter().any(is_old) {
            self.warn(warning);
        }
    }

    /// Adds a field to the JSON result.
    pub fn field(&mut self, key: &str, value: impl Into<Value>) {
        self.fields.insert(key.to_owned(), value.into());
    }

    /// Makes a run that does not fail exit with this code: that of the command which it ran.
    pub fn exit_as(&mut self, code: u8) {
        self.exit = code;
    }

    /// Prints how the run ended and gives the exit code.
    pub fn finish(mut self, result: Result<(), Failure>) -> ExitCode {
        let code = match &result {
            Ok(()) => self.exit,
            Err(failure) if failure.exit != 0 => failure.exit,
            Err(_) => exit::FAILURE,
        };
        if self.json {
            let mut object = Map::new();
            object.insert("ok".into(), result.is_ok().into());
            if let Err(failure) = &result {
                object.insert("error".into(), json(failure));
            }
            object.insert("warnings".into(), self.warnings.iter().map(json).collect());
            object.append(&mut self.fields);
            let told =
                stdout_is_open().and_then(|()| writeln!(anstream::stdout(), "{}", Value::Object(object)));
            if let Err(error) = told {
                return self.unheard(&error, code);
            }
        } else if let Err(failure) = &result {
            self.line(ERROR, "error", failure);
        }
        ExitCode::from(code)
    }

    /// The exit code where the result could not be printed: a reader that went away is no reason to change it.
    fn unheard(&self, error: &std::io::Error, code: u8) -> ExitCode {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return ExitCode::from(code);
        }
        self.line(ERROR, "error", &Failure::io("write", "standard output", error));
        ExitCode::from(exit::FAILURE)
    }

    /// In one write, so that those of several runs do not run into each other.
    fn line(&self, style: Style, level: &str, failure: &Failure) {
        let message = failure.to_string();
        let mut text = format!("{}: {style}{level}:{style:#} {}\n", self.program, visible(&message));
        if let Some(hint) = &failure.hint {
            text += &format!("  {HINT}hint:{HINT:#} {}\n", visible(hint));
        }
        let mut stderr = std::io::stderr();
        if anstream::AutoStream::choice(&stderr) == anstream::ColorChoice::Never {
            text = anstream::adapter::strip_str(&text).to_string();
        }
        // Whether anybody listens is no matter for the result.
        let _ = stderr.write_all(text.as_bytes());
    }
}

/// Names and labels come from files that nobody vouches for: what would steer a terminal, or turn round what stands
/// behind it, is shown as an escape.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return text.into();
    }
    let shown = |c: char| if steers(c) { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect::<String>().into()
}

/// The characters of Unicode's classes Cc, Zl and Zp, and those that have the property Bidi_Control.
pub fn steers(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

fn json(failure: &Failure) -> Value {
    serde_json::to_value(failure).unwrap_or(Value::Null)
}
