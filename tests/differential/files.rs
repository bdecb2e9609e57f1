//! Which trees there are.

use std::fs;
use std::path::Path;

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
