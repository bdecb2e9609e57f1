//! mkdtboimg's configuration: no panic, and errors that point into the file.

use kbt_dtbo_image::Config;

/// One input.
pub fn run(bytes: &[u8]) {
    match Config::parse(bytes) {
        Ok(config) => assert!(!config.entries.is_empty() && config.page_size != 0),
        Err(error) => assert!(error.offset <= bytes.len() && !error.to_string().is_empty()),
    }
}
