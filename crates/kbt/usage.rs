//! What clap returns instead of arguments: help and version, or a refusal, which is told in the form of every other error.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::exit;
use crate::output::stdout_is_open;
use crate::report::{Failure, Report};

/// Prints it, and gives the exit code: help and version are a success.
pub fn finish(program: &'static str, json: bool, error: &clap::Error) -> ExitCode {
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !json;
    if error.use_stderr() && !is_help {
        return Report::new(program, false, json).finish(Err(failure(error)));
    }
    let printed = if error.use_stderr() { Ok(()) } else { stdout_is_open() };
    match printed.and_then(|()| error.print()) {
        // A reader that went away, as in `kbt --help | head`, has what it wanted.
        Err(failed) if failed.kind() != std::io::ErrorKind::BrokenPipe => {
            let failure = Failure::io("write", "standard output", &failed);
            Report::new(program, false, false).finish(Err(failure))
        }
        _ => ExitCode::from(if error.use_stderr() { exit::USAGE } else { exit::OK }),
    }
}

/// Clap's text is a sentence, its tips and the usage, with an empty line between any two of them; the sentence may go on in
/// further lines. The hint is the tips, else the usage.
fn failure(error: &clap::Error) -> Failure {
    use ErrorKind::{DisplayHelpOnMissingArgumentOrSubcommand, MissingSubcommand};
    let text = error.to_string();
    let (mut tips, mut usage) = (Vec::new(), None);
    for paragraph in text.split("\n\n").skip(1) {
        let mut lines = paragraph.lines().map(str::trim);
        if paragraph.starts_with("Usage: ") {
            usage = Some(lines.collect::<Vec<_>>().join(" or ").replacen("Usage:", "the usage is", 1));
        } else {
            tips.extend(lines.by_ref().filter_map(|line| line.strip_prefix("tip: ")));
        }
    }
    let failure = Failure::usage(match error.kind() {
        DisplayHelpOnMissingArgumentOrSubcommand | MissingSubcommand => "a command is missing".to_owned(),
        _ => sentence(&text),
    });
    match usage {
        _ if !tips.is_empty() => failure.hint(tips.join("; ")),
        Some(usage) => failure.hint(usage),
        None => failure,
    }
}

/// The first paragraph, in one line.
fn sentence(text: &str) -> String {
    let sentence = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = sentence.trim_start_matches("error: ").split_whitespace().collect();
    words.join(" ")
}
