//! Kernel sources, out of Debian's packages.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::apt::{self, Suite};
use crate::files::{cannot, create, names, remove, rename};
use crate::run::{self, Result};

/// One source.
pub struct Source {
    /// As the option names it.
    pub version: &'static str,
    suite: &'static str,
    /// The package, or the front of its name where the suite moves on.
    package: &'static str,
}

pub const SOURCES: &[Source] = &[
    Source { version: "6.1", suite: "bookworm", package: "linux-source-6.1" },
    Source { version: "6.12", suite: "bookworm-backports", package: "linux-source-6.12" },
    Source { version: "7.x", suite: "sid", package: "linux-source-7." },
];

/// Large, and needed by no small configuration.
const LEFT_OUT: [&str; 2] = ["*/Documentation/*/*", "*/drivers/gpu/drm/amd/*/*.h"];

impl Source {
    /// The tree, unpacked where it is not there yet. Its link-vmlinux.sh tells at its end what it took.
    pub fn get(&self, cache: &Path) -> Result<PathBuf> {
        let tree = cache.join(format!("linux-{}", self.version));
        if tree.exists() {
            return Ok(tree);
        }
        apt::check_present()?;
        eprintln!("fetching the source of Linux {} ...", self.version);
        let suite = Suite::open(&cache.join(".apt"), self.suite, &apt::native_architecture()?)?;
        let dependencies = suite.dependencies("linux-source")?;
        let package = dependencies.iter().map(String::as_str).find(|name| name.starts_with(self.package));
        let package = package.unwrap_or(self.package);
        let fresh = cache.join(format!(".new-{}", self.version));
        remove(&fresh)?;
        create(&fresh.join("tree"))?;
        for file in suite.download(&[package], &fresh)? {
            apt::unpack(&file, &["*.tar.xz"], &fresh)?;
        }
        let archives = fresh.join("usr/src");
        for name in names(&archives)?.iter().filter(|name| name.ends_with(".tar.xz")) {
            let mut tar = Command::new("tar");
            tar.arg("--extract")
                .arg("--file")
                .arg(archives.join(name))
                .arg("--directory")
                .arg(fresh.join("tree"));
            tar.args(["--strip-components=1", "--no-same-owner"]);
            run::output(tar.args(LEFT_OUT.map(|pattern| format!("--exclude={pattern}"))))?;
        }
        tell_times(&fresh.join("tree/scripts/link-vmlinux.sh"))?;
        rename(&fresh.join("tree"), &tree)?;
        remove(&fresh)?;
        Ok(tree)
    }
}

/// Lets the script end by writing the processor time of itself and of all that it ran.
fn tell_times(script: &Path) -> Result {
    let appended = OpenOptions::new().append(true).open(script).and_then(|mut file| {
        // Both lines of the shell's own `times`.
        file.write_all(b"\ntimes > .kbt-times\n")
    });
    appended.map_err(|error| cannot("write", script, &error))
}

/// Reads what `times` prints, two lines of `0m1.25s 0m0.50s`, and gives the sum in seconds.
pub fn read_times(file: &Path) -> Result<f64> {
    let text = fs::read_to_string(file).map_err(|error| cannot("read", file, &error))?;
    let seconds = |word: &str| -> Option<f64> {
        let (minutes, seconds) = word.strip_suffix('s')?.split_once('m')?;
        Some(minutes.parse::<f64>().ok()? * 60.0 + seconds.parse::<f64>().ok()?)
    };
    let all: Option<Vec<f64>> = text.split_whitespace().map(seconds).collect();
    all.map(|all| all.iter().sum()).ok_or_else(|| format!("{}: no times", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_a_shell_and_its_children() {
        let file = std::env::temp_dir().join(format!("kbt-times-{}", std::process::id()));
        fs::write(&file, "0m0.01s 0m0.02s\n1m1.25s 0m0.50s\n").unwrap();
        let seconds = read_times(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!((seconds - 61.78).abs() < 1e-9);
    }
}
