//! `kbt help`: a page of the manual, or the help of a command.

use clap::Parser as _;

use crate::args;
use crate::args::help::Help;
use crate::output::Output;
use crate::report::{Failure, Report};
use crate::topics::{TOPICS, topics};

/// Prints the page, or the help of the command.
pub fn run(args: &Help, report: &mut Report) -> Result<(), Failure> {
    let page = match args.words.as_slice() {
        [name] => TOPICS.iter().find(|topic| topic.name == name),
        _ => None,
    };
    if let Some(topic) = page {
        return print(topic.text.to_owned(), report);
    }
    // clap's own help; without a command, with the topics below it.
    let words = ["kbt"].into_iter().chain(args.words.iter().map(String::as_str)).chain(["--help"]);
    match args::Command::try_parse_from(words) {
        Err(error) if !error.use_stderr() => {
            let mut text = error.to_string();
            if args.words.is_empty() {
                text += &format!("\n{}\n", topics());
            }
            print(text, report)
        }
        _ => {
            Err(Failure::usage(format!("neither a topic nor a command is called '{}'", args.words.join(" ")))
                .hint("'kbt help' lists both"))
        }
    }
}

fn print(text: String, report: &mut Report) -> Result<(), Failure> {
    if report.is_json() {
        report.field("text", text);
        return Ok(());
    }
    Output::Stdout.write(text.as_bytes(), false)
}
