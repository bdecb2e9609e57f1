//! Findings in SARIF 2.1.0 (OASIS standard), which code hosts and editors show.
//!
//! Places in binary files are byte offsets, and the path of the node is the logical location. Code hosts want a line
//! number of every result: of a binary file it is 1. GitHub's wants a full description and a help text of every rule, and
//! knows a result again by its `primaryLocationLineHash`, which it makes of the text around a line; where there is no
//! text, it is made here of what the finding is about, so that a tree that is built anew keeps its findings.

use std::collections::HashMap;

use serde_json::{Map, Value, json};

use crate::fnv::fnv1a;

/// A rule, as the tool describes it.
pub struct Rule {
    /// Its code.
    pub id: &'static str,
    /// One sentence without a full stop.
    pub summary: &'static str,
    /// What mends it, the same.
    pub mend: &'static str,
    /// `note`, `warning` or `error`.
    pub level: &'static str,
}

/// Where in a file.
pub enum Region {
    /// The file as a whole.
    File,
    /// A byte of a binary file.
    Byte(usize),
    /// A line and a column of a text, from 1, the column in code units of UTF-16.
    Line(u32, u32),
}

/// A finding.
pub struct Result {
    /// The code of its rule.
    pub rule: &'static str,
    /// `note`, `warning` or `error`.
    pub level: &'static str,
    /// One sentence.
    pub message: String,
    /// The file as the user named it.
    pub file: String,
    /// Where in it.
    pub region: Region,
    /// Node and property.
    pub logical: Option<String>,
}

/// A log of one run. `subject` is the file that all of it is about: of several logs for one commit a code host keeps the
/// last of each subject.
pub fn log(subject: &str, rules: &[Rule], results: &[Result]) -> Value {
    let described = rules.iter().map(|rule| {
        json!({
            "id": rule.id,
            "name": pascal_case(rule.id),
            "shortDescription": { "text": rule.summary },
            "fullDescription": { "text": sentence(rule.summary) },
            "help": { "text": sentence(rule.mend) },
            "defaultConfiguration": { "level": rule.level },
        })
    });
    let driver = json!({
        "name": "kbt",
        "fullName": concat!("kbt ", env!("CARGO_PKG_VERSION")),
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": described.collect::<Vec<_>>(),
    });
    let index = |id: &str| rules.iter().position(|rule| rule.id == id);
    let mut known = HashMap::new();
    let results = results.iter().map(|it| {
        let number = known.entry((it.rule, &it.file, &it.logical)).or_insert(0_u32);
        *number += 1;
        result(it, index(it.rule), *number)
    });
    let results: Vec<Value> = results.collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "automationDetails": { "id": format!("kbt-dto-lint/{}/", uri(subject)) },
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    })
}

/// `root-target` as `RootTarget`.
fn pascal_case(id: &str) -> String {
    id.split('-').map(capitalised).collect()
}

fn sentence(text: &str) -> String {
    let end = if text.ends_with('?') { "" } else { "." };
    capitalised(text) + end
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

/// The finding as JSON; it is the `number`th of its rule at its node and property.
fn result(found: &Result, rule: Option<usize>, number: u32) -> Value {
    let mut region = Map::new();
    match found.region {
        Region::File => _ = region.insert("startLine".into(), 1.into()),
        Region::Byte(offset) => {
            region.insert("startLine".into(), 1.into());
            region.insert("byteOffset".into(), offset.into());
        }
        Region::Line(line, column) => {
            region.insert("startLine".into(), line.into());
            region.insert("startColumn".into(), column.into());
        }
    }
    let mut location = Map::new();
    location.insert(
        "physicalLocation".into(),
        json!({ "artifactLocation": { "uri": uri(&found.file) }, "region": region }),
    );
    if let Some(logical) = &found.logical {
        location.insert("logicalLocations".into(), json!([{ "fullyQualifiedName": logical }]));
    }
    let mut object = Map::new();
    object.insert("ruleId".into(), found.rule.into());
    if let Some(rule) = rule {
        object.insert("ruleIndex".into(), rule.into());
    }
    object.insert("level".into(), found.level.into());
    object.insert("message".into(), json!({ "text": found.message }));
    object.insert("locations".into(), json!([location]));
    if !matches!(found.region, Region::Line(..)) {
        let logical = found.logical.as_deref().unwrap_or_default();
        let hash = fnv1a([found.rule, logical].iter().flat_map(|word| word.bytes().chain([0])));
        let fingerprint = json!({ "primaryLocationLineHash": format!("{hash:016x}:{number}") });
        object.insert("partialFingerprints".into(), fingerprint);
    }
    Value::Object(object)
}

/// A file's name as a relative reference: what a URI has another use for is escaped.
fn uri(file: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/,+=@".contains(&byte);
    let escape = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path: String = file.bytes().map(escape).collect();
    // An absolute path is one of this machine.
    if path.starts_with('/') { format!("file://{path}") } else { path }
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn names_of_files_become_uris() {
        assert_eq!(uri("a/b@1.dtbo"), "a/b@1.dtbo");
        assert_eq!(uri("dtbo.img#id=1"), "dtbo.img%23id=1");
        assert_eq!(uri("/x y"), "file:///x%20y");
        assert_eq!(uri("ä"), "%C3%A4");
    }
}
