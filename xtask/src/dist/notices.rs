//! What the licences of everything inside of the binary ask to be passed on with it: who wrote it, and their terms.
//!
//! Cargo says which crates are linked, not just used to build. Each brings its licence; those with a C library inside bring
//! that one's, too. Texts that are the same word for word stand once. Apache's licence, as long as all others together,
//! is named where a crate has no other.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::files::{cannot, names};
use crate::run::{self, Result, cargo};

/// The licences of C libraries that crates have inside, below the crate.
const INSIDE: [(&str, &str, &[&str]); 4] = [
    ("libdeflate-sys", "libdeflate", &["libdeflate/COPYING"]),
    ("liblzma-sys", "liblzma of xz", &["xz/COPYING", "xz/COPYING.0BSD"]),
    ("libz-sys", "zlib", &["src/zlib/LICENSE"]),
    ("zstd-sys", "zstd", &["zstd/LICENSE"]),
];
const APACHE: &str = "TERMS AND CONDITIONS FOR USE, REPRODUCTION";

/// A linked crate that is not of the workspace.
struct Crate {
    name: String,
    version: String,
    licence: String,
    directory: PathBuf,
}

/// The list of what is inside, then the texts, each with those that it is of.
pub fn notices(host: &str) -> Result<String> {
    let crates = linked(host)?;
    let compiler = run::text(Command::new("rustc").arg("-V"))?;
    let mut list = format!("  the standard library of {}: MIT OR Apache-2.0\n", compiler.trim_end());
    let mut texts = BTreeMap::<String, Vec<String>>::new();
    for Crate { name, version, licence, directory } in &crates {
        let _ = writeln!(list, "  {name} {version}: {licence}");
        for text in licences(directory)? {
            texts.entry(text).or_default().push(name.clone());
        }
        for (_, library, files) in INSIDE.iter().filter(|(crate_name, ..)| crate_name == name) {
            let _ = writeln!(list, "    with {library}");
            for file in *files {
                texts.entry(read(&directory.join(file))?).or_default().push((*library).to_owned());
            }
        }
    }
    for (text, of) in texts {
        let _ = write!(list, "\n{}\n{}:\n\n{text}\n", "-".repeat(72), of.join(", "));
    }
    Ok(list)
}

/// The crates that are linked into kbt on `host`, in the order of their names.
fn linked(host: &str) -> Result<Vec<Crate>> {
    let mut metadata = cargo(["metadata", "--format-version=1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_slice(&run::output(&mut metadata)?)
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = objects(&metadata["packages"]).map(|package| (text(&package["id"]), package));
    let packages: BTreeMap<&str, &Value> = packages.collect();
    let nodes = objects(&metadata["resolve"]["nodes"]).map(|node| (text(&node["id"]), node));
    let nodes: BTreeMap<&str, &Value> = nodes.collect();
    let is_macro = |id: &str| {
        let kinds = packages.get(id).into_iter().flat_map(|package| objects(&package["targets"]));
        kinds.flat_map(|target| objects(&target["kind"])).any(|kind| kind == "proc-macro")
    };
    let mut rest = vec![text(&metadata["resolve"]["root"])];
    let mut seen = BTreeSet::new();
    while let Some(id) = rest.pop() {
        if is_macro(id) || !seen.insert(id) {
            continue;
        }
        let dependencies = nodes.get(id).into_iter().flat_map(|node| objects(&node["deps"]));
        let is_linked = |to: &&Value| objects(&to["dep_kinds"]).any(|kind| kind["kind"].is_null());
        rest.extend(dependencies.filter(is_linked).map(|to| text(&to["pkg"])));
    }
    let linked = seen.into_iter().filter_map(|id| packages.get(id).copied());
    // What has a source is not of the workspace.
    let mut crates: Vec<Crate> =
        linked.filter(|package| package["source"].is_string()).map(read_crate).collect();
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    if crates.is_empty() { Err("cargo metadata names no crates".to_owned()) } else { Ok(crates) }
}

fn read_crate(package: &Value) -> Crate {
    let manifest = Path::new(text(&package["manifest_path"]));
    Crate {
        name: text(&package["name"]).to_owned(),
        version: text(&package["version"]).to_owned(),
        licence: text(&package["license"]).to_owned(),
        directory: manifest.parent().unwrap_or(manifest).to_owned(),
    }
}

fn objects(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// A crate's licences but for Apache's and for giving up all rights, which ask for no notice or stand elsewhere.
fn licences(directory: &Path) -> Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut found = false;
    for name in names(directory)? {
        let upper = name.to_uppercase();
        if ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE"]
            .iter()
            .any(|start| upper.starts_with(start))
        {
            found = true;
            texts.extend(Some(read(&directory.join(&name))?).filter(|text| !text.contains(APACHE)));
        }
    }
    if found { Ok(texts) } else { Err(format!("{} has no licence", directory.display())) }
}

/// A text, without what editors leave at the ends of lines.
fn read(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).map_err(|error| cannot("read", path, &error))?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    Ok(lines.join("\n").trim_matches('\n').to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_inside_is_named_with_its_terms() {
        let notices = super::notices(&crate::dist::host().unwrap()).unwrap();
        for crate_name in ["clap_builder ", "object ", "zstd-sys "] {
            assert!(notices.contains(&format!("\n  {crate_name}")), "{crate_name}");
        }
        // Of the C libraries.
        for words in
            ["Jean-loup Gailly", "Eric Biggers", "Meta Platforms", "Permission to use, copy, modify, and/or"]
        {
            assert!(notices.contains(words), "{words}");
        }
        for absent in ["syn ", "clap_mangen ", "clap_derive ", "cc "] {
            assert!(!notices.contains(&format!("\n  {absent}")), "{absent} is not in the binary");
        }
        assert!(!notices.contains(super::APACHE));
    }
}
