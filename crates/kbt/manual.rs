//! Man pages and shell completions, of the very structs that the binary parses its words by: `manual DIRECTORY` writes
//! `man/*.1` and `completions/*` there. `cargo xtask dist` runs it; the binary carries none of it.

// What the structs are read by is the binary's affair.
#![allow(dead_code, unused_imports, reason = "only the description of the arguments is used here")]

mod args;
mod topics;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Names of completions, where each shell looks for them.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "kbt.bash"), (Shell::Zsh, "_kbt"), (Shell::Fish, "kbt.fish")];

/// In kbt(1).
const OTHER_NAMES: [&str; 2] = [
    "Called as depmod, fdtoverlay, mkdtboimg, mkdtboimg.py, kallsyms or jobserver-exec, kbt takes the words of the tool of that name \
     and does its work.",
    "`kbt install-links DIRECTORY` makes links of these names.",
];

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1) else {
        eprintln!("usage: manual DIRECTORY");
        return ExitCode::from(2);
    };
    match write(Path::new(&directory)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("manual: {}: {error}", directory.display());
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    let (man, completions) = (directory.join("man"), directory.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    // Commands are described when they are needed; here they all are.
    let mut command = args::Command::command().disable_help_subcommand(true);
    command.build();
    pages(&command, &mut vec!["kbt".to_owned()], &man)?;
    for (shell, name) in SHELLS {
        let mut file = File::create(completions.join(name))?;
        clap_complete::generate(shell, &mut completed(), "kbt", &mut file);
    }
    Ok(())
}

/// The commands with what only completions are told: `kbt help` wants a topic or a command.
fn completed() -> Command {
    let mut command = args::Command::command();
    command.build();
    // clap wants names that stay.
    let commands = command.get_subcommands().map(|command| &*command.get_name().to_owned().leak());
    let words: Vec<&'static str> = topics::TOPICS.iter().map(|topic| topic.name).chain(commands).collect();
    let parser = PossibleValuesParser::new(words);
    command.mut_subcommand("help", |help| help.mut_arg("words", |arg| arg.value_parser(parser)))
}

/// The page of a command, and those of all below it. `names` are the words that lead to it.
fn pages(command: &Command, names: &mut Vec<String>, directory: &Path) -> io::Result<()> {
    let name = names.join("-");
    let below: Vec<&Command> = command.get_subcommands().filter(|command| !command.is_hide_set()).collect();
    let page = Man::new(command.clone().mut_args(with_aliases));
    let mut text = Vec::new();
    // By hand: an empty date needs its quotes. A page's bytes depend on the version alone.
    let version = env!("CARGO_PKG_VERSION");
    writeln!(text, ".TH {} 1 \"\" \"kbt {version}\" \"kbt manual\"", name.to_uppercase())?;
    page_name(&name, command, &mut text)?;
    synopsis(command, &mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if !below.is_empty() {
        commands(&name, &below, &mut text)?;
    }
    if let Some(more) = command.get_after_help() {
        let more = more.to_string();
        let heading = if more.starts_with("Example") { "EXAMPLES" } else { "TOPICS" };
        section(heading, more.trim_start_matches("Example: ").lines(), &mut text)?;
    }
    if names.len() == 1 {
        let lines = topics::TOPICS.iter().map(|topic| format!("{}: {}", topic.name, topic.about));
        section(
            "TOPICS",
            ["Pages that `kbt help TOPIC` prints:".to_owned()].into_iter().chain(lines),
            &mut text,
        )?;
        section("OTHER NAMES", OTHER_NAMES, &mut text)?;
    }
    tail(names, &mut text)?;
    fs::write(directory.join(format!("{name}.1")), text)?;
    for command in below {
        names.push(command.get_name().to_owned());
        pages(command, names, directory)?;
        names.pop();
    }
    Ok(())
}

/// An option's other names, which `--help` lists and clap_mangen leaves out.
fn with_aliases(arg: Arg) -> Arg {
    let aliases: Vec<String> =
        arg.get_visible_aliases().unwrap_or_default().iter().map(|alias| format!("--{alias}")).collect();
    if aliases.is_empty() {
        return arg;
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    arg.help(format!("{help} [aliases: {}]", aliases.join(", ")))
}

/// NAME, by which apropos finds the page: `kbt-dto-apply - what it does`.
fn page_name(name: &str, command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let mut roff = Roff::new();
    roff.control("SH", ["NAME"]).text([roman(format!("{name} - {about}"))]);
    roff.to_writer(out)
}

/// Each command below with its page.
fn commands(name: &str, below: &[&Command], out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in below {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        roff.control("TP", []).text([bold(format!("{name}-{}", command.get_name())), roman("(1)")]);
        roff.text([roman(about)]);
    }
    roff.to_writer(out)
}

/// How it is called, as `--help` has it.
fn synopsis(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let usage = command.clone().render_usage().to_string();
    section("SYNOPSIS", usage.trim_start_matches("Usage: ").lines().map(str::trim), out)
}

/// A section of lines that stay apart.
fn section<S: Into<String>>(
    heading: &str,
    lines: impl IntoIterator<Item = S>,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (number, line) in lines.into_iter().map(Into::into).filter(|line| !line.is_empty()).enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        roff.text([roman(line)]);
    }
    roff.to_writer(out)
}

/// What a command's exit codes say besides those of all.
fn exit_codes(name: &str) -> &'static str {
    match name {
        "kbt-dto-diff" => "0 where the trees mean the same, 1 where they differ, 2 for every failure.",
        "kbt-dto-lint" => "1 also where a finding was denied.",
        "kbt-dto-verify" => "1 also where something does not hold.",
        "kbt-dto-matrix" => "1 also where a pair fails.",
        "kbt-jobserver-exec" | "kbt-jobserver-pool" => {
            "Otherwise that of the command, 128 + N where signal N ended it; 124 where --timeout was over; 125 where kbt \
             failed before the command ran, 126 where the command cannot be run, 127 where it is not there."
        }
        _ => "",
    }
}

/// What is the same for every command.
fn tail(names: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    let own = exit_codes(&names.join("-"));
    let of_all = "0 where all that was asked for was done, 1 where it was refused or failed, 2 where the command line was not \
                  understood.";
    // A whole sentence about 0 stands alone; what is run has its own 1.
    let of_all = if own.starts_with('0') || own.starts_with("Otherwise") { "" } else { of_all };
    let usage =
        if own.starts_with("Otherwise") { "2 where the command line was not understood." } else { "" };
    section("EXIT STATUS", [[of_all, usage, own].join(" ").trim()], out)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    match names.split_last() {
        Some((_, above)) if !above.is_empty() => roff.text([bold(above.join("-")), roman("(1)")]),
        _ => roff.text([
            bold("depmod"),
            roman("(8), "),
            bold("fdtoverlay"),
            roman("(1), "),
            bold("dtc"),
            roman("(1)"),
        ]),
    };
    roff.to_writer(out)
}
