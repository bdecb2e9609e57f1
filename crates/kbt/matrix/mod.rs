//! What `kbt dto matrix` is made of.

pub mod config;
pub mod conflicts;
pub mod content;
pub mod files;
pub mod report;
pub mod runs;
