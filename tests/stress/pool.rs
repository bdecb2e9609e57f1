//! How many tokens are free in the pool of a running make, counted from outside.

use std::fs::File;
use std::path::PathBuf;

/// What a recipe was told of the pool: the value of `MAKEFLAGS`.
pub fn free(makeflags: &str, make: u32) -> u64 {
    let auth = makeflags.split_whitespace().rfind(|word| word.starts_with("--jobserver-auth=")).unwrap();
    let auth = auth.trim_start_matches("--jobserver-auth=");
    let path = match auth.strip_prefix("fifo:") {
        Some(path) => PathBuf::from(path),
        // The numbers are make's own, and its recipes' where they inherit them.
        None => PathBuf::from(format!("/proc/{make}/fd/{}", auth.split(',').next().unwrap())),
    };
    let pipe = File::options().read(true).write(true).open(path).unwrap();
    rustix::io::ioctl_fionread(&pipe).unwrap()
}
