//! The project's own commands, run as `cargo xtask VERB`: one table, a line of help each.

mod apt;
mod areas;
mod bench;
mod demo;
mod deny;
mod differential;
mod dist;
mod e2e;
mod fetch;
mod files;
mod fuzz;
mod run;
mod stress;
mod test;
mod tidy;

// Where peers lie and how instructions are counted is the testkit's; xtask depends on no crate of the workspace,
// so it compiles the files that say it.
#[path = "../../crates/testkit/src/callgrind.rs"]
mod callgrind;
#[path = "../../crates/testkit/src/peers/place.rs"]
mod place;

use std::process::ExitCode;

/// One command of the project.
struct Verb {
    name: &'static str,
    /// The options it takes, as help shows them.
    options: &'static str,
    help: &'static str,
    run: fn(&[String]) -> run::Result,
}

const VERBS: &[Verb] = &[
    Verb {
        name: "demo",
        options: "",
        help: "run the main jobs on samples and show what came of them",
        run: demo::run,
    },
    Verb {
        name: "test",
        options: "",
        help: "run everything that must pass: format, clippy, tidy, docs, tests",
        run: test::run,
    },
    Verb {
        name: "fetch",
        options: "[--all]",
        help: "get reference tools and real device trees from Debian into the cache (--all: the long set too)",
        run: fetch::run,
    },
    Verb {
        name: "tidy",
        options: "",
        help: "check layers, dependencies, what a manifest allows, sizes of files and functions, names, links",
        run: tidy::run,
    },
    Verb {
        name: "deny",
        options: "",
        help: "look at licences, sources, duplicates and known faults of what is taken (cargo-deny)",
        run: deny::run,
    },
    Verb {
        name: "differential",
        options: "[--all]",
        help: "compare with the replaced tools on real trees (--all: every set and pair)",
        run: differential::run,
    },
    Verb {
        name: "dist",
        options: "",
        help: "make what a distribution takes: binaries, man pages, completions, a Debian package",
        run: dist::run,
    },
    Verb {
        name: "e2e",
        options: "AREA",
        help: "run a whole story from the outside, for minutes",
        run: e2e::run,
    },
    Verb {
        name: "bench",
        options: "AREA | --plots [--redraw] [AREA...]",
        help: "measure an area and print its table; or measure and draw the plots of docs/plots, or only draw them",
        run: bench::run,
    },
    Verb {
        name: "stress",
        options: "jobserver [--rounds N] | faults",
        help: "for minutes: real makes over recipes that are killed; every system call of what writes fails once",
        run: stress::run,
    },
    Verb {
        name: "fuzz",
        options: "[TARGET...] [--seconds N] [--runs N] [--plain] [--untraced]",
        help: "look for inputs that break a parser (cargo-fuzz)",
        run: fuzz::run,
    },
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, rest)) = words.split_first() else {
        eprint!("{}", usage());
        return ExitCode::from(2);
    };
    if matches!(name.as_str(), "help" | "--help" | "-h") {
        print!("{}", usage());
        return ExitCode::SUCCESS;
    }
    let Some(verb) = VERBS.iter().find(|verb| verb.name == name) else {
        eprint!("xtask: no verb '{name}'\n\n{}", usage());
        return ExitCode::from(2);
    };
    match (verb.run)(rest) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let head = |verb: &Verb| format!("{} {}", verb.name, verb.options).trim_end().to_owned();
    let width = VERBS.iter().map(|verb| head(verb).len()).max().unwrap_or(0);
    let mut text = "usage: cargo xtask VERB\n\n".to_owned();
    for verb in VERBS {
        text += &format!("  {:width$}  {}\n", head(verb), verb.help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_line_of_help() {
        let text = usage();
        for verb in VERBS {
            assert!(!verb.help.is_empty() && !verb.help.contains('\n'), "{}", verb.name);
            assert!(text.contains(&format!("  {}", verb.name)), "{}", verb.name);
        }
    }

    #[test]
    fn verbs_differ() {
        for (index, verb) in VERBS.iter().enumerate() {
            assert!(VERBS[..index].iter().all(|earlier| earlier.name != verb.name), "{}", verb.name);
        }
    }
}
