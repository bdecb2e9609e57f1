//! A small tree of modules to run `kbt depmod` on, and what it left there.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "the helpers of a test panic as its body does")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kbt_testkit::module::{Encoding, Module, OUTPUTS};

pub const VERSION: &str = "6.1.0-kbt";

/// A directory that goes when the test ends, with `lib/modules/VERSION` in it.
pub struct Room(tempfile::TempDir);

impl Room {
    pub fn new() -> Self {
        let room = Self(tempfile::tempdir().unwrap());
        room.write("modules.order", b"kernel/b.ko\n");
        room.write("modules.builtin", b"kernel/inside.ko\n");
        room.write("modules.builtin.modinfo", b"inside.alias=x\0");
        room
    }

    /// With a few modules that need each other.
    pub fn small() -> Self {
        let room = Self::new();
        room.module("kernel/a.ko", &module("1").import("from_b"));
        room.module("kernel/b.ko", &module("2").export("from_b", 7).import("from_c"));
        room.module("kernel/deep/c-c.ko", &module("3").export("from_c", 8));
        room
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn modules(&self) -> PathBuf {
        self.root().join("lib/modules").join(VERSION)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.modules().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub fn module(&self, name: &str, module: &Module) {
        self.write(name, &module.write());
    }

    /// `kbt depmod` on it, without the system's configuration.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kbt"));
        command.arg("depmod").args(words).arg("-b").arg(self.root()).args(["-C", "/nonexistent", VERSION]);
        command.env_remove("MAKEFLAGS");
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Runs it and takes for granted that it succeeds.
    pub fn ok(&self, words: &[&str]) -> Output {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }

    /// The eleven files below another root, if they are there.
    pub fn outputs_at(&self, root: &Path) -> BTreeMap<&'static str, Vec<u8>> {
        let directory = root.join("lib/modules").join(VERSION);
        OUTPUTS.iter().filter_map(|name| Some((*name, fs::read(directory.join(name)).ok()?))).collect()
    }

    pub fn outputs(&self) -> BTreeMap<&'static str, Vec<u8>> {
        self.outputs_at(self.root())
    }

    /// Files of the module directory that are neither inputs nor outputs.
    pub fn strays(&self) -> Vec<String> {
        let names = fs::read_dir(self.modules()).unwrap().map(|entry| entry.unwrap().file_name());
        let names = names.map(|name| name.into_string().unwrap());
        let inputs = ["kernel", "updates", "modules.order", "modules.builtin", "modules.builtin.modinfo"];
        names.filter(|name| !OUTPUTS.contains(&name.as_str()) && !inputs.contains(&name.as_str())).collect()
    }
}

/// A module with an alias.
pub fn module(alias: &str) -> Module {
    Module::new(Encoding::X86_64).info("alias", &format!("test:{alias}"))
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs as a user where the test is root, whom permissions do not stop.
pub fn as_user(room: &Room, words: &[&str]) -> Command {
    let plain = room.command(words);
    if !rustix::process::geteuid().is_root() {
        return plain;
    }
    // The binary lies where a user may not look. A process of its own copies it: a child that another test starts
    // meanwhile would hold our copy open for writing, and the system would call it busy.
    let copy = room.root().join("kbt");
    assert!(Command::new("cp").arg(plain.get_program()).arg(&copy).status().unwrap().success());
    fs::set_permissions(room.root(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(copy).args(plain.get_args());
    command
}
