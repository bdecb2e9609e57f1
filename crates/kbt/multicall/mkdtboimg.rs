//! Under the name of AOSP's `mkdtboimg` (`mkdtboimg.py`): its command line, its files, its dump text.
//!
//! Where that tool ends in a traceback or drops a value in silence, this one says what is wrong. The output is
//! written last and as a whole, so a refusal leaves the old file alone.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::ExitCode;

use kbt_dtbo_image::{DEFAULT_PAGE_SIZE, EntryOptions, Field, TableKind, TableVersion, Value, parse_size};

use crate::args::dtbo::Share;
use crate::dtbo::build::{Request, Source, build};
use crate::dtbo::entries::add_entries;
use crate::dtbo::{config, image};
use crate::input;
use crate::inputs::Inputs;
use crate::output::{Output, Set};
use crate::report::{Failure, Report};

const COMMANDS: &str = "the commands are create, cfg_create, dump and help";

/// Runs one command; `words` are those behind `argv[0]`.
pub fn run(words: Vec<OsString>) -> ExitCode {
    let mut report = Report::new("mkdtboimg", false, false);
    let result = dispatch(&words, &mut report);
    report.finish(result)
}

fn dispatch(words: &[OsString], report: &mut Report) -> Result<(), Failure> {
    let Some((command, words)) = words.split_first() else {
        return Err(Failure::usage("no command is given").hint(COMMANDS));
    };
    match command.to_str() {
        Some("create") => create(words, report),
        Some("cfg_create") => cfg_create(words, report),
        Some("dump") => dump(words),
        Some("help" | "-h" | "--help") => help(words.first().map(OsString::as_os_str)),
        _ => {
            Err(Failure::usage(format!("there is no command '{}'", command.to_string_lossy())).hint(COMMANDS))
        }
    }
}

/// What an image is made by where nothing is said.
fn request() -> Request {
    Request {
        kind: TableKind::Dtb,
        version: Some(TableVersion::V0),
        page_size: DEFAULT_PAGE_SIZE,
        alignment: 1,
        pad_to_page: false,
        compression: None,
        share: Share::Path,
        drop_fields: true,
    }
}

/// `create IMAGE [--option=value...] FILE [--option=value...]...`
fn create(words: &[OsString], report: &mut Report) -> Result<(), Failure> {
    let mut request = request();
    let mut jobs = None;
    let mut defaults = EntryOptions::default();
    let mut output = None;
    let mut sources: Vec<Source> = Vec::new();
    for word in words {
        match option(word) {
            None if output.is_none() => output = Some(word),
            None => sources.push(Source {
                file: word.clone(),
                options: EntryOptions::default(),
                compression: None,
            }),
            Some(text) => {
                let (key, value) = key_value(text?)?;
                match sources.last_mut() {
                    Some(source) => set(&mut source.options, key, value)?,
                    None if key == "jobs" => jobs = Some(number_of_jobs(value)?),
                    None if image_option(&mut request, key, value)? => {}
                    None => set(&mut defaults, key, value)?,
                }
            }
        }
    }
    let Some(output) = output else { return Err(missing("the image to write", "create")) };
    if sources.is_empty() {
        return Err(missing("a file to pack", "create"));
    }
    sources.iter_mut().for_each(|source| source.options = source.options.or(&defaults));
    let image = build(&sources, &request, jobs, report)?;
    let mut inputs = Inputs::default();
    inputs.files(sources.iter().map(|source| &source.file));
    Output::parse(output).write_with(Set::made_of(&inputs), &image, false)
}

/// `cfg_create IMAGE CONFIG [-d DIR]`
fn cfg_create(words: &[OsString], report: &mut Report) -> Result<(), Failure> {
    let mut words = Words::new(words);
    let (mut output, mut file, mut directory, mut jobs) = (None, None, OsStr::new("."), None);
    while let Some(word) = words.next() {
        if let Some(value) = words.value_of(word, "-d", "--dtb-dir")? {
            directory = value;
        } else if let Some(value) = words.value_of(word, "--jobs", "--jobs")? {
            jobs = Some(number_of_jobs(&value.to_string_lossy())?);
        } else {
            let slot = if output.is_none() { &mut output } else { &mut file };
            words.positional(word, slot)?;
        }
    }
    let output = output.ok_or_else(|| missing("the image to write", "cfg_create"))?;
    let file = file.ok_or_else(|| missing("the configuration file", "cfg_create"))?;
    let config = config::read(file)?;
    let mut request = request();
    config::apply(&config, &mut request);
    let sources = config::sources(config, Path::new(directory))?;
    let image = build(&sources, &request, jobs, report)?;
    let mut inputs = Inputs::default();
    inputs.file(file);
    inputs.files(sources.iter().map(|source| &source.file));
    Output::parse(output).write_with(Set::made_of(&inputs), &image, false)
}

