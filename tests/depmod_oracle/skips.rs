//! The list of differences that kbt has on purpose: a reason for each, and no entry that has outlived its reason.

use std::collections::BTreeSet;
use std::sync::Mutex;

use serde::Deserialize;

use super::outcome::Difference;

const TEXT: &str = include_str!("../differential/depmod-skip.toml");

/// One entry of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Skip {
    /// The name of the case.
    pub case: String,
    /// The parts of the outcome that differ: `exit`, `stdout`, `stderr`, names of files.
    pub parts: BTreeSet<String>,
    /// Why kbt does otherwise.
    pub reason: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    skip: Vec<Skip>,
}

/// The list, and what the cases of a run gave.
#[derive(Debug, Default)]
pub struct Skips {
    skips: Vec<Skip>,
    failures: Mutex<Vec<String>>,
}

impl Skips {
    pub fn load() -> Self {
        let file: File = toml::from_str(TEXT).unwrap_or_else(|error| panic!("depmod-skip.toml: {error}"));
        for skip in &file.skip {
            assert!(skip.reason.len() > 20, "an entry without a reason: {skip:?}");
        }
        Self { skips: file.skip, failures: Mutex::default() }
    }

    /// Holds a case's differences against the list: those that it names must be there, and no others.
    pub fn judge(&self, case: &str, differences: &[Difference]) {
        let skip = self.skips.iter().find(|skip| skip.case == case);
        let none = BTreeSet::new();
        let expected = skip.map_or(&none, |skip| &skip.parts);
        let found: BTreeSet<String> = differences.iter().map(|difference| difference.part.clone()).collect();
        for difference in differences.iter().filter(|difference| !expected.contains(&difference.part)) {
            self.failures.lock().unwrap().push(format!("{case}: {difference}"));
        }
        for part in expected.difference(&found) {
            self.failures.lock().unwrap().push(format!("{case}: the skip of {part} has outlived its reason"));
        }
    }

    /// Fails with all that was found.
    pub fn finish(self) {
        let failures = self.failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{} differences\n{}", failures.len(), failures.join("\n"));
    }
}
