//! `depmod` (kmod): its command line, read as getopt_long(3) reads it, over `kbt depmod`.

use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::process::ExitCode;

use crate::args::depmod::Depmod;
use crate::depmod::{self, Stop};
use crate::exit;
use crate::output::stdout_is_open;
use crate::report::Report;
use crate::workers;

const NAME: &str = "depmod";

/// What an option does to the arguments.
enum Kind {
    Flag(fn(&mut Depmod)),
    Value(fn(&mut Depmod, OsString)),
    Help,
    Version,
}

/// The options: letter, long name, meaning.
const OPTIONS: &[(u8, &str, Kind)] = &[
    (b'a', "all", Kind::Flag(|args| args.all = true)),
    (b'A', "quick", Kind::Flag(|args| args.quick = true)),
    (b'b', "basedir", Kind::Value(|args, value| args.place.basedir = Some(value))),
    (b'm', "moduledir", Kind::Value(|args, value| args.place.moduledir = Some(value))),
    (b'o', "outdir", Kind::Value(|args, value| args.outdir = Some(value))),
    (b'C', "config", Kind::Value(|args, value| args.place.config.push(value))),
    (b'E', "symvers", Kind::Value(|args, value| args.symvers = Some(value))),
    (b'F', "filesyms", Kind::Value(|args, value| args.filesyms = Some(value))),
    (b'e', "errsyms", Kind::Flag(|args| args.errsyms = true)),
    (b'v', "verbose", Kind::Flag(|args| args.verbose = args.verbose.saturating_add(1))),
    (b'n', "show", Kind::Flag(|args| args.show = true)),
    (b'n', "dry-run", Kind::Flag(|args| args.show = true)),
    (b'P', "symbol-prefix", Kind::Value(|args, value| args.symbol_prefix.push(value))),
    (b'w', "warn", Kind::Flag(|args| args.warn = true)),
    (b'V', "version", Kind::Version),
    (b'h', "help", Kind::Help),
];

const HELP: &str = "\
Usage: depmod [OPTION]... [VERSION [MODULE]...]

Writes modules.dep and the other files that modprobe reads. This is kbt, in place of kmod's depmod.

  -a, --all                 look at all modules (so it is where none is named)
  -A, --quick               do nothing where no module is newer than modules.dep
  -b, --basedir=DIR         the root below which the module directory lies
  -m, --moduledir=DIR       the module directory below the root (/lib/modules)
  -o, --outdir=DIR          the root below which the files are written
  -C, --config=PATH         configuration instead of the depmod.d directories
  -E, --symvers=FILE        Module.symvers with the kernel's symbols and versions
  -F, --filesyms=FILE       System.map with the kernel's symbols
  -e, --errsyms             tell of symbols that nobody exports
  -n, --show, --dry-run     print the text files instead of writing all
  -P, --symbol-prefix=CHAR  a character that symbols begin with
  -v, --verbose             tell each dependency
  -w, --warn                warn of duplicates
  -V, --version
  -h, --help

'kbt depmod --help' has more.
";

/// What the words ask for.
enum Asked {
    Run(Box<Depmod>),
    Print(String),
}

/// Runs with the words after `argv[0]`. Every refusal exits 1, as depmod's do.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let posix = std::env::var_os("POSIXLY_CORRECT").is_some();
    match parse(words, posix) {
        Err(problem) => {
            let _ = writeln!(std::io::stderr(), "{NAME}: {problem}");
            ExitCode::from(exit::FAILURE)
        }
        Ok(Asked::Print(text)) => {
            match stdout_is_open().and_then(|()| std::io::stdout().write_all(text.as_bytes())) {
                Ok(()) => ExitCode::from(exit::OK),
                Err(_) => ExitCode::from(exit::FAILURE),
            }
        }
        Ok(Asked::Run(args)) => {
            let mut report = Report::new(NAME, false, false);
            match depmod::run(&args, workers::quietly_alone(), &mut report) {
                Ok(()) => ExitCode::from(exit::OK),
                Err(stop) => {
                    if let Stop::Fatal(failure) = stop {
                        let _ = writeln!(std::io::stderr(), "{NAME}: FATAL: {failure}");
                    }
                    ExitCode::from(exit::FAILURE)
                }
            }
        }
    }
}

/// Options may stand behind other words, unless `posix`; `--` ends them.
fn parse(words: Vec<OsString>, posix: bool) -> Result<Asked, String> {
    let mut args = Depmod::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            break;
        }
        let asked = match bytes {
            [b'-', b'-', long @ ..] => long_option(&mut args, long, &mut words)?,
            [b'-', short @ ..] if !short.is_empty() => short_options(&mut args, short, &mut words)?,
            _ => {
                args.words.push(word);
                if posix {
                    break;
                }
                None
            }
        };
        if let Some(text) = asked {
            return Ok(Asked::Print(text));
        }
    }
    args.words.extend(words);
    Ok(Asked::Run(Box::new(args)))
}

