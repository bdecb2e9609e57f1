//! Findings in SARIF 2.1.0 (OASIS standard), which code hosts and editors show.
//!
//! Places in binary files are byte offsets, and the path of the node is the logical location. Code hosts want a line
//! number of every result: of a binary file it is 1.

use serde_json::{Map, Value, json};

/// A rule, as the tool describes it.
pub struct Rule {
    /// Its code.
    pub id: &'static str,
    /// One sentence without a full stop; the code itself where empty.
    pub summary: &'static str,
    /// What mends it.
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
    /// A line and a column of a text, from 1.
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

/// A log of one run.
pub fn log(rules: &[Rule], results: &[Result]) -> Value {
    let described = rules.iter().map(|rule| {
        let summary = if rule.summary.is_empty() { rule.id } else { rule.summary };
        let mut object = Map::new();
        object.insert("id".into(), rule.id.into());
        object.insert("shortDescription".into(), json!({ "text": summary }));
        if !rule.mend.is_empty() {
            object.insert("help".into(), json!({ "text": rule.mend }));
        }
        object.insert("defaultConfiguration".into(), json!({ "level": rule.level }));
        Value::Object(object)
    });
    let driver = json!({
        "name": "kbt",
        "version": env!("CARGO_PKG_VERSION"),
        "semanticVersion": env!("CARGO_PKG_VERSION"),
        "rules": described.collect::<Vec<_>>(),
    });
    let index = |id: &str| rules.iter().position(|rule| rule.id == id);
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "columnKind": "utf16CodeUnits",
            "results": results.iter().map(|it| result(it, index(it.rule))).collect::<Vec<_>>(),
        }],
    })
}

fn result(found: &Result, rule: Option<usize>) -> Value {
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