/// `dump IMAGE [-o FILE] [-b PREFIX] [--decompress]`
fn dump(words: &[OsString]) -> Result<(), Failure> {
    let mut words = Words::new(words);
    let (mut file, mut output, mut prefix, mut decompress) = (None, OsStr::new("-"), None, false);
    while let Some(word) = words.next() {
        if let Some(value) = words.value_of(word, "-o", "--output")? {
            output = value;
        } else if let Some(value) = words.value_of(word, "-b", "--dtb")? {
            prefix = Some(value);
        } else if word == "--decompress" {
            decompress = true;
        } else {
            words.positional(word, &mut file)?;
        }
    }
    let file = file.ok_or_else(|| missing("the image to read", "dump"))?;
    let name = input::name(file);
    let bytes = image::read(file)?;
    let table = image::parse(&name, &bytes)?;
    let output = Output::parse(output);
    let mut inputs = Inputs::default();
    inputs.file(file);
    let mut files = Set::made_of(&inputs);
    if let Some(prefix) = prefix {
        let limit = decompress.then_some(image::DEFAULT_MAX_SIZE);
        add_entries(&table, prefix, limit, &mut files)
            .map_err(|failure| failure.at_file_unless_named(&name))?;
    }
    output.write_with(files, table.to_string().as_bytes(), false)
}

fn help(topic: Option<&OsStr>) -> Result<(), Failure> {
    let text = match topic.and_then(OsStr::to_str) {
        Some("create") => CREATE_HELP.to_owned(),
        Some("cfg_create") => CFG_CREATE_HELP.to_owned(),
        Some("dump") => DUMP_HELP.to_owned(),
        Some("all") => [HELP, DUMP_HELP, CREATE_HELP, CFG_CREATE_HELP].join("\n"),
        None if topic.is_none() => HELP.to_owned(),
        _ => {
            let topic = topic.unwrap_or_default().to_string_lossy();
            return Err(Failure::usage(format!("there is no help on '{topic}'")).hint(COMMANDS));
        }
    };
    Output::Stdout.write(text.as_bytes(), false)
}

/// The text behind `--`, if the word starts so.
fn option(word: &OsStr) -> Option<Result<&str, Failure>> {
    let text = word.as_bytes().strip_prefix(b"--")?;
    Some(
        std::str::from_utf8(text)
            .map_err(|_| Failure::usage(format!("'{}' is no text", word.to_string_lossy()))),
    )
}

fn key_value(text: &str) -> Result<(&str, &str), Failure> {
    text.split_once('=').ok_or_else(|| {
        Failure::usage(format!("--{text} has no value"))
            .hint(format!("join them: --{text}=VALUE (a value that stands apart is taken for a file)"))
    })
}

