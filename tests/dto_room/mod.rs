//! A directory with trees in it, and kbt run there.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use kbt_testkit::{Node, Overlay, Target, Tree, write};

pub struct Room(tempfile::TempDir);

impl Room {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// A base of the name `base`, overlays of the names `a`, `b` and `c`.
    pub fn with(base: impl Into<Tree>, overlays: impl IntoIterator<Item = Tree>) -> Self {
        let room = Self::new();
        room.put("base", base);
        for (name, overlay) in ["a", "b", "c"].into_iter().zip(overlays) {
            room.put(name, overlay);
        }
        room
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn put(&self, name: &str, tree: impl Into<Tree>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), write(&tree.into())).unwrap();
    }

    pub fn run(&self, words: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.current_dir(self.0.path()).args(words.split_whitespace()).output().unwrap()
    }
}

/// An overlay of one fragment.
pub fn one(target: Target, content: Node) -> Tree {
    let mut overlay = Overlay::new();
    overlay.fragment(target, content);
    overlay.finish()
}
