//! Rules on single files: sizes, names, purity, and what must stand in every manifest.

use std::path::Path;

use super::Source;

/// A longer source file is two subjects.
const MAX_LINES: usize = 600;

/// Names that say nothing about what is inside.
const EMPTY_NAMES: [&str; 8] = ["common", "helper", "helpers", "imp", "misc", "util", "utils", "stuff"];

/// Crates that a boot loader can link: the attribute lets the compiler keep them from the system.
const NO_STD: [&str; 5] = ["fdt", "dto", "dto-check", "dts", "dtbo-image"];

/// Crates that need std and still touch nothing of the world.
const PURE: [&str; 4] = ["compress", "depmod", "elf", "kallsyms"];

/// What a pure crate does not mention outside of comments; a list of std's modules would hide some of it.
const WORLD: [&str; 10] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "use std::{",
    "io::std",
    "print!",
    "println!",
    "dbg!",
];

/// The packages with lints of their own; their manifests say why.
const OWN_LINTS: [&str; 4] = [
    "crates/fork/Cargo.toml",
    "crates/memory/Cargo.toml",
    "crates/streams/Cargo.toml",
    "crates/testkit/Cargo.toml",
];

/// What only its author has. Split, so that this file does not break its own rule.
const PRIVATE_PATHS: [&str; 3] = [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/")];

/// Checks every file by itself.
pub fn check(files: &[Source]) -> Vec<String> {
    let mut problems: Vec<String> = files.iter().flat_map(check_one).collect();
    for name in NO_STD {
        let path = Path::new("crates").join(name).join("src/lib.rs");
        let file = files.iter().find(|file| file.path == path);
        if !file.is_some_and(|file| file.text.contains("#![no_std]")) {
            problems.push(format!("{}: no #![no_std]", path.display()));
        }
    }
    problems
}

fn check_one(file: &Source) -> Vec<String> {
    let mut problems = Vec::new();
    let mut report = |what: String| problems.push(format!("{}: {what}", file.path.display()));
    if file.has_extension("rs") {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            report(format!("{lines} lines; {MAX_LINES} are the most"));
        }
        let stem = file.path.file_stem().unwrap_or_default().to_string_lossy();
        if EMPTY_NAMES.contains(&&*stem) {
            report(format!("'{stem}' does not say what is inside"));
        }
        for word in WORLD.iter().filter(|word| is_pure(&file.path) && mentions(&file.text, word)) {
            report(format!("{word} in a pure crate"));
        }
    }
    let own_lints = OWN_LINTS.iter().any(|own| file.path == Path::new(own));
    if file.path.ends_with("Cargo.toml") && !own_lints && !has_lints(&file.text) {
        report("no '[lints]' with 'workspace = true'".to_owned());
    }
    for (index, line) in file.text.lines().enumerate() {
        if let Some(private) = PRIVATE_PATHS.iter().find(|private| line.contains(**private)) {
            report(format!("line {}: a path in {private}", index + 1));
        }
        if is_prose(file) && line.trim_end() != line {
            report(format!("line {}: blanks at the end", index + 1));
        }
    }
    problems
}

fn is_prose(file: &Source) -> bool {
    ["md", "rs", "toml"].iter().any(|extension| file.has_extension(extension))
}

fn is_pure(path: &Path) -> bool {
    PURE.iter().any(|name| path.starts_with(Path::new("crates").join(name).join("src")))
}

/// Whether code has this word; examples in comments may.
fn mentions(text: &str, word: &str) -> bool {
    text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains(word))
}

/// A package takes the workspace's lints. The fuzz workspace stands alone.
fn has_lints(manifest: &str) -> bool {
    let own_workspace = manifest.contains("[workspace]") && !manifest.contains("[workspace.lints");
    own_workspace || manifest.contains("[lints]\nworkspace = true\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(path: &str, text: &str) -> Vec<String> {
        check_one(&Source { path: path.into(), text: text.to_owned() })
    }

    #[test]
    fn a_long_file_is_told() {
        assert_eq!(problems("a.rs", &"x\n".repeat(600)), [""; 0]);
        assert_eq!(problems("a.rs", &"x\n".repeat(601)), ["a.rs: 601 lines; 600 are the most"]);
        assert_eq!(problems("a.dts", &"x\n".repeat(601)), [""; 0]);
    }

    #[test]
    fn a_name_must_say_something() {
        assert_eq!(
            problems("crates/fdt/src/utils.rs", ""),
            ["crates/fdt/src/utils.rs: 'utils' does not say what is inside"]
        );
    }

    #[test]
    fn a_pure_crate_does_not_touch_the_world() {
        assert_eq!(problems("crates/compress/src/gzip.rs", "use std::fs;\n").len(), 1);
        assert_eq!(problems("crates/kbt/input.rs", "use std::fs;\n"), [""; 0]);
        for line in ["use std::{fs, io};", "std::io::stdout()", "io::stderr()", "eprintln!()"] {
            assert_eq!(problems("crates/kallsyms/src/a.rs", line).len(), 1, "{line}");
        }
        assert_eq!(problems("crates/elf/src/lib.rs", "//!     println!();\nuse std::io::Read;\n"), [""; 0]);
    }

    #[test]
    fn every_package_takes_the_lints() {
        assert_eq!(problems("Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"), [""; 0]);
        assert_eq!(problems("fuzz/Cargo.toml", "[package]\n\n[workspace]\n"), [""; 0]);
        assert_eq!(problems("Cargo.toml", "[package]\n\n[workspace]\n[workspace.lints.rust]\n").len(), 1);
        assert_eq!(problems("crates/a/Cargo.toml", "[package]\n").len(), 1);
    }

    #[test]
    fn a_private_path_is_told_with_its_line() {
        let text = format!("a\nb {}me/x\n", "/ho");
        assert_eq!(problems("a.md", &text), [format!("a.md: line 2: a path in {}", PRIVATE_PATHS[0])]);
    }

    #[test]
    fn the_boot_loader_crates_need_no_std() {
        assert_eq!(check(&[]).len(), NO_STD.len());
        let good = NO_STD.map(|name| Source {
            path: format!("crates/{name}/src/lib.rs").into(),
            text: "#![no_std]\n".to_owned(),
        });
        assert_eq!(check(&good), [""; 0]);
    }
}
