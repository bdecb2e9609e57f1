//! The two programs that merge overlays, and what each says of a base with overlays.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What became of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The merged tree.
    Applied(Vec<u8>),
    /// What the program said on standard error.
    Refused(String),
}

impl Verdict {
    /// Whether there is a tree.
    pub fn applied(&self) -> bool {
        matches!(self, Self::Applied(_))
    }
}

/// A program under comparison.
#[derive(Debug, Clone)]
pub enum Engine {
    /// The kbt of this build, with options of `dto apply`.
    Kbt(&'static [&'static str]),
    /// dtc's fdtoverlay.
    Fdtoverlay(PathBuf),
}

impl Engine {
    /// Merges into `out`, a file of this call alone, which is gone afterwards.
    ///
    /// # Panics
    /// Where a program crashes, or refuses and leaves an output, or is silent about why.
    pub fn apply(&self, base: &Path, overlays: &[&Path], out: &Path) -> Verdict {
        let mut command = match self {
            Self::Kbt(options) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
                command.args(["dto", "apply", "-o"]).arg(out).args(*options).arg(base).args(overlays);
                command
            }
            Self::Fdtoverlay(program) => {
                let mut command = Command::new(program);
                command.arg("-i").arg(base).arg("-o").arg(out).args(overlays);
                command
            }
        };
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let written = match fs::read(out) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            read => Some(read.unwrap()),
        };
        let _ = fs::remove_file(out);
        verdict(&output, written).unwrap_or_else(|what| panic!("{command:?} {what}: {output:?}"))
    }
}

fn verdict(output: &Output, written: Option<Vec<u8>>) -> Result<Verdict, &'static str> {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match (output.status.code(), written) {
        (Some(0), Some(tree)) => Ok(Verdict::Applied(tree)),
        (Some(0), None) => Err("wrote nothing"),
        (Some(1), None) if !said.is_empty() => Ok(Verdict::Refused(said)),
        (Some(1), None) => Err("is silent"),
        (Some(1), Some(_)) => Err("failed and wrote"),
        (Some(_), _) => Err("ended with a code that is neither 0 nor 1"),
        (None, _) => Err("crashed"),
    }
}