/// `--name`, `--name=value` or `--name value`, where the name may be cut as long as it is clear.
fn long_option(
    args: &mut Depmod,
    word: &[u8],
    words: &mut impl Iterator<Item = OsString>,
) -> Result<Option<String>, String> {
    let (name, value) = match word.iter().position(|&byte| byte == b'=') {
        Some(end) => (word.get(..end).unwrap_or_default(), word.get(end + 1..)),
        None => (word, None),
    };
    let shown = format!("--{}", String::from_utf8_lossy(name));
    let exact = OPTIONS.iter().find(|(_, long, _)| long.as_bytes() == name);
    let mut begun = OPTIONS.iter().filter(|(_, long, _)| long.as_bytes().starts_with(name));
    let (_, long, kind) = match (exact, begun.next(), begun.next()) {
        (Some(exact), ..) => exact,
        (None, Some(only), None) => only,
        (None, None, _) => return Err(format!("unrecognized option '{shown}'")),
        (None, Some(_), Some(_)) => return Err(format!("option '{shown}' is ambiguous")),
    };
    match kind {
        Kind::Value(set) => {
            let value = value.map(|value| OsString::from_vec(value.to_vec())).or_else(|| words.next());
            set(args, value.ok_or_else(|| format!("option '--{long}' requires an argument"))?);
            Ok(None)
        }
        _ if value.is_some() => Err(format!("option '--{long}' doesn't allow an argument")),
        kind => Ok(flag(args, kind)),
    }
}

/// `-x`, `-xyz`, `-bVALUE` or `-b VALUE`.
fn short_options(
    args: &mut Depmod,
    letters: &[u8],
    words: &mut impl Iterator<Item = OsString>,
) -> Result<Option<String>, String> {
    let mut rest = letters;
    while let Some((letter, behind)) = rest.split_first() {
        rest = behind;
        let found = OPTIONS.iter().find(|(short, ..)| short == letter);
        let shown = OsStr::from_bytes(std::slice::from_ref(letter)).display();
        match found.map(|(.., kind)| kind) {
            None => return Err(format!("invalid option -- '{shown}'")),
            Some(Kind::Value(set)) => {
                let value =
                    if rest.is_empty() { words.next() } else { Some(OsString::from_vec(rest.to_vec())) };
                set(args, value.ok_or_else(|| format!("option requires an argument -- '{shown}'"))?);
                return Ok(None);
            }
            Some(kind) => {
                if let Some(text) = flag(args, kind) {
                    return Ok(Some(text));
                }
            }
        }
    }
    Ok(None)
}

/// Sets a flag; gives what is to be printed instead of a run.
fn flag(args: &mut Depmod, kind: &Kind) -> Option<String> {
    match kind {
        Kind::Flag(set) => set(args),
        Kind::Help => return Some(HELP.to_owned()),
        Kind::Version => return Some(format!("depmod (kbt) {}\n", env!("CARGO_PKG_VERSION"))),
        Kind::Value(_) => {}
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Depmod, String> {
        match parse(words.iter().map(OsString::from).collect(), false)? {
            Asked::Run(args) => Ok(*args),
            Asked::Print(text) => Err(text),
        }
    }

    #[test]
    fn values_follow_in_every_way() {
        for words in [
            &["-b", "/r"][..],
            &["-b/r"],
            &["-ab/r"],
            &["--basedir", "/r"],
            &["--basedir=/r"],
            &["--b", "/r"],
            &["--base=/r", "x"],
            &["x", "-b", "/r"],
        ] {
            assert_eq!(parsed(words).unwrap().place.basedir.unwrap(), "/r", "{words:?}");
        }
        assert_eq!(parsed(&["-b", "-a"]).unwrap().place.basedir.unwrap(), "-a");
        assert_eq!(parsed(&["-b=x"]).unwrap().place.basedir.unwrap(), "=x");
    }

    #[test]
    fn names_may_be_cut_where_they_stay_clear() {
        assert!(parsed(&["--err"]).unwrap().errsyms);
        assert!(parsed(&["--dry"]).unwrap().show);
        assert!(parsed(&["--verb"]).unwrap().verbose == 1);
        assert_eq!(parsed(&["--ver"]).unwrap_err(), "option '--ver' is ambiguous");
        assert_eq!(parsed(&["--nope"]).unwrap_err(), "unrecognized option '--nope'");
        assert_eq!(parsed(&["--all=x"]).unwrap_err(), "option '--all' doesn't allow an argument");
        assert_eq!(parsed(&["--out"]).unwrap_err(), "option '--outdir' requires an argument");
        assert_eq!(parsed(&["-x"]).unwrap_err(), "invalid option -- 'x'");
        assert_eq!(parsed(&["-P"]).unwrap_err(), "option requires an argument -- 'P'");
    }

    #[test]
    fn words_are_kept_in_order_and_two_dashes_end_the_options() {
        assert_eq!(parsed(&["6.1", "-w", "/a", "-", "--", "-n"]).unwrap().words, ["6.1", "/a", "-", "-n"]);
        let Ok(Asked::Run(args)) = parse(["6.1", "-w"].map(OsString::from).to_vec(), true) else {
            panic!("a run")
        };
        assert!(!args.warn && args.words.len() == 2);
    }
}
