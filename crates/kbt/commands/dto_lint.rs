//! `kbt dto lint`.

use std::ffi::OsStr;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use kbt_dto::{Input, Options};
use kbt_dto_check::lint::MAX_OF_RULE;
use kbt_dto_check::{Deletion, Finding, RULES, Rule, Severity, What, deletions};
use serde_json::{Value, json};

use crate::args::dto::Lint;
use crate::depfile;
use crate::dto::failure::{self, Names, unread};
use crate::input;
use crate::inputs::Inputs;
use crate::output::{Output, Set, stdout_is_open};
use crate::report::{Failure, Report, visible};
use crate::sarif::{self, Region};
use crate::tree;

/// A finding as it is told.
struct Told {
    code: &'static str,
    severity: Severity,
    message: String,
    hint: Option<String>,
    /// The overlay that did it first.
    earlier: Option<String>,
    /// How many more of its kind are not listed.
    unlisted: usize,
    file: String,
    node: Option<String>,
    property: Option<String>,
    /// Byte offset in a tree.
    offset: Option<usize>,
    /// Line and column in a source, the column in bytes.
    line: Option<(u32, u32)>,
    /// The column in code units of UTF-16.
    column_utf16: Option<u32>,
    denied: bool,
}

/// Looks at the overlays and tells what is found.
pub fn run(args: &Lint, report: &mut Report) -> Result<(), Failure> {
    check_codes(args)?;
    let sarif = args.sarif.as_deref().map(Output::parse);
    if let Some(sarif) = &sarif {
        sarif.leave_json(report)?;
    }
    let mut found = look(args)?;
    found.retain(|it| !args.allow.iter().any(|code| code == it.code));
    for it in &mut found {
        it.denied = is_denied(args, it);
    }
    let mut inputs = Inputs::default();
    std::iter::once(&args.base).chain(&args.overlays).for_each(|word| inputs.tree(word));
    inputs.files(&args.source);
    let mut files = Set::made_of(&inputs);
    depfile::add_first(&args.depfile, &sarif, &mut files)?;
    if let Some(sarif) = &sarif {
        sarif.write_with(files, &sarif_log(args, &found), false)?;
    }
    let fails = |it: &&Told| it.denied || it.severity == Severity::Error;
    let failed: usize = found.iter().filter(fails).map(|it| 1 + it.unlisted).sum();
    if report.is_json() {
        report.field("findings", found.iter().map(Told::json).collect::<Vec<_>>());
    } else if !matches!(sarif, Some(Output::Stdout)) {
        print(&found, report.is_quiet()).or_else(|error| match error.kind() {
            std::io::ErrorKind::BrokenPipe => Ok(()),
            _ => Err(Failure::io("write", "standard output", &error)),
        })?;
    }
    match failed {
        0 => Ok(()),
        1 => Err(Failure::new("findings", "one finding is an error or denied")),
        _ => Err(Failure::new("findings", format!("{failed} findings are errors or denied"))),
    }
}

fn look(args: &Lint) -> Result<Vec<Told>, Failure> {
    let mut reader = tree::Reader::new(args.limit.max_size);
    let base = reader.read(&args.base)?;
    let overlays = args.overlays.iter().map(|word| reader.read(word)).collect::<Result<Vec<_>, _>>()?;
    let overlays: Vec<&[u8]> = overlays.iter().map(Vec::as_slice).collect();
    let options = Options { loose_names: args.names.loose_names, ..Options::default() };
    let names = Names { base: &args.base, overlays: &args.overlays };
    let found = kbt_dto_check::lint(&base, &overlays, &options)
        .map_err(|(input, error)| unread(&error).at_file(names.of(input)))?;
    let mut told: Vec<Told> = found.iter().map(|finding| tell(finding, &names)).collect();
    let (trees, mut room) = (told.len(), MAX_OF_RULE);
    for word in &args.source {
        let source = input::read(word)?;
        let found = deletions(&source);
        told.extend(found.iter().take(room).map(|deletion| tell_deletion(deletion, word)));
        let unlisted = found.len().saturating_sub(room);
        room -= found.len() - unlisted;
        if let Some(last) = told.get_mut(trees..).and_then(<[_]>::last_mut) {
            last.unlisted += unlisted;
        }
    }
    Ok(told)
}

fn tell(finding: &Finding, names: &Names<'_>) -> Told {
    let (code, message, hint) = match &finding.what {
        What::Rule(rule, message) => (rule.code(), message.clone(), Some(rule.mend().to_owned())),
        What::Refused(kind) => (failure::code(kind), kind.to_string(), failure::hint(kind, finding.input)),
        What::Odd(kind) => (failure::warning_code(kind), kind.to_string(), None),
    };
    let earlier = finding.earlier.map(|index| names.of(Input::Overlay(index)));
    Told {
        code,
        severity: finding.severity(),
        message: match &earlier {
            Some(earlier) => format!("{message}: {earlier}"),
            None => message,
        },
        earlier,
        unlisted: finding.unlisted,
        hint,
        file: names.of(finding.input),
        node: finding.node.clone(),
        property: finding.property.clone(),
        offset: finding.offset,
        line: None,
        column_utf16: None,
        denied: false,
    }
}

