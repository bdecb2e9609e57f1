//! Which trees there are.

use std::fs;
use std::path::{Path, PathBuf};

/// The trees below a directory, as `vendor/name`, sorted.
pub struct Files {
    /// `.dtb`.
    pub bases: Vec<String>,
    /// `.dtbo`.
    pub overlays: Vec<String>,
}

impl Files {
    /// Those below `directory`.
    ///
    /// # Panics
    /// Where there are none.
    pub fn list(directory: &Path) -> Self {
        let mut files = Self { bases: Vec::new(), overlays: Vec::new() };
        let mut open = vec![directory.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let name = || path.strip_prefix(directory).unwrap().to_str().unwrap().to_owned();
                match path.extension().and_then(|extension| extension.to_str()) {
                    Some("dtb") => files.bases.push(name()),
                    Some("dtbo") => files.overlays.push(name()),
                    _ if path.is_dir() => open.push(path),
                    _ => {}
                }
            }
        }
        files.bases.sort();
        files.overlays.sort();
        assert!(!files.bases.is_empty(), "no trees in {}", directory.display());
        files
    }
}

/// Each base with each overlay of its vendor, every `step`th of these pairs; all of them for `cargo xtask differential --all`.
///
/// # Panics
/// Where there are none.
pub fn pairs_of_a_vendor(directory: &Path, step: usize) -> Vec<(PathBuf, PathBuf)> {
    let files = Files::list(directory);
    let vendor = |name: &str| name.split('/').next().unwrap().to_owned();
    let pairs = files.overlays.iter().flat_map(|overlay| {
        let bases = files.bases.iter().filter(move |base| vendor(base) == vendor(overlay));
        bases.map(move |base| (directory.join(base), directory.join(overlay)))
    });
    let all = std::env::var("KBT_DIFFERENTIAL").is_ok_and(|value| value == "all");
    pairs.step_by(if all { 1 } else { step }).collect()
}
