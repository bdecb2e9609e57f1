//! What the comparisons with kmod's depmod share: trees of modules, runs, what a run left, the list of reasoned
//! differences.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of a test panic as its body does")]

pub mod config;
pub mod odd;
pub mod outcome;
pub mod skips;
pub mod tree;

use std::path::{Path, PathBuf};
use std::process::Command;

use kbt_testkit::peers;

pub use outcome::Outcome;
pub use skips::Skips;
pub use tree::Tree;

/// A depmod: kmod's or kbt's.
#[derive(Debug, Clone)]
pub struct Depmod {
    program: PathBuf,
    /// The name that it sees as its own.
    name: &'static str,
    /// Words before all others.
    first: &'static [&'static str],
}

impl Depmod {
    /// kbt, under the name of the tool that it replaces.
    pub fn kbt() -> Self {
        Self { program: env!("CARGO_BIN_EXE_kbt").into(), name: "depmod", first: &[] }
    }

    /// kbt with the indexes of kmod before 34.
    pub fn kbt_compat_30() -> Self {
        Self { name: "kbt", first: &["depmod", "--compat=30"], ..Self::kbt() }
    }

    /// Debian trixie's.
    pub fn kmod_34() -> Result<Self, peers::Missing> {
        Ok(Self { program: peers::tool("kmod-34/depmod")?, name: "depmod", first: &[] })
    }

    /// Debian bookworm's.
    pub fn kmod_30() -> Result<Self, peers::Missing> {
        Ok(Self { program: peers::tool("kmod-30/depmod")?, name: "depmod", first: &[] })
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The command with these words, ready to be run in `directory`.
    pub fn command(&self, words: &[String], directory: &Path) -> Command {
        use std::os::unix::process::CommandExt as _;
        let mut command = Command::new(&self.program);
        command.arg0(self.name).args(self.first).args(words).current_dir(directory);
        command.env_remove("MAKEFLAGS").env_remove("MODPROBE_OPTIONS");
        command
    }

    /// Runs it on a tree without outputs and gives what it did. `{root}`, `{version}`, `{modules}` and `{work}` in a word stand for the
    /// tree's places.
    pub fn run(&self, tree: &Tree, words: &[&str]) -> Outcome {
        tree.clean();
        self.run_again(tree, words)
    }

    /// The same, over what an earlier run left.
    pub fn run_again(&self, tree: &Tree, words: &[&str]) -> Outcome {
        let words: Vec<_> = words.iter().map(|word| tree.fill(word)).collect();
        let output = self.command(&words, &tree.root).output().unwrap();
        Outcome::of(output, tree)
    }
}

/// As [`differences`] with kmod 30, which has no `modules.weakdep`: `--compat=30` means the indexes' layout.
pub fn differences_30(tree: &Tree, words: &[&str]) -> Result<Vec<outcome::Difference>, peers::Missing> {
    let mut found = differences(&Depmod::kmod_30()?, &Depmod::kbt_compat_30(), tree, words);
    found.retain(|difference| difference.part != "modules.weakdep");
    Ok(found)
}

/// Runs both on the tree and gives how kbt's outcome differs.
pub fn differences(theirs: &Depmod, ours: &Depmod, tree: &Tree, words: &[&str]) -> Vec<outcome::Difference> {
    let expected = theirs.run(tree, words);
    let actual = ours.run(tree, words);
    expected.differences(&actual)
}
