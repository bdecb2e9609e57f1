//! The list of pairs on which kbt and its oracle differ on purpose: a reason for each, and no entry that has
//! outlived its reason.

use std::collections::HashSet;

use serde::Deserialize;

/// One entry of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Skip {
    /// The sets of trees; `*` stands for any text, here and below.
    pub set: String,
    /// The base, as `vendor/name.dtb`.
    pub base: String,
    /// The overlay, as `vendor/name.dtbo`.
    pub overlay: String,
    /// Whether `--loose-names` gives the oracle's very tree, which is then asserted.
    #[serde(default)]
    pub loose_names: bool,
    /// Why kbt does otherwise.
    pub reason: String,
}

#[derive(Debug, Deserialize)]
struct File {
    #[serde(default)]
    skip: Vec<Skip>,
}

/// The entries of a TOML file's text.
///
/// # Panics
/// Where it is malformed or an entry gives no reason.
pub fn parse(text: &str) -> Vec<Skip> {
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("the skip list: {error}"));
    for skip in &file.skip {
        assert!(skip.reason.len() > 20, "an entry of the skip list without a reason: {skip:?}");
    }
    file.skip
}

/// The index of the first entry that speaks of this pair.
pub fn find(skips: &[Skip], set: &str, base: &str, overlay: &str) -> Option<usize> {
    skips.iter().position(|skip| {
        matches(&skip.set, set) && matches(&skip.base, base) && matches(&skip.overlay, overlay)
    })
}

/// The entries for `set` that no pair was skipped by.
pub fn outlived<'a>(skips: &'a [Skip], set: &str, used: &HashSet<usize>) -> Vec<&'a Skip> {
    let of_set = skips.iter().enumerate().filter(|(_, skip)| matches(&skip.set, set));
    of_set.filter(|(index, _)| !used.contains(index)).map(|(_, skip)| skip).collect()
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| matches(rest, &text[at..]))
        }),
    }
}

#[test]
fn a_star_stands_for_any_text() {
    for (pattern, text, expected) in [
        ("a.dtb", "a.dtb", true),
        ("a.dtb", "a.dtbo", false),
        ("*", "", true),
        ("rockchip/rk3*-x.dtb", "rockchip/rk3568-x.dtb", true),
        ("rockchip/rk3*-x.dtb", "rockchip/rk3568-y.dtb", false),
        ("*a*b", "cacb", true),
        ("*a*b", "cbca", false),
    ] {
        assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
    }
}