fn tell_deletion(deletion: &Deletion, word: &OsStr) -> Told {
    let rule = Rule::DeleteDoesNothing;
    Told {
        code: rule.code(),
        severity: rule.severity(),
        message: format!("'{}' deletes nothing: no earlier block of this source has it", deletion.text),
        hint: Some(rule.mend().to_owned()),
        earlier: None,
        unlisted: 0,
        file: deletion.file.as_deref().map_or_else(|| input::name(word), str::to_owned),
        node: None,
        property: None,
        offset: None,
        line: Some((deletion.line, deletion.column)),
        column_utf16: Some(deletion.column_utf16),
        denied: false,
    }
}

/// What stands for all findings of a severity or worse.
const GROUPS: [(&str, Severity); 2] = [("warnings", Severity::Warning), ("notes", Severity::Note)];

fn is_denied(args: &Lint, told: &Told) -> bool {
    args.deny.iter().any(|code| {
        let group = GROUPS.iter().find(|(name, _)| name == code);
        code == told.code || group.is_some_and(|(_, least)| told.severity >= *least)
    })
}

/// A code that does not exist would deny nothing for ever.
fn check_codes(args: &Lint) -> Result<(), Failure> {
    let known = |code: &str| rules().iter().any(|rule| rule.id == code);
    for code in &args.deny {
        if !known(code) && !GROUPS.iter().any(|(name, _)| name == code) {
            return Err(unknown(code));
        }
    }
    match args.allow.iter().find(|code| !known(code)) {
        Some(code) => Err(unknown(code)),
        None => Ok(()),
    }
}

fn unknown(code: &str) -> Failure {
    let codes: Vec<&str> = rules().iter().map(|rule| rule.id).collect();
    Failure::usage(format!("'{code}' is no code of a finding"))
        .hint(format!("there are {}", codes.join(", ")))
}

/// Every code that a finding may have.
fn rules() -> Vec<sarif::Rule> {
    let own = RULES.iter().map(|rule| sarif::Rule {
        id: rule.code(),
        summary: rule.summary(),
        mend: rule.mend(),
        level: rule.severity().name(),
    });
    let merge =
        |level| move |&(id, summary, mend): &failure::Described| sarif::Rule { id, summary, mend, level };
    own.chain(failure::ERRORS.iter().map(merge("error")))
        .chain(failure::WARNINGS.iter().map(merge("warning")))
        .collect()
}

impl Told {
    /// Node and property, as messages name them.
    fn context(&self) -> String {
        let node = self.node.iter().map(|node| format!("{node}: "));
        let property = self.property.iter().map(|property| format!("property '{property}': "));
        node.chain(property).collect()
    }

    /// What was found, and what it stands for.
    fn text(&self) -> String {
        let (context, message) = (self.context(), &self.message);
        match self.unlisted {
            0 => format!("{context}{message}"),
            unlisted => format!("{context}{message}; {unlisted} more {} are not listed", self.code),
        }
    }

    fn json(&self) -> Value {
        json!({
            "code": self.code,
            "severity": self.severity.name(),
            "denied": self.denied,
            "message": self.message,
            "hint": self.hint,
            "earlier": self.earlier,
            "unlisted": self.unlisted,
            "file": self.file,
            "node": self.node,
            "property": self.property,
            "offset": self.offset,
            "line": self.line.map(|(line, _)| line),
            "column": self.line.map(|(_, column)| column),
        })
    }

    fn style(&self) -> Style {
        match self.severity {
            _ if self.denied => AnsiColor::Red.on_default().bold(),
            Severity::Error => AnsiColor::Red.on_default().bold(),
            Severity::Warning => AnsiColor::Yellow.on_default().bold(),
            Severity::Note => AnsiColor::Cyan.on_default().bold(),
        }
    }
}

fn sarif_log(args: &Lint, found: &[Told]) -> Vec<u8> {
    let results: Vec<_> = found
        .iter()
        .map(|it| sarif::Result {
            rule: it.code,
            level: if it.denied { "error" } else { it.severity.name() },
            message: it.text(),
            file: it.file.clone(),
            region: match (it.line, it.offset) {
                (Some((line, column)), _) => Region::Line(line, it.column_utf16.unwrap_or(column)),
                (None, Some(offset)) => Region::Byte(offset),
                (None, None) => Region::File,
            },
            logical: it.node.as_ref().map(|node| match &it.property {
                Some(property) => format!("{node}:{property}"),
                None => node.clone(),
            }),
        })
        .collect();
    format!("{:#}\n", sarif::log(&input::name(&args.base), &rules(), &results)).into_bytes()
}

fn print(found: &[Told], quiet: bool) -> std::io::Result<()> {
    let mut told = found.iter().filter(|it| !quiet || it.denied || it.severity == Severity::Error).peekable();
    if told.peek().is_some() {
        stdout_is_open()?;
    }
    let mut out = std::io::BufWriter::new(anstream::stdout().lock());
    for it in told {
        let style = it.style();
        let place = match (it.line, it.offset) {
            (Some((line, column)), _) => (format!(":{line}:{column}"), String::new()),
            (None, Some(offset)) => (String::new(), format!(" (at byte {offset})")),
            (None, None) => (String::new(), String::new()),
        };
        let text = format!("{}{}", it.text(), place.1);
        let (file, name, code) = (visible(&it.file), it.severity.name(), it.code);
        writeln!(out, "{file}{}: {style}{name}[{code}]:{style:#} {}", place.0, visible(&text))?;
        if let Some(hint) = &it.hint {
            writeln!(out, "  hint: {}", visible(hint))?;
        }
    }
    out.flush()
}
