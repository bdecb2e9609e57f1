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

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

/// Names of completions, where each shell looks for them.
const SHELLS: [(Shell, &str); 3] =
    [(Shell::Bash, "kbt.bash"), (Shell::Zsh, "_kbt"), (Shell::Fish, "kbt.fish")];

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
        clap_complete::generate(shell, &mut args::Command::command(), "kbt", &mut file);
    }
    Ok(())
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
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    if !below.is_empty() {
        commands(&name, &below, &mut text)?;
    }
    if command.get_after_help().is_some() {
        page.render_extra_section(&mut text)?;
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

/// What is the same for every command.
fn tail(names: &[String], out: &mut Vec<u8>) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]).text([roman(
        "0 where all that was asked for was done, 1 where it was refused or failed, 2 where the command line was not \
         understood. Where a command has others, its description says so.",
    )]);
    if names.len() > 1 {
        let above = names.get(..names.len() - 1).unwrap_or_default().join("-");
        roff.control("SH", ["SEE ALSO"]).text([bold(above), roman("(1)")]);
    }
    roff.to_writer(out)
}
