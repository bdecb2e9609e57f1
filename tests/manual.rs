//! Man pages and completions say what the binary says: they are built of the same structs, read by mandoc and man, and
//! compared with `--help`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use kbt_testkit::{peers, require};

/// The directory that `cargo xtask dist` would take them from.
fn manual() -> &'static Path {
    static MANUAL: OnceLock<PathBuf> = OnceLock::new();
    MANUAL.get_or_init(|| {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("manual");
        let _ = fs::remove_dir_all(&directory);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["run", "--quiet", "--example", "manual", "--"]).arg(&directory);
        let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        directory
    })
}

fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> =
        fs::read_dir(manual().join("man")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    pages
}

fn help(words: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_kbt")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help lists.
fn commands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else { return Vec::new() };
    let lines = list.lines().take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Calls `see` with the words of every command and its help.
fn walk(words: &[&str], see: &mut dyn FnMut(&[&str], &str)) {
    let text = help(words);
    see(words, &text);
    for name in commands(&text) {
        walk(&[words, &[name.as_str()]].concat(), see);
    }
}

#[test]
fn every_command_has_a_page_with_all_its_options() {
    let mut names = Vec::new();
    walk(&[], &mut |words, help| {
        let name = [&["kbt"], words].concat().join("-");
        let page = fs::read_to_string(manual().join(format!("man/{name}.1"))).unwrap_or_default();
        let page = page.replace('\\', "");
        assert!(page.contains(&format!(".SH NAME\n{name} - ")), "{name}");
        // The calls are those of the help, to the dot.
        let usage = help.split("Usage: ").nth(1).unwrap_or_default().lines();
        for line in usage.take_while(|line| !line.is_empty()).map(str::trim) {
            assert!(synopsis(&page).any(|call| call == line), "{name} has no '{line}'");
        }
        assert!(!page.contains("SH EXTRA"), "{name}");
        for option in help.split_whitespace().filter_map(|word| word.strip_prefix("--")) {
            let option: String = option.chars().take_while(|c| c.is_alphanumeric() || *c == '-').collect();
            assert!(page.contains(&format!("--{option}")), "{name} has no --{option}");
        }
        names.push(format!("{name}.1"));
    });
    names.sort();
    let found: Vec<String> =
        pages().iter().map(|page| page.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(found, names);
    assert!(names.len() > 20, "{names:?}");
}

/// The calls that a page begins with.
fn synopsis(page: &str) -> impl Iterator<Item = &str> {
    let section = page.split(".SH SYNOPSIS\n").nth(1).unwrap_or_default();
    section.split(".SH ").next().unwrap_or_default().lines()
}

#[test]
fn pages_say_what_the_commands_exit_with() {
    let page = |name: &str| {
        let page = fs::read_to_string(manual().join(format!("man/{name}.1"))).unwrap();
        page.split(".SH \"EXIT STATUS\"\n").nth(1).unwrap().split(".SH").next().unwrap().to_owned()
    };
    for (name, said, unsaid) in [
        ("kbt-jobserver-exec", "125 where kbt failed before the command ran", "1 where it was refused"),
        ("kbt-dto-diff", "2 for every failure", "1 where it was refused"),
        ("kbt-dto-lint", "1 also where a finding was denied", "125"),
        ("kbt-dto-apply", "1 where it was refused or failed", "also"),
    ] {
        let text = page(name).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(said) && !text.contains(unsaid), "{name}: {text}");
    }
    let first = fs::read_to_string(manual().join("man/kbt.1")).unwrap().replace('\\', "");
    for words in ["SH TOPICS", "overlays: what a merge does", "SH \"OTHER NAMES\"", "SH \"SEE ALSO\""] {
        assert!(first.contains(words), "{words}");
    }
}

#[test]
fn mandoc_reads_every_page() {
    let mandoc = require!(peers::tool("mandoc"));
    // What mandoc would have otherwise and reads all the same: clap_mangen writes lines as long as paragraphs, and a page
    // that says when it was made would differ from build to build.
    const STYLE: [&str; 4] = [
        "STYLE: ",
        "missing date, using \"\"",
        "skipping paragraph macro",
        "whitespace at end of input line",
    ];
    for page in pages() {
        let output = Command::new(&mandoc).args(["-T", "lint", "-W", "style"]).arg(&page).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        let bad: Vec<&str> =
            said.lines().filter(|line| !STYLE.iter().any(|style| line.contains(style))).collect();
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }
}

#[test]
fn mandoc_shows_what_help_shows() {
    let mandoc = require!(peers::tool("mandoc"));
    let page = manual().join("man/kbt-dto-apply.1");
    let output = Command::new(&mandoc).args(["-T", "ascii", "-O", "width=100"]).arg(&page).output().unwrap();
    // Bold is a letter struck twice.
    let text = String::from_utf8(output.stdout).unwrap();
    let mut plain = String::new();
    for letter in text.chars() {
        if letter == '\u{8}' {
            plain.pop();
        } else {
            plain.push(letter);
        }
    }
    let words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "KBT-DTO-APPLY(1) kbt manual KBT-DTO-APPLY(1)",
        "kbt-dto-apply - Merge overlays into a base device tree",
        "--padding <N> [default: 0] Leave N zero bytes free at the end of the tree",
        "Example: kbt dto apply board.dtb camera.dtbo display.dtbo -o merged.dtb",
        "EXIT STATUS 0 where all that was asked for was done",
        "SEE ALSO kbt-dto(1)",
    ] {
        assert!(words.contains(part), "'{part}' is not in\n{words}");
    }
}

#[test]
fn bash_completes_commands_and_options() {
    let script = manual().join("completions/kbt.bash");
    let complete = |line: &str| {
        let program = format!(
            "source {}; COMP_LINE={line:?}; COMP_WORDS=($COMP_LINE); [[ $COMP_LINE == *' ' ]] && COMP_WORDS+=(''); \
             COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _kbt kbt \"${{COMP_WORDS[COMP_CWORD]}}\" \
             \"${{COMP_WORDS[COMP_CWORD-1]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("kbt dto a"), ["apply"]);
    assert_eq!(complete("kbt dto apply --conc"), ["--concat-bootargs"]);
    assert_eq!(complete("kbt dtbo pack --share "), ["path", "content", "none"]);
    for word in ["overlays", "depmod"] {
        assert!(complete("kbt help ").contains(&word.to_owned()), "{word}");
    }
    let mut areas = complete("kbt ");
    areas.retain(|word| !word.starts_with('-'));
    let listed = commands(&help(&[]));
    assert!(listed.iter().all(|name| areas.contains(name)), "{areas:?} lacks one of {listed:?}");
}
