//! Texts that were looked at once and are held to from then on.

use std::path::Path;
use std::{env, fs};

/// Compares with a file of `tests/golden`; `KBT_BLESS=1` writes it instead.
///
/// # Panics
/// Where they differ, or the file cannot be written.
#[track_caller]
pub fn compare(name: &str, found: &[u8]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(name);
    if env::var_os("KBT_BLESS").is_some() {
        let written = fs::write(&path, found);
        assert!(written.is_ok(), "{}: {written:?}", path.display());
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(String::from_utf8_lossy(found), expected, "{name} differs; KBT_BLESS=1 rewrites it");
}