/// Sets an option of the whole image; false where there is none of that name.
fn image_option(request: &mut Request, key: &str, value: &str) -> Result<bool, Failure> {
    match key {
        "dt_type" => {
            request.kind = TableKind::from_name(value).ok_or_else(|| bad_value(key, value, "dtb or acpi"))?;
        }
        "page_size" => {
            let size = parse_size(value).filter(|&size| size != 0);
            request.page_size = size.ok_or_else(|| bad_value(key, value, "a number above 0"))?;
        }
        "version" => {
            let version = parse_size(value).and_then(TableVersion::from_number);
            request.version = Some(version.ok_or_else(|| bad_value(key, value, "0, 1 or 2"))?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn set(options: &mut EntryOptions, key: &str, value: &str) -> Result<(), Failure> {
    let field = Field::from_name(key).ok_or_else(|| {
        Failure::usage(match key {
            "dt_type" | "jobs" | "page_size" | "version" => format!("--{key} stands behind a file"),
            _ => format!("there is no option --{key}"),
        })
        .hint("an entry takes --id, --rev, --flags and --custom0 to --custom10; --dt_type, --page_size and --version stand before the first file")
    })?;
    let what = "a 32-bit number (7, 0x7, 07) or /node:property";
    options.set(field, Value::parse(value).ok_or_else(|| bad_value(key, value, what))?);
    Ok(())
}

fn number_of_jobs(value: &str) -> Result<NonZeroUsize, Failure> {
    value.parse().map_err(|_| bad_value("jobs", value, "a number above 0"))
}

fn bad_value(key: &str, value: &str, what: &str) -> Failure {
    Failure::usage(format!("'{value}' is no value for --{key}")).hint(format!("give {what}"))
}

fn missing(what: &str, command: &str) -> Failure {
    Failure::usage(format!("{what} is not named")).hint(format!("see: mkdtboimg help {command}"))
}

/// Words with options whose values may stand apart.
struct Words<'a> {
    rest: std::slice::Iter<'a, OsString>,
}

impl<'a> Words<'a> {
    fn new(words: &'a [OsString]) -> Self {
        Self { rest: words.iter() }
    }

    fn next(&mut self) -> Option<&'a OsStr> {
        self.rest.next().map(OsString::as_os_str)
    }

    /// The value of an option in any of its forms: `-o V`, `-oV`, `--output V`, `--output=V`.
    fn value_of(&mut self, word: &'a OsStr, short: &str, long: &str) -> Result<Option<&'a OsStr>, Failure> {
        if word == short || word == long {
            let value =
                self.next().ok_or_else(|| Failure::usage(format!("{} has no value", word.display())))?;
            return Ok(Some(value));
        }
        let bytes = word.as_bytes();
        let joined = bytes.strip_prefix(long.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        let joined =
            joined.or_else(|| bytes.strip_prefix(short.as_bytes()).filter(|_| !bytes.starts_with(b"--")));
        Ok(joined.map(OsStr::from_bytes))
    }

    /// Takes a word that is no option.
    fn positional(&self, word: &'a OsStr, slot: &mut Option<&'a OsStr>) -> Result<(), Failure> {
        if word.len() > 1 && word.as_bytes().starts_with(b"-") {
            return Err(Failure::usage(format!("there is no option {}", word.display())));
        }
        if slot.is_some() {
            return Err(Failure::usage(format!("'{}' is one word too many", word.display())));
        }
        *slot = Some(word);
        Ok(())
    }
}

const HELP: &str = "\
  mkdtboimg help all
  mkdtboimg help COMMAND

    commands:
      help, dump, create, cfg_create
";

const DUMP_HELP: &str = "\
  mkdtboimg dump IMAGE [OPTION...]

    options:
      -o, --output FILE        Write the text here instead of standard output.
      -b, --dtb PREFIX         Write each entry to PREFIX.0, PREFIX.1, ...
      --decompress             Decompress what -b writes.
";

const CREATE_HELP: &str = "\
  mkdtboimg create IMAGE [GLOBAL_OPTION...] (FILE [ENTRY_OPTION...])...

    global options:
      --dt_type=TYPE           dtb or acpi. Default: dtb
      --page_size=N            Default: 2048
      --version=N              0, 1 or 2. Default: 0
      --jobs=N                 Entries to compress at once. Default: what make's jobserver leaves, else the cores
      and every entry option, as the default of all entries

    entry options:
      --id=VALUE
      --rev=VALUE
      --flags=VALUE            Low four bits: 0 none, 1 zlib, 2 gzip, 3 lz4. Not in version 0.
      --custom0=VALUE ... --custom10=VALUE
                               Version 0 has 0 to 3, version 1 has 0 to 2.

      VALUE is a 32-bit number (7, 0x7, 07), or /node:property, which is read from FILE.
";

const CFG_CREATE_HELP: &str = "\
  mkdtboimg cfg_create IMAGE CONFIG [OPTION...]

    options:
      -d, --dtb-dir DIR        Look for the files here and below. Default: the current directory
          --jobs N             Entries to compress at once. Default: what make's jobserver leaves, else the cores
";
